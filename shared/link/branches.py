"""Feeds of which the peer holds another record than we do, and what shows it to both (5.6)."""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.link.frames import RID16_BYTES, Entry, State
from shared.record.feed import Feed
from shared.record.limits import CHUNK_RECORDS_MAX


@dataclass(frozen=True)
class Range:
    """Records ``first_seq`` to ``end - 1`` of ``feed``, which the peer lacks."""

    feed: Feed
    first_seq: int
    end: int


class Branches:
    """By feed, the run that ends where the peer's entry differs: it has to see our record there."""

    def __init__(self) -> None:
        """Start with no difference."""
        self._by_feed: dict[Feed, Range] = {}

    def weigh(
        self, entry: Entry, own: Entry | None, known: Entry | None,
        own_rids: Mapping[tuple[Feed, int], bytes],
    ) -> None:  # fmt: skip
        """Compare an entry of the peer with ours.

        Args:
            entry: What it says it holds.
            own: What we hold.
            known: What it said before.
            own_rids: Our rids, by feed and seq, as far as they were asked for.
        """
        if own is not None and self._differs(entry, own, known, own_rids):
            first = max(0, entry.count - CHUNK_RECORDS_MAX)
            self._by_feed[entry.feed] = Range(entry.feed, first, entry.count)
        else:
            self._by_feed.pop(entry.feed, None)

    def _differs(
        self, entry: Entry, own: Entry, known: Entry | None,
        own_rids: Mapping[tuple[Feed, int], bytes],
    ) -> bool:  # fmt: skip
        stopped = State.STOPPED in (entry.state, own.state)
        if stopped or not 0 < entry.count <= own.count or known == entry:
            return entry.feed in self._by_feed
        if entry.count == own.count:
            return entry.rid16 != own.rid16
        rid = own_rids.get((entry.feed, entry.count - 1))
        return rid is not None and rid[:RID16_BYTES] != entry.rid16

    def __contains__(self, feed: Feed) -> bool:
        """Tell whether the peer is to see our branch of ``feed``."""
        return feed in self._by_feed

    def __getitem__(self, feed: Feed) -> Range:
        """Return what it is to see."""
        return self._by_feed[feed]

    def sent(self, feed: Feed) -> None:
        """Note that it was sent."""
        self._by_feed.pop(feed, None)

    def clear(self) -> None:
        """Forget all: both hold the same, or the peer began anew."""
        self._by_feed.clear()
