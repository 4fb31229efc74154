"""The tables of the log grow from version to version, with records in them, on each database."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, inspect, text

from shared.errors import StorageError
from shared.log.database import Database
from shared.log.migrations import upgrade as alembic
from shared.log.schema import FIRST, HEAD, revision_of
from shared.log.sql import SqlStore
from shared.log.sqlite import SqliteDatabase
from shared.log.store import Batch
from shared.log.tables import LOG_TABLES
from shared.record.feed import Feed
from shared.record.record import Record
from shared.record.run import Run
from tests.support.postgresql import open_database

FEED = Feed("340602", b"epoch-of-8"[:8], "ordinary", "340602*")

NEXT = """
import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("record", sa.Column("more", sa.String))
    op.create_table("further", sa.Column("id", sa.Integer, primary_key=True))
    op.create_index("record_more", "record", ["more"])
"""

# As the version wrote them that knew no revisions.
OLD_FEED = """
INSERT INTO feed (key, author, epoch, lane, audience, count, rid, stopped, since_ms)
VALUES (:key, :author, :epoch, :lane, :audience, 1, :rid, FALSE, 7)
"""
OLD_RECORD = """
INSERT INTO record (feed_id, seq, rid, rid8, header_cose, salt, body, stored_at_ms)
VALUES (1, :seq, :rid, :seq, :header_cose, NULL, :body, 7)
"""

Open = Callable[..., Awaitable[Database]]


@pytest.fixture(params=["sqlite", "postgresql"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens the same place again."""
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_url")
        return lambda *metadata: open_database(url, *metadata)

    async def opened(*metadata: MetaData) -> Database:
        return SqliteDatabase.open(tmp_path / "log.db", *metadata)

    return opened


def schema_of(connection: Connection) -> Any:
    """Return all that the database itself says of its tables."""
    if connection.dialect.name == "sqlite":
        return set(connection.execute(text("SELECT type, name, sql FROM sqlite_master")).all())
    columns = (
        "SELECT table_name, column_name, ordinal_position, data_type, is_nullable, column_default,"
        " collation_name FROM information_schema.columns WHERE table_schema = 'public'"
    )
    indexes = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'"
    keys = (
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace"
    )
    return [set(connection.execute(text(query)).all()) for query in (columns, indexes, keys)]


def differences(connection: Connection) -> list[Any]:
    """Return what Alembic finds to differ from the tables that the code writes."""
    options = {"include_object": lambda _o, name, kind, *_: kind != "table" or name != "sanji"}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), LOG_TABLES))


async def old_database(reopen: Open) -> None:
    """Make what the version left that knew no revisions, with a record in it."""

    def make(connection: Connection) -> None:
        alembic.upgrade(connection, FIRST)
        connection.execute(text("DROP TABLE alembic_version"))
        feed = {"key": FEED.key, **FEED._asdict(), "rid": b"r" * 32}
        connection.execute(text(OLD_FEED), feed)
        connection.execute(text(OLD_RECORD), old_record(0))

    database = await reopen()
    await database.run(make)
    await database.close()


def old_record(seq: int) -> dict[str, Any]:
    """Return the row of a record."""
    return {"seq": seq, "rid": b"%032d" % seq, "header_cose": b"h%d" % seq, "body": b"b" * 40}


def write_as_before(connection: Connection) -> None:
    """Write the second record with the columns that the first revision knows."""
    connection.execute(text(OLD_RECORD), old_record(1))
    connection.execute(text("UPDATE feed SET count = 2, rid = :rid"), {"rid": b"%032d" % 1})


@pytest.fixture
def newer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """Makes the program one whose tables have gone a revision further, while the block runs."""
    folder = tmp_path / "versions"
    folder.mkdir()
    for file in (alembic.FOLDER / "versions").glob("r*.py"):
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "r0002_next.py").write_text(NEXT)
    made = alembic.configuration

    def configuration(connection: Connection | None = None) -> Config:
        config = made(connection)
        config.set_main_option("path_separator", "newline")
        config.set_main_option("version_locations", str(folder))
        return config

    def begin() -> None:
        monkeypatch.setattr(alembic, "configuration", configuration)
        monkeypatch.setattr("shared.log.schema.HEAD", "0002")

    return begin


async def test_revisions_make_the_tables_of_the_code(reopen: Open) -> None:
    """Whether a database was carried forward or made at once, its tables are the same."""
    database = await reopen()

    def step_by_step(connection: Connection) -> Any:
        alembic.upgrade(connection, FIRST)
        alembic.upgrade(connection)
        found = differences(connection), schema_of(connection)
        for table in (*reversed(LOG_TABLES.sorted_tables), "alembic_version"):
            connection.execute(text(f"DROP TABLE {table}"))
        return found

    differ, grown = await database.run(step_by_step)
    await database.close()
    database = await reopen(LOG_TABLES)
    made = await database.run(schema_of)
    assert differ == await database.run(differences) == []
    assert grown == made
    assert await database.run(revision_of) == HEAD
    await database.close()


async def test_a_difference_would_be_found(reopen: Open) -> None:
    """The comparison above is not blind."""
    database = await reopen(LOG_TABLES)
    before = await database.run(schema_of)

    def change(connection: Connection) -> list[Any]:
        connection.execute(text("ALTER TABLE note ADD COLUMN more TEXT"))
        return differences(connection)

    assert len(await database.run(change)) == 1
    assert await database.run(schema_of) != before
    await database.close()


async def test_a_database_older_than_revisions_is_taken_over(reopen: Open) -> None:
    """It has the first revision's tables; its records stay, and the next ones follow."""
    await old_database(reopen)
    database = await reopen(LOG_TABLES)
    store = SqlStore(database)
    assert await database.run(revision_of) == HEAD
    assert [one.record.header_cose for one in await store.since(0, 9)] == [b"h0"]
    await store.commit(Batch(8, [Run(FEED, 1, (Record(b"h1", None, b"b"),))]))
    assert [one.arrival for one in await store.since(0, 9)] == [1, 2]
    await store.close()


async def test_records_stay_and_old_code_writes_on(
    reopen: Open, newer: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A newer version adds; then the older one opens the same database and goes on in it."""
    await old_database(reopen)
    with monkeypatch.context():
        newer()
        database = await reopen(LOG_TABLES)
        assert await database.run(revision_of) == "0002"
        assert "further" in await database.run(lambda c: inspect(c).get_table_names())
        await database.run(write_as_before)
        await database.close()
    monkeypatch.undo()
    store = SqlStore(database := await reopen(LOG_TABLES))
    assert await database.run(revision_of) == "0002"  # what is newer is left alone
    await store.commit(Batch(8, [Run(FEED, 2, (Record(b"h2", None, b"b"),))]))
    assert [one.record.header_cose for one in await store.since(0, 9)] == [b"h0", b"h1", b"h2"]
    await store.close()


async def test_a_migration_that_fails_changes_nothing(
    reopen: Open, newer: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next start finds the tables as they were, and brings them forward."""
    await old_database(reopen)
    newer()

    def failing(connection: Connection, *_: str) -> None:
        command.upgrade(alembic.configuration(connection), "0002")
        raise KeyError("killed")

    with monkeypatch.context() as broken:
        broken.setattr(alembic, "upgrade", failing)
        with pytest.raises(KeyError):
            await reopen(LOG_TABLES)
    database = await reopen()
    names = await database.run(lambda c: set(inspect(c).get_table_names()))
    assert not names & {"further", "alembic_version"}
    await database.close()
    database = await reopen(LOG_TABLES)
    assert await database.run(revision_of) == "0002"
    await database.close()


async def test_a_log_without_one_of_its_tables_is_refused(reopen: Open) -> None:
    """It is not made whole with an empty table."""
    await old_database(reopen)
    database = await reopen()
    await database.run(lambda c: c.execute(text("DROP TABLE note")))
    await database.close()
    with pytest.raises(StorageError, match="the tables note are missing") as caught:
        await reopen(LOG_TABLES)
    assert caught.value.hint
