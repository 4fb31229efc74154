"""Says once to all neighbours below what each of them is to hold (protocol 5.8).

The record of a feed of which every division below is a holder would otherwise cross to each of 300
villages in a frame of its own. While a carrier offers a ``Broadcast``, such records go there, from
the moment at which it began; whatever stood before, whoever does not hear it and whatever does not
arrive goes over the links, whose sessions ask ``next`` what will be said.
"""

import asyncio
from collections.abc import Callable, Sequence

from shared.link.branches import Range
from shared.link.carrier import Broadcast
from shared.link.frames import TO_ALL, Chunk, encode_chunk
from shared.log.log import Log
from shared.node.packing import read_runs
from shared.record.feed import Feed, is_for_all_below, travel_order
from shared.record.run import Run

OnSaid = Callable[[Sequence[Run]], None]
"""Told what was said to all; nothing at all when no more will be."""


class Broadcaster:
    """What a node says to all below.

    Attributes:
        is_on: True while a carrier reaches all below at once.
        said: Records said, since the start of the process.
    """

    def __init__(self, log: Log, on_said: OnSaid) -> None:
        """Say nothing yet; ``run`` does it."""
        self.is_on = False
        self.said = 0
        self._log = log
        self._on_said = on_said
        self._next: dict[Feed, int] = {}
        self._behind: set[Feed] = set()
        self._changed = asyncio.Event()

    def next(self, feed: Feed) -> int | None:
        """Return from which seq on ``feed`` will be said to all; None if it goes over the links."""
        if not self.is_on or not self._is_said(feed):
            return None
        return self._next.get(feed, 0)

    async def run(self, broadcast: Broadcast) -> None:
        """Say what is new from now on, until cancelled.

        Raises:
            LinkDownError: it reaches nobody any more.
            StorageError: the log cannot be read.
        """
        self._next = {feed: held.count for feed, held in self._log.feeds.items()}
        self._behind.clear()
        self.is_on = True
        unsubscribe = self._log.subscribe(self._note_changes)
        try:
            while True:
                if runs := await read_runs(self._log, self._ranges()):
                    await broadcast.send(encode_chunk(Chunk(TO_ALL, 0, runs)))
                    self._note_said(runs)
                else:
                    self._behind.clear()
                    await self._changed.wait()
                self._changed.clear()
        finally:
            unsubscribe()
            self.is_on = False
            self._on_said(())

    def _is_said(self, feed: Feed) -> bool:
        return is_for_all_below(feed, self._log.me) and not self._log.state(feed).stopped

    def _note_changes(self, feeds: Sequence[Feed]) -> None:
        self._behind.update(feeds)
        self._changed.set()

    def _ranges(self) -> list[Range]:
        """Return what is to be said, in the order of travel."""
        ranges = (
            Range(feed, self._next.get(feed, 0), self._log.state(feed).count)
            for feed in sorted(self._behind, key=travel_order)
            if self._is_said(feed)
        )
        return [one for one in ranges if one.first_seq < one.end]

    def _note_said(self, runs: Sequence[Run]) -> None:
        for run in runs:
            self._next[run.feed] = run.end
            self.said += len(run.records)
        self._on_said(runs)
