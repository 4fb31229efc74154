"""The straight line over a broker: what chunks cost at least that go through several nodes.

Each node hears one queue with the same library as the product, stores a chunk as the straight line
does, publishes it to the next one with confirms, at most 64 in flight, and acknowledges all that it
has stored at once. There are no sessions, links, keys of nodes, windows or answers.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from bench import straight
from bench.chunks import Chunks
from bench.figures import Cost, costing
from bench.rabbit import Broker

CONFIRMS_MAX: Final = 64
PREFETCH: Final = 512


class _Publisher:
    """Publishes to one queue, with so many confirms outstanding."""

    def __init__(self, channel: AbstractChannel, queue: str) -> None:
        self._exchange = channel.default_exchange
        self._queue = queue
        self._window = asyncio.Semaphore(CONFIRMS_MAX)

    async def publish(self, frame: bytes) -> None:
        async with self._window:
            await self._exchange.publish(message_of(frame), self._queue)


class _Node:
    """Hears a queue, stores, passes on."""

    def __init__(self, line: straight.Line, onward: _Publisher | None) -> None:
        self._line = line
        self._onward = onward
        self._came: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()

    async def hear(self, message: AbstractIncomingMessage) -> None:
        self._came.put_nowait(message)

    async def run(self, records: int) -> None:
        """Work until so many records are stored and passed on."""
        stored = 0
        async with asyncio.TaskGroup() as passing:
            while stored < records:
                waiting = [await self._came.get()]
                while not self._came.empty():
                    waiting.append(self._came.get_nowait())
                for message in waiting:
                    stored += self._line.take(message.body)
                    if self._onward is not None:
                        passing.create_task(self._onward.publish(message.body))
                await waiting[-1].ack(multiple=True)


@dataclass(frozen=True)
class Straight:
    """What it took from the first message until the last node has stored all.

    Attributes:
        cost: Of all nodes.
        broker_seconds: CPU time of the broker.
    """

    cost: Cost
    broker_seconds: float


async def run(broker: Broker, chunks: Chunks, links: int, folder: Path) -> Straight:
    """Send all chunks through ``links`` nodes in line.

    Args:
        broker: Through which broker.
        chunks: What is sent.
        links: How many nodes store it, one after the other.
        folder: For their databases, which are new.
    """
    url = broker.admin_url
    async with AsyncExitStack() as stack:
        channels = [await stack.enter_async_context(channel_at(url)) for _ in range(links + 1)]
        queues = [await channel.declare_queue(exclusive=True) for channel in channels[1:]]
        senders = [
            _Publisher(channel, queue.name)
            for channel, queue in zip(channels, queues, strict=False)
        ]
        nodes = []
        for number, queue in enumerate(queues):
            connection = straight.open_file(folder / f"straight-{number}.db")
            stack.enter_context(closing(connection))
            line = straight.Line(connection, chunks.key, chunks.base)
            onward = senders[number + 1] if number + 1 < links else None
            nodes.append(_Node(line, onward))
            await queue.consume(nodes[-1].hear)
        before = broker.cpu_seconds()
        with costing() as cost:
            async with asyncio.TaskGroup() as tasks:
                for node in nodes:
                    tasks.create_task(node.run(chunks.records))
                for frame in chunks.frames:
                    tasks.create_task(senders[0].publish(frame))
        return Straight(cost, broker.cpu_seconds() - before)


def message_of(frame: bytes) -> aio_pika.Message:
    """Return a frame as a message that does not outlive the broker, like those of the product."""
    return aio_pika.Message(frame, delivery_mode=aio_pika.DeliveryMode.NOT_PERSISTENT)


@asynccontextmanager
async def channel_at(url: str) -> AsyncIterator[AbstractChannel]:
    """Open a connection with one channel, with confirms and bounded prefetch."""
    connection = await aio_pika.connect(url)
    async with connection, connection.channel(on_return_raises=True) as channel:
        await channel.set_qos(prefetch_count=PREFETCH)
        yield channel
