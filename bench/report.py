"""The report: a table for people, ``bench.json`` for comparing."""

import json
import os
import platform
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table

from bench.figures import Row

_DIGITS_FROM = 100
"""From here on a figure is shown without decimals."""


def table_of(rows: Sequence[Row]) -> Table:
    """Return the table."""
    table = Table(title="Sanji 三级互动: measured", title_justify="left")
    table.add_column("what")
    table.add_column("median", justify="right")
    table.add_column("unit")
    table.add_column("lowest … highest", justify="right")
    table.add_column("ratio", justify="right")
    table.add_column("to")
    table.add_column("goal")
    for row in rows:
        table.add_row(*cells(row))
    return table


def cells(row: Row) -> tuple[str, ...]:
    """Return what stands in the table's columns; a single value has no span."""
    span = ""
    if len(row.values) > 1:
        span = f"{shown(min(row.values))} … {shown(max(row.values))}"
    ratio = "" if row.ratio is None else shown(row.ratio)
    goal = str(row.goal or "")
    if row.is_met is not None:
        goal += " ✓" if row.is_met else " ✗"
    return row.what, shown(row.median), row.unit, span, ratio, row.ratio_to, goal


def shown(value: float) -> str:
    """Return a figure with as many digits as it deserves."""
    if value >= _DIGITS_FROM:
        return f"{value:,.0f}"
    decimals = 1 if value >= _DIGITS_FROM / 10 else 2 if value >= _DIGITS_FROM / 1000 else 3
    return f"{value:.{decimals}f}"


def write_json(
    path: Path, rows: Sequence[Row], skipped: Mapping[str, str], *, quick: bool, seconds: float
) -> None:
    """Write the figures and what they were measured on.

    Args:
        path: Where to.
        rows: The figures.
        skipped: Measurements that were left out, and why.
        quick: They are of a tenth only.
        seconds: What all took.

    Raises:
        OSError: the file cannot be written.
    """
    told: dict[str, Any] = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": quick,
        "seconds": round(seconds, 1),
        "machine": {
            "cores": len(os.sched_getaffinity(0)),
            "processor": platform.machine(),
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
        },
        "skipped": dict(skipped),
        "rows": [row.as_json() for row in rows],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n", "utf-8")
