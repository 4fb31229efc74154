"""The store on a real disk: full, failing, killed. What every store promises is in contracts/."""

import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path

import pytest

from shared.errors import StorageError
from shared.log.sql import SqlStore
from shared.log.sqlite import SqliteDatabase
from shared.log.store import Batch
from shared.record.feed import Feed
from shared.record.record import Record
from shared.record.run import Run
from tests.support.records import feed_of, run_of
from tests.support.stores import answers, open_sql

ROOT = Path(__file__).parents[3]
FEED = feed_of()
FIVE = run_of(FEED, 5)
PAGES = 60
KILLED_AFTER = 30

WRITER = """
import asyncio, sys
from pathlib import Path
from shared.log.sqlite import SqliteDatabase
from shared.log.store import Batch
from tests.support.records import feed_of
from tests.support.stores import open_sql
from tests.unit.log.test_sql import batches

async def main():
    store = open_sql(Path(sys.argv[1]), threaded=True)
    for batch in batches(feed_of()):
        await store.commit(batch)
        print(batch.runs[0].end, flush=True)

asyncio.run(main())
"""


def batches(feed: Feed) -> Iterator[Batch]:
    """Yield batches without end, of ten opaque records and a note, as a busy node commits them."""
    for number in count():
        records = (Record(b"%d" % seq, b"salt", bytes(600)) for seq in count(10 * number))
        run = Run(feed, 10 * number, tuple(islice(records, 10)))
        yield Batch(number, [run], notes={"end": b"%d" % run.end})


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Let the system refuse writes beyond ``size``, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def fill(store: SqlStore) -> int:
    """Commit until the disk is full and return the count that was reached."""
    reached = 0
    for batch in islice(batches(FEED), 1000):
        try:
            await store.commit(batch)
        except StorageError as error:
            if "disk is full" not in str(error):
                raise
            return reached
        reached = batch.runs[0].end
    raise AssertionError


@pytest.mark.parametrize("threaded", [True, False])
async def test_full_disk_loses_nothing(tmp_path: Path, threaded: bool) -> None:
    """On a full disk the commit fails, all earlier ones are there, and with space it goes on."""
    path = tmp_path / "log.sqlite"
    store = open_sql(path, threaded=threaded, pages_max=PAGES)
    reached = await fill(store)
    assert reached > 0
    assert (await store.feeds())[FEED].count == reached
    assert await store.note("end") == b"%d" % reached
    assert len(await store.read(FEED, 0, reached + 99, 10**9)) == reached
    await store.close()

    store = open_sql(path, threaded=threaded)
    await store.commit(next(islice(batches(FEED), reached // 10, None)))
    assert (await store.feeds())[FEED].count == reached + 10
    await store.close()


async def test_small_batch_fits_after_a_large_one_failed(tmp_path: Path) -> None:
    """What a failed batch had taken is free again, and the trunk ends where it ended."""
    store = open_sql(tmp_path / "log.sqlite", pages_max=PAGES)
    await store.commit(Batch(1, [FIVE]))
    before = await answers(store)
    large = tuple(Record(b"%d" % seq, b"salt", bytes(60_000)) for seq in range(9))
    with pytest.raises(StorageError, match="disk is full"):
        await store.commit(Batch(2, [Run(FEED, 3, large)], cuts=[(FEED, 3)], notes={"a": b"1"}))
    assert await answers(store) == before
    await store.commit(Batch(3, [run_of(FEED, 2, 5, FIVE.records[4].rid)]))
    assert [stored.arrival for stored in await store.since(0, 99)] == [*range(1, 8)]
    await store.close()


async def test_disk_that_fails_within_the_commit(tmp_path: Path) -> None:
    """A write that fails at the very end, when the batch is flushed, leaves nothing either."""
    store = open_sql(tmp_path / "log.sqlite")
    await store.commit(Batch(1, [FIVE]))
    before = await answers(store)
    more = run_of(FEED, 2, 5, FIVE.records[4].rid)
    with (
        files_no_larger_than((tmp_path / "log.sqlite-wal").stat().st_size),
        pytest.raises(StorageError, match=r"disk|cannot be opened"),
    ):
        await store.commit(Batch(2, [more], cuts=[(feed_of("34"), 0)]))
    assert await answers(store) == before
    await store.commit(Batch(3, [more]))
    assert (await store.feeds())[FEED].count == 7
    await store.close()


def promised_before_kill(path: Path) -> int:
    """Start a process that commits, kill it in the midst of it, return what it last promised."""
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for _ in range(KILLED_AFTER):
            assert writer.stdout.readline(), "the writer ended by itself"
        writer.kill()
        rest = writer.stdout.read().split("\n")[:-1]  # a last line without its end may be cut
    return int(rest[-1]) if rest else 10 * KILLED_AFTER


async def test_killed_process_keeps_what_it_promised(tmp_path: Path) -> None:
    """After SIGKILL in the midst of commits every batch is there that had been reported."""
    path = tmp_path / "log.sqlite"
    promised = promised_before_kill(path)
    store = open_sql(path)
    reached = (await store.feeds())[FEED].count
    assert reached >= promised
    assert await store.note("end") == b"%d" % reached
    expected = [record for batch in islice(batches(FEED), reached // 10)
                for record in batch.runs[0].records]  # fmt: skip
    assert [stored.record for stored in await store.since(0, 10**6)] == expected
    await store.close()


async def test_bodies_are_read_no_further_than_asked(tmp_path: Path) -> None:
    """A reader with a small bound makes SQLite visit a few rows, not the whole feed."""
    store = open_sql(tmp_path / "log.sqlite")
    for batch in islice(batches(FEED), 30):
        await store.commit(batch)
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1

    assert isinstance(store._database, SqliteDatabase)
    connection = store._database._engine.raw_connection().driver_connection
    assert connection is not None
    connection.set_progress_handler(step, 1)
    assert len(await store.read(FEED, 0, 256, 2000)) == 3
    assert steps < 200
    await store.close()
