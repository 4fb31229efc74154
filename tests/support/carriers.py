"""Two nodes and what joins them: a child that dials, a parent that answers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Any, Final, TypeVar

from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from broker.cable import Cable
from broker.introduction import Identity
from broker.memory import MemoryHub
from broker.rabbitmq.carrier import RabbitMqCarrier
from broker.rabbitmq.login import place_of
from broker.rabbitmq.relay import RabbitMqRelay
from broker.rabbitmq.timing import Timing as RabbitTiming
from broker.rabbitmq.wire import Wire, open_wire
from broker.websocket import LinkRoute, WebSocketCarrier
from demo.servers.rabbitmq import VHOST
from shared.link.carrier import Carrier, CarrierState, Connection
from shared.trust.keys import PublicKey
from tests.support.rabbit import RabbitServer, login
from tests.support.records import key_of

PARENT: Final = Identity("3406", key_of(1))
CHILD: Final = Identity("340602", key_of(2))
OTHER: Final = Identity("3407", key_of(3))

SOON_SECONDS: Final = 20.0

T = TypeVar("T")


def keys_of(code: str) -> Sequence[PublicKey]:
    """Return the keys that everybody here knows."""
    known = {who.code: who.signing_key.public for who in (PARENT, CHILD, OTHER)}
    return (known[code],) if code in known else ()


async def soon(work: Awaitable[T]) -> T:
    """Return what ``work`` returns; a test that hangs fails instead."""
    return await asyncio.wait_for(work, SOON_SECONDS)


async def until_still(progress: Callable[[], int]) -> int:
    """Return ``progress()`` once it has not moved for many turns of the loop."""
    seen, turns = progress(), 0
    while turns < 300:
        await asyncio.sleep(0)
        turns = turns + 1 if progress() == seen else 0
        seen = progress()
    return seen


class Answering:
    """A parent's ``on_connection``: gives each link to the test and keeps it until released."""

    def __init__(self) -> None:
        """Hold links until ``release`` is set."""
        self.links: asyncio.Queue[Connection] = asyncio.Queue()
        self.release = asyncio.Event()

    async def __call__(self, connection: Connection) -> None:
        """Take one link."""
        self.links.put_nowait(connection)
        await self.release.wait()


@dataclass(frozen=True)
class Rig:
    """A parent that listens, and how its child dials.

    Attributes:
        carrier: The child's.
        address: Where the parent answers.
        nowhere: Where nobody does.
        answering: The parent's end.
        states: What the child's and the parent's carriers tell of themselves; none in memory.
    """

    carrier: Carrier
    address: str
    nowhere: str
    answering: Answering
    states: tuple[CarrierState, ...] = ()

    async def link(self) -> tuple[Connection, Connection]:
        """Return the child's and the parent's end of a new link."""
        child = await soon(self.carrier.dial(PARENT.code, self.address))
        return child, await soon(self.answering.links.get())


@asynccontextmanager
async def memory_rig() -> AsyncIterator[Rig]:
    """Both in one process."""
    hub, answering = MemoryHub(), Answering()
    hub.listen(PARENT.code, "memory:parent", answering)
    yield Rig(hub.carrier(CHILD.code), "memory:parent", "memory:nobody", answering)
    hub.stop("memory:parent")


@asynccontextmanager
async def serving(
    handle: Callable[[web.Request], Coroutine[Any, Any, web.StreamResponse]],
    close: Callable[[], Awaitable[None]] | None = None,
) -> AsyncIterator[str]:
    """A web server on a free port of this machine; yields the address of its ``/link``."""
    app = web.Application()
    app.router.add_get("/link", handle)

    async def shut(_: web.Application) -> None:
        if close is not None:
            await close()

    app.on_shutdown.append(shut)
    server = TestServer(app)
    await server.start_server()
    try:
        yield f"ws://{server.host}:{server.port}/link"
    finally:
        await server.close()


@asynccontextmanager
async def websocket_rig() -> AsyncIterator[Rig]:
    """A real web server, a real client."""
    answering = Answering()
    route = LinkRoute(PARENT, keys_of, answering)
    carrier = WebSocketCarrier(CHILD, keys_of)
    async with serving(route.handle, route.close) as address:
        route.listens(address)
        nowhere = f"ws://127.0.0.1:{unused_port()}/link"
        yield Rig(carrier, address, nowhere, answering, (carrier.state, route.state))
        answering.release.set()
    await carrier.close()


RABBIT_TIMING: Final = RabbitTiming(retry_seconds=(0.05, 0.2))


@asynccontextmanager
async def answering_relay(
    server: RabbitServer, answering: Answering, timing: RabbitTiming = RABBIT_TIMING
) -> AsyncIterator[RabbitMqRelay]:
    """The parent behind a broker, as long as the block runs."""
    relay = RabbitMqRelay(
        PARENT, keys_of, answering, place_of(server.address), login(server, PARENT.code),
        timing=timing,
    )  # fmt: skip
    running = asyncio.create_task(relay.run())
    try:
        await soon(relay.ready.wait())
        yield relay
    finally:
        answering.release.set()
        await relay.close()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@asynccontextmanager
async def rabbitmq_rig(server: RabbitServer) -> AsyncIterator[Rig]:
    """A real broker between them."""
    answering = Answering()
    carrier = RabbitMqCarrier(CHILD, keys_of, login(server, CHILD.code), timing=RABBIT_TIMING)
    nowhere = f"amqp://127.0.0.1:{unused_port()}/{VHOST}"
    async with answering_relay(server, answering) as relay:
        yield Rig(carrier, server.address, nowhere, answering, (carrier.state, relay.state))


@asynccontextmanager
async def wire_of(server: RabbitServer, code: str) -> AsyncIterator[Wire]:
    """A connection of a division that does with it what it likes."""
    made = await soon(open_wire(place_of(server.address), login(server, code), RABBIT_TIMING, "t"))
    try:
        yield made
    finally:
        await soon(made.close())


@asynccontextmanager
async def cabled(rig: Rig) -> AsyncIterator[Rig]:
    """The same through a cable without faults."""
    carrier = Cable(Random(1)).carrier(rig.carrier)
    yield Rig(carrier, rig.address, rig.nowhere, rig.answering)
