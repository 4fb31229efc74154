"""What one notice of a town to all its villages costs the broker."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from aio_pika.abc import AbstractIncomingMessage

from bench import texts
from bench.context import Context
from bench.figures import Row
from bench.network import until_held
from bench.rabbit import Broker
from bench.sockets import moved_bytes
from bench.straight_broker import channel_at, message_of
from bench.travel import notice_feed
from bench.tree import Way, answering, linked, tree, until_idle
from shared.domain.notices.kinds import PUBLISHED
from shared.node.author import Draft
from shared.node.node import Node

STILL_SECONDS: Final = 0.1
"""The broker has done its part once it has used next to nothing for so long."""

STILL_SHARE: Final = 0.02
"""Of a core: next to nothing."""

NOTICE_BYTES: Final = 600
"""A frame with one notice of the payload, about."""


@dataclass(frozen=True)
class Broadcasts:
    """What notices to all cost.

    Attributes:
        broker_seconds: CPU time of the broker, one a notice.
        messages: Published in all, answers included.
        sent: Bytes published in all.
    """

    broker_seconds: Sequence[float]
    messages: int
    sent: int


async def broadcast(given: Context, broker: Broker, codes: Sequence[str]) -> Sequence[Row]:
    """Return the rows of broadcasts.

    Args:
        given: How many.
        broker: Over which broker.
        codes: District, town, its villages.
    """
    ours = await _by_the_product(given, broker, codes)
    bare = await _bare(given, broker, len(codes) - 2)
    return rows_of(given, ours, bare)


def rows_of(given: Context, ours: Broadcasts, bare: Sequence[float]) -> Sequence[Row]:
    """Return the rows; ``bare``: CPU seconds of the broker a notice to as many bare queues."""
    title = f"notice to {given.sizes.below} villages over RabbitMQ"
    plain_title = f"message to {given.sizes.below} bare queues"
    cpu, plain = ([1e3 * one for one in seconds] for seconds in (ours.broker_seconds, bare))
    return (
        Row(f"{title}, CPU of the broker", "ms", cpu, median(cpu) / median(plain), plain_title),
        Row(f"{title}, published", "messages", [ours.messages / len(cpu)]),
        Row(f"{title}, published in all", "bytes", [ours.sent / len(cpu)]),
        Row(f"{plain_title}, CPU of the broker", "ms", plain),
    )


async def _by_the_product(given: Context, broker: Broker, codes: Sequence[str]) -> Broadcasts:
    way = Way("RabbitMQ", broker.address, broker.password_file)
    async with AsyncExitStack() as stack:
        given.tell("villages join")
        nodes = (await stack.enter_async_context(tree(codes))).nodes
        town, villages = nodes[codes[1]], [nodes[code] for code in codes[2:]]
        address = await stack.enter_async_context(answering(town, way))
        for village in villages:
            await stack.enter_async_context(linked(village, address, way))
        await until_idle(town, villages)
        return await _speak(given, broker, town, villages)


async def _speak(
    given: Context, broker: Broker, town: Node, villages: Sequence[Node]
) -> Broadcasts:
    """Let the town say one thing after the other, each once the broker is still."""
    ports = [broker.port]
    spent: list[float] = []
    # One before: what is made for the first time, and cached, is not counted.
    bodies = list(texts.notices(given.sizes.broadcasts + 1))
    await _say(town, bodies[0])
    await until_idle(town, villages)
    messages, sent = await broker.messages(), moved_bytes(ports)[0]
    await until_still(broker)
    for number in given.repeat(given.sizes.broadcasts, "broadcast"):
        before = broker.cpu_seconds()
        await _say(town, bodies[number + 1])
        feed = notice_feed(town)
        await until_held(villages, {feed: town.log.state(feed).count})
        await until_idle(town, villages)
        spent.append(await until_still(broker) - before)
    sent = moved_bytes(ports)[0] - sent
    return Broadcasts(spent, await broker.messages() - messages, sent)


async def _say(town: Node, body: dict[str, Any]) -> None:
    await town.author.submit(Draft(PUBLISHED, town.identity.division + "*", body))


async def _bare(given: Context, broker: Broker, readers: int) -> Sequence[float]:
    """Publish a message to each queue of as many readers; returns CPU seconds of the broker."""
    spent: list[float] = []
    async with AsyncExitStack() as stack:
        queues = [await stack.enter_async_context(_reader(broker)) for _ in range(readers)]
        channel = await stack.enter_async_context(channel_at(broker.admin_url))
        await until_still(broker)
        for number in given.repeat(given.sizes.broadcasts + 1, "bare broadcast"):
            before = broker.cpu_seconds()
            message = message_of(bytes(NOTICE_BYTES))
            async with asyncio.TaskGroup() as publishing:
                for queue in queues:
                    publishing.create_task(channel.default_exchange.publish(message, queue))
            if number:  # the first one makes and caches what the others find
                spent.append(await until_still(broker) - before)
            else:
                await until_still(broker)
    return spent


@asynccontextmanager
async def _reader(broker: Broker) -> AsyncIterator[str]:
    """Hear a queue on a connection of its own and acknowledge each message; yields its name."""

    async def take(message: AbstractIncomingMessage) -> None:
        await message.ack()

    async with channel_at(broker.admin_url) as channel:
        queue = await channel.declare_queue(exclusive=True)
        await queue.consume(take)
        yield queue.name


async def until_still(broker: Broker) -> float:
    """Wait until the broker rests; returns the CPU time that it has used, its rest included."""
    used = broker.cpu_seconds()
    while True:
        before = used
        await asyncio.sleep(STILL_SECONDS)
        used = broker.cpu_seconds()
        if used - before < STILL_SHARE * STILL_SECONDS:
            return used
