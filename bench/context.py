"""What every measurement is given: how much of everything, and how to say where it is."""

import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import straight
from bench.chunks import Chunks
from bench.figures import Goal, Row, costing


class MissingError(Exception):
    """A program that is measured beside is not installed; says which one."""


@dataclass(frozen=True)
class Sizes:
    """How much of everything.

    Attributes:
        notices: Notices that travel down, and that a village misses.
        posted: Notices that travel down and were posted one by one.
        feedbacks: Feedbacks that travel up from each of two villages.
        carried: Notices that travel over both carriers.
        stored: Records of the comparison with the straight line.
        pace: Records by which the machine's pace is taken between repetitions.
        urgent: Urgent notices published one by one.
        held: Notices in the home of the village that is started and read.
        stores: Repetitions of the comparison with the straight line.
        repetitions: Of what travels.
        starts: Of starting a village.
        below: Villages of a town that speaks to all of them over a broker.
        broadcasts: Notices that it publishes, one after the other.
        load_seconds: Of each load on a kiosk.
    """

    notices: int = 10_000
    posted: int = 1_000
    feedbacks: int = 5_000
    carried: int = 5_000
    stored: int = 10_000
    pace: int = 2_500
    urgent: int = 50
    held: int = 1_000
    stores: int = 7
    repetitions: int = 3
    starts: int = 3
    below: int = 50
    broadcasts: int = 20
    load_seconds: float = 3.0


FULL = Sizes()
QUICK = Sizes(
    notices=1_000, posted=100, feedbacks=500, carried=500, stored=1_000, pace=500, urgent=5,
    held=100, stores=3, repetitions=1, starts=1, below=5,
    broadcasts=2, load_seconds=0.5,
)  # fmt: skip
"""A tenth: tells that all still runs; the figures say little."""


REPEAT_SECONDS_MAX: Final = 30.0
"""After so long no further repetition begins: a slow machine measures less often, and ends too."""


@dataclass(frozen=True)
class Context:
    """What a measurement is given.

    Attributes:
        sizes: How much.
        chunks: Signed chunks of ``sizes.stored`` records.
        tell: Called with a line whenever a repetition begins.
    """

    sizes: Sizes
    chunks: Chunks
    tell: Callable[[str], None]

    def goal(self, bound: float, *, at_most: bool = True, of_ratio: bool = False) -> Goal | None:
        """Return a goal of an amount of full size; with less there is none. See ``Goal``."""
        return Goal(bound, at_most, of_ratio) if self.sizes == FULL else None

    def repeat(
        self,
        times: int,
        what: str = "repetition",
        seconds: float = REPEAT_SECONDS_MAX,
        at_least: int = 1,
    ) -> Iterator[int]:
        """Yield 0, 1, … for each repetition and tell of it.

        Args:
            times: How often.
            what: What is told before its number.
            seconds: After so long no further one begins.
            at_least: So many begin all the same.
        """
        began = time.monotonic()
        for number in range(times):
            if number >= at_least and time.monotonic() - began > seconds:
                return
            self.tell(f"{what} {number + 1}")
            yield number

    def pace(self) -> float:
        """Return how many records a second the straight line stores now.

        What travels is compared with it: shared machines are at one time twice as fast as at
        another, and a ratio says more than a number.
        """
        frames = self.chunks.frames[: max(1, self.sizes.pace // self.chunks.records_a_frame)]
        with tempfile.TemporaryDirectory(prefix="sanji-bench-") as folder:
            connection = straight.open_file(Path(folder) / "straight.db")
            with costing() as cost:
                stored = straight.store(connection, frames, self.chunks.key, self.chunks.base)
            connection.close()
        return stored / cost.seconds


def rate_row(what: str, unit: str, rates: Sequence[float], paces: Iterable[float]) -> Row:
    """Return a row of records a second, compared with the straight line between."""
    ratio = statistics.median(rates) / statistics.median(paces)
    return Row(what, unit, rates, ratio, "straight line")


Measure = Callable[[Context], Awaitable[Sequence[Row]]]
"""A measurement: takes what it is given and returns its rows."""
