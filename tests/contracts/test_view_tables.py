"""The view tables need no migration: those of another version go, and are folded anew."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, String, select

from shared.domain.catalogue import KINDS, PROJECTIONS
from shared.domain.custody.gaps import Missing, missing
from shared.domain.custody.view import CUSTODY_HELD, statements
from shared.domain.notices import view
from shared.domain.notices.words import query_of
from shared.domain.tables import VIEWS
from shared.log.database import Database
from shared.log.log import Log
from shared.log.sql import SqlStore
from shared.log.sqlite import SqliteDatabase
from shared.log.tables import LOG_TABLES
from shared.node.views import Views, create_views
from shared.record.run import Run
from tests.property.test_views_sql import world
from tests.support.postgresql import open_database
from tests.support.trust import DISTRICT, small_district

Rows = dict[str, list[str]]


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """A database of each kind, with records and views."""
    opened: Database
    if request.param == "postgresql":
        opened = await open_database(request.getfixturevalue("postgresql_url"), LOG_TABLES)
    else:
        opened = SqliteDatabase.open(tmp_path / "log.db", LOG_TABLES)
    await opened.run(create_views)
    log = await log_of(opened)
    held = -1
    while held != (held := sum(state.count for state in log.feeds.values())):
        for one in world():
            await log.accept([Run(one.header.feed, one.header.seq, (one,))], 7)
    await Views(opened, log, KINDS, PROJECTIONS).catch_up()
    yield opened
    await opened.close()


async def log_of(database: Database) -> Log:
    """Return the log that lies there."""
    log = Log(DISTRICT, SqlStore(database), small_district().founded.rid)
    await log.open()
    return log


def shown(connection: Connection) -> Rows:
    """Return all rows of the views, and what a search finds."""
    rows = {
        table.name: sorted(repr(tuple(row)) for row in connection.execute(select(table)))
        for table in VIEWS.sorted_tables
    }
    return rows | {"found": [row.title for row in view.page(connection, 9, words=query_of("二"))]}


async def test_views_of_this_version_stay(database: Database) -> None:
    """Opening again folds nothing, also after a rebuild."""
    before = await database.run(shown)
    assert before["notice"]
    assert before["found"]
    views = Views(database, await log_of(database), KINDS, PROJECTIONS)
    await views.rebuild()
    await database.run(create_views)
    assert await database.run(shown) == before
    assert await views.catch_up() == 0


async def test_first_statements_are_found_on_each_database(database: Database) -> None:
    """By each stater the first that covers a record, the same as by looking at every row."""

    def look(connection: Connection) -> int:
        columns = CUSTODY_HELD.c
        query = select(columns.feed, columns.stater, columns["count"], columns.subject)
        rows = connection.execute(query.where(columns.use != "beat")).all()
        for feed, seq in {(row[0], number) for row in rows for number in range(3)}:
            covering = [row for row in rows if row[0] == feed and row[2] > seq]
            least = {row[1]: row[2] for row in sorted(covering, key=lambda row: -row[2])}
            by = {row[3]: row[1] for row in covering}
            told = statements(connection, feed, seq, 99)
            assert {by[rid]: count for rid, count, _ in told} == least
            assert len(told) == len(least)
        return len(rows)

    assert await database.run(look) > 0


async def test_what_is_missing_is_found_on_each_database(database: Database) -> None:
    """Feed by feed along the index, the same as by looking at every row."""

    def look(connection: Connection) -> tuple[list[Missing], dict[bytes, int]]:
        most: dict[bytes, int] = {}
        for feed, count in connection.execute(select(CUSTODY_HELD.c.feed, CUSTODY_HELD.c["count"])):
            most[feed] = max(count, most.get(feed, 0))
        return missing(connection, DISTRICT, {}), most

    found, most = await database.run(look)
    assert most
    assert {one.feed.key: one.vouched for one in found} == {k: n for k, n in most.items() if n}


@pytest.mark.parametrize("change", ["folds", "tables"])
async def test_views_of_another_version_are_made_anew(
    database: Database, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """Forward and back: the other version's tables and rows are gone, and all is shown again."""
    before = await database.run(shown)
    notice = VIEWS.tables["notice"]

    def spoil(connection: Connection) -> None:
        connection.exec_driver_sql("ALTER TABLE notice ADD COLUMN theirs TEXT NOT NULL DEFAULT 1")
        connection.execute(notice.update().values(title="旧"))

    await database.run(spoil)
    with monkeypatch.context() as other:
        if change == "folds":
            other.setattr("shared.node.views.FOLDS", 2)
        else:
            other.setattr(notice.c.title, "type", String(77))
        await database.run(create_views)
        assert (await database.run(shown))["notice"] == []
    await database.run(create_views)
    log = await log_of(database)
    assert await Views(database, log, KINDS, PROJECTIONS).catch_up() == len(world())
    assert await database.run(shown) == before
