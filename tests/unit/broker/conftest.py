"""A relay on a free port, and calls to it."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from broker.websocket_connection import Timing
from tests.support.callers import Call, Caller, Parent
from tests.support.carriers import (
    serving,
    soon,
)


@pytest.fixture
def timing() -> Timing:
    """How long the server waits; a test may give another value."""
    return Timing(close_seconds=0.05)


@pytest.fixture
async def parent(timing: Timing) -> AsyncIterator[Parent]:
    """A relay on a free port; the list of its addresses has just that one."""
    made = Parent(timing)
    async with serving(made.route.handle, made.route.close) as address:
        made.addresses.append(address)
        yield made
        made.answering.release.set()


@pytest.fixture
async def call(parent: Parent) -> AsyncIterator[Call]:
    """Calls the relay; whatever became of the calls, they are closed in the end."""
    opened: list[aiohttp.ClientWebSocketResponse] = []
    impatient = aiohttp.ClientWSTimeout(ws_close=0.05)
    async with aiohttp.ClientSession() as session:

        async def made(*, autoping: bool = True) -> Caller:
            address = parent.addresses[0]
            opened.append(await session.ws_connect(address, autoping=autoping, timeout=impatient))
            return Caller(opened[-1], address)

        yield made
        await soon(asyncio.gather(*(each.close() for each in opened)))
