"""What travels through three tiers: notices down, feedbacks up, a village that catches up."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from bench import texts
from bench.context import Context, rate_row
from bench.figures import Goal, Row
from bench.network import DISTRICT, VILLAGES, Network, network, submit_all, until_held
from shared.domain.cases import receipts
from shared.domain.cases.kinds import FILED
from shared.domain.notices.kinds import PUBLISHED
from shared.node.author import Draft
from shared.node.node import Node
from shared.record.feed import UPWARD, Feed

DOWN_SECONDS_MAX: Final = 1.8
UP_SECONDS_MAX: Final = 1.3
CATCH_UP_SECONDS_MAX: Final = 0.8
CATCH_UP_BYTES_MAX: Final = 292
NO_CHANGE_BYTES_MAX: Final = 400

Bodies = Sequence[dict[str, Any]]
Publish = Callable[[Node, Bodies], Awaitable[Any]]
"""Lets a node publish notices; returns when each caller was told that his is stored."""


async def by_author(node: Node, bodies: Bodies) -> None:
    """Publish through the authoring port, all callers at once."""
    await submit_all(node, (Draft(PUBLISHED, DISTRICT + "*", body) for body in bodies))


WAYS: Final[tuple[tuple[str, Publish], ...]] = (("all at once", by_author),)
"""How notices enter the district, each a row: another entrance is one more line here."""


async def down(given: Context) -> Sequence[Row]:
    """Notices from the district through the town to two villages, by each way."""
    rows: list[Row] = []
    for way, publish in WAYS:
        async with network() as nodes:
            rows += await _down(given, nodes, way, publish)
    return rows


async def _down(given: Context, nodes: Network, way: str, publish: Publish) -> Sequence[Row]:
    count = given.sizes.notices
    held: list[float] = []
    shown: list[float] = []
    paces: list[float] = []
    for repetition in given.repeat(given.sizes.repetitions, f"{way}, repetition"):
        paces.append(given.pace())
        bodies = list(texts.notices(count, seed=repetition))
        feed = notice_feed(nodes.district)
        wanted = {feed: nodes.district.log.state(feed).count + count}
        began = time.perf_counter()
        await publish(nodes.district, bodies)
        await until_held(nodes.villages, wanted)
        held.append(time.perf_counter() - began)
        for village in nodes.villages:
            if village.views is not None:
                await village.views.catch_up()
        shown.append(time.perf_counter() - began)
        await nodes.settle()
    title = f"{count:,} notices down, {way}"
    return (
        Row(title, "s", held, goal=given.goal(DOWN_SECONDS_MAX)),
        rate_row(f"{title}, rate", "notices/s", [count / one for one in held], paces),
        Row(f"{title}, shown in the villages", "s", shown),
    )


async def up(given: Context) -> Sequence[Row]:
    """Feedbacks from two villages at once, until the district holds them."""
    count = given.sizes.feedbacks
    took: list[float] = []
    paces: list[float] = []
    async with network() as nodes:
        for repetition in given.repeat(given.sizes.repetitions):
            paces.append(given.pace())
            drafts = [list(_filings(village, count, repetition)) for village in nodes.villages]
            feeds = [_own_feed(village, "ordinary", UPWARD) for village in nodes.villages]
            wanted = {feed: nodes.district.log.state(feed).count + count for feed in feeds}
            began = time.perf_counter()
            await asyncio.gather(
                *(submit_all(one, said) for one, said in zip(nodes.villages, drafts, strict=True))
            )
            await until_held([nodes.district], wanted)
            took.append(time.perf_counter() - began)
            await nodes.settle()
    title = f"2 × {count:,} feedbacks up"
    rates = [2 * count / one for one in took]
    return (
        Row(title, "s", took, goal=given.goal(UP_SECONDS_MAX)),
        rate_row(f"{title}, rate", "feedbacks/s", rates, paces),
    )


def _filings(village: Node, count: int, seed: int) -> Sequence[Draft]:
    """Return what people say there; the keys of their receipts are made beforehand."""
    chance = random.Random(seed)
    year = receipts.year_of(village.clock.wall_ms())
    division = village.identity.division

    def draft(text: str, key: str) -> Draft:
        def body(number: int) -> dict[str, Any]:
            return {
                "receipt": str(receipts.issue(division, year, number)), "channel": "kiosk",
                "kind": "ask", "text": text, "receipt_key": key,
            }  # fmt: skip

        return Draft(FILED, UPWARD, body, numbered=f"receipt/{year % 100:02}")

    return [draft(texts.text_of(chance), chance.randbytes(32).hex()) for _ in range(count)]


async def catch_up(given: Context) -> Sequence[Row]:
    """A village cut off while notices are published: from healing to holding all."""
    count = given.sizes.notices
    took: list[float] = []
    sizes: list[float] = []
    paces: list[float] = []
    async with network() as nodes:
        cable, meter = nodes.cables[VILLAGES[1]], nodes.meters[VILLAGES[1]]
        for repetition in given.repeat(given.sizes.repetitions):
            cable.cut = True
            await by_author(nodes.district, list(texts.notices(count, seed=repetition)))
            feed = notice_feed(nodes.district)
            wanted = {feed: nodes.district.log.state(feed).count}
            await until_held([nodes.town, nodes.villages[0]], wanted)
            await nodes.settle()
            paces.append(given.pace())
            before, began = meter.received_bytes, time.perf_counter()
            cable.cut = False
            await until_held([nodes.villages[1]], wanted)
            took.append(time.perf_counter() - began)
            sizes.append((meter.received_bytes - before) / count)
            await nodes.settle()
    title = f"catch-up on {count:,} notices"
    rates = [count / one for one in took]
    return (
        Row(title, "s", took, goal=given.goal(CATCH_UP_SECONDS_MAX)),
        rate_row(f"{title}, rate", "notices/s", rates, paces),
        Row(f"{title}, received", "bytes a record", sizes, goal=given.goal(CATCH_UP_BYTES_MAX)),
    )


async def no_change(given: Context) -> Sequence[Row]:
    """Bytes of the frames, both ways, when a link is opened again and nothing is new."""
    count = given.sizes.notices // 10
    sizes: list[float] = []
    async with network(villages=1) as nodes:
        await by_author(nodes.district, list(texts.notices(count)))
        feed = notice_feed(nodes.district)
        await until_held(nodes.villages, {feed: nodes.district.log.state(feed).count})
        await nodes.settle()
        cable, meter = nodes.cables[VILLAGES[0]], nodes.meters[VILLAGES[0]]
        for _ in given.repeat(given.sizes.repetitions):
            cable.cut = True
            before, frames = meter.sent_bytes + meter.received_bytes, meter.frames
            cable.cut = False
            while meter.frames == frames:  # it is dialled again after a random pause
                await nodes.settle()
            sizes.append(meter.sent_bytes + meter.received_bytes - before)
    return (Row("link opened again without a change", "bytes", sizes,
                goal=Goal(NO_CHANGE_BYTES_MAX)),)  # fmt: skip


def notice_feed(node: Node) -> Feed:
    """Return the feed in which ``node`` publishes to everybody below."""
    return _own_feed(node, "ordinary", node.identity.division + "*")


def _own_feed(node: Node, lane: str, audience: str) -> Feed:
    return Feed(node.identity.division, node.log.epoch, lane, audience)
