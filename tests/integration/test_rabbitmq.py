"""Links that are mixed: WebSocket and RabbitMQ under one town, a second address in reserve."""

import asyncio
from pathlib import Path

from demo.trace import is_head, until
from shared.record.feed import is_holder
from tests.support.rabbit import RabbitServer, revived
from tests.support.tiers import DISTRICT, TOWN, VILLAGE, VILLAGE_2, Tiers, only


async def traffic(tiers: Tiers, count: int) -> None:
    """Say ``count`` things in each direction, one after the other."""
    for number in range(count):
        await tiers.act(DISTRICT, "publish", title=f"通知{number}", text="正文" * 200)
        await tiers.act(VILLAGE, "file", kind="help", text=f"第{number}件事。" * 20)


async def check(tiers: Tiers) -> None:
    """Nobody holds what is not his, and each log is whole: every seq once, all signed."""
    for code, node in tiers.nodes.items():
        assert [feed for feed in node.log.feeds if not is_holder(feed, code)] == []
        assert (await tiers.act(code, "verify"))["problems"] == []
        assert node.log.counters.refused == 0


async def test_two_carriers_under_one_town(tmp_path: Path, rabbit: RabbitServer) -> None:
    """One village by WebSocket, one through the broker: both hear all, neither hears the other."""
    async with Tiers(tmp_path, rabbit.address) as tiers:
        await tiers.start({TOWN: only("amqp"), VILLAGE: only("amqp"), VILLAGE_2: only("ws")})
        await traffic(tiers, 3)
        await tiers.act(VILLAGE_2, "file", kind="ask", text="这里也有一件。")
        await tiers.settled()
        await check(tiers)
        assert await tiers.linked_by(VILLAGE, TOWN) == "amqp"
        assert await tiers.linked_by(VILLAGE_2, TOWN) == "ws"


async def test_the_second_address_is_used_while_the_broker_is_down(
    tmp_path: Path, rabbit: RabbitServer
) -> None:
    """Addresses are dialled in the order given: first the broker, without it the WebSocket."""
    async with Tiers(tmp_path, rabbit.address) as tiers:
        await tiers.start({TOWN: lambda carrier: carrier})
        notice = await tiers.act(DISTRICT, "publish", title="通知", text="正文")
        await until(tiers.nodes[TOWN], is_head(tiers.nodes[TOWN], notice["rid"]))
        first = await tiers.linked_by(TOWN, DISTRICT)
        await asyncio.to_thread(rabbit.kill)
        try:
            notice = await tiers.act(DISTRICT, "publish", title="通知", text="正文")
            await until(tiers.nodes[TOWN], is_head(tiers.nodes[TOWN], notice["rid"]))
            second = await tiers.linked_by(TOWN, DISTRICT)
        finally:
            await revived(rabbit)
    assert (first, second) == ("amqp", "ws")
