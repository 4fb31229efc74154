"""A real PostgreSQL server under a database: lost lines, lost answers, kills, what is refused."""

import asyncio
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count, islice
from pathlib import Path

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, insert, select, text

from demo.servers.postgresql import Server
from shared.errors import StorageError, UnavailableError
from shared.log import postgresql, postgresql_driver
from shared.log.postgresql import ATTEMPTS_MAX, PostgresqlDatabase
from shared.log.sql import SqlStore
from shared.log.store import Batch
from shared.log.tables import LOG_TABLES
from shared.record.record import Record
from shared.record.run import Run
from tests.support.cutting import Cut, CuttingLine
from tests.support.postgresql import OWNER, PASSWORD, open_database
from tests.support.records import feed_of, run_of
from tests.support.stores import answers

TABLES = MetaData()
words = Table(
    "words", TABLES, Column("id", Integer, primary_key=True), Column("word", String, unique=True)
)
FEED = feed_of()
FIVE = run_of(FEED, 5)
LOOKED_UP: list[Cut | None] = [None, None]
"""The COMMITs that pass while an outcome is looked up: of the lock, of the looking."""


@pytest.fixture
async def database(postgresql_url: str) -> AsyncIterator[PostgresqlDatabase]:
    """A database with one table."""
    opened = await open_database(postgresql_url, TABLES)
    yield opened
    await opened.close()


@pytest.fixture
def mortal(postgresql_server: Server) -> Iterator[Server]:
    """A server that flushes, and that a test may kill."""
    server = Server(PASSWORD, fsync=True)
    yield server
    server.remove()


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    """A file with the right password."""
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    return file


def say(connection: Connection, word: str) -> str:
    """Write a word and return it."""
    connection.execute(insert(words), {"word": word})
    return word


async def said(database: PostgresqlDatabase) -> list[str]:
    """Return all words in order of writing."""
    query = select(words.c.word).order_by(words.c.id)
    return await database.run(lambda connection: list(connection.scalars(query)))


def hang_up(server: Server, url: str) -> None:
    """Let the server end all connections to a database."""
    server.sql(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()",
        server.name(url),
    )


def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for nothing."""
    monkeypatch.setattr(postgresql_driver, "LOCK_SECONDS_MAX", 0.05)
    for name in ("RECONNECT_SECONDS_MAX", "OUTCOME_SECONDS_MAX"):
        monkeypatch.setattr(postgresql, name, 0.05)


# --- what it is asked for -------------------------------------------------------------------------


async def test_durability_is_asked_for(database: PostgresqlDatabase) -> None:
    """Each commit waits for the disk, also where the server's default is another (protocol 1.3)."""

    def settings(connection: Connection) -> list[object]:
        names = ("synchronous_commit", "statement_timeout", "transaction_isolation")
        return [connection.scalar(text(f"SHOW {name}")) for name in names]

    assert await database.run(settings) == ["on", "1min", "read committed"]


async def test_a_nul_in_a_text_is_shown_as_what_it_is(database: PostgresqlDatabase) -> None:
    """PostgreSQL knows no NUL: it stands there as U+FFFD, and a query may hold one."""
    await database.run(lambda connection: say(connection, "a\0b"))
    query = select(words.c.word).where(words.c.word == "a\0b")
    assert await database.run(lambda connection: connection.scalar(query)) == "a\ufffdb"


async def test_reading_leaves_nothing_behind(database: PostgresqlDatabase) -> None:
    """Only transactions that write are counted."""
    counted = text("SELECT commits FROM sanji")
    before = await database.run(lambda connection: connection.scalar(counted))
    await said(database)
    await database.run(lambda connection: say(connection, "a"))
    assert await database.run(lambda connection: connection.scalar(counted)) == before + 1


async def test_more_keys_than_a_driver_takes_in_one_list(postgresql_url: str) -> None:
    """A batch of 40,000 rows goes in and comes out."""
    database = await open_database(postgresql_url, TABLES)
    rows = [{"word": str(number)} for number in range(40_000)]
    await database.run(lambda connection: connection.execute(insert(words), rows))
    assert len(await said(database)) == 40_000
    await database.close()


# --- lost lines -----------------------------------------------------------------------------------


async def test_it_connects_again_by_itself(
    database: PostgresqlDatabase, postgresql_server: Server, postgresql_url: str
) -> None:
    """A connection that was ended while nobody used it is made again, and nobody hears of it."""
    await database.run(lambda connection: say(connection, "a"))
    hang_up(postgresql_server, postgresql_url)
    await database.run(lambda connection: say(connection, "b"))
    hang_up(postgresql_server, postgresql_url)
    assert await said(database) == ["a", "b"]


async def test_a_transaction_that_is_torn_is_done_again(
    database: PostgresqlDatabase, postgresql_server: Server, postgresql_url: str
) -> None:
    """What was lost before its COMMIT is written once."""
    torn: list[str] = []

    def work(connection: Connection) -> str:
        word = say(connection, "a")
        if not torn:
            torn.append(word)
            hang_up(postgresql_server, postgresql_url)
        return say(connection, "b")

    assert await database.run(work) == "b"
    assert torn == ["a"]
    assert await said(database) == ["a", "b"]


async def test_a_server_that_restarts_is_waited_for(mortal: Server) -> None:
    """Transactions that come while it is down wait, and are done when it is up again."""
    database = await open_database(mortal.new_database(), TABLES)
    await database.run(lambda connection: say(connection, "a"))
    mortal.stop()
    waiting = [
        asyncio.create_task(database.run(lambda connection, word=word: say(connection, word)))  # type: ignore[misc]
        for word in "bc"
    ]
    await asyncio.to_thread(mortal.start)
    assert await asyncio.gather(*waiting) == ["b", "c"]
    assert await said(database) == ["a", "b", "c"]
    await database.close()


async def test_a_server_that_stays_away_is_said(
    mortal: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while a transaction fails in words; when the server is back, the next one works."""
    impatient(monkeypatch)
    database = await open_database(mortal.new_database(), TABLES)
    mortal.stop()
    with pytest.raises(StorageError, match="server"):
        await database.run(lambda connection: say(connection, "a"))
    mortal.start()
    await database.run(lambda connection: say(connection, "b"))
    assert await said(database) == ["b"]
    await database.close()


async def test_a_long_outage_is_waited_for_once(
    mortal: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who comes after the time that a restart may take hears at once that the server is away."""
    clock = count(0, 10)
    monkeypatch.setattr(postgresql, "monotonic", lambda: float(next(clock)))
    monkeypatch.setattr(postgresql, "RETRY_SECONDS", 0)
    database = await open_database(mortal.new_database(), TABLES)
    attempts: list[None] = []
    connect = database._session._connect

    async def counted() -> postgresql._Line:
        attempts.append(None)
        return await connect()

    monkeypatch.setattr(database._session, "_connect", counted)
    mortal.stop()
    made = []
    for _ in range(3):
        with pytest.raises(StorageError, match="server"):
            await database.run(lambda connection: say(connection, "a"))
        made.append(len(attempts))
    mortal.start()
    await database.run(lambda connection: say(connection, "b"))
    assert made[0] > 2
    assert [made[1] - made[0], made[2] - made[1]] == [1, 1]
    assert await said(database) == ["b"]
    await database.close()


async def test_closing_waits_for_no_server(mortal: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that shall stop while its server is down fails what waits, and stops."""
    monkeypatch.setattr(postgresql, "RECONNECT_SECONDS_MAX", 3600)
    database = await open_database(mortal.new_database(), TABLES)
    mortal.stop()
    waiting = asyncio.create_task(database.run(lambda connection: say(connection, "a")))
    await asyncio.sleep(0)
    await asyncio.wait_for(database.close(), 30)
    with pytest.raises(StorageError, match="server"):
        await waiting
    mortal.start()


# --- lost answers ---------------------------------------------------------------------------------


@pytest.fixture
async def line(postgresql_server: Server) -> AsyncIterator[CuttingLine]:
    """A line to the server that can be cut."""
    async with CuttingLine(postgresql_server.port) as made:
        yield made


async def over(line: CuttingLine, url: str, password_file: Path) -> SqlStore:
    """Return the store in the database of ``url``, over ``line``."""
    name = Server.name(url)
    opened = await PostgresqlDatabase.open(
        f"postgresql://sanji@127.0.0.1:{line.port}/{name}", LOG_TABLES,
        owner=OWNER, password_file=password_file,
    )  # fmt: skip
    return SqlStore(opened)


@pytest.mark.parametrize(
    "cuts",
    [
        ["answered"],
        ["asked"],
        ["answered", "answered"],
        ["asked", "asked"],
        ["asked", *LOOKED_UP, "answered"],
        ["asked", *LOOKED_UP, "asked"],
        ["answered", *LOOKED_UP[1:], "answered"],
        ["asked", *LOOKED_UP[1:], "answered"],
    ],
    ids=lambda cuts: " ".join(map(str, cuts)),
)
async def test_a_commit_without_an_answer_is_looked_up(
    line: CuttingLine, postgresql_url: str, password_file: Path, cuts: list[Cut | None]
) -> None:
    """Whether the server had heard of it or not: the batch is there once, and that is said."""
    store = await over(line, postgresql_url, password_file)
    await store.commit(Batch(1, [Run(FEED, 0, FIVE.records[:2])]))
    line.cuts = list(cuts)
    await store.commit(Batch(2, [FIVE.tail(2)], notes={"end": b"5"}))
    line.cuts = []
    assert (await store.feeds())[FEED].count == 5
    assert [one.record for one in await store.since(0, 99)] == list(FIVE.records)
    assert await store.note("end") == b"5"
    await store.close()


async def test_a_line_that_falls_silent_is_given_up(
    line: CuttingLine, postgresql_url: str, password_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing breaks, no answer comes: after a while that counts as lost, and is looked up."""
    monkeypatch.setattr(postgresql_driver, "ANSWER_SECONDS_MAX", 0.5)
    store = await over(line, postgresql_url, password_file)
    line.cuts = ["silent"]
    await store.commit(Batch(1, [FIVE]))
    assert [one.record for one in await store.since(0, 99)] == list(FIVE.records)
    await store.close()


async def test_what_is_cut_again_and_again_fails_and_is_not_there(
    line: CuttingLine, postgresql_url: str, password_file: Path
) -> None:
    """A batch is tried a few times; then it is said to have failed, and it has."""
    store = await over(line, postgresql_url, password_file)
    before = await answers(store)
    line.cuts = ["asked", *LOOKED_UP] * ATTEMPTS_MAX
    with pytest.raises(StorageError, match="lost"):
        await store.commit(Batch(1, [FIVE]))
    assert line.cuts == []
    assert await answers(store) == before
    await store.commit(Batch(1, [FIVE]))
    assert (await store.feeds())[FEED].count == 5
    await store.close()


@pytest.mark.parametrize("cut", ["asked", "answered"])
async def test_what_cannot_be_known_is_said_and_stops_all_writing(
    line: CuttingLine,
    postgresql_url: str,
    password_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    cut: Cut,
) -> None:
    """Neither success nor failure is claimed; a new start reads what is there."""
    impatient(monkeypatch)
    store = await over(line, postgresql_url, password_file)
    line.cuts, line.is_down = [cut], True
    with pytest.raises(StorageError, match="not known"):
        await store.commit(Batch(1, [FIVE]))
    line.is_down = False
    with pytest.raises(StorageError, match="not known"):
        await store.commit(Batch(2, [FIVE]))
    await store.close()
    again = await over(line, postgresql_url, password_file)
    assert sum(state.count for state in (await again.feeds()).values()) in {0, 5}
    assert ((await again.feeds()) == {}) == (cut == "asked")
    await again.close()


# --- one process alone ----------------------------------------------------------------------------


async def test_a_second_process_is_refused(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It hears so in one line, as with the lock of a home, and the first one goes on."""
    impatient(monkeypatch)
    database = await open_database(postgresql_url, TABLES)
    with pytest.raises(UnavailableError, match="another process works in this database"):
        await open_database(postgresql_url, TABLES)
    await database.run(lambda connection: say(connection, "a"))
    assert await said(database) == ["a"]
    await database.close()


async def test_who_has_lost_the_lock_to_another_writes_no_more(
    postgresql_server: Server, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the other one works it fails, and afterwards for good: what it remembers is old."""
    impatient(monkeypatch)
    database = await open_database(postgresql_url, TABLES)
    hang_up(postgresql_server, postgresql_url)
    other = await open_database(postgresql_url, TABLES)
    with pytest.raises(StorageError, match="another process works in this database"):
        await database.run(lambda connection: say(connection, "mine"))
    await other.run(lambda connection: say(connection, "theirs"))
    await other.close()
    for _ in range(2):
        with pytest.raises(StorageError, match="Another process has written"):
            await database.run(lambda connection: say(connection, "mine"))
    again = await open_database(postgresql_url, TABLES)
    assert await said(again) == ["theirs"]
    await again.close()
    await database.close()


async def test_a_database_that_has_gone_back_is_written_no_more(
    database: PostgresqlDatabase, postgresql_server: Server, postgresql_url: str
) -> None:
    """A standby that took over without the last transactions: what this process holds is more."""
    await database.run(lambda connection: say(connection, "a"))
    postgresql_server.sql(
        "UPDATE sanji SET commits = commits - 1; DELETE FROM words",
        postgresql_server.name(postgresql_url),
    )
    hang_up(postgresql_server, postgresql_url)
    with pytest.raises(StorageError, match="older one was restored"):
        await database.run(lambda connection: say(connection, "b"))


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("53100", "disk of the database server is full"),
        ("53300", "too many connections"),
        ("25006", "read-only"),
        ("42501", "may not use"),
        ("57014", "took too long"),
        ("58030", "reported an error"),
        ("XX001", "damaged"),
    ],
)
async def test_failures_of_the_server_are_said_in_words(
    database: PostgresqlDatabase, code: str, says: str
) -> None:
    """Each with advice, without SQL and without what was written; nothing of it is stored."""
    raising = f"DO $$ BEGIN RAISE EXCEPTION 'secret' USING ERRCODE = '{code}'; END $$"

    def work(connection: Connection) -> None:
        say(connection, "secret")
        connection.execute(text(raising))

    with pytest.raises(StorageError, match=says) as caught:
        await database.run(work)
    assert caught.value.hint
    told = "".join(traceback.format_exception(caught.value))
    assert "secret" not in str(caught.value)
    assert "INSERT" not in told
    assert await said(database) == []


def nobody(server: Server) -> str:
    """Return where no server is."""
    return f"postgresql://sanji@127.0.0.1:1/t{server.port}"


def no_database(server: Server) -> str:
    """Return a name that does not exist."""
    return server.url("nowhere")


def wrong_password(server: Server) -> str:
    """Return a way that asks for a password."""
    return server.url("postgres", by_socket=False)


def latin(server: Server) -> str:
    """Return a database that cannot hold every text."""
    name = server.new_name()
    server.sql(
        f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' LOCALE_PROVIDER libc "
        "TEMPLATE template0",
        "postgres",
    )
    return server.url(name)


def somebody_elses(server: Server) -> str:
    """Return the database of another program."""
    url = server.new_database()
    server.sql("CREATE TABLE theirs (a int)", server.name(url))
    return url


def read_only(server: Server) -> str:
    """Return a database that takes no writes."""
    url = server.new_database()
    server.sql(
        f"ALTER DATABASE {server.name(url)} SET default_transaction_read_only = on", "postgres"
    )
    return url


@pytest.mark.parametrize(
    ("place", "says"),
    [
        (nobody, "cannot be reached"),
        (no_database, "does not exist"),
        (wrong_password, "refuses the account"),
        (latin, "LATIN1"),
        (somebody_elses, "another version or program"),
        (read_only, "read-only"),
    ],
)
async def test_what_cannot_be_opened_is_said(
    postgresql_server: Server, tmp_path: Path, place: Callable[[Server], str], says: str
) -> None:
    """One line with advice; the password stands in none of it, wrong as it is."""
    file = tmp_path / "password"
    file.write_text("not-the-passw0rd")
    with pytest.raises(StorageError, match=says) as caught:
        await PostgresqlDatabase.open(
            place(postgresql_server), TABLES, owner=OWNER, password_file=file
        )
    told = "".join(traceback.format_exception(caught.value))
    assert caught.value.hint
    assert "\n" not in str(caught.value)
    assert "not-the-passw0rd" not in told


async def test_a_missing_password_file_is_said(postgresql_server: Server, tmp_path: Path) -> None:
    """By its name."""
    url = postgresql_server.url("postgres", by_socket=False)
    with pytest.raises(StorageError, match="nowhere cannot be read"):
        await PostgresqlDatabase.open(url, owner=OWNER, password_file=tmp_path / "nowhere")


async def test_a_missing_driver_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sets a URL without having installed the extra hears what to install."""
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(UnavailableError, match=r"asyncpg.*sanji\[postgres\]"):
        await open_database("postgresql://sanji@127.0.0.1/district")


async def test_the_password_is_read_from_its_file(
    postgresql_server: Server, postgresql_url: str, password_file: Path
) -> None:
    """Where the server asks for one, at each connecting: it may have been changed."""
    url = postgresql_server.url(postgresql_server.name(postgresql_url), by_socket=False)
    opened = await PostgresqlDatabase.open(url, TABLES, owner=OWNER, password_file=password_file)
    await opened.run(lambda connection: say(connection, "a"))
    await opened.close()
    assert PASSWORD not in repr(vars(opened._session))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("UPDATE sanji SET layout = layout + 1", "another version"),
        ("UPDATE sanji SET owner = 'somebody'", "another node"),
    ],
)
async def test_a_foreign_layout_or_node_is_refused(
    postgresql_server: Server, postgresql_url: str, change: str, says: str
) -> None:
    """Two nodes never share a database, one after the other either; nothing is changed in it."""
    opened = await open_database(postgresql_url, TABLES)
    await opened.close()
    name = postgresql_server.name(postgresql_url)
    postgresql_server.sql(change, name)
    before = postgresql_server.sql("SELECT * FROM sanji", name)
    more = MetaData()
    Table("more", more, Column("id", Integer, primary_key=True))
    with pytest.raises(StorageError, match=says) as caught:
        await open_database(postgresql_url, TABLES, more)
    assert caught.value.hint
    assert postgresql_server.sql("SELECT * FROM sanji", name) == before
    assert "more" not in postgresql_server.sql("SELECT tablename FROM pg_tables", name)


async def test_own_layout_is_opened_again_with_more_tables(postgresql_url: str) -> None:
    """A later start may bring further tables; what is there stays."""
    opened = await open_database(postgresql_url, TABLES)
    await opened.run(lambda connection: say(connection, "a"))
    await opened.close()
    more = MetaData()
    further = Table("more", more, Column("id", Integer, primary_key=True))
    again = await open_database(postgresql_url, TABLES, more)
    assert await said(again) == ["a"]
    await again.run(lambda connection: connection.execute(insert(further), {"id": 1}))
    await again.close()


# --- killed ---------------------------------------------------------------------------------------


def batch_of(number: int) -> Batch:
    """Return the batch of that number: ten opaque records and a note."""
    records = (Record(b"%d" % seq, b"salt", bytes(600)) for seq in count(10 * number))
    run = Run(FEED, 10 * number, tuple(islice(records, 10)))
    return Batch(number, [run], notes={"end": b"%d" % run.end})


@pytest.mark.slow
async def test_a_killed_server_keeps_what_was_acknowledged(mortal: Server) -> None:
    """SIGKILL under load, three times: every batch is there once, in order, and each said so."""
    url, kills, acknowledged = mortal.new_database(), 3, 0
    store = SqlStore(await open_database(url, LOG_TABLES))
    is_over = asyncio.Event()

    async def write() -> int:
        number = 0
        while not is_over.is_set() or number < 100:
            await store.commit(batch_of(number))
            number += 1
            written.release()
        return number

    written = asyncio.Semaphore(0)
    writing = asyncio.create_task(write())
    for _ in range(kills):
        for _ in range(25):
            await written.acquire()
        await asyncio.to_thread(mortal.kill)
        await asyncio.to_thread(mortal.start)
    is_over.set()
    acknowledged = await writing
    await store.close()
    again = SqlStore(await open_database(url, LOG_TABLES))
    expected = [one for number in range(acknowledged) for one in batch_of(number).runs[0].records]
    assert [one.record for one in await again.since(0, 10**6)] == expected
    assert await again.note("end") == b"%d" % (10 * acknowledged)
    await again.close()
