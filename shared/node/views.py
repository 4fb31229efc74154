"""The folder of views: keeps the view tables equal to what the set of records says (1.5).

It follows the log by a bookmark that is saved in the same transaction as the rows. New records
only say which subjects changed; each of these is then folded anew from all its records, so the
order of arrival cannot show.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

import structlog
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    LargeBinary,
    MetaData,
    Row,
    String,
    Table,
    delete,
    insert,
    select,
)

from shared.domain.projection import Fact, subject_of
from shared.domain.tables import FOLDS, VIEWS, Projection
from shared.errors import InvalidError, StorageError
from shared.log.database import Database, insert_new
from shared.log.log import Log
from shared.log.schema import digest_of
from shared.log.tables import aside, record
from shared.node.clock import Clock
from shared.record.record import Record
from shared.trust.authority import KindTable

T = TypeVar("T")

STEP_RECORDS_MAX: Final = 500
"""Records a transaction: long enough to share a flush, short enough not to hold up a page."""

RETRY_SECONDS: Final = 5.0
"""After a fold could not be written it is tried again this late."""

BOOKMARKS: Final = MetaData()
_bookmark = Table(
    "view_bookmark",
    BOOKMARKS,
    Column("name", String, primary_key=True),
    Column("place", BigInteger, nullable=False),
)
_LOG_PLACE: Final = "log"
"""The arrival up to which records are folded."""
_TRUST_PLACE: Final = "trust"
"""``Log.revised`` at which they were."""
_MADE_PLACE: Final = "made"
"""What the tables and folds were that made the views."""

# Which records speak about which subject; with the projection, since an answer may name a notice.
_member = Table(
    "view_member",
    BOOKMARKS,
    Column("projection", String, primary_key=True),
    Column("subject", LargeBinary, primary_key=True),
    Column("rid", LargeBinary, primary_key=True),
    Column("rid8", BigInteger, nullable=False),
)

logger = structlog.get_logger(__name__)


def create_views(connection: Connection) -> None:
    """Create the view tables; those of another version go first, and are folded anew.

    Nothing is lost with them, so they need no migration, neither forward nor back.
    """
    # This table is there for good as it is: else nobody could read what it says.
    _bookmark.create(connection, checkfirst=True)
    made = _made_now()
    if _place(connection, _MADE_PLACE) == made:
        return
    for tables in (VIEWS, BOOKMARKS):
        tables.drop_all(connection)
        tables.create_all(connection)
    _save_place(connection, _MADE_PLACE, made)


def _made_now() -> int:
    """Return the number of this version's view tables and folds."""
    return int(digest_of(VIEWS, BOOKMARKS)[:12], 16) + FOLDS


class Views:
    """All view tables of a node."""

    def __init__(
        self, database: Database, log: Log, kinds: KindTable, projections: Sequence[Projection]
    ) -> None:
        """Fold the records of ``log``, which lies in ``database``, into view tables there."""
        self._database = database
        self._log = log
        self._kinds = kinds
        self._projections = {kind: one for one in projections for kind in one.kinds}
        self._by_name = {one.name: one for one in projections}
        self._woken = asyncio.Event()
        self._forks_folded = -1  # at the first time look once: a fork may be older than the process
        self._revised_folded = -1
        self._listeners: list[Callable[[], None]] = []

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call ``listener`` after each fold that changed something; returns how to stop it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def query(self, work: Callable[[Connection], T]) -> T:
        """Run a query of a subject's ``view.py``."""
        return await self._database.run(work)

    async def snapshot(self, work: Callable[[Connection], T]) -> T:
        """Read the whole database as it is now, log and views; see ``Database``."""
        return await self._database.snapshot(work)

    async def run(self, clock: Clock) -> None:
        """Fold whenever the log changed, until cancelled; a disk that is full is waited for."""
        unsubscribe = self._log.subscribe(lambda _feeds: self._woken.set())
        try:
            while True:
                try:
                    await self.catch_up()
                except StorageError as error:
                    logger.warning("views wait for the disk", why=str(error))
                    await clock.sleep(RETRY_SECONDS)
                    continue
                await self._woken.wait()
                self._woken.clear()
        finally:
            unsubscribe()

    async def catch_up(self) -> int:
        """Fold until the views show all that the log holds; returns the records taken."""
        if self._forks_folded != self._log.counters.forks:
            # Only a fork moves records aside; looking for them each time would read all members.
            forks = self._log.counters.forks
            await self._database.run(self._drop_cut)
            self._forks_folded = forks
        if self._revised_folded != self._log.revised:
            revised = self._log.revised
            await self._database.run(lambda c: self._begin_anew_if_revised(c, revised))
            self._revised_folded = revised
        total = 0
        while taken := await self._database.run(self._fold_next):
            total += taken
            for listener in tuple(self._listeners):
                listener()
        return total

    async def rebuild(self, progress: Callable[[int], None] = lambda _taken: None) -> int:
        """Empty all view tables and fold the whole log again; returns the records taken."""
        revised = self._log.revised
        await self._database.run(lambda c: self._clear(c, revised))
        total = 0
        while taken := await self._database.run(self._fold_next):
            total += taken
            progress(total)
        return total

    def _clear(self, connection: Connection, revised: int) -> None:
        for table in (*VIEWS.sorted_tables, _member):
            connection.execute(delete(table))
        connection.execute(delete(_bookmark).where(_bookmark.c.name != _MADE_PLACE))
        _save_place(connection, _TRUST_PLACE, revised)

    def _begin_anew_if_revised(self, connection: Connection, revised: int) -> None:
        """Empty the views if trust that they stand on was taken back since they were folded."""
        if _place(connection, _TRUST_PLACE) != revised:
            self._clear(connection, revised)

    def _fold_next(self, connection: Connection) -> int:
        """Take the next records in order of arrival; returns how many."""
        at = _place(connection, _LOG_PLACE)
        query = select(record).where(record.c.arrival > at).order_by(record.c.arrival)
        rows = connection.execute(query.limit(STEP_RECORDS_MAX)).all()
        if not rows:
            return 0
        self._fold(connection, self._note_members(connection, rows))
        _save_place(connection, _LOG_PLACE, rows[-1].arrival)
        return len(rows)

    def _drop_cut(self, connection: Connection) -> None:
        """Forget the members that a fork moved aside, and fold their subjects anew."""
        cut = connection.execute(
            select(_member.c.projection, _member.c.subject, _member.c.rid)
            .join(aside, aside.c.rid == _member.c.rid)
        ).all()  # fmt: skip
        if not cut:
            return
        connection.execute(delete(_member).where(_member.c.rid.in_(select(aside.c.rid))))
        self._fold(connection, {(row.projection, row.subject) for row in cut})

    def _note_members(
        self, connection: Connection, rows: Sequence[Row[tuple[object, ...]]]
    ) -> set[tuple[str, bytes]]:
        """Remember what the new records speak about; returns the subjects they change."""
        members = []
        for row in rows:
            one = _record_of(row)
            header = one.header
            kind = self._kinds.get(header.kind)
            projection = self._projections.get(header.kind)
            if kind is None or projection is None:
                continue
            subject = subject_of(kind, one.rid, header.refs)
            members.append(
                {"projection": projection.name, "subject": subject, "rid": one.rid,
                 "rid8": row.rid8}
            )  # fmt: skip
        if members:
            connection.execute(insert_new(_member), members)
        return {(str(one["projection"]), bytes(one["subject"])) for one in members}

    def _fold(self, connection: Connection, changed: Iterable[tuple[str, bytes]]) -> None:
        by_projection: dict[str, list[bytes]] = {}
        for name, subject in sorted(changed):
            by_projection.setdefault(name, []).append(subject)
        for name, subjects in by_projection.items():
            for start in range(0, len(subjects), STEP_RECORDS_MAX):  # a driver takes only so many
                some = subjects[start : start + STEP_RECORDS_MAX]
                self._fold_subjects(connection, self._by_name[name], some)

    def _fold_subjects(
        self, connection: Connection, projection: Projection, subjects: list[bytes]
    ) -> None:
        facts: dict[bytes, list[Fact]] = {subject: [] for subject in subjects}
        joined = (record.c.rid8 == _member.c.rid8) & (record.c.rid == _member.c.rid)
        query = (
            select(_member.c.subject, record)
            .join(record, joined)
            .where(_member.c.projection == projection.name, _member.c.subject.in_(subjects))
        )
        for row in connection.execute(query):
            fact = self._fact(_record_of(row))
            if fact is not None:
                facts[row.subject].append(fact)
        rows: dict[str, list[dict[str, object]]] = {}
        for subject in subjects:
            for name, new in projection.fold(subject, facts[subject]).items():
                rows.setdefault(name, []).extend(new)
        for table in projection.tables:
            connection.execute(projection.clear(table, subjects))
            if rows.get(table.name):
                connection.execute(insert(table), rows[table.name])

    def _fact(self, one: Record) -> Fact | None:
        """Return the record as a fact; None if it may not be projected (protocol 2.5, 4.5)."""
        header = one.header
        author = self._log.roster.author_of(header.feed)
        if author is None or not self._log.roster.is_confirmed(author):
            return None
        if self._kinds.objection(header.kind, header.feed, author.level) is not None:
            return None
        try:
            body = self._kinds.read(one)
        except InvalidError as error:
            logger.info("not projected", rid=one.rid.hex(), why=str(error))
            return None
        return Fact(
            one.rid, header.feed, header.seq, header.kind, author.level, header.claimed_at_ms,
            header.refs, body,
        )  # fmt: skip


def _place(connection: Connection, name: str) -> int:
    return connection.scalar(select(_bookmark.c.place).where(_bookmark.c.name == name)) or 0


def _save_place(connection: Connection, name: str, place: int) -> None:
    connection.execute(delete(_bookmark).where(_bookmark.c.name == name))
    connection.execute(insert(_bookmark), {"name": name, "place": place})


def _record_of(row: Row[tuple[object, ...]]) -> Record:
    return Record(row.header_cose, row.salt, row.body)
