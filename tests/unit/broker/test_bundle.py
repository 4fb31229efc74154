"""Bundles: a whole one gives its frames, a damaged one gives none."""

import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.bundle import MAGIC, Bundle, bundle_name, read_bundle, write_bundle
from shared.errors import FaultError, InvalidError, NotFoundError, SanjiError, UnavailableError
from shared.record import cbor
from shared.record.limits import FRAME_BYTES_MAX
from tests.support.frames import chunk_frame, heads_frame

MADE_AT_MS = 1_768_383_000_000
NAME = "sanji-340602-3406-20260114-093000.bundle"
FRAMES = (b"first", b"2", bytes(300))


def write(path: Path, frames: tuple[bytes, ...] = FRAMES, bytes_max: int = 10**6) -> int:
    """Write a bundle of the child for its parent."""
    return write_bundle(
        path, frames, sender="340602", receiver="3406", made_at_ms=MADE_AT_MS, bytes_max=bytes_max
    )


def forge(path: Path, content: bytes) -> Path:
    """Write ``content`` with a sum that is right for it."""
    path.write_bytes(content + hashlib.sha256(content).digest())
    return path


def part(data: bytes) -> bytes:
    """Return ``data`` behind its length."""
    return len(data).to_bytes(4, "big") + data


HEADER = part(cbor.encode([1, "340602", "3406", MADE_AT_MS]))


def test_name_tells_from_to_and_when() -> None:
    """Two bundles of one day have two names, and none has a character that FAT forbids."""
    assert bundle_name("340602", "3406", MADE_AT_MS) == NAME
    assert bundle_name("340602", "3406", MADE_AT_MS + 1000) != NAME


def test_frames_come_back_in_order(tmp_path: Path) -> None:
    """What was written is read, as often as it is asked for, with who made it for whom."""
    frames = (heads_frame(), chunk_frame(), *FRAMES)
    assert write(tmp_path / NAME, frames) == len(frames)
    bundle = read_bundle(tmp_path / NAME)
    assert bundle == Bundle(tmp_path / NAME, "340602", "3406", MADE_AT_MS)
    assert tuple(bundle) == frames
    assert tuple(bundle) == frames
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_bundle_without_frames_is_whole(tmp_path: Path) -> None:
    """Nothing to bring is no fault."""
    assert write(tmp_path / NAME, ()) == 0
    assert tuple(read_bundle(tmp_path / NAME)) == ()


def test_largest_frame_travels_and_a_larger_one_does_not(tmp_path: Path) -> None:
    """The bound is that of the links; what is refused leaves nothing behind."""
    write(tmp_path / NAME, (bytes(FRAME_BYTES_MAX),), 2 * FRAME_BYTES_MAX)
    assert [len(frame) for frame in read_bundle(tmp_path / NAME)] == [FRAME_BYTES_MAX]
    for frame in (bytes(FRAME_BYTES_MAX + 1), b""):
        with pytest.raises(InvalidError):
            write(tmp_path / "other", (b"fits", frame), 2 * FRAME_BYTES_MAX)
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_bundle_cut_anywhere_is_refused(tmp_path: Path) -> None:
    """A stick that was pulled out too early: no byte may be missing."""
    write(tmp_path / NAME)
    whole = (tmp_path / NAME).read_bytes()
    for size in range(len(whole)):
        (tmp_path / NAME).write_bytes(whole[:size])
        with pytest.raises(FaultError) as caught:
            read_bundle(tmp_path / NAME)
        assert "\n" not in str(caught.value)


def test_bundle_with_any_bit_turned_is_refused(tmp_path: Path) -> None:
    """Also in lengths, header and sum."""
    write(tmp_path / NAME)
    whole = (tmp_path / NAME).read_bytes()
    for position in range(len(whole)):
        altered = bytearray(whole)
        altered[position] ^= 1 << position % 8
        (tmp_path / NAME).write_bytes(altered)
        with pytest.raises(FaultError):
            read_bundle(tmp_path / NAME)


FORGED = {
    "another magic": b"SANJI-BUNDLE-2\n" + HEADER + part(b"frame"),
    "nothing": b"",
    "no header": MAGIC,
    "half a header": MAGIC + HEADER[:-1],
    "empty header": MAGIC + part(b""),
    "long header": MAGIC + part(bytes(129)),
    "another version": MAGIC + part(cbor.encode([2, "340602", "3406", MADE_AT_MS])),
    "from nobody": MAGIC + part(cbor.encode([1, "no code", "3406", MADE_AT_MS])),
    "before time": MAGIC + part(cbor.encode([1, "340602", "3406", -1])),
    "header of noise": MAGIC + part(b"\xff"),
    "empty frame": MAGIC + HEADER + part(b"frame") + part(b""),
    "half a length": MAGIC + HEADER + part(b"frame") + b"\x00\x00",
    "huge length": MAGIC + HEADER + part(b"frame") + b"\xff\xff\xff\xff" + b"frame",
    "length past the end": MAGIC + HEADER + part(b"frame") + b"\x00\x00\x00\x06" + b"frame",
    "huge frame": MAGIC + HEADER + part(bytes(FRAME_BYTES_MAX + 1)),
}


@pytest.mark.parametrize("content", FORGED.values(), ids=FORGED)
def test_forged_bundle_is_refused_before_any_frame(tmp_path: Path, content: bytes) -> None:
    """A right sum over wrong bytes, huge lengths among them, gives no frame either."""
    with pytest.raises(FaultError):
        read_bundle(forge(tmp_path / NAME, content))


def test_two_bundles_in_one_file_are_refused(tmp_path: Path) -> None:
    """Copied one behind the other they are no bundle."""
    write(tmp_path / NAME)
    (tmp_path / NAME).write_bytes((tmp_path / NAME).read_bytes() * 2)
    with pytest.raises(FaultError):
        read_bundle(tmp_path / NAME)


def test_bundle_changed_after_it_was_read_is_noticed(tmp_path: Path) -> None:
    """The second pass checks again, if only at its end."""
    write(tmp_path / NAME)
    bundle = read_bundle(tmp_path / NAME)
    content = bytearray((tmp_path / NAME).read_bytes())
    content[-40] ^= 1
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(FaultError):
        tuple(bundle)


def test_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    """Perhaps nobody has read it yet."""
    write(tmp_path / NAME)
    with pytest.raises(InvalidError, match="there already"):
        write(tmp_path / NAME, (b"other",))
    assert tuple(read_bundle(tmp_path / NAME)) == FRAMES


def test_what_an_earlier_attempt_left_is_replaced(tmp_path: Path) -> None:
    """A link under the temporary name is removed, never followed."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"untouched")
    (tmp_path / f".{NAME}.part").symlink_to(victim)
    write(tmp_path / NAME)
    assert victim.read_bytes() == b"untouched"
    assert not (tmp_path / NAME).is_symlink()


def test_total_size_is_bounded(tmp_path: Path) -> None:
    """The bound holds to the byte, and a bundle that would pass it is not left half written."""
    write(tmp_path / NAME)
    size = (tmp_path / NAME).stat().st_size
    write(tmp_path / "same", bytes_max=size)
    with pytest.raises(InvalidError, match="larger than"):
        write(tmp_path / "less", bytes_max=size - 1)
    assert {path.name for path in tmp_path.iterdir()} == {NAME, "same"}


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "no room"),
        (errno.EDQUOT, "no room"),
        (errno.EFBIG, "no room"),
        (errno.EIO, "input/output error"),
        (errno.EROFS, "read-only"),
    ],
)
def test_failing_disk_leaves_nothing_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    """One line for the operator; the half-written file is gone."""

    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UnavailableError, match=words) as caught:
        write(tmp_path / NAME)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_full_device_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's own "no space left", met while writing."""
    if not Path("/dev/full").exists():
        pytest.skip("/dev/full is missing here")
    real_open = Path.open

    def open_full(path: Path, mode: str = "r", **_: object) -> object:
        return real_open(Path("/dev/full") if mode == "xb" else path, mode.replace("x", "w"))

    monkeypatch.setattr(Path, "open", open_full)
    with pytest.raises(UnavailableError, match="no room"):
        write(tmp_path / NAME)
    assert list(tmp_path.iterdir()) == []


def test_failing_source_of_frames_leaves_nothing(tmp_path: Path) -> None:
    """Its error goes on as it is, the half-written file is gone."""

    def frames() -> Iterator[bytes]:
        yield b"one"
        raise UnavailableError("the log is closed")

    with pytest.raises(UnavailableError, match="log is closed"):
        write_bundle(
            tmp_path / NAME, frames(), sender="340602", receiver="3406", made_at_ms=MADE_AT_MS
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_stick_that_cannot_flush_folders_is_good_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The file itself is flushed; its folder is where the file system knows how."""
    real_fsync, calls = os.fsync, []

    def fsync(handle: int) -> None:
        calls.append(handle)
        if len(calls) == 2:
            raise OSError(number, os.strerror(number))
        real_fsync(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    write(tmp_path / NAME)
    assert len(calls) == 2
    assert tuple(read_bundle(tmp_path / NAME)) == FRAMES


def test_missing_places_are_said_in_one_line(tmp_path: Path) -> None:
    """No such bundle, no such folder, a folder or a pipe instead of a file."""
    os.mkfifo(tmp_path / "pipe")
    attempts: list[tuple[type[SanjiError], Path]] = [
        (NotFoundError, tmp_path / "none"),
        (FaultError, tmp_path),
        (FaultError, tmp_path / "pipe"),
    ]
    for kind, path in attempts:
        with pytest.raises(kind) as caught:
            read_bundle(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(UnavailableError, match="no such file"):
        write(tmp_path / "none" / NAME)


def test_unreadable_bundle_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stick that gives errors is not taken for a bundle that is damaged."""
    write(tmp_path / NAME)

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UnavailableError, match="permission denied"):
        read_bundle(tmp_path / NAME)
