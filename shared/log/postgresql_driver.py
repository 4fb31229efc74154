"""The edge of asyncpg: how it connects, what it says of an error, how it takes texts."""

import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Column, NullPool, String, make_url
from sqlalchemy.dialects.postgresql.asyncpg import AsyncpgString
from sqlalchemy.dialects.postgresql.base import PGDDLCompiler
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from shared.errors import SanjiError, StorageError, UnavailableError

CONNECT_SECONDS_MAX: Final = 10.0
STATEMENT_SECONDS_MAX: Final = 60.0
"""The server ends a statement that takes longer."""
ANSWER_SECONDS_MAX: Final = 75.0
"""Without an answer for so long the connection counts as lost; more than the above."""
LOCK_SECONDS_MAX: Final = 5.0
"""How long a lock is waited for: that of a process which has just been killed, or a table's."""

_SERVER_SETTINGS: Final = {
    "application_name": "sanji",
    "synchronous_commit": "on",
    "default_transaction_isolation": "read committed",
    "statement_timeout": f"{STATEMENT_SECONDS_MAX:.0f}s",
    # A node whose machine has vanished holds the lock until the server notices.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}

# SQLSTATE, or its class → what happened, what to do ("" = the advice of StorageError).
# Other codes are mistakes of ours, such as bad SQL: they are not translated.
_REASONS: Final = {
    "53100": ("The disk of the database server is full.", "Make room on it."),
    "53300": (
        "The database server has too many connections.",
        "Raise its max_connections, or end what uses it besides.",
    ),
    "53": ("The database server lacks resources.", "Look into its log."),
    "25006": ("The database is read-only.", "Name the primary server, not a standby."),
    "28": (
        "The database server refuses the account.",
        "Check the user in database_url, database_password_file and the server's pg_hba.conf.",
    ),
    "3D000": (
        "The database does not exist.",
        "Create it, or check database_url; docs/reference/postgresql.md tells how.",
    ),
    "42501": (
        "The account may not use the database.",
        "Let it own the database; docs/reference/postgresql.md tells how.",
    ),
    "55P03": (
        "Another program holds a lock in the database.",
        "End that program or wait until it is done.",
    ),
    "57014": ("The database server took too long.", "Look into its log and at its load."),
    "57P": ("The database server is starting or stopping.", "Try again when it has started."),
    "58": ("The disk of the database server reported an error.", "Check that disk."),
    "XX001": ("The database is damaged.", "Check the server's disk and restore a backup."),
    "XX002": ("The database is damaged.", "Check the server's disk and restore a backup."),
    "08": ("The connection to the database server was lost.", "Look whether it runs."),
}
GONE: Final = ("08", "57P")
"""SQLSTATE classes after which a connection is of no use."""


class _Text(AsyncpgString):
    """A text as SQLite takes it: PostgreSQL knows no NUL, which a query may bring."""

    def bind_processor(self, dialect: Any) -> Callable[[str | None], str | None]:
        """Return what a value goes through on its way in."""
        del dialect
        return lambda value: value and value.replace("\0", "\N{REPLACEMENT CHARACTER}")


class _Tables(PGDDLCompiler):
    """Texts are compared byte by byte, as in SQLite, whatever language the database has."""

    def get_column_specification(self, column: Column[Any], **kwargs: Any) -> str:
        """Return the line of ``column`` in a CREATE TABLE."""
        line: str = super().get_column_specification(column, **kwargs)  # type: ignore[no-untyped-call]
        return f'{line} COLLATE "C"' if isinstance(column.type, String) else line


def new_engine(url: str, password_file: Path | None = None) -> AsyncEngine:
    """Return the engine; the password stands neither in it nor in its URL."""
    arguments: dict[str, Any] = {
        "timeout": CONNECT_SECONDS_MAX,
        "command_timeout": ANSWER_SECONDS_MAX,
        "server_settings": _SERVER_SETTINGS | {"lock_timeout": f"{LOCK_SECONDS_MAX * 1000:.0f}"},
    }
    if password_file is not None:
        arguments["password"] = _reader(password_file)
    place = make_url(url).set(drivername="postgresql+asyncpg")
    if (authority := place.query.get("sslrootcert")) is not None:
        arguments["ssl"] = _verifying(str(authority), str(place.query["ssl"]))
        place = place.difference_update_query(["ssl", "sslrootcert"])
    try:
        engine = create_async_engine(
            place,
            poolclass=NullPool,
            hide_parameters=True,  # bodies never stand in an error message
            connect_args=arguments,
        )
    except ImportError as error:
        raise UnavailableError(
            f"PostgreSQL needs the package {error.name}.",
            advice="Install it: pip install 'sanji[postgres]'.",
        ) from None
    dialect: Any = engine.dialect
    dialect.colspecs = {**dialect.colspecs, String: _Text}
    dialect.ddl_compiler = _Tables
    return engine


def _verifying(authority: str, mode: str) -> ssl.SSLContext:
    """Return how the server's certificate is checked, in a mode that verifies it.

    Raises:
        StorageError: the authority's file cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=authority)
    except (OSError, ssl.SSLError) as error:
        raise StorageError(
            f"{authority}, the database server's authority, cannot be used: {error}.",
            advice="Check sslrootcert in database_url and who may read that file.",
        ) from None
    context.check_hostname = mode == "verify-full"
    return context


def _reader(file: Path) -> Callable[[], Awaitable[str]]:
    """Return the function by which the driver asks for the password."""

    async def read() -> str:
        try:
            return file.read_text("utf-8").partition("\n")[0].rstrip("\r")  # noqa: ASYNC240 - own loop
        except (OSError, UnicodeDecodeError):
            raise StorageError(
                f"The password file {file} cannot be read.",
                advice="Check database_password_file and who may read that file.",
            ) from None

    return read


def cause_of(error: BaseException) -> BaseException:
    """Return the driver's own error."""
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def code_of(error: BaseException) -> str:
    """Return the SQLSTATE; empty if the server did not say it."""
    return str(getattr(cause_of(error), "sqlstate", "") or "")


def translated(error: Exception) -> Exception:
    """Return the StorageError that ``error`` means, or ``error`` if it is a mistake of ours."""
    cause, code = cause_of(error), code_of(error)
    if isinstance(cause, SanjiError):
        return StorageError(str(cause.args[0]), advice=cause.hint)
    if isinstance(cause, TimeoutError):
        return StorageError("The database server does not answer.", advice="Look whether it runs.")
    if isinstance(cause, ssl.SSLCertVerificationError):
        why = cause.verify_message.rstrip(".")
        return StorageError(
            f"The database server's certificate is not trusted: {why}.",
            advice="Check sslrootcert and the host in database_url.",
        )
    if isinstance(cause, OSError):
        why = cause.strerror or str(cause)
        return StorageError(
            f"The database server cannot be reached: {why}.",
            advice="Look whether it runs, and check database_url.",
        )
    found = (_REASONS[start] for start in (code, code[:3], code[:2]) if start in _REASONS)
    reason = next(found, None)
    return StorageError(reason[0], advice=reason[1]) if reason else error
