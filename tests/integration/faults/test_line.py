"""The line between the nodes and the broker is cut, mute, slow, sliced, or breaks at an answer."""

import asyncio
from pathlib import Path

import pytest

from tests.integration.faults.exchange import FEW, Exchange, Fault, exchanging
from tests.support.broker_line import Method
from tests.support.line import READ_BYTES, Way
from tests.support.rabbit import RabbitServer
from tests.support.tiers import CODES, SETTLE_SECONDS_MAX

SLOW_BYTES_PER_SECOND = 8 * 1024
USUAL_ANSWER_SECONDS = 2.0
"""The default: with the impatience of the other tests a slow line would be given up."""

ACKS_CUT = 3


async def cut(exchange: Exchange) -> None:
    """All connections end at once."""
    exchange.line.cut()


async def black_holed(exchange: Exchange) -> None:
    """What is said over the connections of now vanishes; both sides only miss heartbeats."""
    exchange.line.mute()


@pytest.mark.slow
@pytest.mark.parametrize("fault", [cut, black_holed])
async def test_a_line_that_breaks(tmp_path: Path, rabbit: RabbitServer, fault: Fault) -> None:
    """2,000 records are under way; in the end all holders hold the same, each record once."""
    async with exchanging(tmp_path, rabbit) as exchange:
        await exchange.struck(fault)
        assert exchange.line.opened > exchange.opened_before


async def test_a_commit_that_is_never_acknowledged(tmp_path: Path, rabbit: RabbitServer) -> None:
    """The broker delivers again what a node has stored; it is stored once."""

    async def unheard(exchange: Exchange) -> None:
        line = exchange.line
        line.cuts_at_ack = ACKS_CUT
        acks = line.seen[Way.TO_SERVER, Method.ACK]
        async with asyncio.timeout(SETTLE_SECONDS_MAX):
            await line.until_seen(Way.TO_SERVER, Method.ACK, acks + ACKS_CUT)

    async with exchanging(tmp_path, rabbit) as exchange:
        await exchange.struck(unheard)
        assert exchange.line.cuts_at_ack == 0
        assert exchange.line.opened >= exchange.opened_before + ACKS_CUT


@pytest.mark.slow
async def test_a_line_that_is_slow(tmp_path: Path, rabbit: RabbitServer) -> None:
    """At 8 KiB/s a chunk takes seconds, and no link is given up for that."""

    async def slow(exchange: Exchange) -> None:
        line = exchange.line
        line.pace = SLOW_BYTES_PER_SECOND
        await exchange.arrived(FEW)
        line.pace = None
        assert line.opened == exchange.opened_before

    settings = {code: {"answer_seconds_min": USUAL_ANSWER_SECONDS} for code in CODES}
    async with exchanging(tmp_path, rabbit, settings) as exchange:
        await exchange.struck(slow)


async def test_a_line_that_passes_single_bytes(tmp_path: Path, rabbit: RabbitServer) -> None:
    """Each byte comes alone, so that frames come in pieces of every length."""

    async def sliced(exchange: Exchange) -> None:
        line = exchange.line
        line.piece_bytes = 1
        await exchange.arrived(FEW)
        line.piece_bytes = READ_BYTES
        assert line.opened == exchange.opened_before

    async with exchanging(tmp_path, rabbit) as exchange:
        await exchange.struck(sliced)
