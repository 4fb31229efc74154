"""A line to a PostgreSQL server that loses a COMMIT, or the answer to it."""

from typing import Final, Literal

from tests.support.line import BreakError, Call, Line, Way

COMMIT: Final = b"COMMIT;\0"
DONE: Final = b"COMMIT\0"
"""What the server says to it."""

Cut = Literal["asked", "answered", "silent"]
"""Where the line breaks: before the server hears of the COMMIT, or after it has done it.

Silent: it does not break; the server is asked, and its answer gets lost.
"""


class CuttingLine(Line):
    """Breaks at COMMITs.

    Attributes:
        cuts: How the next COMMITs go, the first first; None passes, as do all after the last.
    """

    def __init__(self, port: int) -> None:
        """Lead to the server on ``port``."""
        super().__init__(port)
        self.cuts: list[Cut | None] = []
        self._unanswered: dict[Call, Cut] = {}

    def treat(self, call: Call, way: Way, data: bytes) -> bytes:
        """Cut as ``cuts`` says."""
        if way is Way.TO_SERVER:
            cut = self.cuts.pop(0) if COMMIT in data and self.cuts else None
            if cut == "asked":
                raise BreakError
            if cut is not None:
                self._unanswered[call] = cut
            return data
        cut = self._unanswered.get(call)
        if cut == "answered" and DONE in data:
            raise BreakError
        return data if cut is None else b""
