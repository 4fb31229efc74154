"""What a line has carried: frames that bear records, each way."""

from typing import Final

from broker.faults import Direction, Fate

_CHUNK_BEGINS: Final = b"\x84\x01"
"""A frame is an array that begins with its kind (``shared.link.frames``); a chunk has 4 parts."""


def bears_records(frame: bytes) -> bool:
    """Tell whether ``frame`` is a chunk, from its first bytes: nothing is unpacked to count it."""
    return frame.startswith(_CHUNK_BEGINS)


class Carried:
    """Counts the frames of one line, seen from its lower end.

    Attributes:
        up: Frames with records that went towards the district.
        down: The same towards the villages.
        other: Frames that say what is held, both ways.
    """

    def __init__(self) -> None:
        """Start at nothing."""
        self.up = 0
        self.down = 0
        self.other = 0

    def note(self, direction: Direction, fate: Fate, frame: bytes) -> None:
        """Take what a cable tells (``broker.faults.OnFrame``); what was lost was not carried."""
        if fate is not Fate.PASSED:
            return
        if not bears_records(frame):
            self.other += 1
        elif direction is Direction.OUT:
            self.up += 1
        else:
            self.down += 1
