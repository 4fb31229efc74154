"""Real nodes over a real broker that is killed, wiped, cut and robbed of its queues."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from broker.router import SchemeRouter
from demo.trace import act, is_head, until
from shared.app.compose import serving
from shared.app.membership import init_district, join
from shared.link.carrier import Carrier
from shared.node.home import Home
from shared.node.node import Node
from shared.node.settings import Settings, load_settings
from shared.record.feed import Feed, is_holder
from tests.support.rabbit import RabbitServer, password_of

DISTRICT, TOWN, VILLAGE, VILLAGE_2 = "340603", "340603100", "340603100201", "340603100202"
JOINED = ((DISTRICT, TOWN, "渠沟镇"), (TOWN, VILLAGE, "张庄"), (TOWN, VILLAGE_2, "李庄"))


def only(scheme: str) -> Callable[[Carrier], Carrier]:
    """Return what lets a node dial addresses of one scheme and no others."""
    return lambda carrier: SchemeRouter({scheme: carrier}, {})


class World:
    """A district, a town and villages that serve, all with a login at the broker."""

    def __init__(self, root: Path, server: RabbitServer) -> None:
        """Name their homes."""
        self.homes = {code: Home(root / code) for code in (DISTRICT, TOWN, VILLAGE, VILLAGE_2)}
        self.nodes: dict[str, Node] = {}
        self._root = root
        self._server = server

    def settings(self, code: str) -> Settings:
        """Return settings whose clocks are fast enough for a test."""
        password = self._root / f"{code}.password"
        password.write_text(password_of(code) + "\n")
        return load_settings(
            self.homes[code].settings_file, listen_port=0, answer_seconds_min=0.3,
            backoff_seconds_min=0.05, backoff_seconds_max=0.2, custody_urgent_seconds=0,
            custody_proof_seconds=0, custody_receipt_seconds=0,
            broker_url=self._server.address, broker_password_file=str(password),
        )  # fmt: skip

    async def start(
        self, stack: AsyncExitStack, ways: dict[str, Callable[[Carrier], Carrier]]
    ) -> None:
        """Found, invite, join and serve; ``ways`` names the divisions below and how each dials."""
        await init_district(self.homes[DISTRICT], DISTRICT, "烈山区")
        await self.serve(stack, DISTRICT)
        for parent, code, label in JOINED:
            if code not in ways:
                continue
            above = self.nodes[parent]
            await until(above, lambda a=above, p=parent: bool(a.log.roster.addresses_of(p)))  # type: ignore[misc]
            invited = await self.act(parent, "invite", code=code, label=label)
            await join(self.homes[code], invited["token"])
            await self.serve(stack, code, ways[code])

    async def serve(
        self, stack: AsyncExitStack, code: str, wrap: Callable[[Carrier], Carrier] | None = None
    ) -> None:
        """Serve one node."""
        self.nodes[code] = await stack.enter_async_context(
            serving(self.homes[code], self.settings(code), wrap=wrap or only("none"))
        )

    async def act(self, at: str, act_name: str, **given: Any) -> dict[str, Any]:
        """Do an act on the node of a division."""
        return dict(await act(self.homes[at], act_name, **given))

    async def linked_by(self, code: str, parent: str) -> str:
        """Return over which scheme ``parent`` holds its link to ``code``, which is open."""
        links = (await self.act(parent, "status"))["links"]
        link = next(one for one in links if one["peer"] == code)
        assert link["connected_since_ms"] is not None
        return str(link["by"])

    async def settled(self) -> None:
        """Wait until every holder holds all that was said, custody aside, which never ends."""
        for feed, author in self._feeds().items():
            for code, node in self.nodes.items():
                if is_holder(feed, code):
                    await until(node, lambda n=node, f=feed, a=author: _head(n, f) == _head(a, f))  # type: ignore[misc]

    def _feeds(self) -> dict[Feed, Node]:
        return {
            feed: node
            for code, node in self.nodes.items()
            for feed in node.log.feeds
            if feed.author == code and feed.lane != "custody"
        }

    async def check(self) -> None:
        """Nobody holds what is not his, and each log is whole: every seq once, all signed."""
        for code, node in self.nodes.items():
            assert [feed for feed in node.log.feeds if not is_holder(feed, code)] == []
            assert (await self.act(code, "verify"))["problems"] == []
            assert node.log.counters.refused == 0


def _head(node: Node, feed: Feed) -> tuple[int, bytes]:
    state = node.log.state(feed)
    return state.count, state.rid


ALL_BY_BROKER = {TOWN: only("amqp"), VILLAGE: only("amqp")}


async def traffic(world: World, count: int) -> None:
    """Say ``count`` things in each direction, one after the other."""
    for number in range(count):
        await world.act(DISTRICT, "publish", title=f"通知{number}", text="正文" * 200)
        await world.act(VILLAGE, "file", kind="help", text=f"第{number}件事。" * 20)


async def back(server: RabbitServer) -> None:
    """Start the broker again while the nodes go on."""
    server.begin()
    await asyncio.to_thread(server.wait)


async def killed(server: RabbitServer) -> None:
    """SIGKILL; then it comes back with what it had on its disk."""
    await asyncio.to_thread(server.kill)
    await back(server)


async def wiped(server: RabbitServer) -> None:
    """It comes back with nothing but its users."""
    await asyncio.to_thread(server.wipe)
    await back(server)


async def cut(server: RabbitServer) -> None:
    """All connections are closed by an operator."""
    await asyncio.to_thread(server.ctl, "close_all_connections", "-p", "sanji", "test")


async def robbed(server: RabbitServer) -> None:
    """The queues from which relays hear are deleted."""
    for code in (DISTRICT, TOWN):
        await asyncio.to_thread(server.ctl, "delete_queue", "-p", "sanji", f"up.{code}")


@pytest.mark.parametrize("fault", [killed, wiped, cut, robbed])
async def test_a_fault_of_the_broker_loses_nothing(
    tmp_path: Path, rabbit: RabbitServer, fault: Callable[[RabbitServer], Any]
) -> None:
    """Records are under way both ways; in the end all holders hold the same, each record once."""
    world = World(tmp_path, rabbit)
    async with AsyncExitStack() as stack:
        await world.start(stack, ALL_BY_BROKER)
        before = await world.act(VILLAGE, "file", kind="ask", text="先说一件。")
        await until(world.nodes[DISTRICT], is_head(world.nodes[DISTRICT], before["rid"]))
        opened = world.nodes[VILLAGE].links.state(TOWN).opened
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(traffic(world, 25))
            tasks.create_task(fault(rabbit))
        await traffic(world, 1)  # goes over links that the fault did not spare
        await world.settled()
        await world.check()
        assert world.nodes[VILLAGE].links.state(TOWN).opened > opened
        assert await world.linked_by(VILLAGE, TOWN) == "amqp"
        assert await world.linked_by(TOWN, DISTRICT) == "amqp"
        assert world.nodes[DISTRICT].log.state(_own(world, VILLAGE)).count == 27


def _own(world: World, code: str) -> Feed:
    """Return the feed in which a village files."""
    feeds = world.nodes[code].log.feeds
    return next(f for f in feeds if (f.author, f.lane, f.audience) == (code, "ordinary", "^"))


async def test_two_carriers_under_one_town(tmp_path: Path, rabbit: RabbitServer) -> None:
    """One village by WebSocket, one through the broker: both hear all, neither hears the other."""
    world = World(tmp_path, rabbit)
    async with AsyncExitStack() as stack:
        await world.start(stack, {**ALL_BY_BROKER, VILLAGE_2: only("ws")})
        await traffic(world, 3)
        await world.act(VILLAGE_2, "file", kind="ask", text="这里也有一件。")
        await world.settled()
        await world.check()
        assert await world.linked_by(VILLAGE, TOWN) == "amqp"
        assert await world.linked_by(VILLAGE_2, TOWN) == "ws"


async def test_the_second_address_is_used_while_the_broker_is_down(
    tmp_path: Path, rabbit: RabbitServer
) -> None:
    """Addresses are dialled in the order given: first the broker, without it the WebSocket."""
    world = World(tmp_path, rabbit)
    async with AsyncExitStack() as stack:
        await world.start(stack, {TOWN: lambda carrier: carrier})
        notice = await world.act(DISTRICT, "publish", title="通知", text="正文")
        await until(world.nodes[TOWN], is_head(world.nodes[TOWN], notice["rid"]))
        first = await world.linked_by(TOWN, DISTRICT)
        await asyncio.to_thread(rabbit.kill)
        try:
            notice = await world.act(DISTRICT, "publish", title="通知", text="正文")
            await until(world.nodes[TOWN], is_head(world.nodes[TOWN], notice["rid"]))
            second = await world.linked_by(TOWN, DISTRICT)
        finally:
            await back(rabbit)
    assert (first, second) == ("amqp", "ws")
