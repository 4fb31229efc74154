"""RabbitMQ beside WebSocket: the same records over the same two links, turn by turn.

Nodes without pages and views: what is compared is how records travel and are stored.
"""

import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final
from urllib.parse import urlsplit

from bench import straight_broker, texts
from bench.broadcast import broadcast
from bench.context import Context
from bench.figures import Cost, Goal, Row, costing
from bench.network import DISTRICT, TOWN, VILLAGES, until_held
from bench.rabbit import Broker, private_broker
from bench.sockets import moved_bytes
from bench.storing import HOP_CPU_MICROSECONDS, HOP_RATIO_MAX
from bench.straight_broker import Straight
from bench.travel import Bodies, by_author, notice_feed
from bench.tree import WEBSOCKET, Tree, Way, answering, linked, tree, until_idle
from shared.record.feed import Level

LINKS: Final = 2
"""District to town, town to village: three nodes in line have no third one."""

SHARE_MIN: Final = 0.6
"""Of the rate of the straight line over the same broker that the product reaches over it."""

PLAIN: Final = "straight line over RabbitMQ"

LINE: Final = (DISTRICT, TOWN, VILLAGES[0])


@dataclass(frozen=True)
class Carried:
    """What it took to carry records from the district's log into the village's.

    Attributes:
        cost: From dialling the district until the village holds all; CPU of all three nodes.
        broker_seconds: CPU time of the broker meanwhile.
        moved: Bytes over all connections, both ways: over a broker a frame goes over two a link.
    """

    cost: Cost
    broker_seconds: float
    moved: int


async def measure(given: Context) -> Sequence[Row]:
    """Return the rows of both carriers, of the straight line, and of broadcasts."""
    below = [f"{TOWN}{number}" for number in range(301, 301 + given.sizes.below)]
    levels = {DISTRICT: Level.DISTRICT, TOWN: Level.TOWN}
    levels |= dict.fromkeys((*VILLAGES, *below), Level.VILLAGE)
    given.tell("starting a broker")
    async with private_broker(levels) as broker:
        rows = await _beside(given, broker)
        return [*rows, *await broadcast(given, broker, (DISTRICT, TOWN, *below))]


async def _beside(given: Context, broker: Broker) -> Sequence[Row]:
    """Measure the carriers and the straight line in turns."""
    rabbit = Way("RabbitMQ", broker.address, broker.password_file)
    carried: dict[Way, list[Carried]] = {rabbit: [], WEBSOCKET: []}
    straights: list[Straight] = []
    async with tree(LINE) as nodes:
        for number in given.repeat(given.sizes.repetitions):
            bodies = list(texts.notices(given.sizes.carried, seed=number))
            # Turn by turn, so that neither of them always finds the warmer machine.
            for way in (rabbit, WEBSOCKET) if number % 2 else (WEBSOCKET, rabbit):
                carried[way].append(await _carry(nodes, way, bodies, broker))
            straights.append(await _straight(given, broker))
    return rows_of(given, carried[rabbit], carried[WEBSOCKET], straights)


def rows_of(
    given: Context, rabbit: Sequence[Carried], web: Sequence[Carried], straights: Sequence[Straight]
) -> Sequence[Row]:
    """Return the rows: RabbitMQ beside the straight line over the same broker, and WebSocket."""
    count, stored = given.sizes.carried, given.chunks.records
    ours, beside = _figures(rabbit, count), _figures(web, count)
    plain = [stored / one.cost.seconds for one in straights]
    plain_cpu = [1e6 * one.cost.cpu_seconds / stored / LINKS for one in straights]
    plain_broker = [1e6 * one.broker_seconds / stored for one in straights]
    title, line, web_name = f"{count:,} notices over {LINKS} links", PLAIN, WEBSOCKET.name
    return (
        Row(f"{title}, RabbitMQ", "records/s", ours.rates, median(ours.rates) / median(plain),
            line, given.goal(SHARE_MIN, at_most=False, of_ratio=True)),
        Row(f"{title}, RabbitMQ, CPU of the nodes", "µs a record", ours.cpu,
            median(ours.cpu) / median(beside.cpu), web_name),
        Row(f"{title}, RabbitMQ, CPU of the broker", "µs a record", ours.broker_cpu,
            median(ours.broker_cpu) / median(plain_broker), line),
        Row(f"{title}, RabbitMQ, on all lines", "bytes a record", ours.moved,
            median(ours.moved) / median(beside.moved), web_name),
        Row(f"{title}, {web_name}", "records/s", beside.rates,
            median(beside.rates) / median(ours.rates), "RabbitMQ"),
        Row(f"{title}, {web_name}, CPU of the nodes", "µs a record", beside.cpu),
        Row(f"{title}, {web_name}, on all lines", "bytes a record", beside.moved),
        Row(line, "records/s", plain),
        Row(f"{line}, CPU a link", "µs a record", plain_cpu,
            median(plain_cpu) / HOP_CPU_MICROSECONDS, f"{HOP_CPU_MICROSECONDS} µs",
            Goal(HOP_RATIO_MAX, of_ratio=True)),
        Row(f"{line}, CPU of the broker", "µs a record", plain_broker),
    )  # fmt: skip


@dataclass(frozen=True)
class _Figures:
    """Of one carrier, one a repetition: records/s, then µs and bytes a record."""

    rates: Sequence[float]
    cpu: Sequence[float]
    broker_cpu: Sequence[float]
    moved: Sequence[float]


def _figures(ones: Sequence[Carried], count: int) -> _Figures:
    return _Figures(
        [count / one.cost.seconds for one in ones],
        [1e6 * one.cost.cpu_seconds / count for one in ones],
        [1e6 * one.broker_seconds / count for one in ones],
        [one.moved / count for one in ones],
    )


async def _carry(nodes: Tree, way: Way, bodies: Bodies, broker: Broker) -> Carried:
    """Publish while the district's link is down, then open it."""
    district, town, village = (nodes.nodes[code] for code in LINE)
    async with AsyncExitStack() as stack:
        upper = await stack.enter_async_context(answering(district, way))
        lower = await stack.enter_async_context(answering(town, way))
        await stack.enter_async_context(linked(village, lower, way))
        async with linked(town, upper, way):  # once before, so that the district surely answers
            await until_idle(district, [town])
        await until_idle(town, [village])
        await by_author(district, bodies)
        feed = notice_feed(district)
        wanted = {feed: district.log.state(feed).count}
        ports = [urlsplit(address).port or 0 for address in (upper, lower)]
        moved, spent = sum(moved_bytes(ports)), broker.cpu_seconds()
        with costing() as cost:
            await stack.enter_async_context(linked(town, upper, way))
            await until_held([village], wanted)
        spent = broker.cpu_seconds() - spent
        await until_idle(district, [town])
        await until_idle(town, [village])
        return Carried(cost, spent, sum(moved_bytes(ports)) - moved)


async def _straight(given: Context, broker: Broker) -> Straight:
    with tempfile.TemporaryDirectory(prefix="sanji-bench-") as folder:
        return await straight_broker.run(broker, given.chunks, LINKS, Path(folder))
