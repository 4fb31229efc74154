"""The story of the whole district, told once; what it refuses; its divisions and processes."""

import asyncio
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from socket import AF_INET, SOCK_STREAM, socket

import pytest

from demo.district import District, district_of, read_district, short_name
from demo.figures import failed_expectations
from demo.plot import cast_for
from demo.servers import postgresql, rabbitmq
from demo.stage import unequal_feeds
from demo.story import chosen_notice
from demo.supervisor import Supervisor, free_ports
from shared.errors import InvalidError, UnavailableError
from shared.record.feed import Level
from tests.support import services, small

PROJECT = Path(__file__).parents[2]
# Each worker of the test run has ports of its own.
PORT_BASE = 24400 + 400 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
HEADER = "code,name,level,parent\n"
FIGURES = {
    "nodes": 63,
    "feedback_filed": 2,
    "feedback_at_district": 2,
    "answers_at_village": 2,
    "stored_twice": 0,
    "lost": 0,
    "misdelivered": 0,
    "processes": 9,
}


def tell(folder: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the story as ``make story`` does."""
    around = {name: value for name, value in os.environ.items() if not name.startswith("STORY_")}
    around |= {"STORY_DIR": str(folder), "SANJI_PORT_BASE": str(PORT_BASE)} | variables
    return subprocess.run(
        [sys.executable, "-m", "demo.story", *options],
        cwd=PROJECT, env=around, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder with a short path, because a Unix socket's has to be short."""
    made = Path(tempfile.mkdtemp(prefix="story"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@pytest.mark.slow
def test_whole(folder: Path) -> None:
    """The whole district: its figures and the audit agree."""
    done = tell(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    story = dict(json.loads((folder / "story.json").read_text("utf-8")))
    assert {name: story[name] for name in FIGURES} == FIGURES
    assert story["notices_held"] > story["notices_published"] > 300
    faults = ("in_flight_at_kill", "duplicates_offered", "tampered_refused", "backlog_while_cut")
    assert all(story[fault] > 0 for fault in faults), story
    check_left_behind(folder)


def check_left_behind(folder: Path) -> None:
    """The auditor agrees when it is run again; no process holds a home, no socket is left."""
    assert not list(folder.glob("nodes/*/control.sock"))
    assert len(list(folder.glob("nodes/*/log.db"))) == 63
    auditor = PROJECT / "tests" / "acceptance" / "audit.py"
    audit = subprocess.run(
        [sys.executable, str(auditor), str(folder)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert audit.returncode == 0, audit.stdout + audit.stderr


@pytest.mark.slow
def test_over_a_broker_and_a_database(folder: Path) -> None:
    """A small district on private servers: all links by AMQP, and the audit reads both stores."""
    services.need(rabbitmq.is_installed(), rabbitmq.MISSING)
    services.need(postgresql.is_installed(), postgresql.MISSING)
    options = ("--carrier", "rabbitmq", "--store", "postgresql")
    done = tell(folder, *options, STORY_DIVISIONS=small.divisions_beside(folder))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    story = json.loads((folder / "story.json").read_text("utf-8"))
    wanted = FIGURES | {"nodes": small.NODES, "processes": 5}
    assert {name: story[name] for name in FIGURES} == wanted
    assert f"All {small.NODES - 1} links go by amqp" in done.stdout
    assert "all agrees" in (folder / "audit.txt").read_text("utf-8")
    assert len(list(folder.glob("nodes/*/log.db"))) == small.NODES - 1  # the district's is no file


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("empty.md", b"", "empty"),
        ("blank.md", b"\n \n\xef\xbb\xbf", "empty"),
        ("large.md", "长".encode() * 30_000, "65,536"),
        ("gbk.txt", "停水通知：明天停水".encode("gb18030"), "GBK"),
        ("utf16.txt", "停水通知".encode("utf-16"), "UTF-16"),
        ("picture.png", b"\x89PNG\0\0", "not a text file"),
    ],
)
def test_refuses_notice(name: str, data: bytes, says: str, tmp_path: Path) -> None:
    """A file that cannot be a notice is refused in a line, before anything is started."""
    file = tmp_path / name
    file.write_bytes(data)
    done = tell(tmp_path / "story", STORY_NOTICE=str(file))
    assert done.returncode != 0
    assert says in done.stderr
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)
    assert not (tmp_path / "story").exists()


def test_refuses_missing_notice(tmp_path: Path) -> None:
    """So are a missing file and a folder."""
    for file in (tmp_path / "missing.md", tmp_path):
        with pytest.raises(InvalidError, match=r"cannot be read|is no file"):
            chosen_notice(str(file))


@pytest.mark.parametrize(
    "data",
    [
        "\ufeff# 停水\r\n\r\n明天停水。\r\n".encode(),
        "\n\n停水\n明天停水。".encode(),
        "# 停水 #\n\n明天停水。\n".encode(),
    ],
)
def test_takes_notice(data: bytes, tmp_path: Path) -> None:
    """Byte order mark, line ends, blank lines and headings are no obstacle."""
    (tmp_path / "a.md").write_bytes(data)
    assert chosen_notice(str(tmp_path / "a.md")) == ("停水", "明天停水。")


def test_leaves_other_folders_alone(tmp_path: Path) -> None:
    """A folder with something else in it is not wiped."""
    (tmp_path / "thesis.txt").write_text("years of work")
    done = tell(tmp_path)
    assert done.returncode != 0
    assert "holds something else" in done.stderr
    assert (tmp_path / "thesis.txt").exists()


class TestDistrict:
    """The divisions."""

    def test_built_in(self) -> None:
        """杜集区 has 6 towns and 56 villages, each with a short label of its own."""
        district = read_district()
        everybody = district.everybody
        assert (district.top.label, len(district.towns), len(district.villages)) == (
            "杜集区",
            6,
            56,
        )
        assert len({division.label for division in everybody}) == len(everybody) == 63
        assert max(len(division.label) for division in everybody) <= 12
        assert all(division.code.startswith(division.parent) for division in everybody)

    @pytest.mark.parametrize(
        ("name", "short"),
        [
            ("沈集村委会", "沈集村"),
            ("徐暨村村委会", "徐暨村"),
            ("刘庄社区居委会", "刘庄社区"),
            ("东湖社区居民委员会", "东湖社区"),
            ("河东街道办事处", "河东街道"),
            ("高岳街道", "高岳街道"),
            ("村委会", "村委会"),
        ],
    )
    def test_short_name(self, name: str, short: str) -> None:
        """A label is what people say."""
        assert short_name(name) == short

    def test_namesakes(self, tmp_path: Path) -> None:
        """Two villages of one name get their town's before it, or their codes behind it."""
        rows = "10,区,district,\n1001,甲镇,town,10\n1002,乙镇,town,10\n"
        rows += "100101,刘庄村委会,village,1001\n100201,刘庄村委会,village,1002\n"
        rows += "100202,王庄村委会,village,1002\n100203,王庄村,village,1002\n"
        labels = [village.label for village in self.read(rows, tmp_path).villages]
        assert labels == [
            "甲镇刘庄村", "乙镇刘庄村", "乙镇王庄村（100202）", "乙镇王庄村（100203）",
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("rows", "says"),
        [
            ("", "0 districts"),
            ("10,区,district,\n11,市,district,\n", "2 districts"),
            ("10,区,district,\n1001,镇,town,10\n1001,镇,town,10\n", "listed twice"),
            ("10,区,district,\n1101,镇,town,10\n", "below its parent"),
            ("10,区,district,\n100101,村,village,10\n", "below its parent"),
            ("10,区,country,\n", "line 2"),
            ("1x,区,district,\n", "line 2"),
            ("10,,district,\n", "no name"),
            ("10,区\n", "line 2"),
        ],
    )
    def test_refuses(self, rows: str, says: str, tmp_path: Path) -> None:
        """A table that is no district is refused in a line."""
        with pytest.raises(InvalidError, match=says):
            self.read(rows, tmp_path)

    def test_refuses_other_files(self, tmp_path: Path) -> None:
        """So are other columns, other encodings and no file at all."""
        file = tmp_path / "d.csv"
        with pytest.raises(InvalidError, match="cannot be read"):
            read_district(file)
        file.write_text("a,b\n1,2\n")
        with pytest.raises(InvalidError, match="columns"):
            read_district(file)
        file.write_bytes(HEADER.encode() + "10,杜集区,district,\n".encode("gb18030"))
        with pytest.raises(InvalidError, match="UTF-8"):
            read_district(file)

    def test_cast(self) -> None:
        """The parts are played by two towns and villages of theirs."""
        district = read_district()
        cast = cast_for(district)
        assert cast.cut.parent == cast.lossy.parent == cast.town.code != cast.killed.code
        assert cast.altered.parent == cast.killed.code
        small = district_of([d for d in district.everybody if d.level != Level.VILLAGE])
        with pytest.raises(InvalidError, match="two towns"):
            cast_for(small)

    @staticmethod
    def read(rows: str, folder: Path) -> District:
        """Return the district that ``rows`` describe."""
        (folder / "d.csv").write_text(HEADER + rows, "utf-8")
        return read_district(folder / "d.csv")


def test_free_ports() -> None:
    """A taken port moves the block beyond it."""
    (base,) = free_ports(1, PORT_BASE + 500)
    with closing(socket(AF_INET, SOCK_STREAM)) as taken:
        taken.bind(("127.0.0.1", base))
        taken.listen()
        assert free_ports(3, base - 1).start > base
    with pytest.raises(UnavailableError):
        free_ports(70_000, 1024)


def test_bad_port_base(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port base that is no port is refused."""
    monkeypatch.setenv("SANJI_PORT_BASE", "many")
    with pytest.raises(InvalidError, match="SANJI_PORT_BASE"):
        free_ports(1)


def test_unequal_feeds() -> None:
    """A holder that lacks a feed or holds another head is noticed; custody may differ."""
    one = {"feed": "34/00000000/ordinary/34*", "count": 2, "rid": "aa"}
    lane = {"feed": "34/00000000/custody/34*", "count": 2, "rid": "aa"}
    other = {**one, "rid": "bb"}
    assert not unequal_feeds({"34": {"heads": [one, lane]}, "3401": {"heads": [one]}})
    assert unequal_feeds({"34": {"heads": [one]}, "3401": {"heads": [other]}}) == [one["feed"]]
    assert unequal_feeds({"34": {"heads": [one]}, "3401": {"heads": []}}) == [one["feed"]]


def test_failed_expectations() -> None:
    """Each figure that is not as it must be is named."""
    good = dict.fromkeys(
        ("notices_published", "in_flight_at_kill", "duplicates_offered", "tampered_refused",
         "backlog_while_cut"), 1,
    ) | FIGURES  # fmt: skip
    assert failed_expectations(good) == []
    assert failed_expectations(good | {"lost": 1}) == ["lost is 1, not 0"]
    assert failed_expectations(good | {"tampered_refused": 0}) == ["tampered_refused is 0"]
    short = failed_expectations(good | {"answers_at_village": 1})
    assert short == ["answers_at_village is 1 of 2 filed"]


async def test_processes_come_and_go(tmp_path: Path) -> None:
    """A process can be killed and started again, and stops in order."""
    supervisor = Supervisor(tmp_path)
    first = await supervisor.start("one")
    await supervisor.start("two")
    try:
        await first.kill()
        with pytest.raises(UnavailableError, match="gone"):
            await asyncio.wait_for(first.order("counters", code="1"), 5)
        again = await supervisor.start("one")
        with pytest.raises(UnavailableError):
            await again.order("cable", code="34", faults={"sharks": 1})
        assert supervisor.failures() == []
    finally:
        assert await supervisor.stop() == []


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_leaves_no_orphans(how: signal.Signals, folder: Path) -> None:
    """However the story ends, no process of it lives on."""
    around = os.environ | {
        "STORY_DIR": str(folder), "STORY_DIVISIONS": small.divisions_beside(folder),
        "SANJI_PORT_BASE": str(PORT_BASE + 200),
    }  # fmt: skip
    story = subprocess.Popen(
        [sys.executable, "-u", "-m", "demo.story"], cwd=PROJECT, env=around,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert story.stdout is not None
        assert any("each with its own keys" in line for line in story.stdout)
        assert len(list(folder.glob("nodes/*/control.sock"))) == small.NODES
        story.send_signal(how)
        _, said = story.communicate(timeout=40)
        wait_until_free(folder)
        assert not list(folder.glob("nodes/*/control.sock"))
        assert story.returncode != 0
        assert said == ("" if how == signal.SIGKILL else "story: interrupted.\n")
    finally:
        story.kill()
        story.wait()


def wait_until_free(folder: Path) -> None:
    """Wait until no process holds a home any more: each holds its lock as long as it lives."""
    for file in folder.glob("nodes/*/lock"):
        with file.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
