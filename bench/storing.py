"""Accepting and storing against the straight line: the same frames, turn by turn."""

import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench import straight
from bench.chunks import Chunks
from bench.context import Context
from bench.figures import Cost, Goal, Row, costing
from bench.network import TOWN
from shared.link.frames import Chunk, decode_frame
from shared.log.accept import Accepted, Outcome
from shared.log.log import Log
from shared.log.sql import SqlStore
from shared.log.sqlite import SqliteDatabase
from shared.log.tables import LOG_TABLES

# Measured in November 2026: one hop with one signature a run stores 35,000 records/s on a core.
HOP_CPU_MICROSECONDS: Final = 28.6
HOP_RATIO_MAX: Final = 1.25
"""A straight line that needs more says something about the machine, nothing about the product."""

SHARE_MIN: Final = 0.6
"""Of the straight line's rate that accepting and storing reaches; later 0.8."""


class NotStoredError(Exception):
    """The product did not accept what the straight line stores."""


async def measure(given: Context) -> Sequence[Row]:
    """Return the rows of the product and of the straight line."""
    ours: list[Cost] = []
    theirs: list[Cost] = []
    for repetition in given.repeat(given.sizes.stores):
        with tempfile.TemporaryDirectory(prefix="sanji-bench-") as name:
            folder = Path(name)
            # Turn by turn, so that neither of them always finds the warmer machine.
            if repetition % 2:
                ours.append(await _accept(given.chunks, folder))
                theirs.append(_store(given.chunks, folder))
            else:
                theirs.append(_store(given.chunks, folder))
                ours.append(await _accept(given.chunks, folder))
    records = given.chunks.records
    rates, plain_rates = ([records / c.seconds for c in costs] for costs in (ours, theirs))
    cpus, plain_cpus = ([1e6 * c.cpu_seconds / records for c in costs] for costs in (ours, theirs))
    middle = statistics.median
    return (
        Row("accept and store", "records/s", rates, middle(rates) / middle(plain_rates),
            "straight line", Goal(SHARE_MIN, at_most=False, of_ratio=True)),
        Row("accept and store, CPU", "µs a record", cpus, middle(cpus) / middle(plain_cpus),
            "straight line"),
        Row("straight line", "records/s", plain_rates),
        Row("straight line, CPU", "µs a record", plain_cpus,
            middle(plain_cpus) / HOP_CPU_MICROSECONDS, f"{HOP_CPU_MICROSECONDS} µs",
            Goal(HOP_RATIO_MAX, of_ratio=True)),
    )  # fmt: skip


async def _accept(chunks: Chunks, folder: Path) -> Cost:
    """Let the log of a town take the chunks."""
    store = SqlStore(SqliteDatabase.open(folder / "log.db", LOG_TABLES))
    try:
        log = Log(TOWN, store, chunks.anchor)
        await log.open()
        _check(await log.accept(chunks.trust, 0))
        with costing() as cost:
            for data in chunks.frames:
                frame = decode_frame(data, ())
                if isinstance(frame, Chunk):
                    _check(await log.accept(frame.runs, 0))
    finally:
        await store.close()
    held = sum(state.count for feed, state in log.feeds.items() if feed.lane == "ordinary")
    if held != chunks.records:
        raise NotStoredError(f"{held} of {chunks.records} records were stored")
    return cost


def _check(outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        if not isinstance(outcome, Accepted):
            raise NotStoredError(f"not accepted: {outcome}")


def _store(chunks: Chunks, folder: Path) -> Cost:
    connection = straight.open_file(folder / "straight.db")
    with costing() as cost:
        straight.store(connection, chunks.frames, chunks.key, chunks.base)
    connection.close()
    return cost
