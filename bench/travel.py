"""What travels through three tiers: notices down, feedbacks up, a village that catches up."""

import asyncio
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from bench import texts
from bench.client import Posted
from bench.context import Context, rate_row
from bench.figures import Goal, Row
from bench.network import DISTRICT, VILLAGES, Network, network, submit_all, until_held
from bench.posting import CLIENTS, CLIENTS_OF_HUNDREDS, empty_handler, program_at, rate_of
from shared.app.api.requests import BATCH_MAX
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

SHARE_OF_PORT_MIN: Final = 0.9
"""Of the authoring port's rate that notices reach in hundreds over HTTP."""

SHARE_OF_EMPTY_MIN: Final = 0.5
"""Of an empty handler's rate that notices reach one by one over HTTP."""

TURNS_SECONDS_MAX: Final = 45.0
"""After so long neither the port nor the API has another turn; each has one."""

Bodies = Sequence[dict[str, Any]]
Publish = Callable[[Bodies], Awaitable[Posted]]
"""Lets the district publish notices; returns when each caller was told that his is stored."""


class NotPublishedError(Exception):
    """Callers were told that their notices are stored, and they are not."""


@dataclass(frozen=True)
class Times:
    """What notices took, in seconds since the first of them was handed over.

    Attributes:
        count: How many.
        told: Until each caller was told that his is stored at the district.
        held: Until both villages held all.
        shown: Until all four nodes held all and their views showed it.
    """

    count: int
    told: float
    held: float
    shown: float


async def by_author(node: Node, bodies: Bodies) -> Posted:
    """Publish through the authoring port, all callers at once."""
    began = time.perf_counter()
    await submit_all(node, (Draft(PUBLISHED, DISTRICT + "*", body) for body in bodies))
    return Posted(began, time.perf_counter())


async def down(given: Context) -> Sequence[Row]:
    """Notices from the district through the town to two villages.

    Through the authoring port and over HTTP in hundreds, turn by turn, each in a network of its
    own: both find the same machine and homes of the same size.
    """
    count = given.sizes.notices
    port: list[Times] = []
    http: list[Times] = []
    paces: list[float] = []
    async with network() as nodes, network() as others:
        program = await program_at(others)
        turns = 2 * given.sizes.repetitions
        for turn in given.repeat(turns, "port and HTTP, turn", TURNS_SECONDS_MAX, 2):
            bodies = list(texts.notices(count, seed=turn // 2))
            if turn % 2:
                http.append(await publish_down(others, program.in_hundreds, bodies))
            else:
                paces.append(given.pace())
                port.append(await publish_down(nodes, partial(by_author, nodes.district), bodies))
    title = f"{count:,} notices down, all at once"
    shown = [one.shown for one in port]
    return (
        Row(title, "s", [one.held for one in port], goal=given.goal(DOWN_SECONDS_MAX)),
        Row(f"{title}, stored at the district", "s", [one.told for one in port]),
        rate_row(f"{title}, rate", "notices/s", [count / one.held for one in port], paces),
        Row(f"{title}, shown by all four", "s", shown),
        *_hundreds(http, [count / one for one in shown]),
    )


def _hundreds(times: Sequence[Times], port_rates: Sequence[float]) -> Sequence[Row]:
    """Return the rows of what came in hundreds, compared with the authoring port."""
    count = times[0].count
    posts = -(-count // BATCH_MAX)
    title = f"{count:,} notices down, in hundreds, {CLIENTS_OF_HUNDREDS} HTTP clients"
    rates = [count / one.shown for one in times]
    ratio = statistics.median(rates) / statistics.median(port_rates)
    goal = Goal(SHARE_OF_PORT_MIN, at_most=False, of_ratio=True)
    return (
        Row(f"{title}, shown by all four", "s", [one.shown for one in times]),
        Row(f"{title}, rate", "notices/s", rates, ratio, "authoring port", goal),
        Row(f"{title}, answered", "POSTs/s", [posts / one.told for one in times]),
    )


async def one_by_one(given: Context) -> Sequence[Row]:
    """Notices that are posted one by one, compared with a handler that does nothing."""
    count = given.sizes.posted
    many = list(texts.notices(given.sizes.notices))  # so few would be answered in no time
    times: list[Times] = []
    empty: list[float] = []
    async with network() as nodes, empty_handler() as nothing:
        program = await program_at(nodes)
        for repetition in given.repeat(given.sizes.repetitions):
            empty.append(await rate_of(nothing, many))
            bodies = list(texts.notices(count, seed=repetition))
            times.append(await publish_down(nodes, program.one_by_one, bodies))
    title = f"{count:,} notices down, one by one, {CLIENTS} HTTP clients"
    rates = [count / one.shown for one in times]
    answered = [count / one.told for one in times]
    base, name = statistics.median(empty), "empty handler"
    goal = Goal(SHARE_OF_EMPTY_MIN, at_most=False, of_ratio=True)
    return (
        Row(f"{title}, shown by all four", "s", [one.shown for one in times]),
        Row(f"{title}, rate", "notices/s", rates, statistics.median(rates) / base, name, goal),
        Row(f"{title}, answered", "POSTs/s", answered, statistics.median(answered) / base, name),
        Row(f"empty handler, {CLIENTS} clients", "POSTs/s", empty),
    )


async def publish_down(nodes: Network, publish: Publish, bodies: Bodies) -> Times:
    """Publish once and wait until nothing moves any more.

    Raises:
        NotPublishedError: the district holds fewer than it said.
    """
    feed = notice_feed(nodes.district)
    wanted = nodes.district.log.state(feed).count + len(bodies)
    posted = await publish(bodies)
    missing = wanted - nodes.district.log.state(feed).count
    if missing:
        raise NotPublishedError(f"{missing} of {len(bodies)} notices were not stored")
    await until_held(nodes.villages, {feed: wanted})
    held = time.perf_counter()
    await until_held([nodes.district, nodes.town], {feed: wanted})
    for node in nodes.nodes.values():
        if node.views is not None:
            await node.views.catch_up()
    shown = time.perf_counter()
    await nodes.settle()
    began = posted.began
    return Times(len(bodies), posted.ended - began, held - began, shown - began)


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
