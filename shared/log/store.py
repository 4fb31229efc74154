"""The Store port: what the log asks of a database. One batch is one flushed transaction.

Implementations: ``shared.log.sql`` (SQLAlchemy Core) and ``shared.log.memory`` (the twin that the
tests and the simulation use); both pass ``tests/contracts/test_store.py``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from shared.record.feed import Feed
from shared.record.record import Record
from shared.record.run import Run

SCHEMA: Final = 1
"""Number of the table layout; a database with another number is refused with advice."""

QUARANTINE_FRAMES_MAX: Final = 200
QUARANTINE_BYTES_MAX: Final = 16 * 1024 * 1024


@dataclass(frozen=True)
class Stored:
    """A record of the trunk with its place in this node's log.

    Attributes:
        arrival: Position in this log, from 1, in the order of storing; a fold's bookmark.
        record: The record.
        stored_at_ms: When it was committed here, Unix ms UTC.
    """

    arrival: int
    record: Record
    stored_at_ms: int


@dataclass(frozen=True)
class FeedState:
    """The trunk of one feed as the log holds it.

    Attributes:
        count: Records held (the highest seq + 1).
        rid: rid of record ``count - 1``; empty when 0.
        stopped: True if a fork is known and the trunk ends below it.
        since_ms: When record ``count - 1`` was stored.
    """

    count: int = 0
    rid: bytes = b""
    stopped: bool = False
    since_ms: int = 0


@dataclass(frozen=True)
class ForkProof:
    """Two headers of one feed and seq, both signed by the author (protocol 5.6)."""

    feed: Feed
    seq: int
    first: bytes
    second: bytes


@dataclass(frozen=True)
class BadFrame:
    """A frame that a link refused, kept for the operator.

    Attributes:
        at_ms: When.
        peer: Code of the neighbour that sent it.
        reason: Why it was refused.
        frame: The bytes as received.
    """

    at_ms: int
    peer: str
    reason: str
    frame: bytes


@dataclass
class Batch:
    """What one transaction writes; all of it or nothing.

    Attributes:
        at_ms: Time of the commit, becomes ``stored_at_ms``.
        runs: Records that continue their trunks, in this order.
        cuts: ``(feed, count)``: trunk records from ``count`` on move aside; the feed is stopped.
        aside: Records kept beside the trunk, by rid; known ones are ignored.
        forks: Proofs to keep.
        notes: Small named values of the node itself (epoch, counters, marks); None deletes.
        bad_frames: For the bounded quarantine; the oldest make room.
    """

    at_ms: int
    runs: list[Run] = field(default_factory=list)
    cuts: list[tuple[Feed, int]] = field(default_factory=list)
    aside: list[Record] = field(default_factory=list)
    forks: list[ForkProof] = field(default_factory=list)
    notes: dict[str, bytes | None] = field(default_factory=dict)
    bad_frames: list[BadFrame] = field(default_factory=list)

    def is_empty(self) -> bool:
        """Tell whether there is nothing to write."""
        return not any(
            (self.runs, self.cuts, self.aside, self.forks, self.notes, self.bad_frames)
        )


class Store(Protocol):
    """A node's database of signed records.

    Every method may raise ``StorageError``; after one from ``commit`` nothing of the batch is
    stored and the store can be used on.
    """

    async def commit(self, batch: Batch) -> None:
        """Write ``batch`` in one transaction and flush it to disk before returning."""

    async def feeds(self) -> dict[Feed, FeedState]:
        """Return the state of every feed that has records or a fork."""

    async def read(
        self, feed: Feed, first_seq: int, records_max: int, bytes_max: int
    ) -> list[Record]:
        """Return consecutive trunk records from ``first_seq`` on.

        Where the records from ``first_seq`` are not held (forgotten custody) it starts at the
        next one that is. At least one record is returned if there is any, and no more once the
        sum of headers, salts and bodies passes ``bytes_max``.
        """

    async def rids(self, feed: Feed, first_seq: int, count: int) -> list[bytes]:
        """Return the rids of up to ``count`` trunk records from ``first_seq`` on."""

    async def find(self, rid: bytes) -> Stored | None:
        """Return the trunk record of that rid."""

    async def find_prefix(self, prefix: bytes) -> list[bytes]:
        """Return up to 2 rids, of trunk or aside, that begin with ``prefix`` (4 bytes or more)."""

    async def since(self, arrival: int, records_max: int) -> list[Stored]:
        """Return trunk records that arrived after ``arrival``, in order of arrival."""

    async def lane(self, lane: str) -> list[Record]:
        """Return all trunk records of a lane, each feed's in order of seq."""

    async def aside(self) -> list[Record]:
        """Return all records beside the trunk, ordered by rid."""

    async def forks(self) -> list[ForkProof]:
        """Return the fork proofs, ordered by feed key and seq."""

    async def note(self, name: str) -> bytes | None:
        """Return a named value of the node."""

    async def quarantine(self) -> list[BadFrame]:
        """Return the refused frames, oldest first."""

    async def close(self) -> None:
        """Release the database; a second call does nothing."""


def record_bytes(record: Record) -> int:
    """Return the bytes of header, salt and body together: what limits count."""
    return len(record.header_cose) + len(record.salt or b"") + len(record.body or b"")


def longest_prefix(records: Sequence[Record], bytes_max: int) -> list[Record]:
    """Return the first records whose sum stays within ``bytes_max``; at least one if any."""
    total, taken = 0, list[Record]()
    for record in records:
        total += record_bytes(record)
        if taken and total > bytes_max:
            break
        taken.append(record)
    return taken
