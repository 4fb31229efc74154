"""The whole of ``python -m bench``: every row once, and what is said to wrong options."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.__main__ import MEASUREMENTS
from demo.servers import rabbitmq

ROOT = Path(__file__).parents[3]

ROWS = (
    "accept and store",
    "accept and store, CPU",
    "straight line",
    "straight line, CPU",
    "1,000 notices down, all at once",
    "1,000 notices down, all at once, stored at the district",
    "1,000 notices down, all at once, rate",
    "1,000 notices down, all at once, shown by all four",
    "1,000 notices down, in hundreds, 8 HTTP clients, shown by all four",
    "1,000 notices down, in hundreds, 8 HTTP clients, rate",
    "1,000 notices down, in hundreds, 8 HTTP clients, answered",
    "100 notices down, one by one, 32 HTTP clients, shown by all four",
    "100 notices down, one by one, 32 HTTP clients, rate",
    "100 notices down, one by one, 32 HTTP clients, answered",
    "empty handler, 32 clients",
    "2 × 500 feedbacks up",
    "2 × 500 feedbacks up, rate",
    "catch-up on 1,000 notices",
    "catch-up on 1,000 notices, rate",
    "catch-up on 1,000 notices, received",
    "link opened again without a change",
    "urgent notice held by the village, median",
    "urgent notice held by the village, p95",
    "urgent notice shown by the village, median",
    "urgent notice shown by the village, p95",
    "village starts, first answer",
    "village at rest, resident memory",
    "kiosk home, 8 clients",
    "kiosk home at half of that load, p99",
)

ROWS_OF_RABBITMQ = (
    "500 notices over 2 links, RabbitMQ",
    "500 notices over 2 links, RabbitMQ, CPU of the nodes",
    "500 notices over 2 links, RabbitMQ, CPU of the broker",
    "500 notices over 2 links, RabbitMQ, on all lines",
    "500 notices over 2 links, WebSocket",
    "500 notices over 2 links, WebSocket, CPU of the nodes",
    "500 notices over 2 links, WebSocket, on all lines",
    "straight line over RabbitMQ",
    "straight line over RabbitMQ, CPU a link",
    "straight line over RabbitMQ, CPU of the broker",
    "notice to 5 villages over RabbitMQ, CPU of the broker",
    "notice to 5 villages over RabbitMQ, published",
    "notice to 5 villages over RabbitMQ, published in all",
    "message to 5 bare queues, CPU of the broker",
)


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_quick_measures_every_row(tmp_path: Path) -> None:
    """Table and file have all rows, each with a figure; nothing failed.

    Where RabbitMQ is not installed, its rows are left out and nothing else.
    """
    rows = ROWS + (ROWS_OF_RABBITMQ if rabbitmq.is_installed() else ())
    file = tmp_path / "bench.json"
    done = bench("--quick", "--json", str(file))
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(file.read_text("utf-8"))
    assert tuple(row["what"] for row in told["rows"]) == rows
    assert list(told["skipped"]) == ([] if rabbitmq.is_installed() else ["rabbitmq"])
    assert all(row["median"] > 0 for row in told["rows"])
    assert all(f"│ {name} " in done.stdout for name in rows)


@pytest.mark.parametrize(
    "arguments", [("--slow",), ("--only", "nothing"), ("--only",), ("quick",), ("--qui",)]
)
def test_wrong_options_are_said_in_one_line(arguments: tuple[str, ...]) -> None:
    """Exit code 2, one line, nothing measured."""
    done = bench(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1


def test_help_names_every_measurement() -> None:
    """What ``--only`` takes stands in the help."""
    done = bench("--help")
    assert done.returncode == 0
    assert all(name in done.stdout for name in MEASUREMENTS)
