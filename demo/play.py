"""A whole district on this machine to look at and to use: ``make demo``; Ctrl-C stops it.

The first start founds it and lets its people publish, say and answer something; later ones go on
with what is there. ``DEMO_DIR`` says where it lives (``build/demo``), ``SANJI_PORT_BASE`` where to
look for ports. ``--reset`` throws it away.
"""

import asyncio
import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from demo.chapters import everybody_joins
from demo.content import Notice, Voice, read_content
from demo.district import BUILT_IN, Division, read_district
from demo.host import first_of
from demo.plot import RURAL, Plot, cast_for
from demo.stage import Stage
from demo.supervisor import free_ports, on_terminate
from shared.errors import (
    InvalidError,
    RefusedError,
    SanjiError,
    StorageError,
    UnavailableError,
)

DEFAULT_FOLDER: Final = "build/demo"
MARK: Final = "demo.json"
"""Stands in a folder once its district is whole; holds the ports, which its nodes know."""

FAILED: Final = 1
SERVED_AT_ONCE: Final = 12
RESET: Final = "Run `make demo-reset` and start again."


def main() -> int:
    """Play until Ctrl-C; returns the exit code."""
    console = Console(highlight=False, soft_wrap=True)
    folder = Path(os.environ.get("DEMO_DIR") or DEFAULT_FOLDER).absolute()
    try:
        if sys.argv[1:] == ["--reset"]:
            return reset(folder, console)
        if sys.argv[1:]:
            raise InvalidError("the demo takes no arguments but --reset.")
        asyncio.run(play(folder, console))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 0
    except SanjiError as error:
        sys.stderr.write(f"demo: {' '.join(str(error).split())}\n")
        return FAILED
    return 0


def reset(folder: Path, console: Console) -> int:
    """Throw the district away.

    Raises:
        RefusedError: the folder holds something else.
    """
    if folder.exists() and not (folder / "nodes").exists() and any(folder.iterdir()):
        raise RefusedError(f"{folder} holds something else.", advice="Set DEMO_DIR.")
    shutil.rmtree(folder, ignore_errors=True)
    console.print(f"{folder} is gone.")
    return 0


async def play(folder: Path, console: Console) -> None:
    """Start everything, say where it is, and wait for the end.

    Raises:
        SanjiError: it cannot start.
    """
    task = asyncio.current_task()
    if task is not None:
        on_terminate(task)
    started = time.monotonic()
    district = read_district(BUILT_IN)
    known = _prepared(folder)
    stage = Stage(district, folder, known)
    try:
        if known is None:
            await _first_start(stage, console)
        else:
            await _later_start(stage, console)
        await _say(stage, console, time.monotonic() - started)
        await asyncio.Event().wait()
    except ExceptionGroup as group:
        raise first_of(group) from group
    finally:
        await stage.supervisor.stop()


def _prepared(folder: Path) -> range | None:
    """Make the folder; return the ports of the district in it, None for a first start.

    Raises:
        StorageError: a first start was broken off.
    """
    known = _ports(folder)
    if known is None and folder.exists() and any(folder.iterdir()):
        raise StorageError(f"{folder} is not whole.", advice=RESET)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return known


def _ports(folder: Path) -> range | None:
    """Return the ports of the district in ``folder``; None if none was finished there.

    Raises:
        UnavailableError: somebody else listens there now.
        StorageError: the mark cannot be read.
    """
    try:
        first, count = json.loads((folder / MARK).read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise StorageError(f"{folder / MARK} cannot be read.", advice=RESET) from error
    with suppress(UnavailableError):
        block = free_ports(count, first)
        if block.start == first:
            return block
    raise RefusedError(
        f"the ports from {first} on, which this district uses, are taken.",
        advice="Stop what listens there (another demo?), or run `make demo-reset`.",
    )


async def _first_start(stage: Stage, console: Console) -> None:
    plot = Plot(stage, cast_for(stage.district), console, RURAL)
    await everybody_joins(plot)
    notices, said = read_content()
    await _with_progress(console, "notices", [_notice(stage, one) for one in notices])
    villages = stage.district.villages
    voices = [
        _voice(stage, villages[number * 7 % len(villages)], one) for number, one in enumerate(said)
    ]
    await _with_progress(console, "voices", voices)
    ports = list(stage.ports.values())
    (stage.folder / MARK).write_text(json.dumps([ports[0], len(ports)]), "utf-8")


async def _later_start(stage: Stage, console: Console) -> None:
    await stage.start_processes()
    turns = asyncio.Semaphore(SERVED_AT_ONCE)

    async def one(division: Division) -> None:
        async with turns:
            await stage.serve(division)

    try:
        await stage.serve(stage.district.top)
        await _with_progress(console, "nodes", [one(d) for d in stage.district.everybody[1:]])
    except (SanjiError, ExceptionGroup) as error:
        first = first_of(error)
        raise StorageError(f"the district does not start: {first}.", advice=RESET) from error


async def _with_progress(console: Console, what: str, works: Sequence[Any]) -> None:
    columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn())
    mute = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=mute) as progress:
        bar = progress.add_task(what, total=len(works))

        async def counted(work: Any) -> None:
            await work
            progress.advance(bar)

        async with asyncio.TaskGroup() as tasks:
            for work in works:
                tasks.create_task(counted(work))


def _speaker(stage: Stage, by: str) -> Division:
    district = stage.district
    if by == "district":
        return district.top
    level, number = by.rstrip("0123456789"), int(by[-1])
    return district.towns[number] if level == "town" else district.villages[number * 9]


async def _notice(stage: Stage, one: Notice) -> None:
    speaker = _speaker(stage, one.by)
    told = await stage.ask(
        speaker, "publish", title=one.title, text=one.text, category=one.category,
        urgent=one.urgent,
    )  # fmt: skip
    if one.corrected:
        await stage.ask(
            speaker, "correct", rid=told["rid"], title=one.title,
            text=one.text.replace("186", "185"), reason=one.corrected,
        )  # fmt: skip
    if one.withdrawn:
        await stage.ask(speaker, "withdraw", rid=told["rid"], reason=one.withdrawn)


async def _voice(stage: Stage, village: Division, one: Voice) -> None:
    filed = await stage.ask(
        village, "file", kind=one.kind, topic=one.topic, text=one.text, place=one.place
    )
    if not one.answer:
        return
    town = next(t for t in stage.district.towns if t.code == village.parent)
    await stage.until_held([filed["rid"]], [town], f"{town.label} holds what was said")
    told = await stage.ask(town, "answer", receipt=filed["receipt"], text=one.answer)
    if one.score:
        await stage.until_held([told["rid"]], [village], f"{village.label} holds the answer")
        await stage.ask(village, "rate", receipt=filed["receipt"], score=one.score)


async def _say(stage: Stage, console: Console, seconds: float) -> None:
    """Say where to look; desks by a link that is good once, so that nobody hunts passwords."""
    top, town, village = stage.district.top, stage.district.towns[0], stage.district.villages[0]
    console.print(f"{len(stage.ports)} nodes serve after {seconds:.0f} s. Ctrl-C stops them.")
    console.print(f"  {village.label}  kiosk   {_url(stage, village)}kiosk")
    console.print(f"  {village.label}  phone   {_url(stage, village)}")
    for division, account in ((town, "handler"), (top, "dispatcher"), (top, "drafter")):
        link = await stage.ask(division, "login_link", who=account)
        console.print(f"  {division.label}  {account}   {_url(stage, division)[:-1]}{link['path']}")
    console.print("  The links of the desks are good once, for a minute; passwords stand in")
    console.print(f"  {stage.folder}/nodes/*/accounts.txt.")


def _url(stage: Stage, division: Division) -> str:
    return f"http://127.0.0.1:{stage.ports[division.code]}/"


if __name__ == "__main__":
    sys.exit(main())
