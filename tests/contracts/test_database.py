"""What every Database promises of its transactions: order, rollback, cancellation, and the end."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, func, insert, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from shared.errors import StorageError
from shared.log.database import Database, insert_new
from shared.log.sqlite import SqliteDatabase
from tests.support.postgresql import open_database

TABLES = MetaData()
words = Table(
    "words", TABLES, Column("id", Integer, primary_key=True), Column("word", String, unique=True)
)


@pytest.fixture(params=["threaded", "postgresql"])
async def threaded(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """A database with a thread."""
    opened: Database
    if request.param == "postgresql":
        opened = await open_database(request.getfixturevalue("postgresql_url"), TABLES)
    else:
        opened = SqliteDatabase.open(tmp_path / "node.sqlite", TABLES)
    yield opened
    await opened.close()


@pytest.fixture(params=["threaded", "inline", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """A database of each kind."""
    opened: Database
    if request.param == "postgresql":
        opened = await open_database(request.getfixturevalue("postgresql_url"), TABLES)
    else:
        is_threaded = request.param == "threaded"
        opened = SqliteDatabase.open(tmp_path / "node.sqlite", TABLES, threaded=is_threaded)
    yield opened
    await opened.close()


def say(connection: Connection, word: str) -> str:
    """Write a word and return it."""
    connection.execute(insert(words), {"word": word})
    return word


async def said(database: Database) -> list[str | None]:
    """Return all words in order of writing."""
    query = select(words.c.word).order_by(words.c.id)
    return await database.run(lambda connection: list(connection.scalars(query)))


async def test_error_rolls_back(database: Database) -> None:
    """If the work raises, what it wrote before is gone, and the next transaction is clean."""

    def fails(connection: Connection) -> None:
        say(connection, "a")
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await database.run(fails)
    await database.run(lambda connection: say(connection, "b"))
    assert await said(database) == ["b"]


async def test_event_loop_goes_on_while_the_disk_works(threaded: Database) -> None:
    """Work runs in the database's own thread, so the loop can serve others meanwhile."""
    release = threading.Event()

    def work(_connection: Connection) -> str:
        assert release.wait(timeout=10)
        return threading.current_thread().name

    task = asyncio.create_task(threaded.run(work))
    await asyncio.sleep(0)
    release.set()
    assert (await task).startswith("database")


async def test_cancelled_caller_does_not_stop_the_work(threaded: Database) -> None:
    """The running transaction and the waiting one complete, though their callers are gone."""
    release, after = threading.Event(), list[str]()

    def slow(connection: Connection) -> str:
        assert release.wait(timeout=10)
        return say(connection, "a")

    tasks = [
        asyncio.create_task(threaded.run(slow, after.append)),
        asyncio.create_task(threaded.run(lambda c: say(c, "b"), after.append)),
    ]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [asyncio.CancelledError] * 2
    release.set()
    assert await said(threaded) == after == ["a", "b"]


async def test_error_of_an_abandoned_transaction_is_quiet(threaded: Database) -> None:
    """If nobody waits any more, a failure rolls back without a complaint about lost exceptions."""
    release = threading.Event()

    def fails(connection: Connection) -> None:
        assert release.wait(timeout=10)
        say(connection, "a")
        raise KeyError("mine")

    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    task = asyncio.create_task(threaded.run(fails))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    release.set()
    assert await said(threaded) == []
    assert complaints == []


async def test_after_is_called_once_and_for_what_stays(database: Database) -> None:
    """The callback sees the result of a committed transaction, and hears of no other."""
    seen: list[str] = []
    await database.run(lambda connection: say(connection, "a"), seen.append)
    with pytest.raises(IntegrityError):
        await database.run(lambda connection: say(connection, "a"), seen.append)
    assert seen == await said(database) == ["a"]


async def test_what_is_known_is_not_written_again(database: Database) -> None:
    """A key that is there already leaves its row alone, one by one and among many."""
    rows = [{"id": 1, "word": "a"}, {"id": 2, "word": "b"}, {"id": 1, "word": "c"}]
    await database.run(lambda connection: connection.execute(insert_new(words), rows[0]))
    await database.run(lambda connection: connection.execute(insert_new(words), rows))
    assert await said(database) == ["a", "b"]


async def test_texts_are_ordered_by_their_bytes(database: Database) -> None:
    """Neither case nor language counts, whatever the server's own order is."""
    asked = ["b", "B", "a", "张", "李", "é", "z", "\U00020bb7", "\uffee", "10", "9"]
    for word in asked:
        await database.run(lambda connection, word=word: say(connection, word))  # type: ignore[misc]
    query = select(words.c.word).order_by(words.c.word)
    found = await database.run(lambda connection: list(connection.scalars(query)))
    above = select(words.c.word).where(words.c.word > "z").order_by(words.c.id)
    assert found == sorted(asked)
    assert await database.run(lambda connection: list(connection.scalars(above))) == [
        word for word in asked if word > "z"
    ]


async def test_close_waits_for_what_was_asked_before(threaded: Database) -> None:
    """Closing lets the transactions under way end; then use is refused."""
    release, after = threading.Event(), list[str]()

    def slow(connection: Connection) -> str:
        assert release.wait(timeout=10)
        return say(connection, "a")

    working = asyncio.create_task(threaded.run(slow, after.append))
    await asyncio.sleep(0)
    closing = asyncio.create_task(threaded.close())
    await asyncio.sleep(0)
    release.set()
    await closing
    assert await working == "a"
    assert after == ["a"]
    with pytest.raises(StorageError, match="closed"):
        await said(threaded)


async def test_a_snapshot_sees_one_state_and_holds_up_nobody(threaded: Database) -> None:
    """What is written while it reads does not show in it, and is written meanwhile."""
    await threaded.run(lambda c: c.execute(insert(words), {"word": "before"}))
    loop, writing = asyncio.get_running_loop(), asyncio.Event()
    written = threading.Event()

    def read(connection: Connection) -> tuple[list[str], list[str]]:
        first = list(connection.scalars(select(words.c.word)))
        loop.call_soon_threadsafe(writing.set)
        assert written.wait(20)
        return first, list(connection.scalars(select(words.c.word)))

    reader = asyncio.create_task(threaded.snapshot(read))
    await writing.wait()
    await threaded.run(lambda c: c.execute(insert(words), {"word": "meanwhile"}))
    written.set()
    assert await reader == (["before"], ["before"])
    assert len(await threaded.snapshot(lambda c: c.execute(select(words)).all())) == 2


async def test_a_snapshot_writes_nothing(threaded: Database) -> None:
    """Whoever reads beside cannot write past the lock."""
    with pytest.raises((StorageError, DBAPIError)):
        await threaded.snapshot(lambda c: c.execute(insert(words), {"word": "past"}))
    assert await threaded.run(lambda c: c.scalar(select(func.count()).select_from(words))) == 0
