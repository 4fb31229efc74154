"""How much goes into one chunk, so that a thin line answers in time (protocol 5.4 e).

A full chunk takes half a minute at 8 KiB/s. Its sender would ask again and again meanwhile and give
the link up, and an urgent word would wait behind it. So chunks begin small, and follow what the
line shows: twice as much where a full one was answered at once, half as much where it took long.
"""

from typing import Final

from shared.record.limits import CHUNK_BYTES_MAX

FIRST_BYTES: Final = 32 * 1024
"""4 s at 8 KiB/s."""

ROOM_BYTES_MIN: Final = 8 * 1024

QUICK_SECONDS: Final = 1.0
SLOW_SECONDS: Final = 4.0


class Pace:
    """The bytes of records that a chunk may hold on this link.

    Attributes:
        room_bytes: See the class; a single record may be larger.
    """

    def __init__(self) -> None:
        """Start with ``FIRST_BYTES``."""
        self.room_bytes = FIRST_BYTES

    def answered(self, size: int, seconds: float) -> None:
        """Note that a chunk was answered.

        Args:
            size: Bytes of its records.
            seconds: From sending it to the answer.
        """
        if seconds > SLOW_SECONDS:
            self.room_bytes = max(self.room_bytes // 2, ROOM_BYTES_MIN)
        elif seconds < QUICK_SECONDS and 2 * size > self.room_bytes:
            self.room_bytes = min(2 * self.room_bytes, CHUNK_BYTES_MAX)
