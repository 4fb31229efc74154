"""200 villages lose their relay at once: they come back one by one, and few messages are spent."""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from random import Random
from typing import Any, Final, cast

import pytest

from broker.introduction import Identity
from broker.rabbitmq.carrier import RabbitMqCarrier
from broker.rabbitmq.login import place_of
from broker.rabbitmq.relay import RabbitMqRelay
from demo.servers.users import definitions_for
from shared.link.carrier import Connection, LinkDownError
from shared.log.log import Log
from shared.node.clock import SystemClock
from shared.node.links import Links
from shared.record.feed import Level
from shared.trust.keys import PublicKey
from tests.integration.faults.exchange import reached_over
from tests.support.broker_line import BrokerLine, Method
from tests.support.line import Way
from tests.support.rabbit import RabbitServer, login
from tests.support.records import key_of
from tests.support.tiers import SETTLE_SECONDS_MAX

RELAY: Final = Identity("340604100", key_of(1))
VILLAGES: Final = tuple(f"{RELAY.code}{number:03}" for number in range(200, 400))
VILLAGE_KEY: Final = key_of(2)

BACKOFF_SECONDS: Final = (2.0, 8.0)

DIALS_MAX: Final = 2
"""Dials of a village, on average: a relay hears 64 callers at once, the others dial again."""

MESSAGES_MAX: Final = 10
"""Published and delivered a dial: four of a handshake, each once more for who consumes it; a
farewell and a refusal."""


class Villages(Links):
    """The links of all villages, of which each only waits for its relay to speak."""

    def __init__(self, clock: SystemClock) -> None:
        """Nobody has a log here."""
        super().__init__(
            cast("Log", None), VILLAGE_KEY, clock=clock, entropy=Random(1).randbytes,
            chance=Random(2), backoff_seconds=BACKOFF_SECONDS,
        )  # fmt: skip
        self.up = 0
        self.changed = asyncio.Event()

    async def _talk(self, connection: Connection, by: str, *, dialled: bool) -> None:
        self._count(1)
        try:
            while True:
                await connection.receive()
        except LinkDownError:
            self._count(-1)
        finally:
            await connection.close()

    def _count(self, change: int) -> None:
        self.up += change
        self.changed.set()

    async def until(self, up: int) -> None:
        """Wait until so many links are open."""
        async with asyncio.timeout(SETTLE_SECONDS_MAX):
            while self.up != up:
                self.changed.clear()
                await self.changed.wait()


class Watched(SystemClock):
    """Notes for how long somebody wants to sleep."""

    def __init__(self) -> None:
        """Nobody has slept yet."""
        super().__init__()
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        """See ``Clock``."""
        self.slept.append(seconds)
        await super().sleep(seconds)


def keys_of(code: str) -> Sequence[PublicKey]:
    """Return the keys that everybody here knows."""
    return ((RELAY.signing_key if code == RELAY.code else VILLAGE_KEY).public,)


def keep(stack: AsyncExitStack, work: Coroutine[Any, Any, None]) -> None:
    """Let ``work`` run as long as ``stack`` lasts."""
    task = asyncio.create_task(work)

    async def end() -> None:
        task.cancel()
        await asyncio.wait({task})

    stack.push_async_callback(end)


async def kept(connection: Connection) -> None:
    """Keep a village's link until it ends."""
    while True:
        await connection.receive()


def messages(line: BrokerLine) -> int:
    """Return how many messages were published or delivered."""
    published, delivered = (Way.TO_SERVER, Method.PUBLISH), (Way.TO_CLIENT, Method.DELIVER)
    return line.seen[published] + line.seen[delivered]


@pytest.mark.slow
async def test_200_villages_come_back_without_a_storm(rabbit: RabbitServer) -> None:
    """Pauses are spread over the whole first backoff; dials and messages are bounded a village."""
    divisions = {RELAY.code: Level.TOWN} | dict.fromkeys(VILLAGES, Level.VILLAGE)
    await asyncio.to_thread(rabbit.import_definitions, definitions_for(divisions))
    clock = Watched()
    villages = Villages(clock)
    async with BrokerLine(rabbit.port) as line, AsyncExitStack() as stack:
        address = reached_over(line)
        relay = RabbitMqRelay(
            RELAY, keys_of, kept, place_of(address), login(rabbit, RELAY.code)
        )  # fmt: skip
        stack.push_async_callback(relay.close)
        keep(stack, relay.run())
        await relay.ready.wait()
        for code in VILLAGES:
            carrier = RabbitMqCarrier(Identity(code, VILLAGE_KEY), keys_of, login(rabbit, code))
            keep(stack, villages.keep(RELAY.code, lambda: [address], carrier))
        await villages.until(len(VILLAGES))
        dials, said, slept = line.opened, messages(line), len(clock.slept)
        line.cut()
        await villages.until(0)
        await villages.until(len(VILLAGES))
        dials, said = line.opened - dials, messages(line) - said
        pauses = clock.slept[slept : slept + len(VILLAGES)]
    assert len(VILLAGES) < dials <= DIALS_MAX * len(VILLAGES)
    assert said <= MESSAGES_MAX * dials
    tenths = [int(10 * pause / BACKOFF_SECONDS[0]) for pause in pauses]
    assert max(tenths.count(tenth) for tenth in range(10)) < len(VILLAGES) / 4
