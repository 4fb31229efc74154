"""Plays many histories: ``python -m tests.simulation --seed 1 --count 100``."""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.simulation.district import Totals
from tests.simulation.history import Outcome, play


def main() -> int:
    """Play, tell what failed and how to see it again, and end with one line of totals."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--count", type=int, default=100, help="how many histories")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes play")
    parser.add_argument("--first", action="store_true", help="stop at the first that fails")
    parser.add_argument("--story", action="store_true", help="print the operations of each history")
    given = parser.parse_args()

    console, totals = Console(stderr=True), Totals()
    seeds = range(given.seed, given.seed + given.count)
    columns = (TextColumn("histories"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    pool = ProcessPoolExecutor(given.jobs) if given.jobs > 1 else None
    with pool or nullcontext(), Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("histories", total=given.count)
        outcomes = pool.map(play, seeds) if pool else map(play, seeds)
        for outcome in outcomes:
            totals.add(outcome.totals)
            _tell(console, outcome, with_story=given.story)
            progress.advance(task)
            if given.first and totals.failures:
                break
    print(totals.line())
    return 1 if totals.failures else 0


def _tell(console: Console, outcome: Outcome, *, with_story: bool) -> None:
    if with_story:
        console.print("\n".join(outcome.story), markup=False, highlight=False)
    if outcome.problems:
        console.print(outcome.told(), markup=False, highlight=False)


if __name__ == "__main__":
    sys.exit(main())
