"""Moving a log from one database to another: rows copied in batches, and compared at the end.

Each batch is a transaction, and copying goes on behind the last key that is there: so it may be
ended at any point and run again. Arrivals and ids stay what they are. Only a process that holds
both databases calls this, and the layouts of ``shared.log.schema`` keep others out: ``MOVING`` in
the target until all is there, ``MOVED`` in the source from then on.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    Row,
    Select,
    String,
    Table,
    delete,
    func,
    insert,
    literal,
    select,
    tuple_,
)

from shared.errors import FaultError, StorageError
from shared.log.database import Database
from shared.log.schema import HEAD, LAYOUT, MOVED, layout_of, revision_of, set_layout
from shared.log.sql_write import rid8_of
from shared.log.tables import aside, feed, record
from shared.record.cbor import encode_flat
from shared.record.feed import Feed
from shared.record.record import Record, check_body

BATCH_ROWS: Final = 250
"""Rows a transaction, of up to some 10 KiB each."""

Progress = Callable[[str, int, int], None]
"""Told what is being done, how many rows are, and of how many."""

Digests = dict[str, tuple[int, str]]
"""Rows and digest of each table."""

_MOVE: Final = Table("log_move", MetaData(), Column("source", String, nullable=False))
"""Stands in the target while it is not complete. One row: what the source was when it began."""


@dataclass(frozen=True)
class Move:
    """One move.

    Attributes:
        source: Opened as ``LAYOUT`` or ``MOVED``.
        target: Opened as ``MOVING`` or ``LAYOUT``, its tables made; the first for a new one.
        tables: What is moved, in an order in which no row names one that is not there yet.
    """

    source: Database
    target: Database
    tables: Sequence[Table]

    async def is_done(self) -> bool:
        """Tell whether a node may use the target already.

        Raises:
            StorageError: both hold a log that can be written, or a newer version added to the
                source, or it was moved elsewhere.
        """
        left = await self.source.run(layout_of) == MOVED
        if await self.target.run(layout_of) == LAYOUT:
            if not left:
                raise StorageError(
                    "The target holds a log of this node already.",
                    advice="Name an empty database, or put the log.db that is there aside.",
                )
            return True
        if await self.source.run(revision_of) > HEAD:
            raise StorageError(
                "A newer version has added to this log.", advice="Move it with that version."
            )
        state = await self._state()
        if left and await self.target.run(_begun) != state:
            raise StorageError(
                "The log was moved from here to another database.",
                advice="Set database_url as migrate-store said then.",
            )
        await self.target.run(lambda connection: self._begin(connection, state))
        return False

    async def counts(self) -> dict[str, int]:
        """Return how many rows each table of the target has."""
        return {table.name: await self.target.run(counter(table)) for table in self.tables}

    async def copy(self, progress: Progress) -> None:
        """Copy the rows that the target lacks.

        Raises:
            StorageError: a record is not what its header says; the message holds its id.
        """
        counts = [await self.source.run(counter(table)) for table in self.tables]
        done, total = 0, sum(counts)
        feeds = await self.source.run(_feeds)
        for table in self.tables:
            last = await self.target.run(lambda c, table=table: _last_key(c, table))  # type: ignore[misc]
            done += await self.target.run(counter(table))
            while rows := await self.source.run(pager(table, last)):
                if table in (record, aside):
                    _check(table, rows, feeds)
                values = [row._asdict() for row in rows]
                await self.target.run(lambda c, t=table, v=values: c.execute(insert(t), v))  # type: ignore[misc]
                last, done = key_of(table, rows[-1]), done + len(rows)
                progress("copy", done, total)

    async def compare(self, progress: Progress) -> None:
        """Read both databases and compare them row by row.

        Raises:
            StorageError: a table differs.
        """
        ours = await self._digests(self.source, progress)
        theirs = await self._digests(self.target, progress)
        for name, digest in ours.items():
            if theirs[name] != digest:
                raise StorageError(
                    f"The table {name} is not the same in both databases.",
                    advice="Empty the target and run migrate-store again.",
                )

    async def finish(self) -> None:
        """Close the source for good and open the target; in between nobody can use either."""
        await self.source.run(lambda connection: set_layout(connection, MOVED))
        await self.target.run(self._open_target)

    def _open_target(self, connection: Connection) -> None:
        for table in self.tables:
            _go_on_counting(connection, table)
        _MOVE.drop(connection)
        set_layout(connection, LAYOUT)

    def _begin(self, connection: Connection, state: str) -> None:
        """Go on where a run has stopped; anew if the source is not any more what it was then."""
        if _begun(connection) == state:
            return
        _MOVE.create(connection, checkfirst=True)
        for table in (_MOVE, *reversed(self.tables)):
            connection.execute(delete(table))
        connection.execute(insert(_MOVE), {"source": state})

    async def _state(self) -> str:
        """Return a digest of the source that changes with whatever changes there."""
        # Each record raises the count of its feed, and a cut lowers it.
        digests = await self._digests(self.source, None, but=record)
        return hashlib.sha256(encode_flat(sorted(map(list, digests.items())))).hexdigest()

    async def _digests(
        self, database: Database, progress: Progress | None, but: Table | None = None
    ) -> Digests:
        tables = [table for table in self.tables if table is not but]
        total = sum([await database.run(counter(table)) for table in tables])
        digests, before = Digests(), 0
        for table in tables:
            whole, count, last = hashlib.sha256(), 0, None
            while rows := await database.run(pager(table, last)):
                for row in rows:
                    whole.update(encode_flat([_comparable(value) for value in row]))
                count, last = count + len(rows), key_of(table, rows[-1])
                if progress is not None:
                    progress("compare", before + count, total)
            digests[table.name] = (count, whole.hexdigest())
            before += count
        return digests


def _begun(connection: Connection) -> str:
    """Return what the source was when the move into this database began; empty if none did."""
    if not connection.dialect.has_table(connection, _MOVE.name):
        return ""
    return connection.scalar(select(_MOVE.c.source)) or ""


def counter(table: Table) -> Callable[[Connection], int]:
    """Return what counts the rows of ``table``."""
    query = select(func.count()).select_from(table)
    return lambda connection: connection.scalar(query) or 0


def pager(table: Table, last: Sequence[Any] | None) -> Callable[[Connection], Sequence[Row[Any]]]:
    """Return what reads the next rows behind the key ``last``."""
    query: Select[Any] = select(table).order_by(*table.primary_key).limit(BATCH_ROWS)
    if last is not None:
        columns = list(table.primary_key)
        bound = (literal(value, column.type) for value, column in zip(last, columns, strict=True))
        query = query.where(tuple_(*columns) > tuple_(*bound))
    return lambda connection: connection.execute(query).all()


def _last_key(connection: Connection, table: Table) -> Sequence[Any] | None:
    columns = table.primary_key.columns
    query = select(*columns).order_by(*(column.desc() for column in columns)).limit(1)
    return connection.execute(query).one_or_none()


def key_of(table: Table, row: Row[Any]) -> Sequence[Any]:
    """Return the primary key of ``row``."""
    named = row._asdict()
    return [named[column.name] for column in table.primary_key]


def _comparable(value: Any) -> Any:
    """Return a value as PostgreSQL can hold it (``docs/reference/postgresql.md``, Text)."""
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value


def _feeds(connection: Connection) -> dict[int, tuple[Feed, int]]:
    """Return name and length of each feed by its id."""
    columns = (feed.c.author, feed.c.epoch, feed.c.lane, feed.c.audience)
    rows = connection.execute(select(feed.c.id, feed.c.count, *columns))
    return {key: (Feed(*name), count) for key, count, *name in rows}


def _check(table: Table, rows: Sequence[Row[Any]], feeds: dict[int, tuple[Feed, int]]) -> None:
    """Bind each row to its signed header; chains and signatures are ``verify``'s business.

    Raises:
        StorageError: a row is not what its header says.
    """
    for row in rows:
        name, count = feeds.get(row.feed_id, (None, 0))
        held = Record(row.header_cose, row.salt, row.body)
        try:
            header = held.header
            check_body(held)
        except FaultError as error:
            raise _not_moved(row, str(error)) from None
        if held.rid != row.rid or (header.feed, header.seq) != (name, row.seq):
            raise _not_moved(row, "it stands at another place than its header says")
        if table is record and (row.rid8 != rid8_of(row.rid) or row.seq >= count):
            raise _not_moved(row, "it is not where the index or the head of its feed says")


def _not_moved(row: Row[Any], why: str) -> StorageError:
    return StorageError(
        f"The record {row.rid.hex()} is damaged, and nothing of it was moved: {why}.",
        advice="Put the log aside and let the node fetch its records from the neighbours.",
    )


def _go_on_counting(connection: Connection, table: Table) -> None:
    """Let a server number new rows behind those that were copied; SQLite does so by itself."""
    column = table.autoincrement_column
    if column is None or connection.dialect.name == "sqlite":
        return
    last = connection.scalar(select(func.max(column)))
    if last is not None:
        sequence = func.pg_get_serial_sequence(table.name, column.name)
        connection.execute(select(func.setval(sequence, last)))
