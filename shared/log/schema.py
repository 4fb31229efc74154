"""The tables of a database: which layout it has, and how it comes to what this version writes.

``LAYOUT`` numbers an era. Within it the tables of the log only grow (``shared.log.migrations``), so
each version reads and writes what any other one of the era has left. All other tables can be lost
and are created where they are missing.

Alembic takes 70 ms and 7 MiB to import. So a new database gets the tables at once, and Alembic is
asked only where there is something to carry forward.
"""

import hashlib
from collections.abc import Collection, Iterable
from typing import Final

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.schema import CreateIndex, CreateTable

from shared.errors import StorageError
from shared.log.tables import LOG_TABLES

LAYOUT: Final = 1
"""Number of the era; a database with another number is refused with advice."""
MOVING: Final = -1
"""Stands in place of it while a log is moved into the database."""
MOVED: Final = -2
"""Stands in place of it once the log was moved to another database."""

FIRST: Final = "0001"
"""The revision whose tables a database of this era has that names none: it is older than they."""
HEAD: Final = "0001"
"""The revision whose tables are ``LOG_TABLES``. Revisions are numbered in their order."""

_FIRST_TABLES: Final = frozenset({"feed", "record", "aside", "fork", "note", "bad_frame"})

_REVISION: Final = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""Alembic's own table, as it makes it: one row."""


def check_layout(number: int, layouts: Collection[int], advice: str) -> None:
    """Refuse a database whose layout is none of ``layouts``.

    Args:
        number: What stands in the database.
        layouts: What is taken.
        advice: What to do about another version's.

    Raises:
        StorageError: it is another one.
    """
    if number in layouts:
        return
    if number == MOVING:
        raise StorageError(
            "A log is being moved into this database, and not all of it is here.",
            advice="Run migrate-store again, which goes on; until then the log is where it was.",
        )
    if number == MOVED:
        raise StorageError(
            "The log was moved from this database to another one.",
            advice="Set database_url as migrate-store has said, or run it again if it was ended; "
            "to move a log in here, empty it first.",
        )
    raise StorageError(
        f"The database was made by another version or program: its layout is {number}, "
        f"this version uses {LAYOUT}.",
        advice=advice,
    )


def layout_of(connection: Connection) -> int:
    """Return the number that stands in an opened database."""
    is_file = connection.dialect.name == "sqlite"
    query = "PRAGMA user_version" if is_file else "SELECT layout FROM sanji"
    return int(connection.execute(text(query)).scalar_one())


def set_layout(connection: Connection, number: int) -> None:
    """Let another number stand in an opened database."""
    is_file = connection.dialect.name == "sqlite"
    change = "PRAGMA user_version =" if is_file else "UPDATE sanji SET layout ="
    connection.execute(text(f"{change} {number:d}"))


def create_tables(connection: Connection, metadata: Iterable[MetaData]) -> None:
    """Create the tables that are missing, and carry those of the log forward to ``HEAD``.

    Raises:
        StorageError: tables of the log are missing beside others of it.
    """
    for tables in metadata:
        if tables is LOG_TABLES:
            _create_log(connection)
        else:
            tables.create_all(connection)


def revision_of(connection: Connection) -> str:
    """Return the revision of the log's tables, above ``HEAD`` if a newer version was here."""
    return connection.scalar(select(_REVISION.c.version_num)) or ""


def _create_log(connection: Connection) -> None:
    held = set(inspect(connection).get_table_names())
    if not held & _FIRST_TABLES:
        LOG_TABLES.create_all(connection)
        _stamp(connection, HEAD)
        return
    if not held >= _FIRST_TABLES:
        missing = ", ".join(sorted(_FIRST_TABLES - held))
        raise StorageError(
            f"The database is damaged: the tables {missing} are missing.",
            advice="Restore a backup.",
        )
    if _REVISION.name not in held:
        _stamp(connection, FIRST)
    if revision_of(connection) < HEAD:
        from shared.log.migrations.upgrade import upgrade  # noqa: PLC0415 - see above

        upgrade(connection)


def _stamp(connection: Connection, revision: str) -> None:
    _REVISION.create(connection)
    connection.execute(insert(_REVISION), {"version_num": revision})


def digest_of(*metadata: MetaData) -> str:
    """Return a digest of what the tables are, and of the SQL in their ``info``."""
    whole = hashlib.sha256()
    for table in (table for tables in metadata for table in tables.sorted_tables):
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        for part in (CreateTable(table), *map(CreateIndex, indexes), table.info):
            whole.update(str(part).encode())
    return whole.hexdigest()
