"""What only the store in memory does: crash points and snapshots."""

import pytest

from shared.errors import InvalidError
from shared.log.memory import MemoryStore
from shared.log.store import BadFrame, Batch, ForkProof
from tests.support.records import feed_of, run_of
from tests.support.stores import answers

FEED = feed_of()
FIVE = run_of(FEED, 5)


class Crash(Exception):  # noqa: N818 - no error, an event
    """The process ends here."""


def crash(_batch: Batch) -> None:
    """End the process."""
    raise Crash


async def test_crash_before_commit_leaves_nothing() -> None:
    """A node that dies just before the flush finds nothing of the batch when it comes back."""
    store = MemoryStore()
    store.before_commit = crash
    with pytest.raises(Crash):
        await store.commit(Batch(1, [FIVE], notes={"n": b"1"}))
    again = MemoryStore(store.snapshot())
    assert await again.feeds() == {}
    assert await again.note("n") is None


async def test_crash_after_commit_keeps_the_batch() -> None:
    """A node that dies just after the flush finds the batch, though nobody was told."""
    store = MemoryStore()
    store.after_commit = crash
    with pytest.raises(Crash):
        await store.commit(Batch(1, [FIVE], notes={"n": b"1"}))
    again = MemoryStore(store.snapshot())
    assert (await again.feeds())[FEED].count == 5
    assert await again.note("n") == b"1"


async def test_invalid_batch_reaches_no_crash_point() -> None:
    """The crash points see batches that a real store would write, and no others."""
    store = MemoryStore()
    store.before_commit = store.after_commit = crash
    with pytest.raises(InvalidError):
        await store.commit(Batch(1, [FIVE.tail(1)]))


async def test_snapshot_and_store_go_separate_ways() -> None:
    """Neither the store nor one restored from it changes a snapshot: clones, old backups."""
    store = MemoryStore()
    await store.commit(Batch(1, [FIVE], notes={"n": b"1"}))
    before, snapshot = await answers(store), store.snapshot()
    change = Batch(2, [run_of(feed_of("34"), 2)], cuts=[(FEED, 1)], notes={"n": None})
    change.forks.append(ForkProof(FEED, 1, b"a", b"b"))
    change.bad_frames.append(BadFrame(2, "340602", "test", b"frame"))
    clone = MemoryStore(snapshot)
    await store.commit(change)
    await clone.commit(change)
    store.restore(snapshot)
    assert await answers(store) == before
    assert await store.note("n") == b"1"


async def test_restore_opens_a_closed_store() -> None:
    """A node that restarts on the same store object goes on with it."""
    store = MemoryStore()
    await store.commit(Batch(1, [FIVE]))
    await store.close()
    store.restore(store.snapshot())
    assert (await store.feeds())[FEED].count == 5
