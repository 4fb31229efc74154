"""`evidence` and `verify-evidence` as a person meets them."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import district.cli
import village.cli
from tests.unit.app.test_cli import CODE, notice


def run(*arguments: object) -> Result:
    """Run a command of the district."""
    return CliRunner().invoke(district.cli.app, [*map(str, arguments)])


def verify(*arguments: object) -> Result:
    """Run a village's `verify-evidence`, with no node anywhere."""
    return CliRunner().invoke(village.cli.app, ["verify-evidence", *map(str, arguments)])


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The evidence file of a notice."""
    path = tmp_path_factory.mktemp("evidence")
    home = ("--home", path / "d")
    assert run("init", *home, "--code", CODE, "--name", "杜集区").exit_code == 0
    rid = json.loads(run("publish", *home, notice(path), "--json").stdout)["rid"]
    written = run("evidence", *home, rid[:16], path / "notice.evidence")
    assert written.exit_code == 0
    assert rid in written.stdout
    for arguments in (("00" * 8, path / "none"), (rid, path / "nowhere" / "file")):
        failed = run("evidence", *home, *arguments)
        assert failed.exit_code in {4, 5}
        assert failed.stderr.count("\n") == 1
    assert not (path / "none").exists()
    return path / "notice.evidence"


def test_what_is_proven_is_said_in_words_and_what_is_not(file: Path) -> None:
    """Who, what, which number, up to which anchor; and that nobody else is known to hold it."""
    told = json.loads(verify(file, "--json").stdout)
    said = verify(file).stdout
    proven, _, rest = said.partition("Not proven:")
    for words in (
        told["rid"],
        told["anchor"],
        "杜集区 (340602)",
        "notice.published.v1",
        "number 0",
    ):
        assert words in proven
    assert "whose the anchor is" in rest
    assert "anybody but its author holds it" in rest
    assert file.stat().st_size < 2000


def test_the_anchor_is_compared(file: Path) -> None:
    """With the district's it is no longer open; with another the file proves nothing."""
    anchor = json.loads(verify(file, "--json").stdout)["anchor"]
    assert "whose the anchor is" not in verify(file, "--anchor", anchor.upper()).stdout
    other = verify(file, "--anchor", "ab" * 32)
    assert (other.exit_code, other.stdout) == (2, "")
    assert anchor in other.stderr


@pytest.mark.parametrize(("cut", "code"), [(0, 2), (1, 2), (700, 2), (None, 4)])
def test_a_bad_file_is_one_line(file: Path, tmp_path: Path, cut: int | None, code: int) -> None:
    """Empty, garbage, cut short, not there: exit code and no traceback."""
    bad = tmp_path / "bad"
    if cut is not None:
        bad.write_bytes(file.read_bytes()[:cut])
    result = verify(bad)
    assert (result.exit_code, result.stdout) == (code, "")
    assert re.fullmatch(r"[^\n]+\n", result.stderr)
