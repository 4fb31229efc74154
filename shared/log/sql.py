"""The Store in SQL: one transaction a batch, SQLAlchemy Core with ``executemany`` throughout."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, bindparam, func, select, union

from shared.log.database import Database
from shared.log.sql_write import Feeds, load_feeds, rid8_of, write_batch
from shared.log.store import (
    BadFrame,
    Batch,
    FeedState,
    ForkProof,
    Refusal,
    Stored,
    check_prefix,
    longest_prefix,
)
from shared.log.tables import aside, bad_frame, feed, fork, note, record
from shared.record.feed import Feed
from shared.record.header import RID_BYTES
from shared.record.record import Record

T = TypeVar("T")

_PARTS: Final = (record.c.header_cose, record.c.salt, record.c.body)
_STORED: Final = (record.c.arrival, *_PARTS, record.c.stored_at_ms)


class SqlStore:
    """A ``Store`` in a ``Database`` that was opened with ``LOG_TABLES``; it closes it."""

    def __init__(self, database: Database) -> None:
        """Keep the database; nothing is read yet."""
        self._database = database
        # Ids and trunk ends of all feeds, so that a commit reads nothing. Only the database's
        # thread touches it. None: read it from the tables.
        self._feeds: Feeds | None = None

    async def commit(self, batch: Batch) -> None:
        """Write ``batch`` in one transaction and flush it to disk before returning."""
        await self._database.run(partial(self._write, batch), self._remember)

    async def feeds(self) -> dict[Feed, FeedState]:
        """Return the state of every feed that has trunk records, was cut or has a fork."""

        def work(connection: Connection) -> dict[Feed, FeedState]:
            return {
                name: known.state
                for name, known in self._known(connection).items()
                if known.state.count or known.state.stopped or known.has_fork
            }

        return await self._database.run(work)

    async def read(
        self, feed: Feed, first_seq: int, records_max: int, bytes_max: int
    ) -> list[Record]:
        """Return consecutive trunk records from ``first_seq`` or the next one held."""
        query = (
            select(record.c.seq, *_PARTS)
            .where(record.c.feed_id == bindparam("feed_id"), record.c.seq >= first_seq)
            .order_by(record.c.seq)
            .limit(max(1, records_max))
        )

        def work(connection: Connection, feed_id: int) -> list[Record]:
            # Rows are fetched one by one, so nothing is read that does not fit.
            with connection.execute(query, {"feed_id": feed_id}) as rows:
                return longest_prefix(_consecutive(rows), bytes_max)

        return await self._of_feed(feed, work)

    async def rids(self, feed: Feed, first_seq: int, count: int) -> list[bytes]:
        """Return the rids of up to ``count`` trunk records, the first that of ``first_seq``."""
        query = (
            select(record.c.seq, record.c.rid)
            .where(record.c.feed_id == bindparam("feed_id"))
            .where(record.c.seq >= first_seq, record.c.seq < first_seq + count)
            .order_by(record.c.seq)
        )

        def work(connection: Connection, feed_id: int) -> list[bytes]:
            rows = connection.execute(query, {"feed_id": feed_id}).all()
            return [rid for place, (seq, rid) in enumerate(rows, first_seq) if seq == place]

        return await self._of_feed(feed, work)

    async def find(self, rid: bytes) -> Stored | None:
        """Return the trunk record of that rid."""
        query = select(*_STORED).where(record.c.rid8 == rid8_of(rid), record.c.rid == rid)
        found = await self._stored(query.limit(1))
        return found[0] if found else None

    async def find_prefix(self, prefix: bytes) -> list[bytes]:
        """Return the lowest 2 rids, of trunk or aside, that begin with ``prefix``."""
        check_prefix(prefix)
        low, high = prefix.ljust(RID_BYTES, b"\0"), prefix.ljust(RID_BYTES, b"\xff")
        trunk = select(record.c.rid).where(
            record.c.rid8.between(rid8_of(low), rid8_of(high)), record.c.rid.between(low, high)
        )
        beside = select(aside.c.rid).where(aside.c.rid.between(low, high))
        query = union(trunk, beside).order_by("rid").limit(2)
        return await self._database.run(lambda connection: list(connection.scalars(query)))

    async def since(self, arrival: int, records_max: int) -> list[Stored]:
        """Return trunk records that arrived after ``arrival``, in order of arrival."""
        query = select(*_STORED).where(record.c.arrival > arrival).order_by(record.c.arrival)
        return await self._stored(query.limit(max(0, records_max)))

    async def lane(self, lane: str) -> list[Record]:
        """Return all trunk records of a lane, ordered by feed key and seq."""
        query = select(*_PARTS).join(feed).where(feed.c.lane == lane)
        return await self._records(query.order_by(feed.c.key, record.c.seq))

    async def aside(self) -> list[Record]:
        """Return all records beside the trunk, ordered by rid."""
        query = select(aside.c.header_cose, aside.c.salt, aside.c.body)
        return await self._records(query.order_by(aside.c.rid))

    async def forks(self) -> list[ForkProof]:
        """Return the fork proofs, ordered by feed key and seq."""
        columns = (feed.c.author, feed.c.epoch, feed.c.lane, feed.c.audience)
        query = select(*columns, fork.c.seq, fork.c.first, fork.c.second).join(feed)

        def work(connection: Connection) -> list[ForkProof]:
            rows = connection.execute(query.order_by(feed.c.key, fork.c.seq))
            return [ForkProof(Feed(*row[:4]), *row[4:]) for row in rows]

        return await self._database.run(work)

    async def note(self, name: str) -> bytes | None:
        """Return a named value of the node."""
        query = select(note.c.value).where(note.c.name == name)
        return await self._database.run(lambda connection: connection.scalar(query))

    async def quarantine(self) -> list[BadFrame]:
        """Return the refused frames, oldest first."""
        columns = (bad_frame.c.at_ms, bad_frame.c.peer, bad_frame.c.reason, bad_frame.c.frame)
        query = select(*columns).order_by(bad_frame.c.id)
        return await self._database.run(
            lambda connection: [BadFrame(*row) for row in connection.execute(query)]
        )

    async def refusals(self) -> list[Refusal]:
        """Return what ``quarantine`` does, without reading the frames."""
        size = func.length(bad_frame.c.frame)
        query = select(bad_frame.c.at_ms, bad_frame.c.peer, bad_frame.c.reason, size)
        return await self._database.run(
            lambda connection: [
                Refusal(*row) for row in connection.execute(query.order_by(bad_frame.c.id))
            ]
        )

    async def close(self) -> None:
        """Release the database; a second call does nothing."""
        await self._database.close()

    def _write(self, batch: Batch, connection: Connection) -> Feeds:
        feeds = self._known(connection)
        # They are changed in place. If that fails at any point up to the end of the commit,
        # nothing comes back and the next caller reads the tables again.
        self._feeds = None
        write_batch(connection, feeds, batch)
        return feeds

    def _remember(self, feeds: Feeds) -> None:
        self._feeds = feeds

    def _known(self, connection: Connection) -> Feeds:
        if self._feeds is None:
            self._feeds = load_feeds(connection)
        return self._feeds

    async def _of_feed(self, name: Feed, work: Callable[[Connection, int], list[T]]) -> list[T]:
        def found(connection: Connection) -> list[T]:
            known = self._known(connection).get(name)
            return work(connection, known.id) if known else []

        return await self._database.run(found)

    async def _records(self, query: Any) -> list[Record]:
        return await self._database.run(
            lambda connection: [Record(*row) for row in connection.execute(query)]
        )

    async def _stored(self, query: Any) -> list[Stored]:
        def work(connection: Connection) -> list[Stored]:
            rows = connection.execute(query)
            return [
                Stored(arrival, Record(cose, salt, body), at_ms)
                for arrival, cose, salt, body, at_ms in rows
            ]

        return await self._database.run(work)


def _consecutive(rows: Iterable[tuple[int, bytes, bytes | None, bytes | None]]) -> Iterator[Record]:
    """Yield the records of ``rows`` up to the first hole in their numbers."""
    expected: int | None = None
    for seq, header_cose, salt, body in rows:
        if expected is not None and seq != expected:
            return
        yield Record(header_cose, salt, body)
        expected = seq + 1
