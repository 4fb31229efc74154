"""``backup``: a copy of the log while the node serves, checked before it has its name.

Beside the log it holds the identity, the accounts of the staff and the tokens of programs (hashes,
no secrets). Keys are never inside, nor settings, which belong to the machine.
"""

import asyncio
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from broker.bundle import sync_folder, unwritten
from shared.app import evidence
from shared.app.acts import Act, Progress
from shared.app.api.tokens import TOKENS_FILE
from shared.app.backup_file import Backup, Head, Manifest, append_manifest, heads_of
from shared.app.kept import KEPT
from shared.errors import RefusedError, StorageError, UnavailableError
from shared.log.copying import copy_out
from shared.log.log import Log
from shared.log.sql import SqlStore
from shared.log.sqlite import SqliteDatabase
from shared.node.accounts import ACCOUNTS_FILE
from shared.node.home import IDENTITY_FILE, Home, Identity
from shared.node.node import Node

FILES: Final = (IDENTITY_FILE, ACCOUNTS_FILE, TOKENS_FILE)
"""What else of the home is kept."""


@dataclass(frozen=True)
class Held:
    """What a copy holds.

    Attributes:
        epoch: The node's epoch.
        heads: Of all feeds.
        keys: Signing and sealing key that are certified for the node; none if it is not.
    """

    epoch: bytes
    heads: tuple[Head, ...]
    keys: tuple[bytes, ...]


def backup_acts(home: Home) -> dict[str, Act]:
    """Return the act ``backup`` of the node in ``home``."""

    async def backup(node: Node, progress: Progress, *, path: str) -> dict[str, Any]:
        return await back_up(node, home, Path(path), progress)

    return {"backup": backup}


async def back_up(node: Node, home: Home, path: Path, progress: Progress) -> dict[str, Any]:
    """Write a backup; at ``path`` stands all of it, checked, or nothing.

    Args:
        node: Goes on writing meanwhile; what it writes from now on is not inside.
        home: Where it lives.
        path: The file; its folder has to be there, the file must not.
        progress: Told how many rows are copied, then how many records are checked.

    Returns:
        What was written, and what was verified.

    Raises:
        RefusedError: the file is there already.
        UnavailableError: the disk is full, gone, or not writable.
        StorageError: the log is damaged, or what was read back is not what was written.
    """
    if node.views is None:
        raise UnavailableError("this node keeps no database.")
    part = path.with_name(f".{path.name}.part")
    told = _in_loop(progress)
    with _new_file(path, part):
        rows = await node.views.snapshot(lambda source: _copy(source, part, path, told))
        held = await check_copy(part, node.identity, progress)
        size, sha256 = await asyncio.to_thread(_digest, part)
        manifest = Manifest(
            node.identity.division, node.identity.anchor, held.epoch, node.clock.wall_ms(),
            size, sha256, held.heads, rows, _files(home),
        )  # fmt: skip
        whole = await asyncio.to_thread(_finish, node, part, path, manifest)
    return {
        "file": str(path),
        "bytes": whole,
        "records": manifest.records,
        "feeds": len(held.heads),
        "sha256": sha256.hex(),
        "made_at_ms": manifest.made_at_ms,
        "verified": f"{manifest.records} records in the copy: bodies, chains and signatures; "
        "SHA-256 and signature of the whole, read back from the disk",
    }


async def check_copy(file: Path, identity: Identity, progress: Progress) -> Held:
    """Check every record of a copy of the log of ``identity``; returns what it holds.

    Raises:
        StorageError: a record is damaged or was not said by whom it names, or the file is none of
            this version's.
    """
    store = SqlStore(SqliteDatabase.open(file, *KEPT))
    try:
        log = Log(identity.division, store, identity.anchor)
        await log.open()
        found = await evidence.verify(log, progress)
        if found["problem_count"]:
            raise StorageError(
                f"the log in it is damaged: {found['problems'][0]}.",
                advice="`verify` names all that is wrong with a node's log.",
            )
        mine = log.roster.certificate_of(identity.division)
        keys = (mine.signing_key, mine.sealing_key) if mine else ()
        return Held(log.epoch, heads_of(log), keys)
    finally:
        await store.close()


def _copy(source: Any, part: Path, path: Path, progress: Progress) -> dict[str, int]:
    try:
        return copy_out(source, part, KEPT, progress)
    except StorageError as error:
        raise StorageError(
            f"{path.name} was not written: {error.args[0]}",
            advice=f"Make room in {path.parent}, or name a file on another disk.",
        ) from error


def _files(home: Home) -> dict[str, bytes]:
    kept = {name: home.path / name for name in FILES}
    return {name: file.read_bytes() for name, file in kept.items() if file.exists()}


def _finish(node: Node, part: Path, path: Path, manifest: Manifest) -> int:
    """Sign what was written, read it back from the disk, and give it its name; returns its size."""
    with part.open("r+b") as file:
        append_manifest(file, manifest, node.keys.signing)
        # Flushed pages go out of memory: what is read back comes from the disk or the stick.
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    written = Backup(part)
    written.check(node.identity, node.keys.signing.public)
    for _ in written.parts(lambda _done, _total: None):
        pass
    part.replace(path)
    sync_folder(path.parent)
    return path.stat().st_size


def _digest(file: Path) -> tuple[int, bytes]:
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").digest()
    return file.stat().st_size, digest


@contextmanager
def _new_file(path: Path, part: Path) -> Iterator[None]:
    """Make ``part``, for its owner only; whatever fails leaves nothing."""
    if path.exists():
        raise RefusedError(f"{path} is there already.", advice="Name another file.")
    try:
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        yield
    except OSError as error:
        raise unwritten(path, error) from error
    finally:
        for ending in ("", "-wal", "-shm"):
            with suppress(OSError):
                part.with_name(part.name + ending).unlink(missing_ok=True)


def _in_loop(progress: Progress) -> Progress:
    """Return what tells ``progress`` from another thread."""
    loop = asyncio.get_running_loop()

    def tell(done: int, total: int) -> None:
        loop.call_soon_threadsafe(progress, done, total)

    return tell
