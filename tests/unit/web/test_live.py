"""Open pages are told that something changed, and hold nothing up."""

import asyncio

import pytest

from shared.web import live
from tests.unit.web.conftest import Desk


async def event(content: asyncio.StreamReader) -> bytes:
    """Return the next line that is not a comment or blank."""
    async with asyncio.timeout(10):
        while True:
            line = (await content.readline()).strip()
            if line.startswith((b"event:", b"retry:")):
                return line


async def test_a_change_is_told_once_it_shows(desk: Desk) -> None:
    """After the fold, so that who looks again sees it."""
    async with desk.client.get("/live") as response:
        assert response.content_type == "text/event-stream"
        assert await event(response.content) == b"retry: 2000"  # type: ignore[arg-type]
        await desk.publish("新的")
        assert await event(response.content) == b"event: changed"  # type: ignore[arg-type]
    assert "新的" in await desk.page()


async def test_streams_are_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """One page too many is told to look by itself; a page that goes away makes room."""
    monkeypatch.setattr(live, "STREAMS_MAX", 1)
    first = await desk.client.get("/live")
    assert await event(first.content) == b"retry: 2000"  # type: ignore[arg-type]
    async with desk.client.get("/live") as second:
        assert second.status == 204
    first.close()


async def test_a_node_without_views_has_nothing_to_tell(desk: Desk) -> None:
    """And EventSource does not ask again after 204."""
    desk.node.views = None
    async with desk.client.get("/live") as response:
        assert response.status == 204


async def test_open_streams_end_with_the_server(desk: Desk) -> None:
    """A page left open does not hold up the node's end."""
    response = await desk.client.get("/live")
    assert await event(response.content) == b"retry: 2000"  # type: ignore[arg-type]
    async with asyncio.timeout(5):
        await desk.client.server.close()
    assert (await response.content.read()).strip() == b""
