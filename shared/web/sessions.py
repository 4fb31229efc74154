"""Who is logged in, by which link somebody may come in, and which name has to wait.

All of it lies in memory and nowhere else: a restart logs everybody out. Of a token only its digest
is kept, so that nothing that is kept lets anybody in.
"""

import hashlib
import secrets
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Final

from shared.node.clock import Clock

IDLE_SECONDS: Final = 30 * 60.0
"""Nobody used it for so long: whoever went home has left."""

SESSION_SECONDS: Final = 12 * 3600.0
"""However busy: the next working day begins with a login."""

SESSIONS_MAX: Final = 500
"""More people do not work at one node; the one that was idle longest makes room."""

LINK_SECONDS: Final = 60.0
LINKS_MAX: Final = 100

FAILURES_MAX: Final = 5
"""Wrong passwords for one name within ``FAILURE_SECONDS``; then that name waits."""

FAILURE_SECONDS: Final = 5 * 60.0

STRANGERS_MAX: Final = 1000
"""Names that nobody has and whose failures are counted; the oldest makes room."""

_TOKEN_BYTES: Final = 32


@dataclass(frozen=True)
class Session:
    """Somebody who is logged in.

    Attributes:
        account: Their name at this node.
        role: What they may do, one of ``shared.node.accounts.ROLES``.
    """

    account: str
    role: str

    @property
    def by(self) -> dict[str, str]:
        """Who acted, as the body of a record says it (``shared.domain.fields.By``)."""
        return {"account": self.account, "role": self.role}


@dataclass
class _Open:
    session: Session
    until: float
    idle_until: float


class Sessions:
    """Who is logged in."""

    def __init__(self, clock: Clock) -> None:
        """Start with nobody."""
        self._clock = clock
        self._open: OrderedDict[bytes, _Open] = OrderedDict()

    def start(self, account: str, role: str) -> str:
        """Log somebody in; returns the token."""
        self._drop_ended()
        while len(self._open) >= SESSIONS_MAX:
            self._open.popitem(last=False)
        token, now = new_token(), self._clock.monotonic()
        self._open[_digest(token)] = _Open(
            Session(account, role), now + SESSION_SECONDS, now + IDLE_SECONDS
        )
        return token

    def find(self, token: str, *, used: bool = True) -> Session | None:
        """Return the session of ``token``, None if it ended or never was.

        Args:
            token: From the cookie.
            used: False where no person asked: the session goes on being idle.
        """
        self._drop_ended()
        digest = _digest(token)
        found = self._open.get(digest)
        if found is None:
            return None
        if used:
            found.idle_until = self._clock.monotonic() + IDLE_SECONDS
            self._open.move_to_end(digest)
        return found.session

    def end(self, token: str) -> None:
        """Log one out; nothing happens if it ended before."""
        self._open.pop(_digest(token), None)

    def end_all(self, account: str) -> None:
        """Log an account out everywhere."""
        for digest, one in tuple(self._open.items()):
            if one.session.account == account:
                del self._open[digest]

    def _drop_ended(self) -> None:
        now = self._clock.monotonic()
        for digest, one in tuple(self._open.items()):
            if min(one.until, one.idle_until) <= now:
                del self._open[digest]


class OnceLinks:
    """Links by which somebody comes in without a password: once, and soon."""

    def __init__(self, clock: Clock) -> None:
        """Start with none."""
        self._clock = clock
        self._links: OrderedDict[bytes, tuple[float, str]] = OrderedDict()

    def make(self, account: str) -> str:
        """Return the token of a link for ``account``."""
        while len(self._links) >= LINKS_MAX:
            self._links.popitem(last=False)
        token = new_token()
        self._links[_digest(token)] = (self._clock.monotonic() + LINK_SECONDS, account)
        return token

    def take(self, token: str) -> str | None:
        """Return whom the link lets in, None if it was used, is too old or never was."""
        until, account = self._links.pop(_digest(token), (0.0, None))
        return account if self._clock.monotonic() < until else None

    def drop_all(self, account: str) -> None:
        """Forget the links of an account."""
        for digest, (_, whose) in tuple(self._links.items()):
            if whose == account:
                del self._links[digest]


class Throttle:
    """Counts wrong passwords by name.

    A try counts from when it begins, so that many at once are not more than many in a row. Names
    that exist are few and always kept; those that nobody has push only each other out.
    """

    def __init__(self, clock: Clock) -> None:
        """Start with nobody waiting."""
        self._clock = clock
        self._known: dict[str, deque[float]] = {}
        self._strangers: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_seconds(self, name: str) -> float:
        """Return how long ``name`` has to wait before it may try, 0 if it may."""
        tries = self._recent(name)
        if len(tries) < FAILURES_MAX:
            return 0.0
        return tries[0] + FAILURE_SECONDS - self._clock.monotonic()

    def left(self, name: str) -> int:
        """Return how often ``name`` may still try."""
        return max(0, FAILURES_MAX - len(self._recent(name)))

    def begin(self, name: str, *, known: bool) -> None:
        """Count a try.

        Args:
            name: As it was typed.
            known: Whether there is an account of that name.
        """
        tries = self._recent(name) or deque(maxlen=FAILURES_MAX)
        tries.append(self._clock.monotonic())
        if known:
            self._known[name] = tries
            return
        self._strangers[name] = tries
        self._strangers.move_to_end(name)
        while len(self._strangers) > STRANGERS_MAX:
            self._strangers.popitem(last=False)

    def clear(self, name: str) -> None:
        """Forget the tries of ``name``: the right password was given, or a new one made."""
        self._known.pop(name, None)
        self._strangers.pop(name, None)

    def _recent(self, name: str) -> deque[float]:
        tries = self._known.get(name) or self._strangers.get(name) or deque()
        while tries and tries[0] + FAILURE_SECONDS <= self._clock.monotonic():
            tries.popleft()
        return tries


def new_token() -> str:
    """Return 32 random bytes as text for cookies and paths."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
