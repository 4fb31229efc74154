"""What the demo keeps from start to start, and whether it can go on with it."""

import fcntl
import json
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from demo.parts import PASSWORDS, CarrierName
from demo.stage import NODES
from demo.supervisor import free_ports
from shared.app.api.remembered import ANSWERS
from shared.errors import InvalidError, RefusedError, StorageError, UnavailableError
from shared.log.schema import LAYOUT, digest_of

MARK: Final = "demo.json"
"""Stands in a folder once its district is whole."""
LOCK: Final = "lock"
RESET: Final = "Run `make demo-reset` and start again."


def tables() -> str:
    """Return what tells tables apart that no node carries forward, so that old data is no use."""
    return f"{LAYOUT} {digest_of(ANSWERS)[:16]}"


@dataclass(frozen=True)
class Kept:
    """What stands in the mark.

    Attributes:
        port: The first of the block; the nodes know each other's.
        tables: See ``tables``.
        carrier: What carries the links: addresses that nodes know of each other say so too.
    """

    port: int
    tables: str = ""
    carrier: str = CarrierName.WS.value

    def save(self, folder: Path) -> None:
        """Say that the district in ``folder`` is whole."""
        value = asdict(replace(self, tables=tables()))
        (folder / MARK).write_text(json.dumps(value) + "\n", "utf-8")

    def ports(self, count: int) -> range:
        """Return the ports of the district.

        Raises:
            RefusedError: somebody else listens there now.
        """
        with suppress(UnavailableError):
            block = free_ports(count, self.port)
            if block.start == self.port:
                return block
        raise RefusedError(
            f"the ports from {self.port} on, which this district uses, are taken.",
            advice="Stop what listens there, or run `make demo-reset`.",
        )


@contextmanager
def prepared(folder: Path, carrier: CarrierName, codes: Collection[str]) -> Iterator[Kept | None]:
    """Hold the folder, made if need be; tell what district is in it, None before a first start.

    Args:
        folder: Where the district lives.
        carrier: What shall carry its links.
        codes: Its divisions.

    Raises:
        RefusedError: another demo runs there, or its links go over another carrier, or it has
            other divisions.
        StorageError: what is there cannot be used.
        InvalidError: the folder cannot be made.
    """
    kept = _read(folder)
    if kept is not None and kept.carrier != carrier:
        raise RefusedError(
            f"the links of the district in {folder} go over {kept.carrier}.",
            advice=f"Say CARRIER={kept.carrier}, set DEMO_DIR, or run `make demo-reset`.",
        )
    if kept is not None and {one.name for one in (folder / NODES).glob("*")} != set(codes):
        raise RefusedError(
            f"the nodes in {folder} are of other divisions.",
            advice="Set DEMO_DIVISIONS as it was, or DEMO_DIR, or run `make demo-reset`.",
        )
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = (folder / LOCK).open("a")
    except OSError as error:
        raise InvalidError(f"{folder} cannot be used: {error.strerror}.") from error
    with held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RefusedError(
                f"another demo runs in {folder}.", advice="Stop it, or set DEMO_DIR."
            ) from None
        yield kept


def _read(folder: Path) -> Kept | None:
    try:
        kept = Kept(**json.loads((folder / MARK).read_text("utf-8")))
    except FileNotFoundError:
        if _holds(folder, NODES):
            raise StorageError(
                f"{folder} is not whole: its first start was broken off.", advice=RESET
            ) from None
        ours = {LOCK, "logs", PASSWORDS}
        if folder.exists() and any(one.name not in ours for one in folder.iterdir()):
            raise RefusedError(f"{folder} holds something else.", advice="Set DEMO_DIR.") from None
        return None
    except (OSError, ValueError, TypeError) as error:
        raise StorageError(f"{folder / MARK} cannot be read.", advice=RESET) from error
    if kept.tables != tables():
        raise StorageError(f"{folder} was made by another version.", advice=RESET)
    return kept


def _holds(folder: Path, name: str) -> bool:
    return (folder / name).exists()


def reset(folder: Path) -> None:
    """Throw the district away.

    Raises:
        RefusedError: the folder holds something else, or a demo runs there.
    """
    if not folder.exists():
        return
    ours = _holds(folder, NODES) or _holds(folder, MARK) or _holds(folder, LOCK)
    if not ours and any(folder.iterdir()):
        raise RefusedError(f"{folder} holds something else.", advice="Set DEMO_DIR.")
    with (folder / LOCK).open("a") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RefusedError(f"a demo runs in {folder}.", advice="Stop it first.") from None
        shutil.rmtree(folder, ignore_errors=True)
