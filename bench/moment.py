"""How long one urgent notice takes from the district's desk to a village's page."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from bench import texts
from bench.context import Context
from bench.figures import Goal, Row, percentile
from bench.network import DISTRICT, Network, network
from shared.domain.notices import view as notices
from shared.domain.notices.kinds import PUBLISHED
from shared.node.author import Draft
from shared.node.node import Node
from shared.record.feed import Feed

SECONDS_MAX: Final = 0.15


async def measure(given: Context) -> Sequence[Row]:
    """Return the times until the village's log holds it and until its views show it."""
    held: list[float] = []
    shown: list[float] = []
    async with network(villages=1) as nodes:
        bodies = list(texts.notices(given.sizes.urgent))
        for number in given.repeat(len(bodies), "notice"):
            await nodes.settle()
            one_held, one_shown = await _one(nodes, bodies[number])
            held.append(1000 * one_held)
            shown.append(1000 * one_shown)
    goal = Goal(1000 * SECONDS_MAX)
    return (
        Row("urgent notice held by the village, median", "ms", held),
        Row("urgent notice held by the village, p95", "ms", [percentile(held, 95)]),
        Row("urgent notice shown by the village, median", "ms", shown, goal=goal),
        Row("urgent notice shown by the village, p95", "ms", [percentile(shown, 95)], goal=goal),
    )


async def _one(nodes: Network, body: dict[str, object]) -> tuple[float, float]:
    """Publish one notice; returns the seconds until it is held and until it is shown."""
    (village,) = nodes.villages
    district = nodes.district
    feed = Feed(DISTRICT, district.log.epoch, "urgent", DISTRICT + "*")
    seen = _Seen(village, feed, district.log.state(feed).count + 1)
    began = time.perf_counter()
    written = await district.author.submit(Draft(PUBLISHED, feed.audience, body, feed.lane))
    await seen.until_shown(written.record.rid)
    return seen.held_at - began, time.perf_counter() - began


class _Seen:
    """Watches a village from before the notice is said: it may be there before its author knows."""

    def __init__(self, village: Node, feed: Feed, count: int) -> None:
        self.held_at = 0.0
        self._village = village
        self._feed = feed
        self._count = count
        self._folded = asyncio.Event()
        self._stop_log = village.log.subscribe(self._note)
        self._stop_views = village.views.subscribe(self._folded.set) if village.views else None

    def _note(self, _feeds: Sequence[Feed]) -> None:
        if not self.held_at and self._village.log.state(self._feed).count >= self._count:
            self.held_at = time.perf_counter()

    async def until_shown(self, rid: bytes) -> None:
        """Wait until the views show the notice ``rid``."""
        views = self._village.views
        while views and await views.query(lambda c: notices.get(c, rid)) is None:
            await self._folded.wait()
            self._folded.clear()
        self._stop_log()
        if self._stop_views:
            self._stop_views()
