"""The whole of ``python -m bench``: every row once, and what is said to wrong options."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.__main__ import MEASUREMENTS

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


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_quick_measures_every_row(tmp_path: Path) -> None:
    """Table and file have all rows, each with a figure; nothing failed."""
    file = tmp_path / "bench.json"
    done = bench("--quick", "--json", str(file))
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(file.read_text("utf-8"))
    assert tuple(row["what"] for row in told["rows"]) == ROWS
    assert all(row["median"] > 0 for row in told["rows"])
    assert all(f"│ {name} " in done.stdout for name in ROWS)


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
