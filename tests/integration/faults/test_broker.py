"""The broker is killed, wiped, robbed of its queues, out of memory and disk, or full."""

import asyncio
from pathlib import Path

import pytest

from broker.rabbitmq.topology import up_queue
from demo.servers.rabbitmq import VHOST
from tests.integration.faults.exchange import Exchange, Fault, exchanging
from tests.support.broker_line import Method
from tests.support.line import Way
from tests.support.rabbit import RabbitServer, revived
from tests.support.tiers import DISTRICT, SETTLE_SECONDS_MAX, TOWN


async def killed(exchange: Exchange) -> None:
    """SIGKILL; then it comes back with what it had on its disk."""
    await asyncio.to_thread(exchange.server.kill)
    await revived(exchange.server)


async def wiped(exchange: Exchange) -> None:
    """It comes back with nothing but its users."""
    await asyncio.to_thread(exchange.server.wipe)
    await revived(exchange.server)


async def robbed(exchange: Exchange) -> None:
    """The queues from which relays hear are deleted, with all that waits in them."""
    with exchange.line.held():
        for code in (DISTRICT, TOWN):
            await exchange.ctl("delete_queue", "-p", VHOST, up_queue(code).name)


# A stream that is deleted, or loses its last segment, belongs here once records go over streams.
@pytest.mark.slow
@pytest.mark.parametrize("fault", [killed, wiped, robbed])
async def test_a_broker_that_loses_what_it_had(
    tmp_path: Path, rabbit: RabbitServer, fault: Fault
) -> None:
    """2,000 records are under way; in the end all holders hold the same, each record once."""
    async with exchanging(tmp_path, rabbit) as exchange:
        await exchange.struck(fault)


RELAYS = 2
"""Connections that surely publish meanwhile: of the district, of the town."""

ALARMS = {
    "memory": (("set_vm_memory_high_watermark", "0"), ("set_vm_memory_high_watermark", "0.4")),
    "disk": (("set_disk_free_limit", "1000000GB"), ("set_disk_free_limit", "50MB")),
}


@pytest.mark.parametrize("what", ALARMS)
async def test_a_broker_that_blocks_its_publishers(
    tmp_path: Path, rabbit: RabbitServer, what: str
) -> None:
    """An alarm stops who publishes; when it is over, all goes on where it stood."""
    on, off = ALARMS[what]

    async def alarmed(exchange: Exchange) -> None:
        line = exchange.line
        async with asyncio.timeout(SETTLE_SECONDS_MAX):
            try:
                with line.held():
                    await exchange.ctl(*on)
                await line.until_seen(Way.TO_CLIENT, Method.BLOCKED, RELAYS)
                assert sum(exchange.under_way()) > 0
            finally:
                await exchange.ctl(*off)
            await line.until_seen(Way.TO_CLIENT, Method.UNBLOCKED, RELAYS)

    async with exchanging(tmp_path, rabbit) as exchange:
        await exchange.struck(alarmed)
