"""The demo: a whole district from one command, its control page, and again from what is there."""

import asyncio
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path
from typing import Any
from urllib.request import HTTPCookieProcessor, build_opener

import pytest

from demo.content import read_content, read_talk
from demo.kept import MARK, Kept, tables
from demo.servers import rabbitmq
from shared.app.control import ask
from tests.support import services, small

PROJECT = Path(__file__).parents[2]
PORT_BASE = 25400 + 400 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
LATER_START_SECONDS_MAX = 15
FIRST_START_SECONDS_MAX = 90
PSS_KIB_MAX = 1024 * 1024
DISTRICT, TOWN, VILLAGE = "340602", "340602100", "340602100201"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path, because a Unix socket's has to be short."""
    with tempfile.TemporaryDirectory(prefix="demo") as made:
        yield Path(made) / "d"


def command(folder: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Start the demo as ``make demo`` does, in a session of its own."""
    around = os.environ | {"DEMO_DIR": str(folder), "SANJI_PORT_BASE": str(PORT_BASE)} | variables
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "demo.play", *arguments], cwd=PROJECT, env=around,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


class Told:
    """What a started demo prints up to its last address.

    Attributes:
        seconds: How long the start took.
        control: Address of the control page.
        kiosk: Of a kiosk.
    """

    def __init__(self, play: subprocess.Popen[str]) -> None:
        """Read it, line by line as it comes."""
        assert play.stdout is not None
        text = ""
        for line in play.stdout:
            text += line
            if "accounts.txt" in line:
                break
        else:
            assert play.stderr is not None
            raise AssertionError(text + play.stderr.read())
        self.seconds = int(re.findall(r"nodes serve after (\d+) s", text)[0])
        self.control = re.findall(r"control page\s+(http://\S+)", text)[0]
        self.kiosk = re.findall(r'href="(http://\S+/kiosk)"', text_of(self.control))[0]


def stop(play: subprocess.Popen[str], how: signal.Signals, folder: Path) -> None:
    """Stop it; it ends well, says nothing on standard error, and leaves no process behind."""
    play.send_signal(how)
    _, error = play.communicate(timeout=40)
    assert (play.returncode, error) == (0, "")
    for file in folder.glob("nodes/*/lock"):
        with file.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert not list(folder.glob("nodes/*/control.sock"))


def fetch(address: str) -> HTTPResponse:
    """Open a page."""
    response: HTTPResponse = urllib.request.urlopen(address, timeout=20)  # noqa: S310 - loopback
    return response


def text_of(address: str) -> str:
    """Return a page."""
    with fetch(address) as response:
        return response.read().decode()


def order(control: str, act: str, link: str = "", value: int = 0) -> None:
    """Order something as the page does."""
    request = urllib.request.Request(  # noqa: S310 - loopback
        control + "do", data=json.dumps({"act": act, "link": link, "value": value}).encode(),
        headers={"Sec-Fetch-Site": "same-origin", "Content-Type": "application/json"},
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310 - loopback
        assert response.status == 204


@contextmanager
def all_news(control: str) -> Iterator[Iterator[dict[str, Any]]]:
    """Return what the page hears of, each time it does."""
    with fetch(control + "events") as stream:
        lines = (line for line in stream if line.startswith(b"data: "))
        yield (json.loads(line[len(b"data: ") :]) for line in lines)


@contextmanager
def news(control: str) -> Iterator[Iterator[dict[str, Any]]]:
    """Return how one village's link stands, each time the page hears of it."""
    with all_news(control) as told:
        yield (one["links"][VILLAGE] for one in told if VILLAGE in one["links"])


def act(folder: Path, code: str, name: str, **given: Any) -> dict[str, Any]:
    """Let a node do something, as a command would."""
    socket = folder / "nodes" / code / "control.sock"
    done: dict[str, Any] = asyncio.run(ask(socket, name, given, lambda _done, _total: None))
    return done


def backlog(folder: Path, code: str, peer: str) -> int:
    """Return what waits at a node for another, as its own ``status`` says."""
    links = act(folder, code, "status")["links"]
    return next(int(link["backlog"]) for link in links if link["peer"] == peer)


def pss_kib(session: int) -> int:
    """Return the memory of all processes of a session, shared pages shared out among them."""
    total = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(process.name)) == session:
                found = re.search(
                    r"^Pss:\s+(\d+)", (process / "smaps_rollup").read_text(), re.MULTILINE
                )
                total += int(found[1]) if found else 0
        except OSError:
            continue  # it ended meanwhile
    return total


def test_the_content_is_what_it_should_be() -> None:
    """A dozen notices in several states, forty voices in several stages, and things to say."""
    notices, voices = read_content()
    assert (len(notices), len(voices)) == (13, 40)
    assert sum(one.urgent for one in notices) == 1
    for state in ("corrected", "withdrawn", "days"):
        assert any(getattr(one, state) for one in notices), state
    assert 10 < sum(bool(one.answer) for one in voices) < 30
    assert any(one.score for one in voices)
    assert {one.kind for one in voices} == {"ask", "suggest", "complain", "help"}
    talk = read_talk()
    assert min(len(part) for part in talk) >= 3


@pytest.mark.slow
def test_a_district_to_use(folder: Path) -> None:
    """It starts, its page cuts and mends, it refuses a second one, ends, and goes on later."""
    play = command(folder)
    try:
        told = Told(play)
        assert told.seconds < FIRST_START_SECONDS_MAX
        assert "大风降温，夜里结冰" in text_of(told.kiosk)
        with fetch(told.control) as page:
            assert "script-src 'self'" in page.headers["Content-Security-Policy"]
            assert "沈集村" in page.read().decode()
        desk = build_opener(HTTPCookieProcessor()).open(f"{told.control}open/{TOWN}/handler")
        assert "办件台" in desk.read().decode()
        check_a_link(told.control, folder)
        assert 0 < pss_kib(play.pid) < PSS_KIB_MAX
        second = command(folder)
        _, why = second.communicate(timeout=40)
        assert (second.returncode, why.count("\n")) == (1, 1)
        assert "another demo runs" in why
        stop(play, signal.SIGINT, folder)
        play = command(folder)
        told = Told(play)
        assert told.seconds < LATER_START_SECONDS_MAX
        assert "断线时的通知" in text_of(told.kiosk.replace("/kiosk", "/notices"))
        stop(play, signal.SIGTERM, folder)
    finally:
        play.kill()
        play.communicate()


def check_a_link(control: str, folder: Path) -> None:
    """Cut: what the page says waits is what the nodes say. Mended: it falls to nothing."""
    order(control, "rate", value=0)
    with news(control) as links:
        order(control, "cut", VILLAGE)
        assert next(link for link in links if link["state"] == "cut")["on"] is False
        for _ in range(3):
            act(folder, DISTRICT, "publish", title="断线时的通知", text="线通了就到。")
        act(folder, VILLAGE, "file", kind="ask", text="线断了，话还记得住吗？")

        def is_told(link: dict[str, Any]) -> bool:
            waits = (backlog(folder, VILLAGE, TOWN), backlog(folder, TOWN, VILLAGE))
            return (link["up"], link["down"]) == waits and waits[0] >= 1 and waits[1] >= 3

        cut = next(link for link in links if is_told(link))
        assert cut["badge"] == str(cut["up"] + cut["down"])
        order(control, "heal", VILLAGE)
        healed = next(link for link in links if link["state"] == "equal")
        while healed["up"] or healed["down"]:
            healed = next(links)
    assert backlog(folder, VILLAGE, TOWN) == backlog(folder, TOWN, VILLAGE) == 0


@pytest.mark.slow
def test_a_small_district_over_a_broker(folder: Path) -> None:
    """All its links go by AMQP and are open; in the end no process is left, the broker neither."""
    services.need(rabbitmq.is_installed(), rabbitmq.MISSING)
    folder.mkdir()
    divisions = small.divisions_beside(folder)
    play = command(folder, "--carrier", "rabbitmq", DEMO_DIVISIONS=divisions)
    try:
        told = Told(play)
        states: dict[str, str] = {}
        with all_news(told.control) as pages:
            while set(states.values()) != {"equal"} or len(states) < small.NODES - 1:
                links = next(pages)["links"]
                states |= {code: link["state"] for code, link in links.items()}
        for code in states:
            links = act(folder, code, "status")["links"]
            assert all(link["connected_since_ms"] for link in links)
            assert {link["by"] for link in links} == {"amqp"}
        family = small.Family(play.pid)
        assert {"beam.smp", "epmd"} < set(family.names)
        stop(play, signal.SIGINT, folder)
        assert family.left() == []
        other = command(folder, "--carrier", "rabbitmq")
        _, why = other.communicate(timeout=40)
        assert (other.returncode, why.count("\n")) == (1, 1)
        assert "are of other divisions" in why
    finally:
        play.kill()
        play.communicate()


@pytest.mark.slow
def test_what_is_not_whole_is_named(folder: Path) -> None:
    """A first start that was broken off leaves no district; the way out is said, and works."""
    (folder / "nodes").mkdir(parents=True)
    play = command(folder)
    _, why = play.communicate(timeout=40)
    assert (play.returncode, why.count("\n")) == (1, 1)
    assert "make demo-reset" in why
    reset = command(folder, "--reset")
    reset.communicate(timeout=40)
    assert reset.returncode == 0
    assert not folder.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mark", "says"),
    [
        (json.dumps({"port": PORT_BASE, "tables": "0"}), "another version"),
        ("[18340, 63]", "cannot be read"),
        ("{", "cannot be read"),
        (json.dumps({"port": PORT_BASE, "tables": tables()}), "other divisions"),
    ],
    ids=["other tables", "a list", "cut short", "no homes"],
)
def test_old_data_is_named(folder: Path, mark: str, says: str) -> None:
    """Other tables, a mark that is none, homes that are missing: one line says what to do."""
    (folder / "nodes").mkdir(parents=True)
    (folder / MARK).write_text(mark, "utf-8")
    play = command(folder)
    _, why = play.communicate(timeout=40)
    assert (play.returncode, why.count("\n")) == (1, 1)
    assert says in why
    assert "make demo-reset" in why


def test_the_mark_says_which_tables_it_was_made_with(folder: Path) -> None:
    """So that another layout is noticed before a node trips over it."""
    folder.mkdir()
    Kept(PORT_BASE).save(folder)
    assert json.loads((folder / MARK).read_text("utf-8")) == {
        "port": PORT_BASE, "tables": tables(), "carrier": "ws",
    }  # fmt: skip


def test_another_carrier_is_named(folder: Path) -> None:
    """Its nodes know each other's addresses, which say what carries their links."""
    folder.mkdir()
    Kept(PORT_BASE, carrier="rabbitmq").save(folder)
    play = command(folder)
    _, why = play.communicate(timeout=40)
    assert (play.returncode, why.count("\n")) == (1, 1)
    assert "CARRIER=rabbitmq" in why


@pytest.mark.slow
def test_nothing_else_is_thrown_away(folder: Path) -> None:
    """A folder that holds something else is left alone, by a start and by a reset."""
    folder.mkdir()
    (folder / "mine.txt").write_text("mine", "utf-8")
    for arguments in ((), ("--reset",)):
        play = command(folder, *arguments)
        _, why = play.communicate(timeout=40)
        assert play.returncode == 1
        assert "something else" in why
        assert [one.name for one in folder.iterdir()] == ["mine.txt"]
