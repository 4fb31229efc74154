"""Rows of the report: medians, goals, what is shown and written."""

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from bench.figures import Goal, Row, percentile
from bench.report import cells, shown, table_of, write_json


def test_a_row_says_its_median_and_whether_the_goal_is_met() -> None:
    """The goal of a figure looks at the median, that of a ratio at the ratio."""
    assert Row("x", "s", [3.0, 1.0, 2.0], goal=Goal(2)).is_met is True
    assert Row("x", "s", [3.0, 1.0, 2.1], goal=Goal(2)).is_met is False
    share = Goal(0.6, at_most=False, of_ratio=True)
    assert Row("x", "records/s", [9.0], 0.5, "y", share).is_met is False
    assert Row("x", "records/s", [0.1], 0.7, "y", share).is_met is True
    assert Row("x", "s", [1.0]).is_met is None


@pytest.mark.parametrize(("percent", "expected"), [(50, 2), (95, 4), (1, 1), (100, 4)])
def test_percentile_is_the_nearest_rank(percent: float, expected: float) -> None:
    """It is one of the values, whatever their order."""
    assert percentile([4, 1, 3, 2], percent) == expected


def test_figures_have_the_digits_that_they_deserve() -> None:
    """Large ones none, small ones up to three."""
    figures = (12345.6, 99.44, 1.234, 0.0123)
    assert [shown(value) for value in figures] == ["12,346", "99.4", "1.23", "0.012"]


def test_table_and_file_say_the_same(tmp_path: Path) -> None:
    """A row has its median, span, ratio and goal in the table, and all values in the file."""
    row = Row("accept", "records/s", [100.0, 300.0, 200.0], 0.5, "straight line", Goal(150))
    printed = StringIO()
    Console(width=150, file=printed).print(table_of([row]))
    file = tmp_path / "new" / "bench.json"
    write_json(file, [row], {"x": "y is missing"}, quick=True, seconds=1.25)
    told = json.loads(file.read_text("utf-8"))
    assert cells(row) == (
        "accept", "200", "records/s", "100 … 300", "0.50", "straight line", "≤ 150 ✗",
    )  # fmt: skip
    assert all(cell in printed.getvalue() for cell in cells(row))
    assert told["quick"] is True
    assert told["skipped"] == {"x": "y is missing"}
    assert told["rows"] == [
        {"what": "accept", "median": 200.0, "unit": "records/s", "values": [100.0, 300.0, 200.0],
         "ratio": 0.5, "ratio_to": "straight line", "goal": "≤ 150", "goal_is_met": False}
    ]  # fmt: skip
