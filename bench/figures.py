"""A row of the report: one figure from several repetitions, and what it is compared with."""

import math
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Goal:
    """What a figure, or its ratio, shall reach.

    Attributes:
        bound: The worst value that is still good.
        at_most: True if less is better.
        of_ratio: True if the bound is one of the ratio, not of the figure.
    """

    bound: float
    at_most: bool = True
    of_ratio: bool = False

    def __str__(self) -> str:
        """Render as in ``≤ 1.8`` or ``ratio ≥ 0.6``."""
        sign = "≤" if self.at_most else "≥"
        return f"{'ratio ' if self.of_ratio else ''}{sign} {self.bound:g}"


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        what: What was measured; names the row.
        unit: Of the values.
        values: One a repetition, at least one.
        ratio: Median by the median of the baseline measured between; None without one.
        ratio_to: What the baseline is.
        goal: What it shall reach; None where nothing was promised.
    """

    what: str
    unit: str
    values: Sequence[float]
    ratio: float | None = None
    ratio_to: str = ""
    goal: Goal | None = None

    @property
    def median(self) -> float:
        """The figure."""
        return statistics.median(self.values)

    @property
    def is_met(self) -> bool | None:
        """Whether the goal is reached; None without a goal."""
        value = self.ratio if self.goal and self.goal.of_ratio else self.median
        if self.goal is None or value is None:
            return None
        return value <= self.goal.bound if self.goal.at_most else value >= self.goal.bound

    def as_json(self) -> dict[str, Any]:
        """Return the row as it stands in ``bench.json``."""
        return {
            "what": self.what,
            "median": round(self.median, 4),
            "unit": self.unit,
            "values": [round(value, 4) for value in self.values],
            "ratio": None if self.ratio is None else round(self.ratio, 4),
            "ratio_to": self.ratio_to or None,
            "goal": str(self.goal) if self.goal else None,
            "goal_is_met": self.is_met,
        }


@dataclass
class Cost:
    """What something took.

    Attributes:
        seconds: By the clock on the wall.
        cpu_seconds: Of this process, all threads.
    """

    seconds: float = field(default=0.0)
    cpu_seconds: float = field(default=0.0)


@contextmanager
def costing() -> Iterator[Cost]:
    """Measure the block; the cost is filled in when it ends."""
    cost = Cost()
    began, cpu_began = time.perf_counter(), time.process_time()
    yield cost
    cost.seconds = time.perf_counter() - began
    cost.cpu_seconds = time.process_time() - cpu_began


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value that ``percent`` of ``values`` do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]
