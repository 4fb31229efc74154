"""Feeds that a link leaves alone for a while: answered again and again without progress (5.4 d)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from shared.link.frames import Entry
from shared.record.feed import Feed

LEFT_ALONE_AFTER: Final = 2
"""Answers to one feed without progress after which it rests until something changes."""

ALONE_SECONDS_MIN: Final = 600.0
"""A resting feed is tried once more after so long, then twice as long: noise on the line, which
looks like a bad record, passes; a record that is bad stays bad."""

ALONE_SECONDS_MAX: Final = 86_400.0


@dataclass
class _Stall:
    """A feed that was answered without reaching what was sent."""

    answers: int = 0
    entry: Entry | None = None
    own: Entry | None = None
    pause: float = ALONE_SECONDS_MIN
    until: float | None = None


class Stalls:
    """Which feeds do not get on, and which of them rest."""

    def __init__(self) -> None:
        """Start with all in order."""
        self._by_feed: dict[Feed, _Stall] = {}

    def __contains__(self, feed: Feed) -> bool:
        """Tell whether the last answer about ``feed`` showed no progress."""
        return feed in self._by_feed

    def weigh(
        self, feed: Feed, ends: Sequence[int], entry: Entry | None, own: Entry | None,
        *, proves: bool, now: float,
    ) -> None:  # fmt: skip
        """Judge an answer about ``feed``: did what was sent arrive?

        Args:
            feed: Of which something was sent.
            ends: The counts that the answered chunks should have led to.
            entry: What the peer holds now.
            own: What we hold.
            proves: True if the answer shows that the chunk came and was not taken. It does where
                it names the feed and no other chunk of it can have been lost before. So after the
                first failure the feed travels alone, and only then answers without progress count.
            now: Monotonic seconds.
        """
        if entry is not None and entry.count >= max(ends):
            self._by_feed.pop(feed, None)
            return
        stall = self._by_feed.setdefault(feed, _Stall())
        if (stall.entry, stall.own) != (entry, own):
            stall = self._by_feed[feed] = _Stall(0, entry, own)
        if proves:
            stall.answers += 1
            if stall.answers >= LEFT_ALONE_AFTER:
                stall.until = now + stall.pause
                stall.pause = min(2 * stall.pause, ALONE_SECONDS_MAX)

    def rests(self, feed: Feed, entry: Entry | None, own: Entry | None) -> bool:
        """Tell whether ``feed`` is left alone as long as it stands so on both sides."""
        stall = self._by_feed.get(feed)
        same = stall is not None and (stall.entry, stall.own) == (entry, own)
        return same and stall is not None and stall.answers >= LEFT_ALONE_AFTER

    def tick(self, now: float) -> None:
        """Let those whose rest is over be tried once more."""
        for stall in self._by_feed.values():
            if stall.until is not None and now >= stall.until:
                stall.answers, stall.until = LEFT_ALONE_AFTER - 1, None

    def moments(self) -> Iterator[float]:
        """Yield when rests end."""
        return (stall.until for stall in self._by_feed.values() if stall.until is not None)

    def clear(self) -> None:
        """Forget all: the link or the peer began anew."""
        self._by_feed.clear()
