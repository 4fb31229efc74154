"""Transactions of one SQLite file: order, rollback, cancellation, and errors people understand."""

import asyncio
import sqlite3
import stat
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, insert, select
from sqlalchemy.exc import IntegrityError

from shared.errors import StorageError
from shared.log.schema import LAYOUT
from shared.log.sqlite import SqliteDatabase

TABLES = MetaData()
words = Table(
    "words", TABLES, Column("id", Integer, primary_key=True), Column("word", String, unique=True)
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database will be."""
    return tmp_path / "node.sqlite"


@pytest.fixture(params=[True, False], ids=["threaded", "inline"])
async def database(request: pytest.FixtureRequest, path: Path) -> AsyncIterator[SqliteDatabase]:
    """A database with one table, in both forms."""
    opened = SqliteDatabase.open(path, TABLES, threaded=request.param)
    yield opened
    await opened.close()


@pytest.fixture
async def threaded(path: Path) -> AsyncIterator[SqliteDatabase]:
    """A database with a thread."""
    opened = SqliteDatabase.open(path, TABLES)
    yield opened
    await opened.close()


def say(connection: Connection, word: str) -> str:
    """Write a word and return it."""
    connection.execute(insert(words), {"word": word})
    return word


async def said(database: SqliteDatabase) -> list[str | None]:
    """Return all words in order of writing."""
    query = select(words.c.word).order_by(words.c.id)
    return await database.run(lambda connection: list(connection.scalars(query)))


async def test_transaction_returns_and_stays(database: SqliteDatabase, path: Path) -> None:
    """What a transaction wrote is there for another process as soon as it returns."""
    assert await database.run(lambda connection: say(connection, "a")) == "a"
    other = sqlite3.connect(path)
    assert other.execute("SELECT word FROM words").fetchall() == [("a",)]
    other.close()


async def test_after_is_called_only_when_durable(database: SqliteDatabase, path: Path) -> None:
    """The callback sees the result of a committed transaction and hears of no other."""
    seen: list[object] = []

    def after(word: str) -> None:
        other = sqlite3.connect(path)
        seen.extend((word, *other.execute("SELECT word FROM words")))
        other.close()

    await database.run(lambda connection: say(connection, "a"), after)
    with pytest.raises(IntegrityError):
        await database.run(lambda connection: say(connection, "a"), after)
    assert seen == ["a", ("a",)]


async def test_durability_is_asked_for(database: SqliteDatabase) -> None:
    """The file is in WAL mode, flushed at each commit, with foreign keys on (protocol 1.3)."""

    def pragmas(connection: Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys")
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]

    assert await database.run(pragmas) == ["wal", 2, 1]


async def test_file_is_for_its_owner_only(database: SqliteDatabase, path: Path) -> None:
    """Neither the file nor its WAL can be read by another account."""
    await database.run(lambda connection: say(connection, "a"))
    for name in (path, path.with_name(f"{path.name}-wal")):
        assert stat.S_IMODE(name.stat().st_mode) == 0o600


async def test_inline_needs_no_thread(path: Path) -> None:
    """The inline form runs where it is called and has done so when the call returns."""
    database = SqliteDatabase.open(path, TABLES, threaded=False)
    assert await database.run(lambda _: threading.current_thread()) is threading.current_thread()
    running = database.run(lambda connection: say(connection, "a"))
    with pytest.raises(StopIteration) as done:
        running.send(None)
    assert done.value.value == "a"
    await database.close()


async def test_close_waits_for_what_was_asked_before(threaded: SqliteDatabase, path: Path) -> None:
    """Closing lets the transactions under way end; then the thread ends and use is refused."""
    release = threading.Event()

    def slow(connection: Connection) -> str:
        assert release.wait(timeout=10)
        return say(connection, "a")

    working = asyncio.create_task(threaded.run(slow))
    await asyncio.sleep(0)
    closing = asyncio.create_task(threaded.close())
    await asyncio.sleep(0)
    release.set()
    await closing
    assert await working == "a"
    with pytest.raises(StorageError, match="closed"):
        await said(threaded)
    again = SqliteDatabase.open(path, TABLES, threaded=False)
    assert await said(again) == ["a"]
    await again.close()


async def test_full_disk_is_said_without_sql(path: Path) -> None:
    """The message tells what happened and shows neither statements nor what was written."""
    database = SqliteDatabase.open(path, TABLES, threaded=False, pages_max=8)
    with pytest.raises(StorageError) as caught:
        await database.run(lambda connection: say(connection, "secret" * 10_000))
    assert str(caught.value).startswith("The disk is full.")
    assert "secret" not in str(caught.value)
    assert "INSERT" not in str(caught.value)
    assert await said(database) == []
    await database.close()


async def test_locked_file_is_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If another program holds the file for longer than we wait, the advice is to end it."""
    monkeypatch.setattr("shared.log.sqlite.BUSY_SECONDS_MAX", 0)
    database = SqliteDatabase.open(path, TABLES, threaded=False)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError, match="Another program holds the database"):
        await database.run(lambda connection: say(connection, "a"))
    other.execute("ROLLBACK")
    other.close()
    await database.run(lambda connection: say(connection, "b"))
    assert await said(database) == ["b"]
    await database.close()


def test_file_that_is_no_database_is_refused(path: Path) -> None:
    """Something else at that path is left as it is."""
    path.write_bytes(b"a letter to the mayor, " * 100)
    with pytest.raises(StorageError, match="no database"):
        SqliteDatabase.open(path, TABLES)
    assert path.read_bytes().startswith(b"a letter")


def test_missing_folder_is_said(tmp_path: Path) -> None:
    """A path that cannot be created is an error with advice, no traceback of the system."""
    with pytest.raises(StorageError, match="cannot be opened"):
        SqliteDatabase.open(tmp_path / "nowhere" / "node.sqlite", TABLES)


@pytest.mark.parametrize("version", [LAYOUT + 1, 0])
def test_foreign_layout_is_refused(path: Path, version: int) -> None:
    """A file of another version, or of another program, is refused with advice and unchanged."""
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (a)")
    other.execute(f"PRAGMA user_version = {version}")
    other.close()
    before = path.read_bytes()
    with pytest.raises(StorageError, match="another version") as caught:
        SqliteDatabase.open(path, TABLES)
    assert caught.value.hint
    assert path.read_bytes() == before


async def test_own_layout_is_opened_again_with_more_tables(
    database: SqliteDatabase, path: Path
) -> None:
    """A later start may bring further tables; what is there stays."""
    await database.run(lambda connection: say(connection, "a"))
    await database.close()
    more = MetaData()
    Table("more", more, Column("id", Integer, primary_key=True))
    again = SqliteDatabase.open(path, TABLES, more, threaded=False)
    assert await said(again) == ["a"]
    await again.run(lambda connection: connection.exec_driver_sql("INSERT INTO more VALUES (1)"))
    await again.close()
