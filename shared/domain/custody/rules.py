"""What a node has to state about its holdings, and when (protocol 4.7). Pure.

::

                     ┌── proof, "^": feeds of my ancestors ──▶ those above know who has it
    what I hold ─────┼── receipt, to a descendant: its feeds ─▶ "已到区里", clocks start
                     └── beat, CODE*: heads of my own feeds ──▶ those below see what they lack

Only what changed is stated, and each use has its least interval, in which changes gather: the cost
is bounded by time, not by traffic. A statement counts as made when ``learn`` has seen its record,
so what could not be written is still due.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple, cast

from shared.domain.custody.kinds import Held, Lane, Shown, Stated, Use
from shared.domain.custody.lateness import Lateness
from shared.domain.projection import Fact, Step, applied, not_applied
from shared.errors import FaultError
from shared.log.store import FeedState
from shared.record.feed import UPWARD, Feed, check_feed, is_above, is_holder, travel_order
from shared.record.limits import BODY_BYTES_MAX
from shared.trust.authority import Reach, reach_of

_REACHES: Final[dict[Use, Reach]] = {
    "proof": Reach.UPWARD,
    "receipt": Reach.DIVISION,
    "beat": Reach.OWN_SUBTREE,
}
_FRAME_BYTES: Final = 256  # the body without its entries
_NO_RID: Final = "00" * 32


class Because(StrEnum):
    """Why a statement is not applied."""

    OTHER_AUDIENCE = "other_audience"  # not the one of its use
    NO_FEED = "no_feed"  # an entry names what cannot be a feed
    NO_HOLDER = "no_holder"  # of a feed that the stater is not entitled to


def judge(fact: Fact, body: Stated) -> Step:
    """Return whether a statement counts."""
    if reach_of(fact.feed) is not _REACHES[body.use]:
        return not_applied(fact, Because.OTHER_AUDIENCE)
    for held in body.held:
        try:
            feed = check_feed(held.feed)
        except FaultError:
            return not_applied(fact, Because.NO_FEED)
        if not is_holder(feed, fact.feed.author):
            return not_applied(fact, Because.NO_HOLDER)
    return applied(fact)


@dataclass(frozen=True)
class Intervals:
    """How often a node states what, in ms; 1 s each in the story and in tests.

    Attributes:
        urgent_proof_ms: Least time between proofs of the urgent lane. Somebody waits for the
            answer to "has the storm warning reached every village", and looks each minute.
        proof_ms: The same for the rest. 1,568 nodes, each one statement of some 400 bytes an
            hour, are 15 MB a day at the district if something is published every hour; each
            minute would make custody the largest traffic of all.
        receipt_ms: Least time between receipts to one descendant. The first comes at once: the
            person still stands at the kiosk. A village that brings a month's filings gets one
            receipt a minute instead of one a record.
        beat_ms: Between beats. The by-pass waits for 26 h: four beats may be lost before.
        late_ms: For how long something may be unproven. A day holds 24 hourly proofs and any
            nightly cut of power; a month offline is normal, but then it is to be seen.
    """

    urgent_proof_ms: int = 60_000
    proof_ms: int = 3_600_000
    receipt_ms: int = 60_000
    beat_ms: int = 21_600_000
    late_ms: int = 86_400_000


@dataclass(frozen=True)
class Statement:
    """A custody record to be written.

    Attributes:
        use: proof, receipt or beat.
        audience: Where it goes, lane custody.
        body: What it says.
    """

    use: Use
    audience: str
    body: Stated


class _Sight(NamedTuple):
    """A notice on a screen that is still to be stated."""

    since_ms: int
    which: str


class Book:
    """What one node has stated and what it has to state.

    Feed it with every change of a head (``note_change``), the certified divisions
    (``note_divisions``) and every authorised custody record in the order of the log, own ones
    included (``learn``), also at start; then ask ``due``. Write what is due and let ``learn`` see
    it before asking again.
    """

    def __init__(self, me: str, intervals: Intervals, *, is_relay: bool) -> None:
        """Begin with an empty log.

        Args:
            me: Code of this node. The root has no ancestors and so never a proof to give.
            intervals: How often.
            is_relay: True if it gives receipts and beats.
        """
        self._me = me
        self._intervals = intervals
        self._is_relay = is_relay
        self._own: dict[Feed, FeedState] = {}
        self._proofs: dict[str, dict[Feed, FeedState]] = {"urgent": {}, "rest": {}}
        self._receipts: dict[str, dict[Feed, FeedState]] = {}
        self._stated: dict[Feed, tuple[int, str]] = {}
        self._sights: dict[str, _Sight] = {}
        self._seen: set[str] = set()
        self._last_ms: dict[tuple[Use, str], int] = {}
        self._lateness = Lateness(me, intervals.late_ms)

    def note_change(self, feed: Feed, state: FeedState, monotonic_ms: int) -> None:
        """Note the head of a feed, at start and whenever it moved."""
        if feed.lane == "custody":
            return
        if feed.author == self._me:
            self._own[feed] = state
            if self._is_relay:
                self._lateness.wrote(feed, state.count, monotonic_ms)
            return
        pending = self._pending(feed)
        if pending is None:
            return
        if state.count and self._stated.get(feed) != (state.count, state.rid.hex()):
            pending[feed] = state
        else:
            pending.pop(feed, None)

    def note_shown(self, rid: str, since_ms: int, *, urgent: bool) -> None:
        """Note that a notice stands on a screen; only the first time is ever stated.

        Args:
            rid: Of the notice, hex.
            since_ms: Unix ms.
            urgent: It is stated as soon as holding it is.
        """
        if rid not in self._seen:
            self._sights.setdefault(rid, _Sight(since_ms, "urgent" if urgent else "rest"))

    def note_divisions(self, codes: Iterable[str], monotonic_ms: int) -> None:
        """Note which divisions are certified; known ones and those not below are ignored."""
        self._lateness.know(codes, monotonic_ms)

    def learn(self, feed: Feed, claimed_at_ms: int, body: Stated) -> None:
        """Take in a custody record of any author.

        Args:
            feed: Where it stands.
            claimed_at_ms: Its author's clock; of own records it says when the next is due.
            body: What it states.
        """
        if feed.author == self._me:
            self._learn_own(feed.audience, claimed_at_ms, body)
        elif body.use == "proof" and is_above(self._me, feed.author):
            for held in body.held:
                if held.author == self._me:
                    self._lateness.proved(feed.author, held.feed, held.up_to)

    def _learn_own(self, audience: str, claimed_at_ms: int, body: Stated) -> None:
        if body.use == "beat":
            self._last_ms["beat", ""] = claimed_at_ms
            return
        for held in body.held:
            feed = held.feed
            which = _proof_of(feed) if body.use == "proof" else audience
            self._last_ms[body.use, which] = claimed_at_ms
            self._stated[feed] = (held.up_to, held.rid)
            pending = self._pending(feed)
            state = pending.get(feed) if pending else None
            if pending and state and (state.count, state.rid.hex()) == self._stated[feed]:
                del pending[feed]
        for one in body.shown:
            sight = self._sights.pop(one.rid, None)
            self._last_ms[body.use, sight.which if sight else "rest"] = claimed_at_ms
            self._seen.add(one.rid)

    def _pending(self, feed: Feed) -> dict[Feed, FeedState] | None:
        """Return where a change of ``feed`` waits to be stated, None if it never is."""
        if is_above(feed.author, self._me):
            return self._proofs[_proof_of(feed)]
        if self._is_relay and is_above(self._me, feed.author):
            return self._receipts.setdefault(feed.author, {})
        return None

    def due(self, now_ms: int, monotonic_ms: int) -> list[Statement]:
        """Return what has to be stated now, each within the limit of a body.

        Args:
            now_ms: The wall clock, which is compared with the claims of own statements, so that a
                node that starts often does not state often.
            monotonic_ms: Running time, for lateness.
        """
        statements: list[Statement] = []
        ripe = {
            feed: state
            for which, pending in self._proofs.items()
            if not self._wait_ms("proof", which, now_ms)
            for feed, state in pending.items()
        }
        shown = [
            Shown(rid, sight.since_ms)
            for rid, sight in self._sights.items()
            if not self._wait_ms("proof", sight.which, now_ms)
        ]
        if ripe or shown:
            statements += _pack("proof", UPWARD, ripe, shown)
        for code in sorted(code for code, pending in self._receipts.items() if pending):
            if not self._wait_ms("receipt", code, now_ms):
                statements += _pack("receipt", code, self._receipts[code])
        if self._is_relay and not self._wait_ms("beat", "", now_ms):
            audience = self._me + "*"
            heads = {feed: state for feed, state in self._own.items() if feed.audience == audience}
            statements += _pack("beat", audience, heads, self._lateness.late(monotonic_ms))
        return statements

    def next_due_ms(self, now_ms: int) -> int | None:
        """Return in how many ms something is due; None: not before ``note_change``."""
        waits = [
            self._wait_ms("proof", which, now_ms)
            for which, pending in self._proofs.items()
            if pending or any(sight.which == which for sight in self._sights.values())
        ]
        waits += [
            self._wait_ms("receipt", code, now_ms)
            for code, pending in self._receipts.items()
            if pending
        ]
        if self._is_relay:
            waits.append(self._wait_ms("beat", "", now_ms))
        return min(waits, default=None)

    def _wait_ms(self, use: Use, which: str, now_ms: int) -> int:
        interval_ms = {
            "proof": self._intervals.urgent_proof_ms
            if which == "urgent"
            else self._intervals.proof_ms,
            "receipt": self._intervals.receipt_ms,
            "beat": self._intervals.beat_ms,
        }[use]
        last_ms = self._last_ms.get((use, which))
        if last_ms is None or last_ms > now_ms + interval_ms:
            return 0  # never, or before the clock was set back: better once too often than never
        return max(0, last_ms + interval_ms - now_ms)


def _proof_of(feed: Feed) -> str:
    return "urgent" if feed.lane == "urgent" else "rest"


def _pack(
    use: Use,
    audience: str,
    heads: Mapping[Feed, FeedState],
    more: Iterable[str | Shown] = (),
) -> list[Statement]:
    """Return the statements, at least one, that tell of ``heads``, and before them of ``more``."""
    held = [
        Held(feed.author, feed.epoch.hex(), cast("Lane", feed.lane), feed.audience, state.count,
             state.rid.hex() or _NO_RID, state.since_ms, 0)
        for feed, state in sorted(heads.items(), key=lambda item: travel_order(item[0]))
    ]  # fmt: skip
    parts: list[list[Held | Shown | str]] = [[]]
    room = BODY_BYTES_MAX - _FRAME_BYTES
    items: list[Held | Shown | str] = [*more, *held]
    for item in items:
        size = len(json.dumps(item, separators=(",", ":"))) + 1
        if size > room:
            parts.append([])
            room = BODY_BYTES_MAX - _FRAME_BYTES
        room -= size
        parts[-1].append(item)
    return [Statement(use, audience, _body(use, part)) for part in parts]


def _body(use: Use, part: list[Held | Shown | str]) -> Stated:
    return Stated(
        use=use,
        held=tuple(item for item in part if isinstance(item, Held)),
        late=tuple(item for item in part if isinstance(item, str)),
        shown=tuple(item for item in part if isinstance(item, Shown)),
    )
