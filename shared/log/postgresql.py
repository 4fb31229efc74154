"""A database of its own on a PostgreSQL server, and one transaction at a time in it.

One connection does everything, and it holds an advisory lock: who lost the connection has lost
the lock and cannot write any more, so nobody ever writes unlocked. It lives in a thread with an
event loop of its own. There ``work`` may take its time, as it may with SQLite.

**A COMMIT that was not answered** may have been done. So each transaction that writes counts up
``commits`` in the table ``sanji``; after a lost connection that number, read under the lock again,
tells whether the transaction is there. What is not there is done again. ``writer`` in the same row
changes whenever a process opens the database: if it is another one, somebody wrote in between, and
what this process remembers is out of date; then it writes no more.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Final, Generic, Self, TypeVar

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    func,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.errors import SanjiError, StorageError, UnavailableError
from shared.log.database import Worker
from shared.log.postgresql_driver import GONE, code_of, new_engine, translated
from shared.log.schema import LAYOUT, check_layout, create_tables

T = TypeVar("T")

VERSION_MIN: Final = 13
"""The first that has ``pg_current_xact_id_if_assigned``."""

RETRY_SECONDS: Final = 0.2
"""Pause between attempts to connect again."""
RECONNECT_SECONDS_MAX: Final = 30.0
"""A server that restarts is waited for so long; it holds up transactions and fails none.

Counted from the loss: when it is over, each transaction tries once and fails without waiting.
"""
OUTCOME_SECONDS_MAX: Final = 300.0
"""The same while it is not known whether something was stored."""
ATTEMPTS_MAX: Final = 3
"""As often is one transaction begun, if its connection is lost each time."""

LOCK_KEY: Final = int.from_bytes(b"sanji", "big")

_ABOUT: Final = Table(
    "sanji",
    MetaData(),
    Column("layout", Integer, nullable=False),
    Column("owner", String, nullable=False),
    Column("writer", LargeBinary, nullable=False),
    Column("commits", BigInteger, nullable=False),
)
"""One row: layout of the tables, node that they belong to, process that writes, transactions."""

_ADVICE: Final = (
    "Start the version that made it, or name an empty database and let the node fetch its records "
    "from the neighbours."
)

# A transaction that has written nothing has no number, and this writes nothing then either.
_COUNT: Final = (
    update(_ABOUT)
    .where(func.pg_current_xact_id_if_assigned().is_not(None))
    .values(commits=_ABOUT.c.commits + 1)
    .returning(_ABOUT.c.commits)
)


class PostgresqlDatabase:
    """A ``Database`` on a server; what ``run`` returned is on the server's disk (protocol 1.3)."""

    def __init__(self, session: "Session", worker: Worker) -> None:
        """Take what ``open`` has made ready."""
        self._session = session
        self._worker = worker

    @classmethod
    async def open(
        cls,
        url: str,
        *metadata: MetaData,
        owner: str,
        password_file: Path | None = None,
        layouts: Sequence[int] = (LAYOUT,),
    ) -> Self:
        """Connect and take the lock; the tables come to this version's.

        Args:
            url: See ``check_url``; without a password.
            metadata: The tables to create.
            owner: Whose log it is; that of another one is refused.
            password_file: Holds the password in its first line; read at each connecting.
            layouts: What is taken; the first is given to an empty database.

        Raises:
            UnavailableError: another process writes there.
            StorageError: the server or the database cannot be used, or is of another version,
                program or node.
        """
        session = Session(new_engine(url, password_file), metadata, owner, layouts)
        worker = Worker(ThreadPoolExecutor(1, "database"))
        try:
            await worker.call(session.open)
        except BaseException:
            await worker.close(session.close)
            raise
        return cls(session, worker)

    async def run(
        self, work: Callable[[Connection], T], after: Callable[[T], None] | None = None
    ) -> T:
        """Run ``work`` in one transaction; see ``Database``."""
        return await self._worker.call(lambda: self._session.transact(work, after))

    async def snapshot(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in a reading transaction on a connection of its own; see ``Database``."""
        return await asyncio.to_thread(lambda: asyncio.run(self._session.read(work)))

    async def close(self) -> None:
        """Let the lock go after the transactions under way; a second call does nothing."""
        self._session.is_closing = True
        await self._worker.close(self._session.close)


@dataclass(frozen=True)
class _Done(Generic[T]):
    """A transaction up to its COMMIT.

    Attributes:
        result: Of the work.
        commits: The number it will have; None if it has written nothing.
    """

    result: T
    commits: int | None


@dataclass(frozen=True)
class _Line:
    """A connection that holds the lock.

    Attributes:
        sql: For SQLAlchemy.
        driver: asyncpg's own, which knows whether it is closed.
    """

    sql: AsyncConnection
    driver: Any

    def is_gone(self, error: BaseException) -> bool:
        """Tell whether the connection is of no use after ``error``: the server did not say it."""
        code = code_of(error)
        return self.driver.is_closed() or not code or code.startswith(GONE)


class Session:
    """The one connection of a process, made again when it is lost. Used in one thread only."""

    def __init__(
        self,
        engine: AsyncEngine,
        metadata: tuple[MetaData, ...],
        owner: str,
        layouts: Sequence[int] = (LAYOUT,),
    ) -> None:
        """Do nothing yet."""
        self._engine = engine
        self._metadata = metadata
        self._owner = owner
        self._layouts = layouts
        self._loop = asyncio.Runner()
        self._line: _Line | None = None
        self._writer = os.urandom(16)
        self._held = 0
        """How many writing transactions are known to be there."""
        self._lost_at = 0.0
        """When the last connection was found lost, on the monotonic clock."""
        self._over: StorageError | None = None
        """Why nothing is written any more."""
        self.is_closing = False
        """Wait for no server any more; may be set from another thread."""

    def open(self) -> None:
        """Connect and make the tables; see ``PostgresqlDatabase.open``."""
        self._loop.run(self._open())

    def transact(
        self, work: Callable[[Connection], T], after: Callable[[T], None] | None = None
    ) -> T:
        """Run one transaction to its known end; see ``Database.run``."""
        result = self._loop.run(self._transact(work))
        if after is not None:
            after(result)
        return result

    def close(self) -> None:
        """Let connection and lock go."""
        with self._loop:
            self._loop.run(self._drop())

    async def _open(self) -> None:
        try:
            self._line = await self._connect()
            async with self._line.sql.begin():
                await self._line.sql.run_sync(self._prepare)
        except (DBAPIError, OSError) as error:
            await self._drop()
            raise translated(error) from None

    def _prepare(self, connection: Connection) -> None:
        """Refuse what is foreign before anything is changed in it; create what is missing."""
        _check_server(connection)
        held = set(inspect(connection).get_table_names())
        if _ABOUT.name in held:
            about = connection.execute(select(_ABOUT)).one()
            check_layout(about.layout, self._layouts, _ADVICE)
            if about.owner != self._owner:
                raise StorageError(
                    "The database belongs to another node.",
                    advice="Give each node a database of its own: check database_url.",
                )
            connection.execute(update(_ABOUT).values(writer=self._writer))
            self._held = about.commits
        elif held:
            check_layout(0, self._layouts, _ADVICE)
        else:
            _ABOUT.create(connection)
            row = {
                "layout": self._layouts[0],
                "owner": self._owner,
                "writer": self._writer,
                "commits": 0,
            }
            connection.execute(insert(_ABOUT), row)
        create_tables(connection, self._metadata)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work``, which only reads, on a connection without the lock; in any loop."""
        try:
            async with self._engine.connect() as line:
                await line.execution_options(
                    isolation_level="REPEATABLE READ", postgresql_readonly=True
                )
                async with line.begin():
                    return await line.run_sync(work)
        except (DBAPIError, OSError) as error:
            raise translated(error) from None

    async def _transact(self, work: Callable[[Connection], T]) -> T:
        failure: Exception | None = None
        for _ in range(ATTEMPTS_MAX):
            line = await self._connected(RECONNECT_SECONDS_MAX)
            done: _Done[T] | None = None
            try:
                async with line.sql.begin():
                    result = await line.sql.run_sync(work)
                    done = _Done(result, await line.sql.scalar(_COUNT))
                self._held = done.commits or self._held
                return done.result
            except (DBAPIError, OSError) as error:
                failure = translated(error)
                if done is None and not line.is_gone(error):
                    break
                self._lost_at = monotonic()
                await self._drop()
            if done is not None and (done.commits is None or await self._is_stored(done.commits)):
                return done.result
        raise failure or AssertionError from None

    async def _is_stored(self, commits: int) -> bool:
        """Tell whether the transaction is there whose COMMIT was not answered.

        Raises:
            StorageError: it cannot be known; nothing is written any more.
        """
        try:
            await self._connected(OUTCOME_SECONDS_MAX)
        except (DBAPIError, SanjiError):
            self._over = StorageError(
                "The connection to the database server was lost while something was stored; "
                "whether it was is not known.",
                advice="Start the node again when the server runs, and look.",
            )
            raise self._over from None
        return self._held == commits

    async def _connected(self, seconds_max: float) -> _Line:
        """Return the connection, made again if it was lost.

        Raises:
            StorageError: not made within ``seconds_max`` of its loss, or never again.
        """
        while self._line is None and self._over is None:
            try:
                self._line = await self._connect()
                await self._look_up(self._line.sql)
            except (DBAPIError, OSError, SanjiError) as error:
                await self._drop()
                if self.is_closing or monotonic() > self._lost_at + seconds_max:
                    raise translated(error) from None
                await asyncio.sleep(RETRY_SECONDS)
        if self._over is not None:
            await self._drop()
            raise self._over
        assert self._line is not None  # noqa: S101 - said to the type checker
        return self._line

    async def _connect(self) -> _Line:
        """Return a new connection that holds the lock.

        Raises:
            UnavailableError: another process holds it.
        """
        sql = await self._engine.connect()
        try:
            driver = (await sql.get_raw_connection()).driver_connection
            async with sql.begin():
                await sql.execute(select(func.pg_advisory_lock(LOCK_KEY)))
        except BaseException as error:
            await _end(sql)
            if code_of(error) == "55P03":
                raise UnavailableError(
                    "another process works in this database.",
                    advice="If it is the node itself, wait until it has started or stopped.",
                ) from None
            raise
        return _Line(sql, driver)

    async def _look_up(self, sql: AsyncConnection) -> None:
        """Note how many transactions are there; whatever does not follow ours ends the writing."""
        async with sql.begin():
            row = (await sql.execute(select(_ABOUT.c.writer, _ABOUT.c.commits))).one()
        if row.writer != self._writer or row.commits < self._held:
            self._over = StorageError(
                "Another process has written into the database, or an older one was restored.",
                advice="Let one node use it, and start that node again.",
            )
        self._held = row.commits

    async def _drop(self) -> None:
        """Give the connection up; the server lets go of the lock when it notices."""
        line, self._line = self._line, None
        if line is not None:
            await _end(line.sql)


async def _end(sql: AsyncConnection) -> None:
    """Close a connection, whatever state it is in."""
    with suppress(DBAPIError, OSError):
        await sql.invalidate()
    with suppress(DBAPIError, OSError):
        await sql.close()


def _check_server(connection: Connection) -> None:
    version = connection.dialect.server_version_info or (0,)
    encoding = connection.scalar(text("SHOW server_encoding"))
    if version < (VERSION_MIN,):
        raise StorageError(
            f"The database server is PostgreSQL {version[0]}, this needs {VERSION_MIN}.",
            advice="Move the database to a newer server.",
        )
    if encoding != "UTF8":
        raise StorageError(
            f"The database stores text as {encoding}, not as UTF8.",
            advice="Create it anew with ENCODING 'UTF8' TEMPLATE template0.",
        )
