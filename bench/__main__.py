"""``make bench``: measures, prints a table, writes ``bench.json``."""

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

import structlog
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from bench import carried, moment, report, served, storing, travel
from bench.chunks import make_chunks
from bench.context import FULL, QUICK, Context, Measure, MissingError, Sizes
from bench.figures import Row

MEASUREMENTS: Final[dict[str, Measure]] = {
    "store": storing.measure,
    "down": travel.down,
    "one-by-one": travel.one_by_one,
    "up": travel.up,
    "catch-up": travel.catch_up,
    "no-change": travel.no_change,
    "moment": moment.measure,
    "start": served.start,
    "kiosk": served.kiosk,
    "rabbitmq": carried.measure,
}
"""By the word that ``--only`` takes."""

FILE: Final = Path(__file__).parents[1] / "build" / "bench" / "bench.json"
SECONDS_MAX: Final = 330.0
"""It ends by itself, also where something hangs."""

_WRONG: Final = 2


class OverdueError(Exception):
    """It took longer than it may."""


class _Options(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line."""
        self.exit(_WRONG, f"{message}; `python -m bench --help` lists the options.\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for and return the exit code: 1 if a measurement failed."""
    options = _options(arguments)
    chosen = {name: one for name, one in MEASUREMENTS.items() if options.only in name}
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=lambda *_name: structlog.PrintLogger(sys.stderr),
    )
    console = Console(width=None if sys.stdout.isatty() else 180)
    began = time.monotonic()
    rows: list[Row] = []
    skipped: dict[str, str] = {}
    trouble = ""
    try:
        asyncio.run(_measure(chosen, QUICK if options.quick else FULL, rows, skipped))
    except KeyboardInterrupt:
        trouble = "stopped"
    except Exception as error:  # noqa: BLE001 - the edge: what was measured is shown all the same
        trouble = " ".join(str(_first(error)).split()) or type(error).__name__
    seconds = time.monotonic() - began
    console.print(report.table_of(rows))
    report.write_json(options.json, rows, skipped, quick=options.quick, seconds=seconds)
    for name, reason in skipped.items():
        console.print(f"{name} was left out: {reason}.", highlight=False)
    console.print(f"{seconds:.0f} s. The same in {options.json}.", highlight=False)
    if trouble:
        sys.stderr.write(f"not all was measured: {trouble}.\n")
    return 1 if trouble else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _Options(prog="python -m bench", description=__doc__, allow_abbrev=False)
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    parser.add_argument(
        "--only", default="", metavar="WORD", help=f"what has it in its name: {_names()}"
    )
    parser.add_argument("--json", type=Path, default=FILE, metavar="FILE", help="where it goes")
    options = parser.parse_args(arguments)
    if not any(options.only in name for name in MEASUREMENTS):
        parser.error(f"nothing is called {options.only}: there are {_names()}")
    return options


def _names() -> str:
    return ", ".join(MEASUREMENTS)


async def _measure(
    chosen: dict[str, Measure], sizes: Sizes, rows: list[Row], skipped: dict[str, str]
) -> None:
    """Run the measurements one after the other; ``rows`` grows with each.

    What needs a program that is not installed is left out, and stands in ``skipped`` with the
    reason.

    Raises:
        OverdueError: they were stopped, because something hangs or the machine is too slow.
    """
    limit = asyncio.timeout(SECONDS_MAX)
    try:
        async with limit:
            await _measure_each(chosen, sizes, rows, skipped)
    except TimeoutError:
        if limit.expired():
            raise OverdueError(f"stopped after {SECONDS_MAX:g} s") from None
        raise


async def _measure_each(
    chosen: dict[str, Measure], sizes: Sizes, rows: list[Row], skipped: dict[str, str]
) -> None:
    shown = Console(stderr=True)
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(),
        console=shown, transient=True, disable=not shown.is_terminal,
    ) as bar:  # fmt: skip
        task = bar.add_task("signing", total=len(chosen))
        with tempfile.TemporaryDirectory(prefix="sanji-bench-") as folder:
            chunks = await make_chunks(Path(folder), sizes.stored)
        for name, measure in chosen.items():

            def tell(line: str, name: str = name) -> None:
                bar.update(task, description=f"{name}: {line}")

            tell("begins")
            try:
                rows += await measure(Context(sizes, chunks, tell))
            except MissingError as error:
                skipped[name] = str(error)
            bar.advance(task)


def _first(error: BaseException) -> BaseException:
    """Return what went wrong inside a group of tasks."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


if __name__ == "__main__":
    sys.exit(main())
