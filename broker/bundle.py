"""Bundles: frames on a USB stick, for a node without a line (protocol 5.9).

    magic | length, header | length, frame | length, frame | … | SHA-256 of all before

Lengths are 4 bytes, big-endian; the header is CBOR ``[1, from, to, made_at_ms]``; frames are
what a link would carry and are opaque here. The sum at the end tells a whole copy from one that a
stick, or somebody pulling it out, has damaged. It proves nothing: what is inside is accepted like
anything that came over a link.

All of this blocks; call it in a thread.
"""

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

from broker.bounds import check_frame
from shared.errors import FaultError, InvalidError, NotFoundError, SanjiError, UnavailableError
from shared.record import cbor
from shared.record.feed import check_code
from shared.record.limits import FRAME_BYTES_MAX, INTEGER_MAX

MAGIC: Final = b"SANJI-BUNDLE-1\n"
VERSION: Final = 1
BUNDLE_BYTES_MAX: Final = 2**32 - 1
"""The largest file of FAT32, which most sticks have."""

_LENGTH_BYTES: Final = 4
_SUM_BYTES: Final = hashlib.sha256().digest_size
_HEADER_BYTES_MAX: Final = 128
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def bundle_name(sender: str, receiver: str, made_at_ms: int) -> str:
    """Return the name of a bundle's file: ``sanji-<from>-<to>-<date>.bundle``.

    The date is UTC and goes down to the second, so that two bundles of one day stand side by side.
    """
    made = datetime.fromtimestamp(made_at_ms / 1000, UTC)
    return f"sanji-{sender}-{receiver}-{made:%Y%m%d-%H%M%S}.bundle"


@dataclass(frozen=True)
class Bundle:
    """A bundle whose sum was right when it was read; iterating yields its frames.

    Attributes:
        path: The file.
        sender: Division code of who made it.
        receiver: Division code of whom it is for.
        made_at_ms: The maker's clock, Unix ms UTC; shown, never decisive.
    """

    path: Path
    sender: str
    receiver: str
    made_at_ms: int

    def __iter__(self) -> Iterator[bytes]:
        """Yield the frames.

        Raises:
            FaultError: the file was changed since.
            UnavailableError: it can no longer be read.
        """
        with _reading(self.path) as file:
            parts = _parts(file, self.path)
            next(parts)
            yield from parts


def read_bundle(path: Path) -> Bundle:
    """Return the bundle at ``path``, after reading all of it once: no frame leaves a damaged one.

    Raises:
        NotFoundError: there is no such file.
        FaultError: not a bundle, cut short, or altered.
        UnavailableError: the stick or the disk does not give it.
    """
    with _reading(path) as file:
        parts = _parts(file, path)
        header = next(parts)
        for _ in parts:
            pass
    match cbor.decode(header, max_depth=2):
        case [version, str(sender), str(receiver), int(made_at_ms)] if (
            cbor.is_number(version, VERSION) and 0 <= made_at_ms <= INTEGER_MAX
        ):
            return Bundle(path, check_code(sender), check_code(receiver), made_at_ms)
        case _:
            raise FaultError(f"{path.name} is a bundle of another version")


def write_bundle(
    path: Path,
    frames: Iterable[bytes],
    *,
    sender: str,
    receiver: str,
    made_at_ms: int,
    bytes_max: int = BUNDLE_BYTES_MAX,
) -> int:
    """Write ``frames`` into a new bundle; at ``path`` stands all of it or nothing.

    Args:
        path: Where; the folder has to be there, the file must not. See ``bundle_name``.
        frames: In the order in which they shall be read.
        sender: Division code of this node.
        receiver: Division code of whom it is for.
        made_at_ms: Now, Unix ms UTC.
        bytes_max: The largest file allowed.

    Returns:
        How many frames were written.

    Raises:
        InvalidError: the file is there already, a frame or the whole is too large.
        UnavailableError: the stick is full, gone, or not writable.
    """
    if path.exists():
        raise InvalidError(f"{path.name} is there already.", advice="Move it away first.")
    header = cbor.encode_flat([VERSION, check_code(sender), check_code(receiver), made_at_ms])
    unfinished = path.with_name(f".{path.name}.part")
    try:
        unfinished.unlink(missing_ok=True)
        # "x" also refuses to follow a link that somebody left on the stick under this name.
        with unfinished.open("xb") as file:
            written = _fill(file, header, frames, bytes_max)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise unwritten(path, error) from error
    finally:
        with contextlib.suppress(OSError):  # the stick may be gone; else nothing is left behind
            unfinished.unlink(missing_ok=True)
    return written


def _fill(file: BinaryIO, header: bytes, frames: Iterable[bytes], bytes_max: int) -> int:
    """Write all parts and the sum; return the number of frames."""
    digest = hashlib.sha256()
    left = bytes_max - _SUM_BYTES

    def write(data: bytes) -> None:
        nonlocal left
        left -= len(data)
        if left < 0:
            raise InvalidError(
                f"the bundle would be larger than {bytes_max:,} bytes.",
                advice="Begin at a later date.",
            )
        digest.update(data)
        file.write(data)

    write(MAGIC)
    write(_part(header))
    written = 0
    for frame in frames:
        if not frame:
            raise InvalidError("an empty frame cannot travel")
        write(_part(check_frame(frame)))
        written += 1
    file.write(digest.digest())
    return written


def _part(data: bytes) -> bytes:
    return len(data).to_bytes(_LENGTH_BYTES, "big") + data


def _parts(file: BinaryIO, path: Path) -> Iterator[bytes]:
    """Yield the header, then each frame; at its end the sum is checked.

    Raises:
        FaultError: not a bundle, cut short, or altered.
    """
    if file.read(len(MAGIC)) != MAGIC:
        raise FaultError(f"{path.name} is not a bundle of Sanji")
    digest = hashlib.sha256(MAGIC)
    left = os.fstat(file.fileno()).st_size - len(MAGIC) - _SUM_BYTES

    def read(size: int) -> bytes:
        nonlocal left
        data = file.read(size) if size <= left else b""
        if len(data) != size:
            raise _damaged(path)
        left -= size
        digest.update(data)
        return data

    def part(bytes_max: int) -> bytes:
        size = int.from_bytes(read(_LENGTH_BYTES), "big")
        if not 0 < size <= bytes_max:
            raise _damaged(path)
        return read(size)

    yield part(_HEADER_BYTES_MAX)
    while left:
        yield part(FRAME_BYTES_MAX)
    if file.read(_SUM_BYTES + 1) != digest.digest():
        raise _damaged(path)


def _damaged(path: Path) -> FaultError:
    return FaultError(f"{path.name} is cut short or altered.", advice="Copy it again.")


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[BinaryIO]:
    """Open a bundle; errors of the system become ours.

    Raises:
        NotFoundError: there is no such file.
        FaultError: it is no plain file, or larger than a bundle can be.
        UnavailableError: it cannot be read.
    """
    try:
        status = path.stat()
        # Opening a pipe or a device would wait for ever, or do what the device does.
        if not stat.S_ISREG(status.st_mode) or status.st_size > BUNDLE_BYTES_MAX:
            raise FaultError(f"{path.name} is not a bundle of Sanji")
        with path.open("rb") as file:
            yield file
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no bundle {path}") from error
    except OSError as error:
        raise UnavailableError(f"{path.name} cannot be read: {_why(error)}") from error


def sync_folder(folder: Path) -> None:
    """Make the new name last: until then a power cut may take it back."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some file systems of sticks have no such call for folders; the file itself is flushed.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def unwritten(path: Path, error: OSError) -> SanjiError:
    """Return the error that says why a file was not written, and what to do."""
    if error.errno in _FULL:
        return UnavailableError(
            f"{path.name} was not written: there is no room in {path.parent}.",
            advice="Make room, or take a larger stick.",
        )
    return UnavailableError(f"{path.name} was not written: {_why(error)}")


def _why(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
