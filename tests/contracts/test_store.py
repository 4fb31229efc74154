"""What every Store promises: the same suite for memory and for SQL with and without a thread."""

import hashlib
from itertools import count

import pytest

from shared.errors import InvalidError
from shared.log.store import (
    BadFrame,
    Batch,
    FeedState,
    ForkProof,
    Store,
    record_bytes,
)
from shared.record.feed import Feed
from shared.record.record import Record
from shared.record.run import Run
from tests.support.records import feed_of, run_of
from tests.support.stores import Reopen, answers

FEED = feed_of()
OTHER = feed_of("340602100")
CUSTODY = feed_of(lane="custody")
FIVE = run_of(FEED, 5)
BRANCH = run_of(FEED, 4, 2, FIVE.records[1].rid, text="other branch ")


async def test_empty_store_answers_nothing(store: Store) -> None:
    """A new store has no feed, no record and no note, and says so without an error."""
    assert await store.feeds() == {}
    assert await store.read(FEED, 0, 10, 10**6) == []
    assert await store.rids(FEED, 0, 10) == []
    assert await store.find(bytes(32)) is None
    assert await store.find_prefix(bytes(4)) == []
    assert await store.since(0, 10) == []
    assert await store.lane("trust") == []
    assert await store.aside() == []
    assert await store.forks() == []
    assert await store.note("epoch") is None
    assert await store.quarantine() == []


async def test_records_come_back_verbatim(store: Store) -> None:
    """Header, salt and body are the bytes that went in, and a missing body stays missing."""
    pruned = Record(FIVE.records[4].header_cose, None, None)
    records = (*FIVE.records[:4], pruned)
    await store.commit(Batch(1, [Run(FEED, 0, records)]))
    assert await store.read(FEED, 0, 10, 10**6) == list(records)
    assert (await store.since(0, 10))[-1].record == pruned


async def test_feeds_tell_where_trunks_end(store: Store) -> None:
    """The state of a feed is that of its last record and the time of its commit."""
    other = run_of(OTHER, 1)
    await store.commit(Batch(1000, [Run(FEED, 0, FIVE.records[:2]), other]))
    await store.commit(Batch(2000, [FIVE.tail(2)]))
    assert await store.feeds() == {
        FEED: FeedState(5, FIVE.records[4].rid, stopped=False, since_ms=2000),
        OTHER: FeedState(1, other.records[0].rid, stopped=False, since_ms=1000),
    }


async def test_one_batch_holds_successive_runs_of_a_feed(store: Store) -> None:
    """A group commit writes many runs, each continuing the one before it."""
    runs = [Run(FEED, seq, (record,)) for seq, record in enumerate(FIVE.records)]
    await store.commit(Batch(1, runs))
    assert await store.read(FEED, 0, 10, 10**6) == list(FIVE.records)


@pytest.mark.parametrize(
    "run",
    [
        BRANCH,
        Run(FEED, 4, FIVE.records[4:]),
        Run(FEED, 6, FIVE.records[4:]),
        Run(FEED, 5, ()),
        run_of(CUSTODY, 1, 2),
    ],
    ids=["branch", "again", "hole", "empty", "custody below"],
)
async def test_trunk_is_never_overwritten_nor_holed(store: Store, run: Run) -> None:
    """A run that does not begin at the end of its trunk is refused, whatever the caller thought."""
    await store.commit(Batch(1, [FIVE, run_of(CUSTODY, 3)]))
    before = await answers(store)
    with pytest.raises(InvalidError):
        await store.commit(Batch(2, [run]))
    assert await answers(store) == before


async def test_failed_batch_leaves_nothing(store: Store) -> None:
    """If one part of a batch is wrong, no part of it is written, and the store works on."""
    await store.commit(Batch(1, [FIVE]))
    before = await answers(store)
    batch = Batch(2, [run_of(OTHER, 2), Run(FEED, 9, FIVE.records)], cuts=[(FEED, 2)])
    batch.aside.extend(BRANCH.records)
    batch.forks.append(ForkProof(FEED, 2, b"a", b"b"))
    batch.notes["epoch"] = b"x"
    batch.bad_frames.append(BadFrame(1, "340602", "test", b"frame"))
    with pytest.raises(InvalidError):
        await store.commit(batch)
    assert await answers(store) == before
    assert await store.note("epoch") is None
    await store.commit(Batch(3, [run_of(FEED, 1, 5, FIVE.records[4].rid)]))
    assert (await store.feeds())[FEED].count == 6


async def test_custody_may_begin_late(store: Store) -> None:
    """Of the custody lane earlier records may be forgotten; reading begins at what is held."""
    early, late = run_of(CUSTODY, 2, 10), run_of(CUSTODY, 2, 20)
    await store.commit(Batch(1, [early]))
    await store.commit(Batch(2, [late]))
    assert (await store.feeds())[CUSTODY].count == 22
    assert await store.read(CUSTODY, 0, 10, 10**6) == list(early.records)
    assert await store.read(CUSTODY, 12, 10, 10**6) == list(late.records)
    assert await store.read(CUSTODY, 22, 10, 10**6) == []


async def test_rids_stand_at_their_place(store: Store) -> None:
    """The list of rids ends before the first hole, so that its positions are numbers."""
    run = run_of(CUSTODY, 2, 10)
    await store.commit(Batch(1, [FIVE, run, run_of(CUSTODY, 2, 20)]))
    assert await store.rids(FEED, 1, 3) == [record.rid for record in FIVE.records[1:4]]
    assert await store.rids(FEED, 3, 9) == [record.rid for record in FIVE.records[3:]]
    assert await store.rids(FEED, 5, 9) == []
    assert await store.rids(FEED, 0, 0) == []
    assert await store.rids(CUSTODY, 9, 9) == []
    assert await store.rids(CUSTODY, 10, 99) == [record.rid for record in run.records]


async def test_read_is_bounded_by_records_and_bytes(store: Store) -> None:
    """A reader gets no more than it asked for, and at least one record if there is any."""
    await store.commit(Batch(1, [FIVE]))
    two = sum(map(record_bytes, FIVE.records[1:3]))
    assert await store.read(FEED, 1, 3, 10**6) == list(FIVE.records[1:4])
    assert await store.read(FEED, 1, 9, two) == list(FIVE.records[1:3])
    assert await store.read(FEED, 1, 9, two - 1) == list(FIVE.records[1:2])
    assert await store.read(FEED, 1, 9, 0) == list(FIVE.records[1:2])
    assert await store.read(FEED, 1, 0, 10**6) == list(FIVE.records[1:2])


async def test_find_by_rid(store: Store) -> None:
    """A trunk record is found by its rid, with its place; one that stands aside is not."""
    await store.commit(Batch(7, [FIVE], aside=list(BRANCH.records)))
    for arrival, record in enumerate(FIVE.records, 1):
        found = await store.find(record.rid)
        assert found is not None
        assert (found.arrival, found.record, found.stored_at_ms) == (arrival, record, 7)
    assert await store.find(BRANCH.records[0].rid) is None
    assert await store.find(FIVE.records[0].rid[:8]) is None


@pytest.mark.parametrize("size", [4, 7, 8, 9, 32])
async def test_find_prefix_in_trunk_and_aside(store: Store, size: int) -> None:
    """The beginning of a rid names its record, in the trunk or beside it."""
    await store.commit(Batch(1, [FIVE], aside=list(BRANCH.records)))
    for record in (*FIVE.records, *BRANCH.records):
        assert await store.find_prefix(record.rid[:size]) == [record.rid]
    other_end = FIVE.records[0].rid[: size - 1] + bytes([FIVE.records[0].rid[size - 1] ^ 1])
    assert await store.find_prefix(other_end) == []


async def test_find_prefix_shows_ambiguity(store: Store) -> None:
    """Two records whose rids begin alike are both returned, in order."""
    first, second = alike()
    await store.commit(Batch(1, [Run(FEED, 0, (first, second))]))
    expected = sorted((first.rid, second.rid))
    assert await store.find_prefix(first.rid[:4]) == expected
    assert await store.find_prefix(first.rid[:12]) == [first.rid]


async def test_find_prefix_refuses_short_ones(store: Store) -> None:
    """Three bytes name nothing."""
    with pytest.raises(InvalidError):
        await store.find_prefix(b"abc")


async def test_since_follows_arrival(store: Store) -> None:
    """A fold with a bookmark gets what arrived after it, in order and in portions."""
    other = run_of(OTHER, 2)
    await store.commit(Batch(1, [Run(FEED, 0, FIVE.records[:2]), other]))
    await store.commit(Batch(2, [FIVE.tail(2)]))
    everything = await store.since(0, 99)
    assert [stored.arrival for stored in everything] == list(range(1, 8))
    expected = [*FIVE.records[:2], *other.records, *FIVE.records[2:]]
    assert [stored.record for stored in everything] == expected
    assert await store.since(3, 2) == everything[3:5]
    assert await store.since(7, 2) == []
    assert await store.since(0, 0) == []


async def test_arrivals_are_never_reused(store: Store, reopen: Reopen) -> None:
    """A bookmark stays true after a cut has taken the newest records away, and after a restart."""
    await store.commit(Batch(1, [FIVE]))
    await store.commit(Batch(2, cuts=[(FEED, 2)]))
    again = await reopen(store)
    await again.commit(Batch(3, [run_of(OTHER, 1)]))
    assert [stored.arrival for stored in await again.since(0, 99)] == [1, 2, 6]
    await again.close()


async def test_lane_is_ordered_by_feed_and_number(store: Store) -> None:
    """All records of a lane come feed by feed, however they arrived."""
    feeds = sorted((feed_of(code, "trust") for code in ("34", "3406", "340602")), key=key_of_feed)
    runs = [run_of(feed, 3) for feed in feeds]
    parts = [Run(run.feed, seq, (run.records[seq],)) for seq in range(3) for run in runs[::-1]]
    await store.commit(Batch(1, [*parts, FIVE]))
    assert await store.lane("trust") == [record for run in runs for record in run.records]


def alike() -> tuple[Record, Record]:
    """Return two made-up records whose rids share their first 4 bytes."""
    seen: dict[bytes, bytes] = {}
    for number in count():
        header = b"%d" % number
        start = hashlib.sha256(header).digest()[:4]
        if start in seen:
            return Record(seen[start], None, None), Record(header, None, None)
        seen[start] = header
    raise AssertionError


def key_of_feed(feed: Feed) -> bytes:
    """Return the sort key of a feed."""
    return feed.key
