"""The broker is killed, wiped, robbed of its queues, out of memory and disk, or full."""

import asyncio
import os
from pathlib import Path

import pytest

from broker.rabbitmq.topology import down_stream, up_queue
from demo.servers.rabbitmq import VHOST
from tests.integration.faults.exchange import IN_FLIGHT_MIN, Exchange, Fault, exchanging
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


async def silenced(exchange: Exchange) -> None:
    """The streams on which relays speak to all are deleted."""
    with exchange.line.held():
        for code in (DISTRICT, TOWN):
            await exchange.ctl("delete_queue", "-p", VHOST, down_stream(code).name)


@pytest.mark.slow
@pytest.mark.parametrize("fault", [killed, wiped, robbed, silenced])
async def test_a_broker_that_loses_what_it_had(
    tmp_path: Path, rabbit: RabbitServer, fault: Fault
) -> None:
    """2,000 records are under way; in the end all holders hold the same, each record once."""
    async with exchanging(tmp_path, rabbit) as exchange:
        await exchange.struck(fault)


SEGMENT_BYTES_MIN = 8_000
"""Of which half is cut away: a chunk of records at least."""


@pytest.mark.slow
async def test_a_stream_whose_last_segment_is_cut(tmp_path: Path, rabbit: RabbitServer) -> None:
    """What the broker had confirmed is gone, and offsets are given out again: links bring it."""

    def last_segments() -> list[Path]:
        streams = (down_stream(code).name for code in (DISTRICT, TOWN))
        return [rabbit.segments(stream)[-1] for stream in streams]

    def sizes() -> list[int]:
        return [segment.stat().st_size for segment in last_segments()]

    async def shortened(exchange: Exchange) -> None:
        # Of the town's stream there may be less: what its villages lack from before goes by links.
        await exchange.tiers.when(lambda: max(sizes()) >= SEGMENT_BYTES_MIN)
        await asyncio.to_thread(rabbit.kill)
        assert min(exchange.under_way()) >= IN_FLIGHT_MIN
        for segment, size in zip(last_segments(), sizes(), strict=True):
            os.truncate(segment, size // 2)
        await revived(rabbit)

    async with exchanging(tmp_path, rabbit) as exchange:
        await exchange.struck(shortened)


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
