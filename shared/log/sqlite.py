"""One SQLite file, and one transaction at a time in it.

There is no aiosqlite here, for two reasons. It hops to its thread once a statement; ``run`` hops
once a transaction, and what belongs to one transaction is plain, sequential code. And its thread
breaks virtual time: the simulation turns a clock of its own, and nothing may happen behind it.
``threaded=False`` runs the same SQL without any thread.
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from sqlalchemy import Connection, Engine, MetaData, StaticPool, create_engine, event
from sqlalchemy.exc import DBAPIError

from shared.errors import StorageError
from shared.log.database import Worker
from shared.log.schema import LAYOUT, check_layout, create_tables, layout_of, set_layout

T = TypeVar("T")

BUSY_SECONDS_MAX: Final = 5.0
"""How long a transaction waits for another process that has the file locked (a backup)."""

WAL_PAGES: Final = 8000
"""Pages (32 MiB) that collect in the WAL before they are moved into the file.

Each batch touches the index of rids all over. Measured with 300,000 records in the log and batches
of 250: 30,000 records/s with SQLite's own 1,000 pages, 40,000 with these.
"""

_PRIMARY_CODE: Final = 0xFF
# SQLite's primary result code → what happened, what to do ("" = the advice of StorageError).
# Other codes are mistakes of ours, such as bad SQL: they are not translated.
_REASONS: Final = {
    sqlite3.SQLITE_FULL: ("The disk is full.", ""),
    sqlite3.SQLITE_IOERR: ("The disk reported an error.", ""),
    sqlite3.SQLITE_READONLY: ("The database is read-only.", ""),
    sqlite3.SQLITE_CANTOPEN: ("The database cannot be opened.", ""),
    sqlite3.SQLITE_PERM: ("The database may not be opened.", ""),
    sqlite3.SQLITE_BUSY: (
        "Another program holds the database.",
        "End that program or wait until it is done.",
    ),
    sqlite3.SQLITE_LOCKED: (
        "The database is locked.",
        "End the program that holds it or wait until it is done.",
    ),
    sqlite3.SQLITE_CORRUPT: (
        "The database is damaged.",
        "Check the disk, put the file aside and restore a backup; the neighbours hold the rest.",
    ),
    sqlite3.SQLITE_NOTADB: (
        "This file is no database.",
        "Check the path, or put the file aside and restore a backup.",
    ),
}


class SqliteDatabase:
    """A ``Database`` in a SQLite file.

    WAL and ``synchronous=FULL``: what ``run`` returned is on the disk (protocol 1.3).
    """

    def __init__(self, path: Path, engine: Engine, worker: Worker) -> None:
        """Take what ``open`` has made ready."""
        self._path = path
        self._engine = engine
        self._worker = worker

    @classmethod
    def open(
        cls,
        path: Path,
        *metadata: MetaData,
        threaded: bool = True,
        pages_max: int | None = None,
        layouts: Sequence[int] = (LAYOUT,),
    ) -> Self:
        """Open the file, created with mode 0600 if missing; its tables come to this version's.

        Blocks for some milliseconds; a node calls it once, before it serves anybody.

        Args:
            path: The file; its folder exists.
            metadata: The tables to create.
            threaded: Run transactions in a thread of this database; else in the caller's.
            pages_max: Bound of the file in pages of 4 KiB; beyond it the disk counts as full.
            layouts: What is taken; the first is given to a new file.

        Raises:
            StorageError: it cannot be opened, or is a file of another version or program.
        """
        try:
            _create_file(path)
            engine = create_engine(
                "sqlite://",
                creator=lambda: _connect(path, pages_max, layouts),
                poolclass=StaticPool,
                hide_parameters=True,  # bodies never stand in an error message
            )
            event.listen(engine, "begin", _begin)
            _create_tables(engine, metadata, layouts[0])
        except (DBAPIError, sqlite3.Error, OSError) as error:
            raise _translated(error) from _cause(error)
        worker = ThreadPoolExecutor(1, f"database-{path.name}") if threaded else None
        return cls(path, engine, Worker(worker))

    async def run(
        self, work: Callable[[Connection], T], after: Callable[[T], None] | None = None
    ) -> T:
        """Run ``work`` in one transaction; see ``Database``."""
        return await self._worker.call(lambda: self._transact(work, after))

    async def snapshot(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in a reading transaction beside; see ``Database``."""
        return await asyncio.to_thread(self._read, work)

    def _read(self, work: Callable[[Connection], T]) -> T:
        with translating(), reading(self._path) as connection:
            return work(connection)

    async def close(self) -> None:
        """Release the file after the transactions under way; a second call does nothing."""
        await self._worker.close(self._engine.dispose)

    def _transact(self, work: Callable[[Connection], T], after: Callable[[T], None] | None) -> T:
        with translating(), self._engine.begin() as connection:
            result = work(connection)
        if after is not None:
            after(result)
        return result


@contextmanager
def reading(path: Path) -> Iterator[Connection]:
    """Open the file beside whoever writes it, for one transaction that only reads."""
    engine = create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(path, timeout=BUSY_SECONDS_MAX, isolation_level=None),
        poolclass=StaticPool,
        hide_parameters=True,
    )
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA query_only = ON")
            yield connection
    finally:
        engine.dispose()


def _create_file(path: Path) -> None:
    """Create the file for its owner only; SQLite gives its WAL the same mode."""
    # An existing file is not touched: closing any descriptor of it would drop the locks that
    # another connection of this process holds on it (POSIX advisory locks).
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _connect(path: Path, pages_max: int | None, layouts: Sequence[int]) -> sqlite3.Connection:
    # isolation_level None: the driver begins no transactions of its own accord; `_begin` does.
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS_MAX, isolation_level=None, check_same_thread=False
    )
    try:
        _check_file(connection, layouts)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES:d}")
        connection.execute("PRAGMA foreign_keys = ON")
        if pages_max is not None:
            connection.execute(f"PRAGMA max_page_count = {pages_max:d}")
    except BaseException:
        connection.close()
        raise
    return connection


def _check_file(connection: sqlite3.Connection, layouts: Sequence[int]) -> None:
    """Refuse a foreign file before anything is changed in it."""
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if number or tables:
        check_layout(
            number, layouts,
            "Start the version that made it, or put the file aside and let the node fetch its "
            "records from the neighbours.",
        )  # fmt: skip


def _begin(connection: Connection) -> None:
    # IMMEDIATE: a transaction that reads first and writes later would fail at once, without
    # waiting, if another process wrote in between.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _create_tables(engine: Engine, metadata: tuple[MetaData, ...], new_layout: int) -> None:
    try:
        with engine.begin() as connection:
            create_tables(connection, metadata)
            if not layout_of(connection):
                set_layout(connection, new_layout)
    except BaseException:
        engine.dispose()
        raise


@contextmanager
def translating() -> Iterator[None]:
    """Let a failure of the file be the StorageError that it means."""
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        raise _translated(error) from _cause(error)


def _cause(error: Exception) -> BaseException:
    """Return the driver's own error, whose text holds no SQL."""
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def _translated(error: Exception) -> Exception:
    """Return the StorageError that ``error`` means, or ``error`` if it is a mistake of ours."""
    cause: Any = _cause(error)
    if isinstance(cause, OSError):
        return StorageError(f"The database cannot be opened: {cause.strerror}.")
    reason = _REASONS.get(getattr(cause, "sqlite_errorcode", 0) & _PRIMARY_CODE)
    return StorageError(reason[0], advice=reason[1]) if reason else error
