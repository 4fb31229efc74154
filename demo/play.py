"""A whole district on this machine to look at and to use: ``make demo``; Ctrl-C stops it.

The first start founds it and lets its people publish, say and answer something; later ones go on
with what is there. Of the environment it reads ``DEMO_DIR``, where it lives (``build/demo``),
``DEMO_DIVISIONS``, a CSV with another district, and ``SANJI_PORT_BASE``, where to look for ports.
``--reset`` throws it away. ``--carrier rabbitmq`` lets all links go through a private broker, which
the control page kills and wipes; its data end with the demo.
"""

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path
from random import Random
from typing import Final

from aiohttp import web
from rich.console import Console

from demo.chapters import everybody_joins
from demo.content import read_talk
from demo.control.room import Room
from demo.control.server import make_app
from demo.district import BUILT_IN, read_district
from demo.filling import fill, with_progress
from demo.host import first_of, raise_file_limit
from demo.kept import RESET, Kept, prepared, reset
from demo.parts import CarrierName, StoreName, add_option, private_parts
from demo.plot import RURAL, Plot, cast_for
from demo.stage import PACE, Stage
from demo.supervisor import free_ports, on_terminate, terminate_as_interrupt
from shared.errors import SanjiError, StorageError

DEFAULT_FOLDER: Final = "build/demo"
FAILED: Final = 1
SERVED_AT_ONCE: Final = 12

CALM: Final = {**PACE, "custody_beat_seconds": 600.0, "custody_proof_seconds": 3.0}
"""Whoever looks at the lines shall see what people send, not how often a node says it is there."""

THRIFTY: Final = {
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": "131072",
    "MALLOC_TRIM_THRESHOLD_": "131072",
}
"""For glibc: each node has a thread, and each thread would keep for itself what it once freed.

Measured after a first start: 670 MiB in all instead of 1,050.
"""


def main() -> int:
    """Play until Ctrl-C; returns the exit code."""
    console = Console(highlight=False, soft_wrap=True)
    folder = Path(os.environ.get("DEMO_DIR") or DEFAULT_FOLDER).absolute()
    terminate_as_interrupt()
    try:
        options = _options().parse_args()
        if options.reset:
            reset(folder)
            console.print(f"{folder} is gone.")
            return 0
        for name, value in THRIFTY.items():
            os.environ.setdefault(name, value)  # the fork server reads them when it starts
        raise_file_limit()
        _open(folder, CarrierName(options.carrier), console)
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 0
    except SanjiError as error:
        sys.stderr.write(f"demo: {' '.join(str(error).split())}\n")
        return FAILED
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("demo")
    parser.add_argument("--reset", action="store_true", help="throw the district away")
    add_option(parser, "--carrier", CarrierName)
    return parser


def _open(folder: Path, carrier: CarrierName, console: Console) -> None:
    """Hold the folder, start the broker if there shall be one, and play.

    Raises:
        SanjiError: it cannot start.
    """
    started = time.monotonic()
    district = read_district(Path(os.environ.get("DEMO_DIVISIONS") or BUILT_IN))
    codes = [one.code for one in district.everybody]
    count = len(codes)
    with prepared(folder, carrier, codes) as kept:
        ports = free_ports(count + 2) if kept is None else kept.ports(count + 2)
        *nodes, control, broker = ports
        with private_parts(district, folder, carrier, StoreName.SQLITE, broker) as parts:
            stage = Stage(district, folder, nodes, CALM, parts)
            first = Kept(ports[0], carrier=carrier.value) if kept is None else None
            asyncio.run(play(stage, first, control, console, started))


async def play(
    stage: Stage, first: Kept | None, port: int, console: Console, started: float
) -> None:
    """Start all nodes, say where they are, and wait for the end.

    Args:
        stage: The nodes.
        first: What to keep once they are founded; None if they were before.
        port: Of the control page.
        console: Where it is said.
        started: When, on the monotonic clock.

    Raises:
        SanjiError: it cannot start.
    """
    task = asyncio.current_task()
    if task is not None:
        on_terminate(task)
    try:
        if first is not None:
            await _first_start(stage, console)
            first.save(stage.folder)
        else:
            await _later_start(stage, console)
        await _show(stage, port, console, started)
    except ExceptionGroup as group:
        raise first_of(group) from group
    finally:
        await stage.supervisor.stop()


async def _first_start(stage: Stage, console: Console) -> None:
    await everybody_joins(Plot(stage, cast_for(stage.district), console, RURAL))
    await fill(stage, console)


async def _later_start(stage: Stage, console: Console) -> None:
    try:
        await stage.start_processes()
        await stage.serve(stage.district.top)
        works = [stage.serve(one) for one in stage.district.everybody[1:]]
        await with_progress(console, "nodes", works, at_once=SERVED_AT_ONCE)
    except (SanjiError, ExceptionGroup) as error:
        first = first_of(error)
        raise StorageError(f"the district does not start: {first}.", advice=RESET) from error


async def _show(stage: Stage, port: int, console: Console, started: float) -> None:
    """Serve the control page until the end."""
    chance = Random()  # noqa: S311 - who speaks next protects nothing
    room = Room(stage, read_talk(), chance, broker=stage.parts.broker)
    await room.glance()
    runner = web.AppRunner(
        make_app(room, stage.ports), access_log=None, handle_signals=False, shutdown_timeout=1.0
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        _say(stage, port, console, time.monotonic() - started)
        await room.work()
    finally:
        await runner.cleanup()


def _say(stage: Stage, port: int, console: Console, seconds: float) -> None:
    """Say where to look and how to stop: everything else opens from the control page."""
    console.print(f"{len(stage.ports)} nodes serve after {seconds:.0f} s. Ctrl-C stops them.")
    console.print(f"  control page   http://127.0.0.1:{port}/")
    console.print(f"  passwords      {stage.folder}/nodes/*/accounts.txt")


if __name__ == "__main__":
    sys.exit(main())
