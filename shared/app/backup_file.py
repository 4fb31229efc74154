"""The file of a backup: a copy of the log, and behind it a manifest that the node signed.

    copy (a SQLite file) | manifest | signature, 64 bytes | manifest's length, 4 bytes | magic

Lengths are big-endian. The manifest is deterministic CBOR; the signature is Ed25519 over a domain
of its own and the manifest. The copy's bytes are under the manifest's SHA-256: so no byte of the
file can be altered, and none be missing, without it being seen.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Self

from shared.errors import FaultError, InvalidError, NotFoundError, RefusedError, UnavailableError
from shared.log.log import Log
from shared.node.home import Identity
from shared.record import cbor
from shared.trust.keys import PublicKey, SigningKey

MAGIC: Final = b"sanji/backup/v1\n"
_DOMAIN: Final = b"sanji/backup/v1"
_VERSION: Final = 1
_MANIFEST_BYTES_MAX: Final = 64 * 1024 * 1024
_MANIFEST_DEPTH: Final = 3
_SIGNATURE_BYTES: Final = 64
_LENGTH_BYTES: Final = 4
_TAIL_BYTES: Final = _SIGNATURE_BYTES + _LENGTH_BYTES + len(MAGIC)
_PART_BYTES: Final = 1024 * 1024

Head = tuple[bytes, int, bytes]
"""Key of a feed, its records, and the rid of the last."""

Progress = Callable[[int, int], None]
"""Called with (done, total) bytes."""


@dataclass(frozen=True)
class Manifest:
    """What a backup holds.

    Attributes:
        division: Whose it is.
        anchor: rid of the district's founding record, 32 bytes.
        epoch: The division's epoch when it was made.
        made_at_ms: Its clock, Unix ms UTC; shown, never decisive.
        size: Bytes of the copy.
        sha256: Of the copy, 32 bytes.
        heads: Of each feed, by key.
        rows: How many each table has.
        files: What else the home has to keep, by name.
    """

    division: str
    anchor: bytes
    epoch: bytes
    made_at_ms: int
    size: int
    sha256: bytes
    heads: tuple[Head, ...]
    rows: dict[str, int]
    files: dict[str, bytes]

    @property
    def records(self) -> int:
        """How many records all feeds have together."""
        return self.rows["record"]

    def encode(self) -> bytes:
        """Return the bytes that are signed."""
        return cbor.encode(
            [
                _VERSION, self.division, self.anchor, self.epoch, self.made_at_ms, self.size,
                self.sha256, [list(head) for head in self.heads], self.rows, self.files,
            ]
        )  # fmt: skip

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the manifest in ``data``.

        Raises:
            FaultError: it is none of this version.
        """
        match cbor.decode(data, max_depth=_MANIFEST_DEPTH):
            case [
                version, str(division), bytes(anchor), bytes(epoch), int(made_at_ms), int(size),
                bytes(sha256), list(heads), dict(rows), dict(files),
            ] if cbor.is_number(version, _VERSION) and "record" in rows:  # fmt: skip
                return cls(
                    division, anchor, epoch, made_at_ms, size, sha256,
                    tuple(map(_head, heads)), rows, files,
                )  # fmt: skip
            case _:
                raise FaultError("the manifest is of another version")


def _head(value: Any) -> Head:
    match value:
        case [bytes(key), int(count), bytes(rid)]:
            return key, count, rid
        case _:
            raise FaultError("a head of the manifest cannot be read")


def heads_of(log: Log) -> tuple[Head, ...]:
    """Return the heads of all feeds of an opened log, as a manifest has them."""
    heads = ((feed.key, state.count, state.rid) for feed, state in log.feeds.items())
    return tuple(sorted(heads))


def append_manifest(file: BinaryIO, manifest: Manifest, key: SigningKey) -> None:
    """Write manifest, signature and end behind the copy, and flush all of it to the disk."""
    signed = manifest.encode()
    file.seek(0, os.SEEK_END)
    file.write(signed + key.sign_bytes(_DOMAIN + signed))
    file.write(len(signed).to_bytes(_LENGTH_BYTES, "big") + MAGIC)
    file.flush()
    os.fsync(file.fileno())


class Backup:
    """A backup's file, whose end was read.

    Attributes:
        path: The file.
        manifest: What it says that it holds; true only if it is ``checked`` and all of ``parts``
            were read.
    """

    def __init__(self, path: Path) -> None:
        """Read the end of the file.

        Raises:
            NotFoundError: there is no such file.
            InvalidError: it is no backup, or not a whole one.
            UnavailableError: the disk or the stick does not give it.
        """
        self.path = path
        with _opened(path) as file:
            try:
                self._signed, self._signature, self._copy_bytes = _read_end(file)
                self.manifest = Manifest.decode(self._signed)
            except FaultError as error:
                raise InvalidError(
                    f"{path.name} is no backup of this version, or not all of it: {error}."
                ) from None

    def check(self, identity: Identity, key: PublicKey) -> None:
        """Check whose backup it is, and that its manifest is signed by ``key``.

        Raises:
            RefusedError: another division's, another district's, or signed by another key.
        """
        manifest = self.manifest
        if manifest.division != identity.division:
            raise RefusedError(
                f"this is a backup of {manifest.division}, and these keys are "
                f"{identity.division}'s.",
                advice="Give the backup and the keys of one division.",
            )
        if manifest.anchor != identity.anchor:
            raise RefusedError(
                f"this is a backup of another district, with the anchor {manifest.anchor.hex()}.",
                advice=f"The keys are of the district with {identity.anchor.hex()}.",
            )
        if not key.verifies_bytes(self._signature, _DOMAIN + self._signed):
            raise RefusedError(
                "the backup is not signed by these keys, or it was altered.",
                advice="Take another copy of it, or the keys that were in use when it was made.",
            )
        if manifest.size != self._copy_bytes:
            raise self._altered()

    def parts(self, progress: Progress) -> Iterator[bytes]:
        """Yield the bytes of the copy; its SHA-256 is compared when the last was yielded.

        Raises:
            InvalidError: the copy is not what the manifest says.
            UnavailableError: the disk or the stick does not give it.
        """
        digest, left = hashlib.sha256(), self.manifest.size
        with _opened(self.path) as file:
            while left and (part := _read(file, self.path, min(left, _PART_BYTES))):
                digest.update(part)
                left -= len(part)
                progress(self.manifest.size - left, self.manifest.size)
                yield part
        if digest.digest() != self.manifest.sha256:
            raise self._altered()

    def _altered(self) -> InvalidError:
        return InvalidError(
            f"{self.path.name} was altered: it is not what its manifest says.",
            advice="Take another copy of it.",
        )


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise NotFoundError(f"there is no {path}.") from None
    except OSError as error:
        raise UnavailableError(f"{path} cannot be read: {error.strerror}.") from error


def _read(file: BinaryIO, path: Path, size: int) -> bytes:
    try:
        return file.read(size)
    except OSError as error:
        raise UnavailableError(f"{path} cannot be read: {error.strerror}.") from error


def _read_end(file: BinaryIO) -> tuple[bytes, bytes, int]:
    """Return manifest, signature and how many bytes stand before them.

    Raises:
        FaultError: the file does not end as a backup does.
    """
    end = file.seek(0, os.SEEK_END) - _TAIL_BYTES
    if end < 0:
        raise FaultError("it is too short")
    file.seek(end)
    tail = file.read(_TAIL_BYTES)
    if not tail.endswith(MAGIC):
        raise FaultError("its end is missing or another program's")
    size = int.from_bytes(tail[_SIGNATURE_BYTES : -len(MAGIC)], "big")
    if size > min(end, _MANIFEST_BYTES_MAX):
        raise FaultError("its manifest is longer than the file")
    file.seek(end - size)
    return file.read(size), tail[:_SIGNATURE_BYTES], end - size
