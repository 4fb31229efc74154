"""What every Store promises about what is not trunk, and about its own life."""

import asyncio

import pytest

from shared.errors import StorageError
from shared.log.store import (
    QUARANTINE_BYTES_MAX,
    QUARANTINE_FRAMES_MAX,
    BadFrame,
    Batch,
    FeedState,
    ForkProof,
    Store,
)
from shared.record.limits import FRAME_BYTES_MAX
from shared.record.record import Record
from shared.record.run import Run
from tests.support.records import feed_of, run_of
from tests.support.stores import Reopen, answers

FEED = feed_of()
OTHER = feed_of("340602100")
CUSTODY = feed_of(lane="custody")
FIVE = run_of(FEED, 5)
BRANCH = run_of(FEED, 4, 2, FIVE.records[1].rid, text="other branch ")


async def test_cut_moves_aside_and_stops(store: Store) -> None:
    """Trunk records from the cut on stand aside afterwards, and the feed ends before them."""
    await store.commit(Batch(1, [Run(FEED, 0, FIVE.records[:2])]))
    await store.commit(Batch(2, [FIVE.tail(2)]))
    await store.commit(Batch(3, cuts=[(FEED, 2)]))
    state = FeedState(2, FIVE.records[1].rid, stopped=True, since_ms=1)
    assert await store.feeds() == {FEED: state}
    assert await store.read(FEED, 0, 9, 10**6) == list(FIVE.records[:2])
    assert await store.aside() == by_rid(FIVE.records[2:])
    assert await store.find(FIVE.records[2].rid) is None


@pytest.mark.parametrize(("cut", "left"), [(0, 0), (5, 5), (9, 5)])
async def test_cut_at_either_end(store: Store, cut: int, left: int) -> None:
    """A cut can take all of a trunk or none of it; the feed is stopped in any case."""
    await store.commit(Batch(1, [FIVE], cuts=[(OTHER, 3)]))
    await store.commit(Batch(2, cuts=[(FEED, cut)]))
    feeds = await store.feeds()
    assert feeds[OTHER] == FeedState(stopped=True)
    assert (feeds[FEED].count, feeds[FEED].stopped) == (left, True)
    assert feeds[FEED].rid == (FIVE.records[left - 1].rid if left else b"")


async def test_cut_in_a_hole_of_custody(store: Store) -> None:
    """Where numbers are missing, the count after a cut is that of the last record left."""
    await store.commit(Batch(1, [run_of(CUSTODY, 2, 10), run_of(CUSTODY, 2, 20)]))
    before = run_of(CUSTODY, 2, 12)
    await store.commit(Batch(2, [before], cuts=[(CUSTODY, 18), (CUSTODY, 15)]))
    assert (await store.feeds())[CUSTODY].count == 14
    assert (await store.read(CUSTODY, 0, 99, 10**6))[2:] == list(before.records)


async def test_branch_is_changed_in_one_batch(store: Store) -> None:
    """Cuts come before runs; a record that comes back into the trunk stands aside no longer."""
    await store.commit(Batch(1, [FIVE], aside=list(BRANCH.records)))
    await store.commit(Batch(2, [BRANCH], cuts=[(FEED, 2)]))
    trunk = [*FIVE.records[:2], *BRANCH.records]
    assert await store.read(FEED, 0, 99, 10**6) == trunk
    assert await store.aside() == by_rid(FIVE.records[2:])
    assert (await store.feeds())[FEED] == FeedState(6, trunk[-1].rid, stopped=True, since_ms=2)


async def test_what_was_cut_can_come_back(store: Store) -> None:
    """If the branch we held turns out to be the right one, it stands aside no longer."""
    await store.commit(Batch(1, [FIVE]))
    await store.commit(Batch(2, cuts=[(FEED, 2)]))
    await store.commit(Batch(3, [FIVE.tail(2)]))
    assert await store.read(FEED, 0, 99, 10**6) == list(FIVE.records)
    assert await store.aside() == []


async def test_aside_ignores_what_is_known(store: Store) -> None:
    """A record is kept once, either in the trunk or beside it, and makes no feed by itself."""
    await store.commit(Batch(1, aside=[*BRANCH.records, *BRANCH.records]))
    assert await store.feeds() == {}
    await store.commit(Batch(2, [FIVE], aside=[BRANCH.records[0], *FIVE.records]))
    assert await store.aside() == by_rid(BRANCH.records)


async def test_forks_are_kept_in_order(store: Store) -> None:
    """The first proof of a place is kept, ordered by feed and number; its feed is listed."""
    proofs = [
        ForkProof(OTHER, 1, b"a", b"b"), ForkProof(FEED, 7, b"c", b"d"),
        ForkProof(FEED, 2, b"e", b"f"), ForkProof(FEED, 2, b"g", b"h"),
    ]  # fmt: skip
    await store.commit(Batch(1, forks=proofs))
    await store.commit(Batch(2, forks=[ForkProof(FEED, 7, b"i", b"j")]))
    expected = sorted(proofs[:3], key=lambda proof: (proof.feed.key, proof.seq))
    assert await store.forks() == expected
    assert await store.feeds() == {FEED: FeedState(), OTHER: FeedState()}


async def test_notes_are_set_and_deleted(store: Store) -> None:
    """A note has the last value given; empty is a value, None is none."""
    await store.commit(Batch(1, notes={"a": b"1", "b": b"2", "c": b""}))
    await store.commit(Batch(2, notes={"a": b"3", "b": None, "d": None}))
    assert [await store.note(name) for name in "abcd"] == [b"3", None, b"", None]


async def test_quarantine_is_bounded_in_frames(store: Store) -> None:
    """The oldest refused frames make room, also within one batch."""
    frames = [BadFrame(at, "340602", "why", b"%d" % at) for at in range(QUARANTINE_FRAMES_MAX + 7)]
    await store.commit(Batch(1, bad_frames=frames[:9]))
    await store.commit(Batch(2, bad_frames=frames[9:]))
    assert await store.quarantine() == frames[7:]
    told = [(one.at_ms, one.peer, one.reason, one.size) for one in await store.refusals()]
    assert told == [(bad.at_ms, bad.peer, bad.reason, len(bad.frame)) for bad in frames[7:]]


async def test_quarantine_is_bounded_in_bytes(store: Store) -> None:
    """A huge frame is kept by its beginning, and large ones drive out no more than they must."""
    huge = bytes(FRAME_BYTES_MAX + 1)
    frames = [BadFrame(at, "340602", "why", huge) for at in range(5)]
    small = BadFrame(9, "340602", "why", b"small")
    await store.commit(Batch(1, bad_frames=frames))
    kept = await store.quarantine()
    assert [bad.at_ms for bad in kept] == [1, 2, 3, 4]
    assert sum(len(bad.frame) for bad in kept) == QUARANTINE_BYTES_MAX
    await store.commit(Batch(2, bad_frames=[small]))
    assert [bad.at_ms for bad in await store.quarantine()] == [2, 3, 4, 9]


async def test_everything_is_there_after_reopening(store: Store, reopen: Reopen) -> None:
    """A restart changes no answer, and the trunk can be continued."""
    batch = Batch(1, [FIVE, run_of(OTHER, 3)], aside=list(BRANCH.records), notes={"n": b"v"})
    batch.forks.append(ForkProof(FEED, 2, b"a", b"b"))
    batch.bad_frames.append(BadFrame(1, "340602", "test", b"frame"))
    await store.commit(batch)
    await store.commit(Batch(2, cuts=[(OTHER, 1)]))
    before = await answers(store)
    again = await reopen(store)
    assert await answers(again) == before
    assert await again.note("n") == b"v"
    await again.commit(Batch(3, [BRANCH], cuts=[(FEED, 2)]))
    assert await again.aside() == by_rid([*FIVE.records[2:], *run_of(OTHER, 3).records[1:]])
    await again.close()


async def test_cancelled_caller_still_commits(store: Store) -> None:
    """Who stops waiting for a commit loses the news of it, not the batch."""
    task = asyncio.create_task(store.commit(Batch(1, [FIVE])))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (await store.feeds())[FEED].count == 5
    await store.commit(Batch(2, [run_of(FEED, 1, 5, FIVE.records[4].rid)]))
    assert len(await store.read(FEED, 0, 99, 10**6)) == 6


async def test_commits_of_many_tasks_do_not_mix(store: Store) -> None:
    """Concurrent callers are served one transaction after the other."""
    feeds = [feed_of(f"3406{number:02}") for number in range(20)]
    await asyncio.gather(*(store.commit(Batch(1, [run_of(feed, 3)])) for feed in feeds))
    assert {state.count for state in (await store.feeds()).values()} == {3}
    assert len(await store.since(0, 99)) == 60


async def test_closed_store_refuses(store: Store) -> None:
    """Closing twice does nothing more; afterwards every use is a StorageError."""
    await store.close()
    await store.close()
    with pytest.raises(StorageError, match="closed"):
        await store.commit(Batch(1, [FIVE]))
    with pytest.raises(StorageError, match="closed"):
        await store.feeds()


def by_rid(records: list[Record] | tuple[Record, ...]) -> list[Record]:
    """Return the records in order of their rids."""
    return sorted(records, key=lambda record: record.rid)
