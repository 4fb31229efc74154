"""The Database port: transactions, one at a time, for the log and for the views beside it.

Implementations: ``shared.log.sqlite`` (a file) and ``shared.log.postgresql`` (a server). Both run
the same SQL: plain, sequential code over one connection, in a thread of the database's own.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol, TypeVar

from sqlalchemy import ClauseElement, Connection, Insert, Table, insert, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import SyntaxExtension
from sqlalchemy.sql.compiler import SQLCompiler

from shared.errors import StorageError

T = TypeVar("T")

URL_FORM: Final = "postgresql://USER@HOST:PORT/DATABASE"
URL_OPTIONS: Final = frozenset({"host", "port", "ssl", "sslrootcert"})
"""What may stand behind ``?``: a socket's folder and port; the mode of TLS and its authority."""
VERIFYING: Final = frozenset({"verify-ca", "verify-full"})
"""The modes of TLS that need the PEM file of an authority."""
TLS_MODES: Final = VERIFYING | {"disable", "allow", "prefer", "require"}
"""As libpq has them."""


class Database(Protocol):
    """A database that only this process writes."""

    async def run(
        self, work: Callable[[Connection], T], after: Callable[[T], None] | None = None
    ) -> T:
        """Run ``work`` in one transaction and return its result once it is on the disk.

        Whatever ``work`` raises rolls back. Transactions run one after the other, in the order of
        the calls. A caller that is cancelled stops waiting; the transaction goes on to its end.

        Args:
            work: Plain code, in the database's thread; keeps nothing of the connection. It may
                run again, if the connection was lost before anything was stored.
            after: Called with the result, in the same thread and before any other transaction,
                once the commit has succeeded, whether or not the caller still waits: the place to
                update a cache. Raises nothing.

        Raises:
            StorageError: the disk, the file or the server failed; nothing of the transaction was
                written. Or it is not known whether it was, which the error says: then every
                further call raises it too.
        """

    async def snapshot(self, work: Callable[[Connection], T]) -> T:
        """Run ``work``, which only reads, beside the transactions of ``run`` and held up by none.

        All its queries see one state, that of the first, however long it takes.

        Raises:
            StorageError: the disk, the file or the server failed.
        """

    async def close(self) -> None:
        """Release the database after the transactions under way; a second call does nothing."""


class Worker:
    """Runs calls one after the other, in their order."""

    def __init__(self, thread: ThreadPoolExecutor | None) -> None:
        """Run them in ``thread``, which has one worker; without it in the caller's."""
        self._thread = thread
        self._closed = False

    async def call(self, function: Callable[[], T]) -> T:
        """Return what ``function`` returns; who is cancelled stops waiting for it.

        Raises:
            StorageError: the worker is closed.
        """
        if self._closed:
            raise StorageError("The database is closed.", advice="Start the node again.")
        return await self._call(function)

    async def close(self, last: Callable[[], None]) -> None:
        """Call ``last`` after all others and take no more; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            await self._call(last)
        finally:
            if self._thread is not None:
                self._thread.shutdown(wait=False)

    async def _call(self, function: Callable[[], T]) -> T:
        if self._thread is None:
            return function()
        future = asyncio.get_running_loop().run_in_executor(self._thread, function)
        future.add_done_callback(_hear)
        # Shielded, because cancelling would also take calls out of the queue that their caller,
        # say a group commit, has promised to others.
        return await asyncio.shield(future)


def _hear(future: "asyncio.Future[T]") -> None:
    """Take note of a failure, also where nobody waits for it any more."""
    if not future.cancelled():
        future.exception()


class _KnownStays(SyntaxExtension, ClauseElement):
    """The end of an INSERT that leaves a row alone whose key is there already.

    SQLAlchemy has it in its dialects of SQLite and PostgreSQL, each for itself; this one is read by
    both, and loads neither: a village has little memory.
    """

    inherit_cache = True

    def apply_to_insert(self, insert_stmt: Insert) -> None:
        """Stand behind the values; SQLAlchemy asks for it."""
        insert_stmt.apply_syntax_extension_point(self.append_replacing_same_type, "post_values")


@compiles(_KnownStays)
def _written(_clause: _KnownStays, _compiler: SQLCompiler, **_how: Any) -> str:
    return "ON CONFLICT DO NOTHING"


def insert_new(table: Table) -> Insert:
    """Return an INSERT that leaves a row alone whose key is there already."""
    return insert(table).ext(_KnownStays())


def check_url(text: str) -> str:
    """Return ``text`` if it names a PostgreSQL database, or is empty; it is never repeated.

    Raises:
        ValueError: it does not, or holds a password.
    """
    if not text:
        return text
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError(f"is not of the form {URL_FORM}") from None
    if url.password is not None or "password" in url.query:
        raise ValueError("holds a password, which belongs into database_password_file")
    if url.drivername != "postgresql" or not url.database or not url.username:
        raise ValueError(f"is not of the form {URL_FORM}")
    if not url.query.keys() <= URL_OPTIONS:
        raise ValueError(f"allows behind ? only {', '.join(sorted(URL_OPTIONS))}")
    if not all(isinstance(value, str) for value in url.query.values()):
        raise ValueError("has an option twice behind ?")
    mode = url.query.get("ssl", "prefer")
    if mode not in TLS_MODES:
        raise ValueError(f"allows behind ssl= only {', '.join(sorted(TLS_MODES))}")
    if (mode in VERIFYING) != ("sslrootcert" in url.query):
        raise ValueError("needs both or none of ssl=verify-full and sslrootcert=FILE.pem")
    return text
