"""What an operator needs to set up a broker: its definitions and a password for each division."""

import json
import os
import secrets
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Final

from broker.rabbitmq.definitions import SALT_BYTES, definitions, password_hash
from shared.errors import UnavailableError
from shared.node.node import Node
from shared.record.feed import Level

PASSWORD_BYTES: Final = 24


async def list_levels(node: Node, _progress: Callable[[int, int], None]) -> dict[str, Any]:
    """Return the level of each certified division, by code."""
    return {code: one.level.word for code, one in node.log.roster.divisions().items()}


def write_definitions(levels: dict[str, str], file: Path, folder: Path, vhost: str) -> list[str]:
    """Write the broker's definitions, and a password file for each division that has none yet.

    Args:
        levels: As ``list_levels`` returns them.
        file: Gets the definitions: JSON, for the owner only.
        folder: Holds a file for each division, named by its code, for the owner only. Passwords
            that are there stay, so that the command can be run again when divisions join.
        vhost: The virtual host on the broker.

    Returns:
        The codes that got a new password.

    Raises:
        UnavailableError: something cannot be written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        passwords, new = _passwords(folder, levels)
        hashes = {
            code: password_hash(password, os.urandom(SALT_BYTES))
            for code, password in passwords.items()
        }
        made = definitions({code: Level.of(word) for code, word in levels.items()}, hashes, vhost)
        _write_private(file, json.dumps(made, indent=1).encode() + b"\n")
    except OSError as error:
        raise UnavailableError(f"{error.filename} cannot be written: {error.strerror}.") from error
    return new


def _passwords(folder: Path, codes: Collection[str]) -> tuple[dict[str, str], list[str]]:
    """Return the password of each division, and who got a new one."""
    known, new = {}, []
    for code in sorted(codes):
        path = folder / code
        if not path.exists():
            _write_private(path, secrets.token_urlsafe(PASSWORD_BYTES).encode() + b"\n")
            new.append(code)
        known[code] = path.read_text("utf-8").strip()
    return known, new


def _write_private(path: Path, data: bytes) -> None:
    """Write a file for the owner only, whole or not at all."""
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    temporary.replace(path)
