"""Frames for tests of what carries them."""

from shared.link.frames import Chunk, Heads, encode_chunk, encode_heads
from shared.record.run import Run
from tests.support.records import feed_of, key_of, run_of

SESSION = b"session1"
FEED = feed_of()


def chunk_frame(*runs: Run, n: int = 1) -> bytes:
    """Return a chunk of ``runs``, of three records of one feed if none are given."""
    return encode_chunk(Chunk(SESSION, n, runs or (run_of(FEED, 3),)))


def heads_frame(n: int = 1) -> bytes:
    """Return Heads without entries, which bear no records."""
    heads = Heads("3406", "340602", SESSION, n, b"", 0, ask=True, root=bytes(32))
    return encode_heads(heads, key_of())


def numbered(number: int, size: int = 8) -> bytes:
    """Return a frame of ``size`` bytes that tells its number."""
    return number.to_bytes(8, "big") + bytes(size - 8)


def number_of(frame: bytes) -> int:
    """Return the number of a ``numbered`` frame."""
    return int.from_bytes(frame[:8], "big")
