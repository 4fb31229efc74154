"""Who is late: which divisions have not proven for a day what was written for them (protocol 4.7).

Counted in running time, by a clock that stands while the program does not run: a relay that was
switched off over the weekend accuses nobody on Monday. A restart begins anew, because what was
pending before it may just have been on its way.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Final

from shared.record.feed import UPWARD, Feed, is_above, is_holder

# Records written within 1/24 of the time (an hour of a day) count as written with the first of
# them; so a feed has at most some 25 marks, however much is written into it.
_MARKS_IN_TIME: Final = 24


class Lateness:
    """What a relay wrote downward, when, and up to where those below have proven it."""

    def __init__(self, me: str, late_ms: int) -> None:
        """Begin with nothing written.

        Args:
            me: Code of the relay.
            late_ms: For how long something may stay unproven.
        """
        self._me = me
        self._late_ms = late_ms
        self._marks: dict[Feed, list[tuple[int, int]]] = {}
        self._proven: dict[str, dict[Feed, int]] = {}
        self._known_since_ms: dict[str, int] = {}

    def wrote(self, feed: Feed, count: int, monotonic_ms: int) -> None:
        """Note that own ``feed`` reaches ``count`` by now."""
        if feed.audience == UPWARD:
            return
        marks = self._marks.setdefault(feed, [])
        while marks and marks[-1][0] >= count:
            marks.pop()  # a fork has cut the feed
        if marks and monotonic_ms - marks[-1][1] < self._late_ms // _MARKS_IN_TIME:
            marks[-1] = (count, marks[-1][1])
        elif count:
            marks.append((count, monotonic_ms))
        # Of two marks that are both too old, the newer says as much.
        while len(marks) > 1 and marks[1][1] <= monotonic_ms - self._late_ms:
            del marks[0]

    def proved(self, code: str, feed: Feed, count: int) -> None:
        """Note that division ``code`` has stated to hold own ``feed`` up to ``count``.

        A later and smaller statement (a restored node) takes nothing back: it is filled up again
        by the link, and whether statements of two epochs come in order nobody knows.
        """
        proven = self._proven.setdefault(code, {})
        proven[feed] = max(count, proven.get(feed, 0))

    def know(self, codes: Iterable[str], monotonic_ms: int) -> None:
        """Note the divisions that are certified; a new one has its time from now on."""
        for code in codes:
            if is_above(self._me, code):
                self._known_since_ms.setdefault(code, monotonic_ms)

    def late(self, monotonic_ms: int) -> tuple[str, ...]:
        """Return the codes of those who are late, sorted."""
        found = {
            code
            for feed, marks in self._marks.items()
            if marks and monotonic_ms - marks[0][1] >= self._late_ms
            for code in self._readers(feed)
            if self._is_late(code, feed, marks, monotonic_ms)
        }
        return tuple(sorted(found))

    def _is_late(
        self, code: str, feed: Feed, marks: list[tuple[int, int]], monotonic_ms: int
    ) -> bool:
        proven = self._proven.get(code, {}).get(feed, 0)
        at = bisect_right(marks, proven, key=lambda mark: mark[0])
        if at == len(marks):
            return False
        since_ms = max(marks[at][1], self._known_since_ms[code])
        return monotonic_ms - since_ms >= self._late_ms

    def _readers(self, feed: Feed) -> Iterator[str]:
        """Yield the known divisions below that hold ``feed``."""
        if feed.audience.endswith("*"):
            yield from (code for code in self._known_since_ms if is_holder(feed, code))
            return
        # Thousands of feeds go to one division each: look up its path, do not search for it.
        code = feed.audience
        path = (code[:size] for size in range(len(self._me) + 1, len(code) + 1))
        yield from (step for step in path if step in self._known_since_ms)
