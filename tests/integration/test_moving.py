"""`migrate-store`: a node on SQLite goes to PostgreSQL and back, also killed on the way."""

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import district.cli
from demo.servers.postgresql import Server
from shared.app.compose import open_node
from shared.app.membership import init_district
from shared.domain.notices.kinds import PUBLISHED
from shared.node.author import Draft
from shared.node.home import Home
from tests.support.postgresql import PASSWORD

CODE = "340602"

# Ends itself as the kernel would end it: all feeds and some of the records are committed.
KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from shared.app.moving import move_store
from shared.log import moving
from shared.node.home import Home

moving.BATCH_ROWS = 2

def progress(what, done, total):
    if what == "copy" and done >= 9:
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(move_store(Home(Path(sys.argv[1])), sys.argv[2], Path(sys.argv[3]), progress))
"""


def run(*arguments: str) -> Result:
    """Run a command of the district."""
    return CliRunner().invoke(district.cli.app, list(arguments))


def asked(*arguments: str) -> Any:
    """Return what a command answers."""
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
async def home(tmp_path: Path) -> Home:
    """A district on SQLite."""
    made = Home(tmp_path / "d")
    await init_district(made, CODE, "杜集区")
    async with open_node(made) as node:
        for number in range(8):
            body = {"stream": "government", "category": "decision", "title": f"第{number}号"}
            await node.author.submit(Draft(PUBLISHED, CODE + "*", body | {"text": "正文"}))
    (tmp_path / "notice.md").write_text("# 通知\n\n正文\n", "utf-8")
    (tmp_path / "password").write_text(PASSWORD + "\n")
    return made


@pytest.fixture
def url(postgresql_server: Server) -> Callable[[], str]:
    """Makes an empty database that asks for a password; returns its URL."""

    def new() -> str:
        name = postgresql_server.name(postgresql_server.new_database())
        return postgresql_server.url(name, by_socket=False)

    return new


def moved(home: Home, to: str, *options: str) -> Result:
    """Run the command with the password's file."""
    password = str(home.path.parent / "password")
    at = ("--home", str(home.path), "--password-file", password)
    return run("migrate-store", to, *at, *options)


def use(home: Home, url: str) -> None:
    """Set what the command has said."""
    password = home.path.parent / "password"
    home.settings_file.write_text(
        f"database_url = {json.dumps(url)}\ndatabase_password_file = {json.dumps(str(password))}\n"
        if url else ""
    )  # fmt: skip


def held(home: Home, records_min: int = 0) -> tuple[str, int]:
    """Return epoch and records, after a check of every record; a new epoch would show."""
    at = ("--home", str(home.path))
    assert asked("verify", *at)["problems"] == []
    status = asked("status", *at)
    assert status["records"] >= records_min  # a node that runs may state something
    return status["epoch"], status["records"]


def test_there_and_back(home: Home, url: Callable[[], str]) -> None:
    """To PostgreSQL, to another database, to SQLite: the same epoch, records and views."""
    at = ("--home", str(home.path))
    told = asked("publish", *at, str(home.path.parent / "notice.md"))
    epoch, records = held(home)
    first, second = url(), url()
    for to in (first, second, "sqlite"):
        result = moved(home, to, "--json")
        assert PASSWORD not in result.output
        assert records <= (records := json.loads(result.stdout)["records"])
        refused = run("status", *at)  # the settings still name the old one
        assert (refused.exit_code, refused.stderr.count("\n")) == (6, 1)
        assert "database_url" in refused.stderr
        use(home, "" if to == "sqlite" else to)
        assert held(home, records)[0] == epoch
        assert asked("show", *at, told["rid"])["body"]["title"] == "通知"
        assert asked("rebuild", *at)["records"] >= records
        assert home.elsewhere_file.exists() == (to != "sqlite")
    assert (home.path / "log.db.moved").exists()
    for old in (first, second):
        use(home, old)
        assert "was moved from this database" in run("status", *at).stderr
    files = (one for one in home.path.iterdir() if one.is_file())
    assert not any(PASSWORD.encode() in one.read_bytes() for one in files)


def test_it_says_what_to_set_and_again_when_it_is_done(home: Home, url: Callable[[], str]) -> None:
    """The lines can be pasted into node.toml; a second run finds nothing left to do."""
    to = url()
    result = moved(home, to)
    lines = result.stdout.splitlines()
    assert f"kept, and no node opens it: {home.path / 'log.db.moved'}" in lines[1]
    home.settings_file.write_text("\n".join(lines[3:]))
    records = held(home)[1]
    assert records >= 6
    assert moved(home, to).exit_code == 3
    assert "lies there already" in moved(home, to).stderr
    assert moved(home, "sqlite", "--json").exit_code == 0
    again = moved(home, "sqlite", "--json")  # the settings were not changed yet
    assert json.loads(again.stdout)["records"] >= records


@pytest.mark.parametrize("back", [False, True], ids=["to PostgreSQL", "to SQLite"])
def test_killed_in_the_middle_it_goes_on(home: Home, url: Callable[[], str], back: bool) -> None:
    """What was committed stays; the node works on in the source, and not in the target."""
    epoch, records = held(home)
    server, password = url(), home.path.parent / "password"
    if back:
        assert moved(home, server).exit_code == 0
        use(home, server)
    to = "sqlite" if back else server
    command = [sys.executable, "-c", KILLED, str(home.path), to, str(password)]
    ended = subprocess.run(command, check=False, cwd=Path(__file__).parents[2])
    assert ended.returncode == -signal.SIGKILL
    source, target = (server, "") if back else ("", server)
    use(home, target)
    refused = run("status", "--home", str(home.path)).stderr
    assert ("PostgreSQL" if back else "is being moved into this database") in refused
    if back:
        with sqlite3.connect(home.database_file) as file:
            assert file.execute("SELECT count(*) FROM record").fetchone()[0] > 0
        file.close()
    use(home, source)
    assert moved(home, to).exit_code == 0
    use(home, target)
    assert held(home, records)[0] == epoch


def test_a_damaged_record_is_named(home: Home, url: Callable[[], str]) -> None:
    """Nothing is moved, and the node is as it was."""
    with sqlite3.connect(home.database_file) as file:
        query = "SELECT rid, body FROM record ORDER BY arrival DESC LIMIT 1"
        rid, body = file.execute(query).fetchone()
        file.execute("UPDATE record SET body = ? WHERE rid = ?", (body[:-2] + b" }", rid))
    file.close()
    result = moved(home, url())
    assert result.exit_code == 6
    assert rid.hex()[:16] in result.stderr
    assert home.database_file.exists()
    assert not home.elsewhere_file.exists()


def test_a_node_that_runs_is_not_moved(home: Home, url: Callable[[], str]) -> None:
    """Whoever writes holds the lock; the sentence says what to do."""
    with home.lock():
        result = moved(home, url())
    assert result.exit_code == 5
    assert "Stop it" in result.stderr


def test_where_it_cannot_move_is_said(home: Home, url: Callable[[], str]) -> None:
    """Each in one line, with an exit code of its kind; the log stays where it is."""
    taken = url()
    other = Home(home.path.parent / "other")
    use_other = ("--home", str(other.path), "--code", "340603", "--name", "相山区")
    other.path.mkdir()
    (home.path.parent / "other" / "node.toml").write_text(
        f"database_url = {json.dumps(taken)}\n"
        f"database_password_file = {json.dumps(str(home.path.parent / 'password'))}\n"
    )
    assert run("init", *use_other).exit_code == 0
    closed = "postgresql://sanji@127.0.0.1:9/district"
    for to, code, says in (
        (taken, 6, "belongs to another node"),
        (closed, 6, "cannot be reached"),
        ("postgresql://sanji:s3cret@127.0.0.1/x", 2, "database_password_file"),
        ("sqlite", 3, "lies there already"),
        ("", 2, "empty"),
    ):
        result = moved(home, to)
        assert (result.exit_code, says in result.stderr) == (code, True), result.output
        assert result.stderr.count("\n") == 1
        assert "s3cret" not in result.output
    assert held(home)[1] >= 3
