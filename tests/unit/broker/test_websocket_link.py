"""A WebSocket link after its handshake: broken rules, silence, stuck neighbours, the end."""

import asyncio
import gc
import socket
import struct

import pytest
from aiohttp import web

from broker.handshake import (
    decode_hello,
)
from broker.websocket import LinkRoute
from broker.websocket_connection import Timing
from shared.link.carrier import Connection, LinkDownError
from shared.record.limits import FRAME_BYTES_MAX
from tests.support.callers import Call, Parent, answers, dialler, good
from tests.support.carriers import (
    PARENT,
    keys_of,
    serving,
    soon,
    until_still,
)


async def test_text_frame_ends_the_link(parent: Parent, call: Call) -> None:
    """The neighbour is told, and this end is down."""
    caller = await call()
    await caller.enter()
    link = await soon(parent.answering.links.get())
    await caller.socket.send_str("text")
    hearing = asyncio.create_task(caller.refusal())
    with pytest.raises(LinkDownError, match="text"):
        await soon(link.receive())
    assert await soon(hearing) == "a link carries binary frames"


async def test_frame_beyond_the_limit_ends_the_link(parent: Parent, call: Call) -> None:
    """What our own ``send`` would have refused."""
    caller = await call()
    await caller.enter()
    link = await soon(parent.answering.links.get())
    sending = asyncio.create_task(caller.socket.send_bytes(bytes(FRAME_BYTES_MAX + 1)))
    with pytest.raises(LinkDownError, match="larger than the limit"):
        await soon(link.receive())
    await asyncio.wait({sending})
    sending.exception()


@pytest.mark.parametrize("timing", [Timing(heartbeat_seconds=0.2, close_seconds=0.05)])
async def test_neighbour_that_answers_no_ping_is_given_up(parent: Parent, call: Call) -> None:
    """A line that died without a word is noticed by the one who only listens."""
    made = await call(autoping=False)
    await made.enter()
    link = await soon(parent.answering.links.get())
    with pytest.raises(LinkDownError):
        await soon(link.receive())
    await soon(made.socket.close())


@pytest.mark.parametrize("timing", [Timing(send_seconds=0.05, close_seconds=0.05)])
async def test_neighbour_that_takes_nothing_is_given_up(parent: Parent, call: Call) -> None:
    """No send waits for ever; who receives on the same link hears of it too."""
    caller = await call()
    await caller.enter()
    link = await soon(parent.answering.links.get())
    receiving = asyncio.create_task(link.receive())
    with pytest.raises(LinkDownError, match="took nothing"):
        await soon(send_without_end(link))
    with pytest.raises(LinkDownError):
        await soon(receiving)
    await soon(caller.socket.close())


async def test_close_ends_a_send_that_waits(parent: Parent, call: Call) -> None:
    """Closing does not wait for a neighbour who reads nothing, and no sender is left hanging."""
    caller = await call()
    await caller.enter()
    link = await soon(parent.answering.links.get())
    sending = asyncio.create_task(send_without_end(link))
    await soon(until_still(lambda: 0))
    await soon(link.close())
    with pytest.raises(LinkDownError):
        await soon(sending)
    await soon(caller.socket.close())


async def test_reset_line_leaves_nothing_open() -> None:
    """A line that is cut off, not closed: both directions say so, and nothing of it is left."""
    proven = asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        caller = web.WebSocketResponse()
        await caller.prepare(request)
        await answers(good)(caller, decode_hello(await caller.receive_bytes()))
        await soon(proven.wait())
        # Without lingering the system resets the line instead of closing it.
        line = request.get_extra_info("socket")
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert request.transport is not None
        request.transport.abort()
        return caller

    async with dialler() as carrier, serving(handle) as address:
        link = await soon(carrier.dial(PARENT.code, address))
        proven.set()
        for attempt in (link.receive(), link.send(b"late"), link.receive()):
            with pytest.raises(LinkDownError):
                await soon(attempt)
        await soon(link.close())
    del link
    gc.collect()  # an unclosed connection would warn here, and a warning is an error


async def send_without_end(link: Connection) -> None:
    """Send large frames until the link breaks."""
    while True:
        await link.send(bytes(FRAME_BYTES_MAX // 4))


async def test_stopping_server_closes_its_links(parent: Parent) -> None:
    """Links end at once, and later callers are told to come again."""
    async with dialler() as carrier:
        address = parent.addresses[0]
        link = await soon(carrier.dial(PARENT.code, address))
        receiving = asyncio.create_task(link.receive())
        await asyncio.sleep(0)
        await soon(parent.route.close())
        with pytest.raises(LinkDownError):
            await soon(receiving)
        with pytest.raises(LinkDownError, match="503"):
            await soon(carrier.dial(PARENT.code, address))
        await soon(link.close())


async def test_owner_that_fails_is_heard_and_its_link_closed() -> None:
    """A broken link ends its owner quietly; any other error goes to the web server."""
    seen: list[Exception] = []

    async def on_connection(connection: Connection) -> None:
        await connection.receive()
        raise ZeroDivisionError

    route = LinkRoute(PARENT, keys_of, on_connection)

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await route.handle(request)
        except ZeroDivisionError as error:
            seen.append(error)
            raise web.HTTPInternalServerError from error

    async with serving(handle, route.close) as address, dialler() as carrier:
        link = await soon(carrier.dial(PARENT.code, address))
        await soon(link.close())
        link = await soon(carrier.dial(PARENT.code, address))
        await link.send(b"go")
        with pytest.raises(LinkDownError):
            await soon(link.receive())
        await soon(link.close())
    assert len(seen) == 1
