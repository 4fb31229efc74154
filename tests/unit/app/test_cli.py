"""The commands as a person meets them: what works offline, and how they fail."""

import json
import re
import socket
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import district.cli
import village.cli
from shared.node.home import Home

CODE = "340602"


def run(*arguments: str) -> Result:
    """Run a command of the district."""
    return CliRunner().invoke(district.cli.app, list(arguments))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A founded district that does not serve."""
    path = tmp_path / "d"
    result = run("init", "--home", str(path), "--code", CODE, "--name", "杜集区")
    assert result.exit_code == 0
    return path


def notice(folder: Path, text: str = "# 通知\n\n正文\n") -> str:
    """Write a notice file."""
    file = folder / "notice.md"
    file.write_text(text, "utf-8")
    return str(file)


def test_commands_work_while_the_node_does_not_serve(home: Path, tmp_path: Path) -> None:
    """Publish, show, correct, withdraw, verify and rebuild open the home themselves."""
    at = ("--home", str(home))
    told = json.loads(run("publish", *at, notice(tmp_path), "--json").stdout)
    shown = json.loads(run("show", *at, told["rid"][:16], "--json").stdout)
    corrected = run("correct", *at, told["rid"], notice(tmp_path, "# 新\n\n文\n"), "--json")
    withdrawn = run("withdraw", *at, told["rid"], "--reason", "不办了")
    again = run("withdraw", *at, told["rid"], "--reason", "不办了")
    verified = json.loads(run("verify", *at, "--json").stdout)
    rebuilt = json.loads(run("rebuild", *at, "--json").stdout)
    assert shown["body"]["title"] == "通知"
    assert corrected.exit_code == withdrawn.exit_code == 0
    assert again.exit_code == 3
    assert verified["problems"] == []
    assert rebuilt["records"] == verified["records"] >= 5


def test_what_was_said_is_shown_as_it_was_said(home: Path, tmp_path: Path) -> None:
    """No colons are made into pictures."""
    at = ("--home", str(home))
    told = json.loads(run("publish", *at, notice(tmp_path, "# 通知\n\n:cat:\n"), "--json").stdout)
    assert ":cat:" in run("show", *at, told["rid"]).stdout


def test_a_damaged_record_is_named(home: Path, tmp_path: Path) -> None:
    """`verify` says which record is wrong and exits with an error."""
    told = json.loads(run("publish", "--home", str(home), notice(tmp_path), "--json").stdout)
    with sqlite3.connect(home / "log.db") as database:
        rid = bytes.fromhex(told["rid"])
        database.execute("UPDATE record SET body = body || ' ' WHERE rid = ?", (rid,))
    database.close()
    result = run("verify", "--home", str(home))
    assert result.exit_code == 6
    assert told["rid"][:16] in result.output


def test_a_start_alone_opens_no_epoch(home: Path, tmp_path: Path) -> None:
    """Starting again is no doubt: the epoch stays the same over many starts (4.3)."""
    at = ("--home", str(home))
    epochs = set()
    for _ in range(4):
        run("publish", *at, notice(tmp_path))
        epochs.add(json.loads(run("status", *at, "--json").stdout)["epoch"])
    assert len(epochs) == 1


def test_a_restored_database_opens_a_new_epoch(home: Path, tmp_path: Path) -> None:
    """A database older than its marker is noticed, and numbering goes on in a new epoch (4.3)."""
    at = ("--home", str(home))
    run("publish", *at, notice(tmp_path))
    before = json.loads(run("status", *at, "--json").stdout)["epoch"]
    old = (home / "log.db").read_bytes()
    run("publish", *at, notice(tmp_path))
    (home / "log.db").write_bytes(old)
    for rest in ("log.db-wal", "log.db-shm"):
        (home / rest).unlink(missing_ok=True)
    run("publish", *at, notice(tmp_path))
    status = json.loads(run("status", *at, "--json").stdout)
    assert status["epoch"] != before


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("publish", "nowhere.md"), 4, "cannot be read"),
        (("show", "zz"), 2, "not a record id"),
        (("show", "00000000"), 4, "no record"),
        (("withdraw", "0000000000", "--reason", "x"), 4, "no record"),
        (("follow", "abc"), 2, "receipt"),
        (("export", "--to", "340602999"), 3, "no other certified division"),
        (("import", "nowhere.bundle"), 4, "nowhere.bundle"),
        (("invite", "340602100", "朔里镇"), 5, "address"),
    ],
)
def test_failures_are_one_line(
    home: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    """Each failure is one line that says what to do, with its exit code and no traceback."""
    result = run(arguments[0], "--home", str(home), *arguments[1:])
    assert result.exit_code == code
    assert says in result.stderr
    assert result.stderr.count("\n") == 1


def test_no_node_lives_there(tmp_path: Path) -> None:
    """A home without a node is named, with what to do."""
    result = run("status", "--home", str(tmp_path / "nobody"))
    assert result.exit_code == 4
    assert "no node lives" in result.stderr


def test_a_second_founding_is_refused(home: Path) -> None:
    """A home that has a node keeps it."""
    result = run("init", "--home", str(home), "--code", CODE, "--name", "x")
    assert result.exit_code == 3


def test_secrets_are_for_their_owner_only(home: Path) -> None:
    """Keys, database and recovery key have mode 0600."""
    for name in ("signing.key", "sealing.key", "log.db", "recovery.key"):
        assert (home / name).stat().st_mode & 0o777 == 0o600


def test_a_locked_home_is_named(home: Path) -> None:
    """Two processes never write one log."""
    with Home(home).lock():
        result = run("status", "--home", str(home))
    assert result.exit_code == 5
    assert "another process" in result.stderr


def test_a_mistyped_invitation_is_named(tmp_path: Path) -> None:
    """`join` refuses what is no invitation before anything is made."""
    result = CliRunner().invoke(
        village.cli.app, ["join", "--home", str(tmp_path / "v"), "SANJI1-AAAA"]
    )
    assert result.exit_code == 2
    assert "mistyped" in result.stderr or "cannot be read" in result.stderr


def test_listening_beyond_loopback_needs_tls(home: Path) -> None:
    """`serve` on all addresses without TLS is refused."""
    (home / "node.toml").write_text('listen_host = "0.0.0.0"\n', "utf-8")
    result = run("serve", "--home", str(home))
    assert result.exit_code == 3
    assert "TLS" in result.stderr


def test_metrics_beyond_loopback_are_refused(home: Path) -> None:
    """They would go in clear to whoever asks."""
    (home / "node.toml").write_text('metrics_listen = "0.0.0.0:9464"\n', "utf-8")
    result = run("serve", "--home", str(home))
    assert result.exit_code == 3
    assert "metrics_listen" in result.stderr


def test_metrics_on_a_taken_port_are_refused(home: Path) -> None:
    """`serve` ends at once, and names the setting to change."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        (home / "node.toml").write_text(f'listen_port = 0\nmetrics_listen = "{place}"\n', "utf-8")
        result = run("serve", "--home", str(home))
    assert result.exit_code == 5
    assert re.fullmatch(rf"{place} cannot be used: .* metrics_listen .*\n", result.stderr)


@pytest.mark.parametrize("value", ["9464", "127.0.0.1", "127.0.0.1:0", "http://127.0.0.1:1"])
def test_metrics_listen_is_a_host_and_a_port(home: Path, value: str) -> None:
    """Anything else is one line that names it."""
    (home / "node.toml").write_text(f'metrics_listen = "{value}"\n', "utf-8")
    result = run("status", "--home", str(home))
    assert result.exit_code == 2
    assert "metrics_listen" in result.stderr


def test_a_wrong_setting_is_named(home: Path) -> None:
    """A wrong value in node.toml is one line that names it."""
    (home / "node.toml").write_text('listen_port = "x"\n', "utf-8")
    result = run("status", "--home", str(home))
    assert result.exit_code == 2
    assert "listen_port" in result.stderr
