"""A control room before a stage that does nothing, and a browser before its page."""

from collections.abc import AsyncIterator
from random import Random
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from demo.content import read_talk
from demo.control import server
from demo.control.room import Room
from tests.unit.demo.fake_stage import FakeStage


@pytest.fixture
def stage() -> FakeStage:
    """A stage that does nothing."""
    return FakeStage()


@pytest.fixture
def clock() -> list[int]:
    """The time, Unix ms: it stands still until a test moves it."""
    return [1_764_043_200_000]


@pytest.fixture
async def room(stage: FakeStage, clock: list[int]) -> Room:
    """A room that has looked once."""
    room = Room(stage, read_talk(), Random(1), lambda: clock[0])
    await room.glance()
    return room


@pytest.fixture
async def client(room: Room, stage: FakeStage) -> AsyncIterator[TestClient[Any, Any]]:
    """A browser in front of the page."""
    ports = {one.code: 9000 + n for n, one in enumerate(stage.district.everybody)}
    async with TestClient(TestServer(server.make_app(room, ports))) as client:
        yield client
    await room.switchboard.close()
