"""The broker on the control page: its figures, and what becomes of it when it is killed."""

import asyncio
import re
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from demo.content import read_talk
from demo.control import broker as module
from demo.control import server
from demo.control.broker import Broker, BrokerState, figures_of
from demo.control.room import Room
from tests.unit.demo.fake_stage import FakeBroker, FakeStage, order, said

METRICS = """# TYPE rabbitmq_connections gauge
rabbitmq_connections 69
rabbitmq_connections_opened_total 80
# TYPE rabbitmq_queue_messages_ready gauge
rabbitmq_queue_messages_ready 12
rabbitmq_queue_messages_unacked 3
rabbitmq_queue_messages_ready{queue="up.34"} 5
"""
FIGURES = {"connections": 69, "ready": 12, "unacknowledged": 3}


@pytest.fixture
def fake() -> FakeBroker:
    """A server that does nothing."""
    return FakeBroker()


@pytest.fixture
async def room(fake: FakeBroker, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Room]:
    """A room with a broker that comes back at once, when ``fake.ready`` is set."""
    monkeypatch.setattr(module, "RESTART_SECONDS", 0.0)
    room = Room(FakeStage(), read_talk(), Random(1), broker=fake)
    await room.glance()
    yield room
    fake.ready.set()
    await broker_of(room).close()


@pytest.fixture
async def client(room: Room) -> AsyncIterator[TestClient[Any, Any]]:
    """A browser in front of its page."""
    ports = {one.code: 9000 + n for n, one in enumerate(room.district.everybody)}
    async with TestClient(TestServer(server.make_app(room, ports))) as client:
        yield client


def broker_of(room: Room) -> Broker:
    """Return the broker of a room that has one."""
    assert room.broker is not None
    return room.broker


def test_figures_are_those_of_the_whole() -> None:
    """Not of one queue, nor others whose names begin alike."""
    assert figures_of(METRICS) == FIGURES
    assert figures_of("") == {}


@pytest.mark.parametrize("act", ["kill", "wipe"])
async def test_it_comes_back_by_itself(
    client: TestClient[Any, Any], room: Room, fake: FakeBroker, act: str
) -> None:
    """Killed once however often the button is pressed; what becomes of it is told."""
    assert await order(client, f"{act}-broker") == 204
    assert await order(client, f"{act}-broker") == 204
    assert said(room) == "消息台还没有回来"
    await asyncio.wait_for(fake.begun.wait(), 20)
    told = (await (await client.get("/state")).json())["broker"]
    assert (told["class"], told["word"]) == ("wait", "… 正在启动")
    assert told["figures"] == dict.fromkeys(FIGURES, "–")
    fake.ready.set()
    await broker_of(room).settled()
    assert broker_of(room).seen.state is BrokerState.RUNNING
    assert said(room) == "消息台回来了，各条线自己接上"
    assert fake.did == [act, "begin"]


async def test_what_ends_by_itself_is_brought_back(room: Room, fake: FakeBroker) -> None:
    """At the next look; a start that fails is told, and tried again at the look after that."""
    fake.runs, fake.fails = False, True
    await room.glance()
    await broker_of(room).settled()
    assert said(room) == "没做成：no room"
    assert [one.sign for one in room.journal.last()] == ["late", "late"]
    fake.fails = False
    fake.ready.set()
    await room.glance()
    await broker_of(room).settled()
    assert broker_of(room).seen.state is BrokerState.RUNNING
    assert fake.did == ["kill", "begin", "kill", "begin"]


async def test_it_is_asked_only_while_somebody_looks(room: Room, fake: FakeBroker) -> None:
    """Its figures cost it something; one that does not answer has none."""
    asked = []

    async def metrics(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(text=METRICS)

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    async with TestServer(app) as site:
        assert site.port is not None
        fake.figures_port = site.port
        await room.glance()
        assert (asked, broker_of(room).seen.figures) == ([], {})
        page = room.open_page()
        await room.glance()
        assert (asked, broker_of(room).seen.figures) == (["/metrics"], FIGURES)
    await room.glance()
    room.close_page(page)
    assert broker_of(room).seen.figures == {}


async def test_the_page_shows_it(client: TestClient[Any, Any]) -> None:
    """In the picture, with its figures, and two things to try; in English too."""
    html = await (await client.get("/?lang=en")).text()
    assert re.search(r'id="spot-broker" data-state="running"', html)
    assert re.findall(r'data-broker="(\w+)"', html) == list(FIGURES)
    assert re.findall(r'data-act="(\w+-broker)"', html) == ["kill-broker", "wipe-broker"]
    assert "Wipe the broker" in html


async def test_without_one_there_is_nothing_of_it() -> None:
    """Neither on the page nor among the orders."""
    room = Room(FakeStage(), read_talk(), Random(1))
    await room.glance()
    async with TestClient(TestServer(server.make_app(room, dict.fromkeys(
        (one.code for one in room.district.everybody), 9000
    )))) as client:  # fmt: skip
        assert "broker" not in await (await client.get("/")).text()
        assert await order(client, "kill-broker") == 400
