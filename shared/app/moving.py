"""``migrate-store``: the log of a node that is stopped moves to another database.

At no moment can two databases be written as the log of one node, whenever this is killed: its own
numbers would be given out twice, which is a fork.
"""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from shared.app import evidence
from shared.app.compose import open_database, open_place
from shared.app.kept import KEPT
from shared.errors import InvalidError, NotFoundError, RefusedError, StorageError, UnavailableError
from shared.log.database import Database, check_url
from shared.log.log import Log
from shared.log.moving import Move, Progress
from shared.log.schema import LAYOUT, MOVED, MOVING
from shared.log.sql import SqlStore
from shared.node.home import Home
from shared.node.settings import Settings, load_settings

FILE: Final = "sqlite"
"""How the command calls ``log.db`` in the home."""


@dataclass(frozen=True)
class _Place:
    """Where a log lies.

    Attributes:
        url: Of a PostgreSQL database; empty for ``log.db`` in the home.
        password_file: Holds its password; may be empty.
    """

    url: str
    password_file: str

    @asynccontextmanager
    async def opened(self, home: Home, *layouts: int) -> AsyncIterator[Database]:
        database = await open_place(home, self.url, self.password_file, layouts)
        try:
            yield database
        finally:
            await database.close()


async def move_store(
    home: Home, to: str, password_file: Path | None, progress: Progress
) -> dict[str, Any]:
    """Move the log of ``home``; the settings are left to the operator.

    Args:
        home: Of a node that is stopped.
        to: URL of a PostgreSQL database, without a password, or ``FILE``.
        password_file: Holds its password; None for the one that the settings name.
        progress: See ``shared.log.moving``.

    Returns:
        What was moved, what to set, and where the old log is.

    Raises:
        InvalidError: ``to`` names no database.
        UnavailableError: the node runs, or another process holds a database.
        RefusedError: the log lies there already.
        StorageError: a database cannot be used, holds something else, or a record is damaged.
    """
    identity, settings = home.identity(), load_settings(home.settings_file)
    source = _Place(settings.database_url, settings.database_password_file)
    target = _target(to, password_file, settings)
    with _stopped(home):
        if source.url == target.url:
            await (await open_database(home, settings)).close()  # says if it is not usable there
            raise RefusedError("the log of this node lies there already.")
        if not source.url and not home.database_file.exists():
            raise NotFoundError(
                f"there is no {home.database_file} to move.",
                advice=f"If the log lies elsewhere, set database_url in {home.settings_file}.",
            )
        async with (
            source.opened(home, LAYOUT, MOVED) as ours,
            target.opened(home, MOVING, LAYOUT) as theirs,
        ):
            move = Move(ours, theirs, [table for tables in KEPT for table in tables.sorted_tables])
            if not await move.is_done():
                await _verify(Log(identity.division, SqlStore(ours), identity.anchor), progress)
                await move.copy(progress)
                await move.compare(progress)
                await move.finish()
            rows = await move.counts()
        kept = _tidy(home, source, target)
    return {
        "records": rows["record"],
        "rows": rows,
        "database_url": target.url,
        "database_password_file": target.password_file,
        "old": kept,
    }


def next_steps(home: Home, result: dict[str, Any]) -> list[str]:
    """Return what to tell after a move: nobody but the operator writes node.toml."""
    told = [
        f"{result['records']} records are moved, and both databases held the same.",
        f"The old one is kept, and no node opens it: {result['old']}",
    ]
    if not result["database_url"]:
        return [*told, f"Next: take database_url out of {home.settings_file}."]
    names = ("database_url", "database_password_file")
    lines = [f"{name} = {json.dumps(result[name])}" for name in names if result[name]]
    return [*told, f"Next, in {home.settings_file}:", *lines]


def _target(to: str, password_file: Path | None, settings: Settings) -> _Place:
    if to == FILE:
        return _Place("", "")
    try:
        url = check_url(to)
    except ValueError as error:
        raise InvalidError(f"the target {error}.", advice=f"Or name {FILE}.") from None
    if not url:
        raise InvalidError("the target is empty.", advice=f"Give a URL or {FILE}.")
    file = str(password_file.absolute()) if password_file else settings.database_password_file
    return _Place(url, file)


@contextmanager
def _stopped(home: Home) -> Iterator[None]:
    lock = home.lock()
    try:
        lock.__enter__()
    except UnavailableError:
        raise UnavailableError(
            f"the node in {home.path} runs, and a log is moved only while nobody writes it.",
            advice="Stop it, then run this again.",
        ) from None
    try:
        yield
    finally:
        lock.__exit__(None, None, None)


async def _verify(log: Log, progress: Progress) -> None:
    """Check every record of the source before the first is copied.

    Raises:
        StorageError: something is wrong; the message names the first.
    """
    await log.open()
    found = await evidence.verify(log, lambda done, total: progress("verify", done, total))
    if found["problem_count"]:
        raise StorageError(
            f"The log is damaged, and nothing of it was moved: {found['problems'][0]}.",
            advice="`verify` names all that is wrong; put the log aside and let the node fetch "
            "its records from the neighbours.",
        )


def _tidy(home: Home, source: _Place, target: _Place) -> str:
    """Let the home say where the log is now; returns what the old one is called."""
    if target.url:
        home.say_elsewhere()
    else:
        home.elsewhere_file.unlink(missing_ok=True)
    return source.url or str(home.retire_database())
