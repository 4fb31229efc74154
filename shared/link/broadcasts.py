"""What was said to all neighbours below at once, as one of them has answered it (protocol 5.8).

A Chunk of no session has no number that an answer could name. So each is open until the entries of
the peer reach its end; where they stay below it, the records go over the link like any others.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from shared.link.frames import Entry
from shared.link.holdings import Holdings
from shared.record.feed import Feed
from shared.record.run import Run

PATIENCE_SECONDS: Final = 10.0
"""Without progress for so long, what was said to all has not reached this peer. A village that
reads a long backlog makes progress; a second copy of it would only make it slower."""

GAP_SECONDS: Final = 5.0
"""What was said to us and does not connect is asked for at most this often."""


@dataclass
class _Open:
    """Records ``first_seq`` to ``end - 1``, said to all; ``count`` are held there since ``at``."""

    first_seq: int
    end: int
    count: int
    at: float


class Broadcasts:
    """Both directions: what we said that the peer has not been heard to hold, and what it said."""

    def __init__(self) -> None:
        """Start with nothing said."""
        self._open: dict[Feed, _Open] = {}
        self._asked_at = -GAP_SECONDS

    def to_answer(self, runs: Iterable[Run], own: Holdings, now: float) -> set[Feed]:
        """Return of which feeds the peer, which said ``runs``, is to hear what we hold.

        While a backlog comes over the link, whatever is said to all does not connect yet, and what
        lies behind a gap waits for its turn.
        """
        missed = {run.feed for run in runs if own.count(run.feed) < run.end}
        reached = {run.feed for run in runs} - missed
        if missed and now >= self._asked_at + GAP_SECONDS:
            self._asked_at = now
            return reached | missed
        return reached

    def said(self, run: Run, count: int, now: float) -> None:
        """Note that ``run`` was said while the peer held ``count`` of its feed or will soon."""
        known = self._open.get(run.feed)
        first = run.first_seq if known is None else known.first_seq
        self._open[run.feed] = _Open(first, run.end, count, now)

    def heard(self, entries: Iterable[Entry], now: float) -> None:
        """Take in what the peer says it holds."""
        for entry in entries:
            known = self._open.get(entry.feed)
            if known is None:
                continue
            if not known.first_seq <= entry.count < known.end:
                del self._open[entry.feed]  # it has all, or lacks what stands before
            elif entry.count > known.count:
                known.count, known.at = entry.count, now

    def tick(self, now: float) -> None:
        """Give up what has made no progress for too long."""
        late = [feed for feed, one in self._open.items() if now >= one.at + PATIENCE_SECONDS]
        for feed in late:
            del self._open[feed]

    def clear(self) -> None:
        """Forget everything: the peer holds all, or begins anew."""
        self._open.clear()

    def under_way(self, feed: Feed) -> int:
        """Return the count of ``feed`` that the peer reaches if all arrives; 0 if none is said."""
        known = self._open.get(feed)
        return known.end if known else 0

    def late_at(self) -> float | None:
        """Return when ``tick`` has something to do; None if nothing is open."""
        times = [one.at + PATIENCE_SECONDS for one in self._open.values()]
        return min(times, default=None)

    @property
    def records(self) -> int:
        """Records that are open."""
        return sum(one.end - max(one.count, one.first_seq) for one in self._open.values())
