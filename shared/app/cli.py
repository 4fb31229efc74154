"""What all commands share: how they reach the node, what they print, how they fail.

A command speaks to the serving node through its control socket, else opens the home itself. Every
failure is one line on standard error that says what to do, and an exit code other than 0.
"""

import asyncio
import json
import logging
import os
import sys
import traceback
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import structlog
import typer
from rich.console import Console

from shared.app import compose, control
from shared.app.backup import backup_acts
from shared.errors import (
    InvalidError,
    NotFoundError,
    RefusedError,
    SanjiError,
    StorageError,
    UnavailableError,
)
from shared.node.home import Home

EXIT_CODES: Final[dict[type[SanjiError], int]] = {
    InvalidError: 2,
    RefusedError: 3,
    NotFoundError: 4,
    UnavailableError: 5,
    StorageError: 6,
}
"""Exit code by error; any other failure is 1."""

FILE_BYTES_MAX: Final = 1024 * 1024

HomeOption = Annotated[
    Path, typer.Option("--home", envvar="SANJI_HOME", help="Folder in which the node lives.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
TextFile = Annotated[Path, typer.Argument(help="UTF-8 text or Markdown; - reads standard input.")]

out = Console(highlight=False, emoji=False, soft_wrap=True)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a command to its end; errors become one line and an exit code."""
    quiet = structlog.make_filtering_bound_logger(logging.WARNING)
    # Looked up at each line: who runs several commands in one process may have exchanged it.
    structlog.configure(
        wrapper_class=quiet, logger_factory=lambda *_name: structlog.PrintLogger(sys.stderr)
    )
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except BaseExceptionGroup as group:
        fail(_first(group))
    except Exception as error:  # noqa: BLE001 - the edge: nothing may end in a traceback
        fail(error)


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def fail(error: BaseException) -> None:
    """Say what happened in one line and leave with its exit code.

    Raises:
        typer.Exit: always.
    """
    if isinstance(error, SanjiError):
        sys.stderr.write(f"{' '.join(str(error).split())}\n")
        codes = (code for kind, code in EXIT_CODES.items() if isinstance(error, kind))
        raise typer.Exit(next(codes, 1)) from None
    if os.environ.get("SANJI_DEBUG"):
        traceback.print_exception(error)
    reason = " ".join(str(error).split()) or type(error).__name__
    sys.stderr.write(f"this did not work: {reason}. SANJI_DEBUG=1 shows where.\n")
    raise typer.Exit(1) from None


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar on a terminal; yields what it is told: what is done, how far, of how much."""
    # Here, because who serves shows none: a village has little memory.
    from rich.progress import Progress  # noqa: PLC0415

    with Progress(
        console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()
    ) as bar:
        task = bar.add_task("", total=None, visible=False)

        def progress(what: str, done: int, total: int) -> None:
            bar.update(
                task, description=what, completed=done, total=total or None, visible=True
            )  # fmt: skip

        yield progress


async def perform(home: Home, act: str, **given: Any) -> Any:
    """Do one act of ``shared.app.acts`` on the node in ``home``, serving or not."""
    with progress_bar() as bar:

        def progress(done: int, total: int) -> None:
            bar(act, done, total)

        home.identity()
        if home.control_file.exists():
            with suppress(control.NotServingError):
                return await control.ask(home.control_file, act, given, progress)
        async with compose.open_node(home) as node:
            return await control.perform(node, act, given, progress, backup_acts(home))


def show_result(result: dict[str, Any], *, as_json: bool = False) -> None:
    """Print what an act answered: JSON, or a line a field with times as people read them."""
    if as_json:
        sys.stdout.write(json.dumps(result, ensure_ascii=False, indent=1) + "\n")
        return
    for name, value in result.items():
        if name.endswith("_ms"):
            out.print(f"{name.removesuffix('_ms')}: {moment(value)}", markup=False)
        else:
            plain = (
                json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
            )
            out.print(f"{name}: {'-' if plain is None else plain}", markup=False)


def moment(at_ms: int | None) -> str:
    """Return Unix ms as local time; a dash for what has not happened."""
    if at_ms is None:
        return "-"
    return datetime.fromtimestamp(at_ms / 1000).astimezone().isoformat(" ", "seconds")


def read_file(path: Path) -> bytes:
    """Return the bytes of a file that a person named, at most 1 MiB.

    Raises:
        NotFoundError: it cannot be read.
        InvalidError: it is too large.
    """
    try:
        source = sys.stdin.buffer if str(path) == "-" else path.open("rb")
        with source:
            data = source.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise NotFoundError(f"{path} cannot be read: {error.strerror}.") from error
    if len(data) > FILE_BYTES_MAX:
        raise InvalidError(f"{path} is larger than 1 MiB.", advice="Shorten or split it.")
    return data


def write_file(path: Path, data: bytes) -> None:
    """Write ``data`` to a file that a person named.

    Raises:
        UnavailableError: it cannot be written.
    """
    try:
        path.write_bytes(data)
    except OSError as error:
        raise UnavailableError(f"{path} cannot be written: {error.strerror}.") from error
