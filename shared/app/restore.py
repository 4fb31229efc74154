"""``restore``: a lost box comes back from its backup and its keys.

All of it is checked in a folder of its own inside the home before the first file gets its name.
The home gets no marker: so the node doubts its epoch as soon as it starts, opens a new one, also
offline, and takes back from its neighbours what it had said since the backup (protocol 4.3).
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from broker.bundle import sync_folder
from shared.app.backup import FILES, check_copy
from shared.app.backup_file import Backup
from shared.errors import InvalidError, RefusedError, UnavailableError
from shared.node.home import IDENTITY_FILE, LOCK_FILE, Home, Identity, Keys
from shared.node.keys_file import unpack_keys
from shared.node.settings import load_settings
from shared.record.feed import Level

Progress = Callable[[str, int, int], None]
"""Told what is being done, how far it is, and of how much."""

_STAGING: Final = ".restoring-"


def open_keys(data: bytes, passphrase: bytes, level: Level) -> tuple[Identity, Keys]:
    """Return whose keys a keys file holds, and the keys.

    Raises:
        InvalidError: it is no keys file.
        RefusedError: another passphrase, or the keys of another tier.
    """
    identity, keys = unpack_keys(data, passphrase)
    if identity.level != level:
        raise RefusedError(
            f"these are the keys of a {identity.level.word}, not of a {level.word}.",
            advice=f"Use the command `{identity.level.word}`.",
        )
    return identity, keys


async def restore(
    home: Home, file: Path, identity: Identity, keys: Keys, progress: Progress
) -> dict[str, Any]:
    """Let the node that wrote the backup ``file`` live in ``home``.

    Args:
        home: Empty, but for settings.
        file: The backup.
        identity: Whose keys these are.
        keys: That node's.
        progress: See above.

    Returns:
        What is there now.

    Raises:
        RefusedError: the home is not empty, the backup is another one's, or the keys are.
        InvalidError: the file is no backup, not whole, or altered.
        StorageError: the log in it is damaged or of another version.
        UnavailableError: the disk is full, or the backup cannot be read.
    """
    backup = Backup(file)
    backup.check(identity, keys.signing.public)
    with _empty(home) as staging:
        await asyncio.to_thread(_unpack, backup, staging, progress)
        copy = staging.database_file
        await _check(copy, backup, keys, lambda done, total: progress("verify", done, total))
        staging.put_keys(keys)
        await asyncio.to_thread(_move_in, staging, home)
    manifest = backup.manifest
    return {
        "division": manifest.division,
        "label": identity.label,
        "records": manifest.records,
        "feeds": len(manifest.heads),
        "made_at_ms": manifest.made_at_ms,
    }


def _unpack(backup: Backup, staging: Home, progress: Progress) -> None:
    """Write the copy and the files; settings and keys are no part of a backup."""
    with staging.database_file.open("xb") as copy:
        for part in backup.parts(lambda done, total: progress("read", done, total)):
            copy.write(part)
        copy.flush()
        os.fsync(copy.fileno())
    staging.database_file.chmod(0o600)
    for name in FILES:
        if name in backup.manifest.files:
            staging.write(name, backup.manifest.files[name])
    if not staging.exists():
        raise InvalidError(f"{backup.path.name} does not say whose it is.")


async def _check(
    copy: Path, backup: Backup, keys: Keys, progress: Callable[[int, int], None]
) -> None:
    """Check the log that was unpacked, and that the keys are the certified ones."""
    identity = Home(copy.parent).identity()
    manifest = backup.manifest
    held = await check_copy(copy, identity, progress)
    if (held.epoch, held.heads) != (manifest.epoch, manifest.heads):
        raise InvalidError(f"{backup.path.name} holds another log than its manifest says.")
    if held.keys != (keys.signing.public.raw, keys.sealing_public):
        raise RefusedError(
            "these keys are not the certified ones of the log in the backup.",
            advice="Give the keys that were in use when it was made.",
        )


@contextmanager
def _empty(home: Home) -> Iterator[Home]:
    """Yield a folder inside the home, which is empty; whatever fails leaves the home as it was."""
    if load_settings(home.settings_file).database_url:
        raise RefusedError(
            f"{home.settings_file} names a database, and a backup is restored into a file.",
            advice="Take database_url out, restore, then run migrate-store.",
        )
    was_there = home.path.exists()
    others = _others(home) if was_there else []
    if others:
        raise RefusedError(
            f"{home.path} is not empty: there is {others[0]}.",
            advice="Give another --home, or put aside what is there.",
        )
    try:
        home.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with home.lock(), _cleared(home, was_there=was_there):
            for left in home.path.glob(_STAGING + "*"):  # by a restore that was killed
                shutil.rmtree(left)
            with tempfile.TemporaryDirectory(prefix=_STAGING, dir=home.path) as folder:
                yield Home(Path(folder))
    except OSError as error:
        raise UnavailableError(
            f"{home.path} cannot be written: {error.strerror}.",
            advice="Make room there, or give another --home.",
        ) from error


@contextmanager
def _cleared(home: Home, *, was_there: bool) -> Iterator[None]:
    """Leave nothing of our own where nobody lives in the end."""
    try:
        yield
    finally:
        if not home.exists():
            (home.path / LOCK_FILE).unlink(missing_ok=True)
            if not was_there:
                home.path.rmdir()


def _others(home: Home) -> list[str]:
    """Return what is there beside settings and what a killed restore has left."""
    names = {one.name for one in home.path.iterdir() if not one.name.startswith(_STAGING)}
    return sorted(names - {home.settings_file.name, LOCK_FILE})


def _move_in(staging: Home, home: Home) -> None:
    """Give all files their names, the identity last: from then on the home exists."""
    for file in sorted(staging.path.iterdir(), key=lambda one: one.name == IDENTITY_FILE):
        file.replace(home.path / file.name)
    sync_folder(home.path)
