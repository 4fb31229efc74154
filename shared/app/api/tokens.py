"""The tokens by which programs are known: a name each, and nothing of the token but its hash.

They lie in ``tokens.json`` of the home, 0600. While the node serves only it writes them.
"""

import base64
import hashlib
import hmac
import json
import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from shared.app import control
from shared.app.acts import Act
from shared.errors import InvalidError, NotFoundError, RefusedError, StorageError
from shared.node.clock import SystemClock
from shared.node.home import Home
from shared.node.node import Node

TOKENS_FILE: Final = "tokens.json"
TOKENS_MAX: Final = 200
TOKEN_BYTES: Final = 32
SET: Final = "token"

_NAME: Final = re.compile(r"[\w.-]{1,64}")


@dataclass(frozen=True)
class Caller:
    """The program that calls.

    Attributes:
        name: What its token is called.
        token: The token itself; only the program and this request have it.
    """

    name: str
    token: bytes

    def __repr__(self) -> str:
        """Keep the token out of logs and tracebacks."""
        return f"Caller({self.name!r})"

    @property
    def mark(self) -> bytes:
        """SHA-256 of the token: what is kept of it."""
        return hashlib.sha256(self.token).digest()


@dataclass(frozen=True)
class Token:
    """What is kept of a token.

    Attributes:
        name: Unique at this node.
        sha256: Hex.
        created_ms: Unix ms.
    """

    name: str
    sha256: str
    created_ms: int


class Tokens:
    """The tokens in a home."""

    def __init__(self, home: Home) -> None:
        """Read them.

        Raises:
            StorageError: the file cannot be read.
        """
        self._home = home
        self._known = _read(home.path / TOKENS_FILE)

    def find(self, text: str) -> Caller | None:
        """Return whose token ``text`` is; it is compared with each, in constant time."""
        caller = Caller("", text.encode("ascii", "replace"))
        mark, name = caller.mark.hex(), None
        for one in self._known:
            if hmac.compare_digest(mark, one.sha256):
                name = one.name
        return None if name is None else Caller(name, caller.token)

    def add(self, name: str, chance: Callable[[int], bytes], now_ms: int) -> str:
        """Return a new token; it is kept nowhere.

        Args:
            name: What it shall be called.
            chance: Gives random bytes.
            now_ms: Unix ms.

        Raises:
            InvalidError: this is no name.
            RefusedError: there is one of that name, or there are too many.
        """
        if not _NAME.fullmatch(name):
            raise InvalidError(f"{name[:70]!r} is no name: 1 to 64 letters, digits, _ . or -.")
        if any(one.name == name for one in self._known):
            raise RefusedError(f"there is a token {name}.", advice="Revoke it with --revoke.")
        if len(self._known) >= TOKENS_MAX:
            raise RefusedError(f"there are {TOKENS_MAX} tokens already.", advice="Revoke one.")
        text = "sanji_" + base64.urlsafe_b64encode(chance(TOKEN_BYTES)).decode().rstrip("=")
        mark = Caller(name, text.encode()).mark
        self._write((*self._known, Token(name, mark.hex(), now_ms)))
        return text

    def revoke(self, name: str) -> None:
        """Forget the token ``name``: it opens nothing any more, at once.

        Raises:
            NotFoundError: there is none.
        """
        rest = tuple(one for one in self._known if one.name != name)
        if len(rest) == len(self._known):
            raise NotFoundError(f"there is no token {name[:70]!r}.")
        self._write(rest)

    def _write(self, tokens: tuple[Token, ...]) -> None:
        listed = [asdict(one) for one in tokens]
        self._home.write(TOKENS_FILE, json.dumps(listed, ensure_ascii=False, indent=1).encode())
        self._known = tokens


def token_acts(tokens: Tokens) -> dict[str, Act]:
    """Return the act of a node that serves: it has to know its tokens at once."""

    async def token(
        node: Node, _progress: object, *, name: str, revoke: bool = False
    ) -> dict[str, Any]:
        return _set(tokens, name, node.entropy, node.clock.wall_ms(), revoke=revoke)

    return {SET: token}


async def set_token(home: Home, name: str, *, revoke: bool = False) -> dict[str, Any]:
    """Make the token ``name``, or revoke it, at a node that serves or does not.

    Raises:
        InvalidError: this is no name.
        RefusedError: there is one of that name, or there are too many.
        NotFoundError: there is none to revoke.
        UnavailableError: another process works in the home.
    """
    home.identity()
    if home.control_file.exists():
        with suppress(control.NotServingError):
            given = {"name": name, "revoke": revoke}
            told = await control.ask(home.control_file, SET, given, lambda _done, _total: None)
            return dict(told)
    with home.lock():
        return _set(Tokens(home), name, os.urandom, SystemClock().wall_ms(), revoke=revoke)


def _set(
    tokens: Tokens, name: str, chance: Callable[[int], bytes], now_ms: int, *, revoke: bool
) -> dict[str, Any]:
    if revoke:
        tokens.revoke(name)
        return {"name": name, "revoked": True}
    return {"name": name, "token": tokens.add(name, chance, now_ms)}


def _read(file: Path) -> tuple[Token, ...]:
    try:
        found = json.loads(file.read_text("utf-8"))
        return tuple(Token(one["name"], str(one["sha256"]), one["created_ms"]) for one in found)
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StorageError(
            f"{file} cannot be read.", advice="Put it aside and make new tokens."
        ) from error
