"""A log moves between two files: what is copied, what is refused, and what an interruption does."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select, update

from shared.domain.notices.kinds import PUBLISHED
from shared.errors import StorageError
from shared.log import moving
from shared.log.log import Log
from shared.log.moving import Move
from shared.log.schema import LAYOUT, MOVED, MOVING, layout_of
from shared.log.sql import SqlStore
from shared.log.sqlite import SqliteDatabase
from shared.log.store import BadFrame, Batch
from shared.log.tables import LOG_TABLES, aside, feed, record
from shared.record.record import Record
from shared.record.run import Run
from tests.property.test_views_sql import NOTICE, world
from tests.support.records import key_of
from tests.support.trust import DISTRICT, signed, small_district

TABLES = LOG_TABLES.sorted_tables

NOTED = next(one for one in world() if one.header.kind == PUBLISHED and one.header.seq > 0)
TWIN = signed(
    NOTED.header.feed, NOTED.header.seq, NOTED.header.prev, PUBLISHED, NOTICE | {"title": "另"},
    key_of(),
)  # fmt: skip
"""Makes a fork: it and its branch stand aside."""


class Moved(Exception):  # noqa: N818 - an end, no error
    """Ends a move where a kill would."""


@pytest.fixture
async def source(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    """A log with trunk, branches, forks, notes and a refused frame."""
    database = SqliteDatabase.open(tmp_path / "source", LOG_TABLES, layouts=(LAYOUT, MOVED))
    log = Log(DISTRICT, SqlStore(database), small_district().founded.rid)
    await log.open()
    held = -1
    while held != (held := sum(state.count for state in log.feeds.values())):
        for one in world():
            await log.accept([Run(one.header.feed, one.header.seq, (one,))], 7)
    await log.accept([Run(TWIN.header.feed, TWIN.header.seq, (TWIN,))], 8)
    await log.quarantine(BadFrame(8, "340602100", "bad\0bytes", b"frame"))
    yield database
    await database.close()


@pytest.fixture
async def target(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    """An empty file."""
    database = SqliteDatabase.open(tmp_path / "target", LOG_TABLES, layouts=(MOVING, LAYOUT))
    yield database
    await database.close()


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "BATCH_ROWS", 2)


async def moved(move: Move, copied: list[tuple[int, int]] | None = None, ends_at: int = -1) -> None:
    """Move; ``copied`` is told how far it is, and ``ends_at`` ends it after so many batches."""
    batches: list[tuple[int, int]] = [] if copied is None else copied

    def progress(what: str, done: int, total: int) -> None:
        if what == "copy":
            batches.append((done, total))
            if len(batches) == ends_at:
                raise Moved

    if not await move.is_done():
        await move.copy(progress)
        await move.compare(progress)
        await move.finish()


def rows(connection: Connection) -> dict[str, list[Any]]:
    """Return all that the log keeps."""
    return {
        table.name: list(map(tuple, connection.execute(select(table).order_by(*table.primary_key))))
        for table in TABLES
    }


async def test_everything_moves(source: SqliteDatabase, target: SqliteDatabase) -> None:
    """Row by row, with ids and arrivals; the layouts change places."""
    before = await source.run(rows)
    assert all(before[name] for name in ("feed", "record", "aside", "fork", "bad_frame"))
    assert await target.run(layout_of) == MOVING
    await moved(move := Move(source, target, TABLES))
    assert await target.run(rows) == await source.run(rows) == before
    assert await source.run(layout_of) == MOVED
    assert await target.run(layout_of) == LAYOUT
    assert await move.is_done()


async def test_neither_can_be_opened_by_mistake(
    source: SqliteDatabase, target: SqliteDatabase, tmp_path: Path
) -> None:
    """The target before its end, the source after it, each with a sentence of its own."""
    with pytest.raises(StorageError, match="is being moved into this database"):
        SqliteDatabase.open(tmp_path / "target", LOG_TABLES)
    await moved(Move(source, target, TABLES))
    with pytest.raises(StorageError, match="was moved from this database"):
        SqliteDatabase.open(tmp_path / "source", LOG_TABLES)
    opened = SqliteDatabase.open(tmp_path / "target", LOG_TABLES)
    await opened.close()


@pytest.mark.parametrize("ends_at", [1, 3, 9])
async def test_it_goes_on_where_it_was_ended(
    source: SqliteDatabase, target: SqliteDatabase, ends_at: int
) -> None:
    """Committed batches stay and are not copied again."""
    first, second = list[tuple[int, int]](), list[tuple[int, int]]()
    with pytest.raises(Moved):
        await moved(Move(source, target, TABLES), first, ends_at)
    assert await target.run(layout_of) == MOVING
    assert await source.run(layout_of) == LAYOUT
    await moved(Move(source, target, TABLES), second)
    assert await target.run(rows) == await source.run(rows)
    assert first[-1][0] < second[0][0] <= first[-1][0] + 2
    assert second[-1][0] == second[-1][1] == first[-1][1]


async def test_it_goes_on_after_the_source_was_closed(
    source: SqliteDatabase, target: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at the worst moment nobody can use either; the next run opens the target."""

    def killed(*_: object) -> None:
        raise Moved

    with monkeypatch.context() as broken:
        broken.setattr(Move, "_open_target", killed)
        with pytest.raises(Moved):
            await moved(Move(source, target, TABLES))
    assert await source.run(layout_of) == MOVED
    assert await target.run(layout_of) == MOVING
    await moved(Move(source, target, TABLES))
    assert await target.run(layout_of) == LAYOUT
    assert await target.run(rows) == await source.run(rows)


async def test_it_begins_anew_if_the_node_wrote_meanwhile(
    source: SqliteDatabase, target: SqliteDatabase
) -> None:
    """What was copied may be out of date: the node cut a feed, or counted on."""
    with pytest.raises(Moved):
        await moved(Move(source, target, TABLES), ends_at=9)
    store = SqlStore(source)
    name, state = next((n, s) for n, s in (await store.feeds()).items() if s.count > 1)
    await store.commit(Batch(9, cuts=[(name, 1)], notes={"epoch": b"e" * 8}))
    await moved(Move(source, target, TABLES))
    assert await target.run(rows) == await source.run(rows)
    assert state.count > (await SqlStore(target).feeds())[name].count == 1


@pytest.mark.parametrize(
    ("table", "values"),
    [
        (record, {"body": b"{}"}),
        (record, {"rid": b"r" * 32}),
        (record, {"rid8": 7}),
        (record, {"seq": 70}),
        (record, {"header_cose": b"\x00"}),
        (aside, {"salt": b"s" * 16}),
        (aside, {"seq": 70}),
    ],
    ids=lambda one: one.name if hasattr(one, "name") else next(iter(one)),
)
async def test_a_damaged_record_is_named_and_not_moved(
    source: SqliteDatabase, target: SqliteDatabase, table: Any, values: dict[str, Any]
) -> None:
    """Each column is bound to the signed header; the source stays in use."""

    def damage(connection: Connection) -> bytes:
        place, rid = connection.execute(
            select(table.primary_key.columns[0], table.c.rid).order_by(table.c.seq.desc()).limit(1)
        ).one()
        where = table.primary_key.columns[0] == place
        connection.execute(update(table).where(where).values(**values))
        return bytes(values.get("rid", rid))

    rid = await source.run(damage)
    with pytest.raises(StorageError, match=rid.hex()) as caught:
        await moved(Move(source, target, TABLES))
    assert caught.value.hint
    assert await source.run(layout_of) == LAYOUT
    assert await target.run(layout_of) == MOVING


async def test_a_difference_in_the_target_is_found(
    source: SqliteDatabase, target: SqliteDatabase
) -> None:
    """Whatever happened to what was copied, the node is not told to use it."""
    move = Move(source, target, TABLES)
    await move.is_done()
    await move.copy(lambda *_: None)
    await target.run(lambda c: c.execute(update(feed).values(since_ms=feed.c.since_ms + 1)))
    with pytest.raises(StorageError, match="The table feed"):
        await move.compare(lambda *_: None)
    assert await target.run(layout_of) == MOVING


async def test_two_logs_are_refused(source: SqliteDatabase, tmp_path: Path) -> None:
    """A target with a log of its own stays as it is, also if a later source would fit."""
    other = SqliteDatabase.open(tmp_path / "other", LOG_TABLES)
    with pytest.raises(StorageError, match="holds a log of this node already"):
        await Move(source, other, TABLES).is_done()
    await other.close()


async def test_a_log_moves_once(
    source: SqliteDatabase, target: SqliteDatabase, tmp_path: Path
) -> None:
    """From a source that was moved nothing goes into another database: that would be a copy."""
    await moved(Move(source, target, TABLES))
    other = SqliteDatabase.open(tmp_path / "other", LOG_TABLES, layouts=(MOVING,))
    with pytest.raises(StorageError, match="moved from here to another database"):
        await Move(source, other, TABLES).is_done()
    await other.close()


async def test_what_a_newer_version_added_is_not_left_behind(
    source: SqliteDatabase, target: SqliteDatabase
) -> None:
    """This version does not know the columns, so it does not move them."""
    change = "UPDATE alembic_version SET version_num = '9999'"
    await source.run(lambda c: c.exec_driver_sql(change))
    with pytest.raises(StorageError, match="newer version"):
        await Move(source, target, TABLES).is_done()


async def test_numbers_go_on(source: SqliteDatabase, target: SqliteDatabase) -> None:
    """A record that is stored after the move arrives after all others."""
    await moved(Move(source, target, TABLES))
    store = SqlStore(target)
    last = (await store.since(0, 10**6))[-1].arrival
    name = next(iter(await store.feeds()))
    count = (await store.feeds())[name].count
    await store.commit(Batch(9, [Run(name, count, (Record(b"h", None, b"b"),))]))
    assert [one.arrival for one in await store.since(last, 9)] == [last + 1]
