"""What a line has carried: frames that bear records, each way."""

from broker.faults import Direction, Fate
from shared.link.frames import is_heads


def bears_records(frame: bytes) -> bool:
    """Tell whether ``frame`` is a chunk, without unpacking it: there are only Heads besides."""
    return not is_heads(frame)


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
