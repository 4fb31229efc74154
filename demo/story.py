"""A whole district on this machine, from nothing to an audited end: ``make story``.

It reads three variables of the environment: ``STORY_NOTICE``, a text or Markdown file that becomes
the district's notice; ``STORY_DIVISIONS``, a CSV with another district; ``STORY_DIR``, where it
writes (``build/story``; wiped at the start). ``SANJI_PORT_BASE`` says where to look for ports.

``--carrier rabbitmq`` lets all links go through a private broker, ``--store postgresql`` lets the
district's log lie in a private database; both are there for the story only.
"""

import argparse
import asyncio
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TextIO

from rich.console import Console
from rich.table import Table

from demo import figures
from demo.chapters import CHAPTERS
from demo.district import BUILT_IN, read_district
from demo.host import first_of
from demo.parts import CarrierName, StoreName, add_option, private_parts
from demo.plot import RURAL, Plot, cast_for
from demo.stage import Stage, StoryError
from demo.supervisor import on_terminate, terminate_as_interrupt
from shared.domain.notices.rules import read_notice
from shared.errors import InvalidError, RefusedError, SanjiError

DEFAULT_FOLDER: Final = "build/story"
MARK: Final = ".sanji-story"
"""Stands in a folder that a story made: of others only the default one is ever wiped."""

STORY_SECONDS_MAX: Final = 240.0
AUDIT_SECONDS_MAX: Final = 120.0
NOTICE_FILE_BYTES_MAX: Final = 64 * 1024 * 1024
AUDIT_FILE: Final = Path(__file__).parent.parent / "tests" / "acceptance" / "audit.py"
VARIABLES: Final = "Set STORY_NOTICE, STORY_DIVISIONS or STORY_DIR in the environment."
FAILED: Final = 1
INTERRUPTED: Final = 130


def main() -> int:
    """Tell the story; returns the exit code."""
    console = Console(highlight=False, soft_wrap=True)
    terminate_as_interrupt()
    try:
        options = _options().parse_args()
        carrier, store = CarrierName(options.carrier), StoreName(options.store)
        notice = chosen_notice(os.environ.get("STORY_NOTICE", ""))
        district = read_district(Path(os.environ.get("STORY_DIVISIONS") or BUILT_IN))
        cast = cast_for(district)
        with (
            prepared(Path(os.environ.get("STORY_DIR") or DEFAULT_FOLDER)) as folder,
            private_parts(district, folder, carrier, store) as parts,
        ):
            plot = Plot(Stage(district, folder, parts=parts), cast, console, notice)
            asyncio.run(tell(plot))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return _fail("interrupted.", INTERRUPTED)
    except SanjiError as error:
        return _fail(str(error), FAILED)
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("story", epilog=VARIABLES)
    add_option(parser, "--carrier", CarrierName)
    add_option(parser, "--store", StoreName)
    return parser


def _fail(why: str, code: int) -> int:
    sys.stderr.write(f"story: {' '.join(why.split())}\n")
    return code


def chosen_notice(name: str) -> tuple[str, str]:
    """Return title and text of the notice in the file ``name``; of ours if it is empty.

    Raises:
        InvalidError: the file cannot be a notice.
    """
    if not name:
        return RURAL
    path = Path(name)
    try:
        if path.exists() and not path.is_file():
            raise InvalidError(f"{path.name} is no file.", advice="Name a text file.")
        with path.open("rb") as file:
            data = file.read(NOTICE_FILE_BYTES_MAX)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise InvalidError(f"{path.name} cannot be read: {why}.") from error
    return read_notice(data, path.name)


@contextmanager
def prepared(folder: Path) -> Iterator[Path]:
    """Make ``folder`` empty and hold it; one that holds something else than a story is left alone.

    Raises:
        RefusedError: it is not ours to wipe, or another story runs there.
        InvalidError: it cannot be made.
    """
    folder = folder.absolute()
    try:
        ours = folder == Path(DEFAULT_FOLDER).absolute() or (folder / MARK).exists()
        if not ours and folder.exists() and any(folder.iterdir()):
            raise RefusedError(f"{folder} holds something else.", advice="Set STORY_DIR.")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = (folder / MARK).open("a")
    except OSError as error:
        raise InvalidError(f"{folder} cannot be used: {error.strerror}.") from error
    with held:
        _hold(held, folder)
        _empty(folder)
        yield folder


def _empty(folder: Path) -> None:
    try:
        for entry in folder.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name != MARK:
                entry.unlink()
    except OSError as error:
        raise InvalidError(f"{folder} cannot be emptied: {error.strerror}.") from error


def _hold(held: TextIO, folder: Path) -> None:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RefusedError(
            f"another story runs in {folder}.", advice="Wait for its end, or set STORY_DIR."
        ) from None


async def tell(plot: Plot) -> None:
    """Tell the story and check it.

    Raises:
        SanjiError: an expectation failed.
    """
    started = time.monotonic()
    task = asyncio.current_task()
    if task is not None:
        on_terminate(task)
    try:
        async with asyncio.timeout(STORY_SECONDS_MAX):
            await _chapters(plot, started)
    except TimeoutError:
        raise StoryError(f"the story took longer than {STORY_SECONDS_MAX:g} s.") from None
    except ExceptionGroup as group:
        raise first_of(group) from group
    finally:
        forced = await plot.stage.supervisor.stop()
    if forced:
        raise StoryError(f"{', '.join(forced)} did not end well; see {plot.stage.folder / 'logs'}.")
    await _check(plot, started)


async def _chapters(plot: Plot, started: float) -> None:
    for number, (title, chapter) in enumerate(CHAPTERS, 1):
        at = time.monotonic() - started
        plot.console.print(f"[bold]{number}. {title}[/bold] [dim]{at:.1f} s[/dim]")
        await chapter(plot)


async def _check(plot: Plot, started: float) -> None:
    """Count from the logs, write ``story.json``, and let the auditor count again."""
    stage = plot.stage
    codes = [division.code for division in stage.district.everybody]
    logs = await figures.read_logs((code, stage.home(code)) for code in codes)
    told: dict[str, Any] = figures.count(
        logs, stage.district.top.code, stage.folder / "given.jsonl"
    )
    told |= plot.counted
    told["processes"] = len({stage.process_name(one) for one in stage.district.everybody})
    told["seconds"] = round(time.monotonic() - started, 1)
    file = stage.folder / "story.json"
    file.write_text(json.dumps(told, indent=1) + "\n", "utf-8")
    plot.console.print(_table(told))
    if wrong := figures.failed_expectations(told):
        raise StoryError(f"{'; '.join(wrong)}.")
    await _audit(stage.folder, plot.console)
    plot.console.print(f"Everything is in {stage.folder}.")


def _table(told: dict[str, Any]) -> Table:
    table = Table("figure", title="What the nodes' logs say", title_justify="left")
    table.add_column("count", justify="right")
    for name, value in told.items():
        table.add_row(name.replace("_", " "), f"{value:,}")
    return table


async def _audit(folder: Path, console: Console) -> None:
    """Let the independent auditor open the databases; it is there in a checkout only.

    Raises:
        StoryError: it disagrees.
    """
    if not AUDIT_FILE.exists():
        console.print("The auditor is not here: it comes with the source.")
        return
    with console.status("auditing"):
        done = await asyncio.to_thread(
            subprocess.run, [sys.executable, str(AUDIT_FILE), str(folder)],
            capture_output=True, text=True, timeout=AUDIT_SECONDS_MAX, check=False,
        )  # fmt: skip
    (folder / "audit.txt").write_text(done.stdout + done.stderr, "utf-8")
    lines = (done.stdout + done.stderr).strip().splitlines() or ["it said nothing"]
    if done.returncode:
        problems = [line.strip() for line in lines[:-1] if line.startswith("  ")]
        first = problems[0] if problems else lines[-1]
        raise StoryError(f"the audit does not agree ({first}); see {folder / 'audit.txt'}.")
    console.print("  ".join(lines[-2:]) if len(lines) > 1 else lines[0])


if __name__ == "__main__":
    sys.exit(main())
