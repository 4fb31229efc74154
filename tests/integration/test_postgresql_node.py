"""Whole nodes on PostgreSQL: the views, the commands, and a district above nodes on SQLite."""

import json
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from sqlalchemy import Connection, select, text
from typer.testing import CliRunner, Result

import district.cli
from demo.servers.postgresql import Server
from demo.supervisor import free_ports
from demo.trace import act, is_head, until
from shared.domain.catalogue import KINDS, PROJECTIONS
from shared.domain.notices import view
from shared.domain.notices.words import query_of
from shared.domain.tables import VIEWS
from shared.log.log import Log
from shared.log.sql import SqlStore
from shared.log.tables import LOG_TABLES
from shared.node.views import BOOKMARKS, Views
from shared.record.run import Run
from tests.integration.test_three_tiers import DISTRICT, TOWN, VILLAGE, Three
from tests.property.test_views_sql import rows_after, world
from tests.support import trust
from tests.support.postgresql import PASSWORD, Transact, open_database

CODE = "340602"


async def test_the_views_show_what_they_show_in_sqlite(postgresql_url: str) -> None:
    """Row by row, whatever came first, with folds between, and after a rebuild."""
    expected = await rows_after(world(), ["-"])
    database = await open_database(postgresql_url, LOG_TABLES, VIEWS, BOOKMARKS)
    log = Log(DISTRICT, SqlStore(database), trust.small_district().founded.rid)
    views = Views(database, log, KINDS, PROJECTIONS)
    await log.open()

    def rows(connection: Connection) -> dict[str, list[str]]:
        return {
            table.name: sorted(repr(tuple(row)) for row in connection.execute(select(table)))
            for table in VIEWS.sorted_tables
        }

    held = -1
    while held != (held := sum(state.count for state in log.feeds.values())):
        for one in reversed(world()):
            await log.accept([Run(one.header.feed, one.header.seq, (one,))], 7)
        await views.catch_up()
    assert await views.query(rows) == expected
    assert await views.rebuild() == len(world())
    assert await views.query(rows) == expected
    await database.close()


def test_a_search_uses_its_index(postgresql_views: Transact) -> None:
    """The condition is written as the index is, so that a long list need not be read through."""

    def scans(conn: Connection) -> int:
        conn.execute(text("SET LOCAL enable_seqscan = off"))
        view.page(conn, 9, words=query_of("停水通知 sanj"))
        counted = "SELECT pg_stat_get_xact_numscans('notice_words_terms'::regclass)"
        return int(conn.scalar(text(counted)) or 0)

    assert postgresql_views(scans) == 1


async def test_a_district_on_postgresql_above_nodes_on_sqlite(
    tmp_path: Path, postgresql_url: str
) -> None:
    """Notices go down and feedback up; after a restart and a rebuild all of it is there."""
    three = Three(tmp_path, free_ports(3, 23700))
    district, village = three.homes[DISTRICT], three.homes[VILLAGE]
    district.path.mkdir()
    district.settings_file.write_text(f"database_url = '{postgresql_url}'\n", "utf-8")
    async with AsyncExitStack() as stack:
        await three.start(stack)
        notice = await act(district, "publish", title="秋季防火", text="注意防火。")
        await until(three.nodes[VILLAGE], is_head(three.nodes[VILLAGE], notice["rid"]))
        filed = await act(village, "file", kind="ask", text="自来水什么时候通？")
        await until(three.nodes[DISTRICT], is_head(three.nodes[DISTRICT], filed["rid"]))
        before = await act(district, "status")
    assert not district.database_file.exists()
    assert three.homes[TOWN].database_file.exists()
    async with AsyncExitStack() as stack:
        for code in (DISTRICT, TOWN, VILLAGE):
            await three.serve(stack, code)
        answer = await act(three.homes[TOWN], "answer", receipt=filed["receipt"], text="下周三。")
        await until(three.nodes[DISTRICT], is_head(three.nodes[DISTRICT], answer["rid"]))
        checked = await act(district, "verify")
        rebuilt = await act(district, "rebuild")
        after = await act(district, "status")
        shown = await act(district, "show", rid=notice["rid"])
    assert checked["problems"] == []
    assert rebuilt["records"] >= checked["records"]  # a statement may come between
    assert after["epoch"] == before["epoch"]
    assert shown["body"]["title"] == "秋季防火"


def run(*arguments: str) -> Result:
    """Run a command of the district."""
    return CliRunner().invoke(district.cli.app, list(arguments))


@pytest.fixture
def at(
    tmp_path: Path,
    postgresql_server: Server,
    postgresql_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[str, str]:
    """The option that names a home whose database lies on a server that asks for a password."""
    url = postgresql_server.url(postgresql_server.name(postgresql_url), by_socket=False)
    (tmp_path / "password").write_text(PASSWORD + "\n")
    monkeypatch.setenv("SANJI_DATABASE_URL", url)
    monkeypatch.setenv("SANJI_DATABASE_PASSWORD_FILE", str(tmp_path / "password"))
    return "--home", str(tmp_path / "d")


def test_commands_work_on_postgresql(at: tuple[str, str], tmp_path: Path) -> None:
    """`init`, and what opens the home by itself; nothing of the password is written anywhere."""
    assert run("init", *at, "--code", CODE, "--name", "杜集区").exit_code == 0
    (tmp_path / "notice.md").write_text("# 通知\n\n正文\n", "utf-8")
    told = json.loads(run("publish", *at, str(tmp_path / "notice.md"), "--json").stdout)
    shown = json.loads(run("show", *at, told["rid"][:16], "--json").stdout)
    status, verified = run("status", *at, "--json"), run("verify", *at, "--json")
    rebuilt = json.loads(run("rebuild", *at, "--json").stdout)
    assert shown["body"]["title"] == "通知"
    assert json.loads(verified.stdout)["problems"] == []
    assert rebuilt["records"] == json.loads(status.stdout)["records"] >= 4
    assert PASSWORD not in status.output + verified.output
    assert not (tmp_path / "d" / "log.db").exists()
    files = [one for one in (tmp_path / "d").iterdir() if one.is_file()]
    assert not any(PASSWORD.encode() in one.read_bytes() for one in files)


def test_who_forgets_the_setting_is_told(
    at: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty file would make the node open a new epoch."""
    assert run("init", *at, "--code", CODE, "--name", "杜集区").exit_code == 0
    monkeypatch.delenv("SANJI_DATABASE_URL")
    refused = run("status", *at)
    assert (refused.exit_code, "database_url is not set" in refused.output) == (6, True)
    assert not (tmp_path / "d" / "log.db").exists()


def test_another_nodes_database_is_refused(at: tuple[str, str], tmp_path: Path) -> None:
    """Two homes with one SANJI_DATABASE_URL do not mix their logs."""
    assert run("init", *at, "--code", CODE, "--name", "杜集区").exit_code == 0
    other = run("init", "--home", str(tmp_path / "other"), "--code", "340603", "--name", "相山区")
    assert other.exit_code == 6
    assert "belongs to another node" in other.stderr
    assert other.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://sanji:s3cret@127.0.0.1/district", "database_password_file"),
        ("postgresql://sanji@127.0.0.1/district?password=s3cret", "database_password_file"),
        ("postgresql://sanji@127.0.0.1/district?passfile=s3cret", "allows behind"),
        ("postgresql://sanji@127.0.0.1/district?ssl=s3cret", "allows behind ssl="),
        ("postgresql://sanji@127.0.0.1/s3cret?ssl=verify-full", "sslrootcert="),
        ("postgresql://sanji@127.0.0.1/d?ssl=require&sslrootcert=s3cret", "ssl=verify-full"),
        ("postgresql://sanji@127.0.0.1/s3cret?ssl=disable&ssl=require", "twice"),
        ("postgresql://127.0.0.1/s3cret", "postgresql://USER@HOST:PORT/DATABASE"),
        ("mysql://sanji@127.0.0.1/s3cret", "postgresql://USER@HOST:PORT/DATABASE"),
        ("s3cret", "postgresql://USER@HOST:PORT/DATABASE"),
    ],
)
def test_a_wrong_url_is_refused_without_repeating_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, says: str
) -> None:
    """One line that says what belongs where; the password does not stand in it."""
    monkeypatch.setenv("SANJI_DATABASE_URL", url)
    monkeypatch.setenv("SANJI_DEBUG", "1")
    result = run("init", "--home", str(tmp_path / "d"), "--code", CODE, "--name", "杜集区")
    assert result.exit_code == 2
    assert "database_url" in result.stderr
    assert says in result.stderr
    assert "s3cret" not in result.output
    assert result.stderr.count("\n") == 1
