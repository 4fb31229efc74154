"""The demo: a whole district from one command, again from what is there, and a clean end."""

import os
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.content import read_content

PROJECT = Path(__file__).parents[2]
PORT_BASE = 25400 + 400 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))

pytestmark = pytest.mark.slow


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path, because a Unix socket's has to be short."""
    with tempfile.TemporaryDirectory(prefix="demo") as made:
        yield Path(made) / "d"


def command(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the demo as ``make demo`` does."""
    around = os.environ | {"DEMO_DIR": str(folder), "SANJI_PORT_BASE": str(PORT_BASE)}
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "demo.play", *arguments], cwd=PROJECT, env=around,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def until_told(play: subprocess.Popen[str]) -> str:
    """Return what it prints up to the address of a kiosk."""
    assert play.stdout is not None
    told = []
    for line in play.stdout:
        told.append(line)
        if "kiosk" in line:
            return "".join(told)
    assert play.stderr is not None
    raise AssertionError(play.stderr.read())


def stop(play: subprocess.Popen[str], how: signal.Signals) -> None:
    """Stop it; it must end well and say nothing on standard error."""
    play.send_signal(how)
    _, error = play.communicate(timeout=40)
    assert (play.returncode, error) == (0, "")


def page(told: str) -> str:
    """Return the kiosk's first page."""
    address = next(word for word in told.split() if word.endswith("/kiosk"))
    with urllib.request.urlopen(address, timeout=10) as response:  # noqa: S310 - loopback
        return str(response.read().decode())


def test_the_content_is_what_it_should_be() -> None:
    """A dozen notices in several states, forty voices in several stages."""
    notices, voices = read_content()
    assert (len(notices), len(voices)) == (12, 40)
    assert sum(one.urgent for one in notices) == 1
    assert any(one.corrected for one in notices)
    assert any(one.withdrawn for one in notices)
    assert 10 < sum(bool(one.answer) for one in voices) < 30
    assert any(one.score for one in voices)


def test_a_district_to_use(folder: Path) -> None:
    """It starts, goes on from what is there, refuses a second one, and ends with Ctrl-C."""
    play = command(folder)
    try:
        first = page(until_told(play))
        assert "大风降温，夜里结冰" in first
        second = command(folder)
        _, why = second.communicate(timeout=40)
        assert second.returncode == 1
        assert why.count("\n") == 1
        assert "are taken" in why
        stop(play, signal.SIGINT)
        play = command(folder)
        assert "大风降温，夜里结冰" in page(until_told(play))
        stop(play, signal.SIGTERM)
    finally:
        play.kill()
        play.wait()


def test_what_is_not_whole_is_named(folder: Path) -> None:
    """A first start that was broken off leaves no district; the way out is said, and works."""
    (folder / "nodes").mkdir(parents=True)
    play = command(folder)
    _, why = play.communicate(timeout=40)
    assert play.returncode == 1
    assert "make demo-reset" in why
    reset = command(folder, "--reset")
    reset.communicate(timeout=40)
    assert reset.returncode == 0
    assert not folder.exists()


def test_nothing_else_is_thrown_away(folder: Path) -> None:
    """A folder that holds something else is left alone."""
    folder.mkdir()
    (folder / "mine.txt").write_text("mine", "utf-8")
    play = command(folder, "--reset")
    _, why = play.communicate(timeout=40)
    assert play.returncode == 1
    assert "something else" in why
    assert (folder / "mine.txt").exists()
