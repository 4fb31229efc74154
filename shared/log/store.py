"""The Store port: what the log asks of a database. One batch is one flushed transaction.

Implementations: ``shared.log.sql`` (SQLAlchemy Core) and ``shared.log.memory`` (the twin that the
tests and the simulation use); both pass ``tests/contracts/test_store.py``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from shared.errors import InvalidError
from shared.record.feed import Feed
from shared.record.limits import FRAME_BYTES_MAX
from shared.record.record import Record
from shared.record.run import Run

QUARANTINE_FRAMES_MAX: Final = 200
QUARANTINE_BYTES_MAX: Final = 16 * 1024 * 1024

PREFIX_BYTES_MIN: Final = 4
"""A shorter beginning of a rid names nothing."""


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


@dataclass(frozen=True)
class Refusal:
    """What a list says of a frame in the quarantine.

    Attributes:
        at_ms: When it was refused.
        peer: Code of the neighbour that sent it.
        reason: Why.
        size: Bytes of it that are kept.
    """

    at_ms: int
    peer: str
    reason: str
    size: int


@dataclass
class Batch:
    """What one transaction writes, all of it or nothing; cuts come before runs.

    Attributes:
        at_ms: Time of the commit, becomes ``stored_at_ms``.
        runs: Records that continue their trunks, in this order.
        cuts: ``(feed, count)``: trunk records from ``count`` on move aside; the feed is stopped.
        aside: Records kept beside the trunk, by rid; known ones, there or in the trunk, are
            ignored. A record that a later run brings into the trunk stands aside no longer.
        forks: Proofs to keep; the first of a feed and seq stays.
        notes: Small named values of the node itself (epoch, counters, marks); None deletes.
        bad_frames: For the bounded quarantine; the oldest make room (``kept_frame``).
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
        return not any((self.runs, self.cuts, self.aside, self.forks, self.notes, self.bad_frames))


class Store(Protocol):
    """A node's database of signed records.

    Every method may raise ``StorageError``; after one from ``commit`` nothing of the batch is
    stored and the store can be used on. The one exception says that it is not known whether the
    batch is stored; after it every method raises (``shared.log.postgresql``).
    """

    async def commit(self, batch: Batch) -> None:
        """Write ``batch`` in one transaction and flush it to disk before returning.

        A caller that is cancelled stops waiting; the batch is written all the same.

        Raises:
            InvalidError: a run does not begin where its trunk ends (``check_place``): a mistake
                of the caller; nothing of the batch is written.
        """

    async def feeds(self) -> dict[Feed, FeedState]:
        """Return the state of every feed that has trunk records, was cut or has a fork."""

    async def read(
        self, feed: Feed, first_seq: int, records_max: int, bytes_max: int
    ) -> list[Record]:
        """Return consecutive trunk records from ``first_seq`` on.

        Where the records from ``first_seq`` are not held (forgotten custody) it starts at the
        next one that is. At least one record is returned if there is any, and no more once the
        sum of headers, salts and bodies passes ``bytes_max``.
        """

    async def rids(self, feed: Feed, first_seq: int, count: int) -> list[bytes]:
        """Return the rids of up to ``count`` trunk records, the first that of ``first_seq``.

        They end before the first that is not held, so that the position tells the seq.
        """

    async def find(self, rid: bytes) -> Stored | None:
        """Return the trunk record of that rid."""

    async def find_prefix(self, prefix: bytes) -> list[bytes]:
        """Return the lowest 2 rids, of trunk or aside, that begin with ``prefix``.

        Raises:
            InvalidError: ``prefix`` is shorter than ``PREFIX_BYTES_MIN``.
        """

    async def since(self, arrival: int, records_max: int) -> list[Stored]:
        """Return trunk records that arrived after ``arrival``, in order of arrival."""

    async def lane(self, lane: str) -> list[Record]:
        """Return all trunk records of a lane, ordered by feed key and seq."""

    async def aside(self) -> list[Record]:
        """Return all records beside the trunk, ordered by rid."""

    async def forks(self) -> list[ForkProof]:
        """Return the fork proofs, ordered by feed key and seq."""

    async def note(self, name: str) -> bytes | None:
        """Return a named value of the node."""

    async def quarantine(self) -> list[BadFrame]:
        """Return the refused frames, oldest first."""

    async def refusals(self) -> list[Refusal]:
        """Return what ``quarantine`` does, without reading the frames."""

    async def close(self) -> None:
        """Release the database; a second call does nothing."""


def check_place(run: Run, count: int) -> None:
    """Compare where ``run`` begins with the end of its trunk, ``count``.

    Only the custody lane may begin beyond it, since what no evidence cites of it is forgotten
    (protocol 4.7).

    Raises:
        InvalidError: it would overwrite or leave a hole.
    """
    late_start = run.feed.lane == "custody" and run.first_seq > count
    if not run.records or not (run.first_seq == count or late_start):
        raise InvalidError(
            f"a run of {len(run.records)} records from number {run.first_seq} on "
            f"does not continue {run.feed}, which ends at {count}"
        )


def check_prefix(prefix: bytes) -> None:
    """Refuse the beginning of a rid that is too short to name anything.

    Raises:
        InvalidError: fewer than ``PREFIX_BYTES_MIN`` bytes.
    """
    if len(prefix) < PREFIX_BYTES_MIN:
        raise InvalidError(f"the beginning of a rid has {PREFIX_BYTES_MIN} bytes or more")


def kept_frame(bad: BadFrame) -> BadFrame:
    """Return ``bad`` as the quarantine keeps it: at most ``FRAME_BYTES_MAX`` of its bytes.

    No link reads a longer frame, its beginning shows what it was, and a few large ones cannot
    drive out all the others.
    """
    return replace(bad, frame=bad.frame[:FRAME_BYTES_MAX])


def frames_to_drop(sizes: Sequence[int]) -> int:
    """Return how many of the oldest frames must go; ``sizes`` are their bytes, oldest first."""
    total = 0
    for kept, size in enumerate(reversed(sizes)):
        total += size
        if kept == QUARANTINE_FRAMES_MAX or total > QUARANTINE_BYTES_MAX:
            return len(sizes) - kept
    return 0


def record_bytes(record: Record) -> int:
    """Return the bytes of header, salt and body together: what limits count."""
    return len(record.header_cose) + len(record.salt or b"") + len(record.body or b"")


def longest_prefix(records: Iterable[Record], bytes_max: int) -> list[Record]:
    """Return the first records whose sum stays within ``bytes_max``; at least one if any.

    Of an iterator no more than one record beyond the bound is taken.
    """
    total, taken = 0, list[Record]()
    for record in records:
        total += record_bytes(record)
        if taken and total > bytes_max:
            break
        taken.append(record)
    return taken
