"""A broker short of memory takes nothing, and the nodes on both sides of it say so."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shared.app.status import report
from tests.support.rabbit import RabbitServer
from tests.support.tiers import DISTRICT, SETTLE_SECONDS_MAX, TOWN, Tiers, only

MEMORY = "set_vm_memory_high_watermark"
ENDS = {DISTRICT: True, TOWN: False}
"""Who is linked here, and whether it answers or dials."""


async def until_both(tiers: Tiers, holds: Callable[[dict[str, Any]], bool]) -> list[int]:
    """Wait until both ends tell of their connection to the broker what ``holds``.

    Returns:
        Since when each is connected, and how often it was connected again.
    """
    async with asyncio.timeout(SETTLE_SECONDS_MAX):
        while True:
            told = [
                one
                for code, answers in ENDS.items()
                for one in (await report(tiers.nodes[code]))["carriers"]
                if (one["scheme"], one["answers"]) == ("amqp", answers)
            ]
            if len(told) == len(ENDS) and all(map(holds, told)):
                return [one[what] for one in told for what in ("connected_since_ms", "reconnects")]


async def test_an_alarm_is_told_by_both_ends_until_it_is_over(
    tmp_path: Path, rabbit: RabbitServer
) -> None:
    """While it lasts messages wait for the broker's word; then all arrives over the same links."""
    async with Tiers(tmp_path, rabbit.address) as tiers:

        async def speak() -> None:
            for code in ENDS:
                await tiers.act(code, "publish", title="通知", text="正文")

        await tiers.start({TOWN: only("amqp")})
        before = await until_both(tiers, lambda one: one["links"] == 1 and not one["alarm"])
        try:
            await asyncio.to_thread(rabbit.ctl, MEMORY, "0")
            await speak()  # the broker takes what is the first after its alarm, then it blocks
            await until_both(tiers, lambda one: one["alarm"] == "low on memory")
            await speak()
            await until_both(tiers, lambda one: bool(one["alarm"] and one["unconfirmed"]))
        finally:
            await asyncio.to_thread(rabbit.ctl, MEMORY, "0.4")
        await tiers.settled()
        idle = await until_both(tiers, lambda one: not (one["alarm"] or one["unconfirmed"]))
    assert idle == before
