"""What was committed last is read from memory, and is what the store holds."""

from shared.log.memory import MemoryStore
from shared.log.recent import Recent
from shared.log.store import Batch, record_bytes
from shared.record.run import Run
from tests.support.records import feed_of, run_of

FEED = feed_of()
FIVE = run_of(FEED, 5)
BYTES_MAX = 10**6


async def test_reads_as_the_store_does() -> None:
    """Bounded by records and bytes, at least one record (see the contract of Store.read)."""
    store, held = MemoryStore(), Recent()
    await store.commit(Batch(1, [FIVE]))
    held.add(FIVE)
    two = sum(map(record_bytes, FIVE.records[1:3]))
    for first, records_max, bytes_max in (
        (0, 5, BYTES_MAX), (1, 3, BYTES_MAX), (1, 9, two), (1, 9, two - 1), (1, 9, 0), (1, 0, 9),
    ):  # fmt: skip
        expected = await store.read(FEED, first, records_max, bytes_max)
        assert held.read(FEED, first, records_max, bytes_max) == expected


def test_what_is_not_here_is_not_guessed() -> None:
    """Neither before nor behind it, nor beyond a gap, nor of another feed."""
    held = Recent()
    held.add(FIVE.tail(3))
    assert held.read(FEED, 2, 9, BYTES_MAX) == []
    assert held.read(FEED, 5, 9, BYTES_MAX) == []
    assert held.read(feed_of("34060210"), 3, 9, BYTES_MAX) == []
    late = run_of(FEED, 9)
    held.add(late.tail(7))
    assert held.read(FEED, 3, 9, BYTES_MAX) == list(FIVE.records[3:])
    held.clear()
    assert held.read(FEED, 3, 9, BYTES_MAX) == []


def test_the_oldest_make_room() -> None:
    """However many come, what is kept stays bounded, and ends with the last."""
    many = run_of(FEED, 40)
    held = Recent(10 * max(map(record_bytes, many.records)))
    for first in range(0, 40, 4):
        held.add(Run(FEED, first, many.records[first : first + 4]))
        newest = [seq for seq in range(40) if held.read(FEED, seq, 1, BYTES_MAX)]
        assert newest == list(range(max(0, newest[-1] - len(newest) + 1), first + 4))
        assert len(newest) == min(first + 4, 10) or len(newest) in {10, 11, 12}
