"""Copying a log out of a database, as it is at one moment, into a SQLite file of its own.

The file has the tables and the layout of any other log, whatever database the rows came from.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, MetaData, StaticPool, Table, create_engine, insert

from shared.errors import StorageError
from shared.log.moving import counter, key_of, pager
from shared.log.schema import HEAD, LAYOUT, create_tables, revision_of, set_layout
from shared.log.sqlite import translating


def copy_out(
    source: Connection,
    file: Path,
    metadata: Sequence[MetaData],
    progress: Callable[[int, int], None],
) -> dict[str, int]:
    """Copy all rows of the tables in ``metadata``; to be called in a snapshot.

    Args:
        source: Sees one state of the database.
        file: Empty; not flushed here.
        metadata: The tables of the log among them.
        progress: Told how many rows are copied, and of how many.

    Returns:
        Rows of each table.

    Raises:
        StorageError: the disk is full or fails, or a newer version has added to the log.
    """
    if revision_of(source) > HEAD:
        raise StorageError(
            "A newer version has added to this log.", advice="Use that version for this."
        )
    tables = [table for one in metadata for table in one.sorted_tables]
    counts = {table.name: counter(table)(source) for table in tables}
    total, done = sum(counts.values()), 0
    # Without a journal: what is not finished is thrown away whole.
    engine = create_engine("sqlite://", creator=lambda: _bare(file), poolclass=StaticPool)
    try:
        with translating(), engine.begin() as target:
            create_tables(target, metadata)
            set_layout(target, LAYOUT)
            for table in tables:
                for rows in _batches(source, table):
                    target.execute(insert(table), rows)
                    done += len(rows)
                    progress(done, total)
    finally:
        engine.dispose()
    return counts


def _batches(source: Connection, table: Table) -> Iterator[list[dict[str, Any]]]:
    last: Sequence[Any] | None = None
    while rows := pager(table, last)(source):
        yield [row._asdict() for row in rows]
        last = key_of(table, rows[-1])


def _bare(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    return connection
