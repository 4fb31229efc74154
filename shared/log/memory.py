"""The Store without a disk: the twin of ``shared.log.sql`` for tests and simulation.

It never waits and uses no thread. A crash is planted at its commit: just before the batch is
durable, or just after, when the caller never hears of it.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import dataclass, field, replace
from itertools import islice
from operator import attrgetter

from shared.errors import StorageError
from shared.log.store import (
    BadFrame,
    Batch,
    FeedState,
    ForkProof,
    Refusal,
    Stored,
    check_place,
    check_prefix,
    frames_to_drop,
    kept_frame,
    longest_prefix,
)
from shared.record.feed import Feed
from shared.record.record import Record
from shared.record.run import Run

_arrival_of = attrgetter("arrival")


@dataclass
class _Trunk:
    """The trunk of one feed: its records and, beside them, their numbers."""

    state: FeedState = field(default_factory=FeedState)
    seqs: list[int] = field(default_factory=list)
    stored: list[Stored] = field(default_factory=list)

    def copied(self) -> "_Trunk":
        return _Trunk(self.state, self.seqs.copy(), self.stored.copy())

    def record_at(self, seq: int) -> Record | None:
        place = bisect_left(self.seqs, seq)
        held = place < len(self.seqs) and self.seqs[place] == seq
        return self.stored[place].record if held else None

    def consecutive(self, place: int) -> Iterable[Record]:
        """Yield the records from ``place`` in the lists up to the first hole."""
        if place == len(self.seqs):
            return
        offset = self.seqs[place] - place
        for index in range(place, len(self.seqs)):
            if self.seqs[index] - index != offset:
                return
            yield self.stored[index].record

    def end_below(self, count: int) -> int:
        """Return the count that a cut at ``count`` leaves."""
        place = bisect_left(self.seqs, count)
        return self.seqs[place - 1] + 1 if place else 0


@dataclass
class MemoryState:
    """What is durable. Only ``MemoryStore`` looks inside."""

    trunks: dict[Feed, _Trunk] = field(default_factory=dict)
    log: list[Stored] = field(default_factory=list)
    by_rid: dict[bytes, Stored] = field(default_factory=dict)
    aside: dict[bytes, Record] = field(default_factory=dict)
    forks: dict[tuple[bytes, int], ForkProof] = field(default_factory=dict)
    notes: dict[str, bytes] = field(default_factory=dict)
    bad_frames: list[BadFrame] = field(default_factory=list)
    last_arrival: int = 0

    def copied(self) -> "MemoryState":
        """Return a copy; the records, which never change, are shared."""
        twin = MemoryState(**{name: copy(value) for name, value in vars(self).items()})
        twin.trunks = {name: trunk.copied() for name, trunk in self.trunks.items()}
        return twin


class MemoryStore:
    """A ``Store`` in memory.

    Attributes:
        before_commit: Called with each valid batch; if it raises, nothing of it is stored.
        after_commit: Called with each batch that is stored; if it raises, the batch stays.
    """

    def __init__(self, state: MemoryState | None = None) -> None:
        """Start empty or from a snapshot."""
        self.before_commit: Callable[[Batch], None] | None = None
        self.after_commit: Callable[[Batch], None] | None = None
        self._durable = MemoryState()
        self._closed = False
        if state is not None:
            self.restore(state)

    def snapshot(self) -> MemoryState:
        """Return a copy of what is durable, also of a closed store."""
        return self._durable.copied()

    def restore(self, state: MemoryState) -> None:
        """Go back to ``state``, which can be restored again later, and open the store."""
        self._durable = state.copied()
        self._closed = False

    async def commit(self, batch: Batch) -> None:
        """Store ``batch`` or, if it is invalid or ``before_commit`` raises, nothing of it."""
        state = self._state
        _check(state, batch)
        if self.before_commit is not None:
            self.before_commit(batch)
        _write(state, batch)
        if self.after_commit is not None:
            self.after_commit(batch)

    async def feeds(self) -> dict[Feed, FeedState]:
        """Return the state of every feed that has trunk records, was cut or has a fork."""
        state = self._state
        forked = {proof.feed: FeedState() for proof in state.forks.values()}
        held = {name: trunk.state for name, trunk in state.trunks.items()}
        return forked | held

    async def read(
        self, feed: Feed, first_seq: int, records_max: int, bytes_max: int
    ) -> list[Record]:
        """Return consecutive trunk records from ``first_seq`` or the next one held."""
        trunk = self._state.trunks.get(feed, _Trunk())
        records = trunk.consecutive(bisect_left(trunk.seqs, first_seq))
        return longest_prefix(islice(records, max(1, records_max)), bytes_max)

    async def rids(self, feed: Feed, first_seq: int, count: int) -> list[bytes]:
        """Return the rids of up to ``count`` trunk records, the first that of ``first_seq``."""
        trunk = self._state.trunks.get(feed, _Trunk())
        if trunk.record_at(first_seq) is None:
            return []
        records = trunk.consecutive(bisect_left(trunk.seqs, first_seq))
        return [record.rid for record in islice(records, max(0, count))]

    async def find(self, rid: bytes) -> Stored | None:
        """Return the trunk record of that rid."""
        return self._state.by_rid.get(rid)

    async def find_prefix(self, prefix: bytes) -> list[bytes]:
        """Return the lowest 2 rids, of trunk or aside, that begin with ``prefix``."""
        check_prefix(prefix)
        state = self._state
        return sorted(
            rid for rids in (state.by_rid, state.aside) for rid in rids if rid.startswith(prefix)
        )[:2]

    async def since(self, arrival: int, records_max: int) -> list[Stored]:
        """Return trunk records that arrived after ``arrival``, in order of arrival."""
        log = self._state.log
        place = bisect_right(log, arrival, key=_arrival_of)
        return log[place : place + max(0, records_max)]

    async def lane(self, lane: str) -> list[Record]:
        """Return all trunk records of a lane, ordered by feed key and seq."""
        trunks = self._state.trunks
        feeds = sorted((name for name in trunks if name.lane == lane), key=attrgetter("key"))
        return [stored.record for name in feeds for stored in trunks[name].stored]

    async def aside(self) -> list[Record]:
        """Return all records beside the trunk, ordered by rid."""
        return [record for _, record in sorted(self._state.aside.items())]

    async def forks(self) -> list[ForkProof]:
        """Return the fork proofs, ordered by feed key and seq."""
        return [proof for _, proof in sorted(self._state.forks.items())]

    async def note(self, name: str) -> bytes | None:
        """Return a named value of the node."""
        return self._state.notes.get(name)

    async def quarantine(self) -> list[BadFrame]:
        """Return the refused frames, oldest first."""
        return self._state.bad_frames.copy()

    async def refusals(self) -> list[Refusal]:
        """Return what ``quarantine`` does, without reading the frames."""
        return [
            Refusal(bad.at_ms, bad.peer, bad.reason, len(bad.frame))
            for bad in self._state.bad_frames
        ]

    async def close(self) -> None:
        """Refuse further use; a second call does nothing."""
        self._closed = True

    @property
    def _state(self) -> MemoryState:
        if self._closed:
            raise StorageError("The database is closed.", advice="Start the node again.")
        return self._durable


def _check(state: MemoryState, batch: Batch) -> None:
    """Raise what the batch deserves before anything of it is written."""
    ends: dict[Feed, int] = {}
    trunks = state.trunks
    for name, count in batch.cuts:
        below = min(count, ends.get(name, count))
        ends[name] = trunks[name].end_below(below) if name in trunks else 0
    for run in batch.runs:
        held = trunks[run.feed].state.count if run.feed in trunks else 0
        check_place(run, ends.get(run.feed, held))
        ends[run.feed] = run.end
    for record in batch.aside:
        _ = record.header  # decoded now, so that a bad one fails here and not half-way


def _write(state: MemoryState, batch: Batch) -> None:
    """Apply a checked batch."""
    for name, count in batch.cuts:
        _cut(state, name, count)
    for run in batch.runs:
        _append(state, run, batch.at_ms)
    for record in batch.aside:
        if record.rid not in state.by_rid:
            state.aside.setdefault(record.rid, record)
    for proof in batch.forks:
        state.forks.setdefault((proof.feed.key, proof.seq), proof)
    for note, value in batch.notes.items():
        if value is None:
            state.notes.pop(note, None)
        else:
            state.notes[note] = value
    frames = [*state.bad_frames, *map(kept_frame, batch.bad_frames)]
    state.bad_frames = frames[frames_to_drop([len(bad.frame) for bad in frames]) :]


def _cut(state: MemoryState, name: Feed, count: int) -> None:
    trunk = state.trunks.setdefault(name, _Trunk())
    place = bisect_left(trunk.seqs, count)
    moved = {stored.record.rid: stored.record for stored in trunk.stored[place:]}
    del trunk.seqs[place:], trunk.stored[place:]
    trunk.state = FeedState(stopped=True)
    if place:
        last = trunk.stored[-1]
        trunk.state = FeedState(
            trunk.seqs[-1] + 1, last.record.rid, stopped=True, since_ms=last.stored_at_ms
        )
    state.aside.update(moved)
    for rid in moved:
        del state.by_rid[rid]
    if moved:
        state.log = [stored for stored in state.log if stored.record.rid not in moved]


def _append(state: MemoryState, run: Run, at_ms: int) -> None:
    trunk = state.trunks.setdefault(run.feed, _Trunk())
    for record in run.records:
        state.last_arrival += 1
        stored = Stored(state.last_arrival, record, at_ms)
        trunk.stored.append(stored)
        state.log.append(stored)
        state.by_rid[record.rid] = stored
        state.aside.pop(record.rid, None)
    trunk.seqs.extend(range(run.first_seq, run.end))
    trunk.state = replace(trunk.state, count=run.end, rid=run.records[-1].rid, since_ms=at_ms)
