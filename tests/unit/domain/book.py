"""A node's book of custody with a clock that the test turns."""

from collections.abc import Iterable
from hashlib import sha256

from shared.domain.custody.kinds import Held
from shared.domain.custody.rules import Book, Intervals, Statement
from shared.log.store import FeedState
from shared.record.feed import Feed
from tests.unit.domain.facts import EPOCH

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
NOW = 1_780_000_000_000


def feed(author: str, audience: str = "^", lane: str = "ordinary") -> Feed:
    """Return a feed of the first epoch."""
    return Feed(author, EPOCH, lane, audience)


def state(count: int, since_ms: int = 7) -> FeedState:
    """Return a head; its rid follows from the count."""
    return FeedState(count, sha256(b"%d" % count).digest() if count else b"", since_ms=since_ms)


def held(of: Feed, count: int) -> Held:
    """Return the entry of a feed at a count."""
    return Held(
        of.author, of.epoch.hex(), of.lane, of.audience,  # type: ignore[arg-type]
        count, state(count).rid.hex() or "00" * 32, 7, 0,
    )  # fmt: skip


class Node:
    """A book with a clock that the test turns; what is due is written at once."""

    def __init__(self, me: str, intervals: Intervals | None = None) -> None:
        """Begin at time 0 of running and ``NOW`` of the wall."""
        self.me = me
        self.intervals = intervals or Intervals()
        self.book = Book(me, self.intervals, is_relay=len(me) < 12)
        self.at_ms = 0
        self.written: list[tuple[int, Statement]] = []

    def holds(self, of: Feed, count: int) -> None:
        """Move a head."""
        self.book.note_change(of, state(count), self.at_ms)

    def passes(self, ms: int) -> None:
        """Let time pass."""
        self.at_ms += ms

    def write(self) -> list[Statement]:
        """Write what is due and return it."""
        due = self.book.due(NOW + self.at_ms, self.at_ms)
        for one in due:
            self.written.append((NOW + self.at_ms, one))
            self.book.learn(feed(self.me, one.audience, "custody"), NOW + self.at_ms, one.body)
        return due

    def waits(self) -> int | None:
        """Return in how many ms something is due."""
        return self.book.next_due_ms(NOW + self.at_ms)

    def restarted(self) -> "Node":
        """Return the node after a restart: the log is there, running time begins anew."""
        other = Node(self.me, self.intervals)
        for claimed_at_ms, one in self.written:
            other.book.learn(feed(self.me, one.audience, "custody"), claimed_at_ms, one.body)
        return other


def said(statements: Iterable[Statement]) -> list[tuple[str, str, list[tuple[str, int]]]]:
    """Return use, audience, and the lane and count of each entry."""
    return [
        (one.use, one.audience, [(entry.lane, entry.up_to) for entry in one.body.held])
        for one in statements
    ]


def no_beats(statements: Iterable[Statement]) -> list[Statement]:
    """Return the statements that are no beats."""
    return [one for one in statements if one.use != "beat"]
