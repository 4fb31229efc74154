"""The queue of a relay is full, nobody takes from it, and what waits in it grows too old."""

import asyncio
import json
from pathlib import Path

import pytest

from broker.rabbitmq.login import place_of
from broker.rabbitmq.topology import up_queue
from broker.rabbitmq.wire import open_wire
from demo.servers.rabbitmq import VHOST
from demo.servers.users import ADMIN
from tests.integration.faults.exchange import WAYS, Exchange, exchanging, reached_over
from tests.support.broker_line import BrokerLine, Method
from tests.support.carriers import RABBIT_TIMING
from tests.support.line import Way
from tests.support.rabbit import RabbitServer, login
from tests.support.tiers import SETTLE_SECONDS_MAX, TOWN

UP = up_queue(TOWN).name
SMALL = {"max-length-bytes": 20_000, "message-ttl": 2_000}
"""256 MiB and 10 min in the field; a policy may only narrow what was declared."""


async def waiting(server: RabbitServer) -> int:
    """Return how many messages wait in the queue, as it counts them itself."""
    wire = await open_wire(place_of(server.address), login(server, ADMIN), RABBIT_TIMING, "count")
    try:
        found = await wire._consuming.declare_queue(UP, passive=True)
        return found.declaration_result.message_count or 0
    finally:
        await wire.close()


@pytest.mark.slow
async def test_a_full_queue_whose_messages_grow_too_old(
    tmp_path: Path, rabbit: RabbitServer
) -> None:
    """The town is away: the broker refuses the villages' frames, drops the old ones, loses nothing.

    A frame that was dropped takes its link with it; the session over the next one sends again.
    """
    async with BrokerLine(rabbit.port) as own_line:

        async def filled(exchange: Exchange) -> None:
            line = exchange.line
            refused = line.seen[Way.TO_CLIENT, Method.NACK]
            own_line.is_down = True
            own_line.cut()
            await exchange.voices()
            async with asyncio.timeout(SETTLE_SECONDS_MAX):
                await line.until_seen(Way.TO_CLIENT, Method.NACK, refused + 1)
                assert await waiting(rabbit) > 0
                line.is_down = True
                line.cut()
                while await waiting(rabbit):
                    pass  # nobody takes: they can only grow too old
            line.is_down = own_line.is_down = False

        async with exchanging(tmp_path, rabbit) as exchange:
            tiers, told = exchange.tiers, (reached_over(exchange.line),)
            await tiers.stop(TOWN)
            own = reached_over(own_line)
            await tiers.serve(TOWN, WAYS[TOWN], broker_url=own, addresses=told)
            await exchange.ctl("set_policy", "-p", VHOST, "small", f"^{UP}$", json.dumps(SMALL))
            try:
                await exchange.struck(filled)
            finally:
                await exchange.ctl("clear_policy", "-p", VHOST, "small")
