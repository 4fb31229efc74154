"""Server-sent events: whoever has a page open hears that something changed, and looks again."""

import asyncio
from typing import Final

from aiohttp import web

from shared.node.node import Node

STREAMS_MAX: Final = 200
"""Open pages at one node that are told at once; the others look every minute by themselves."""

QUIET_SECONDS: Final = 20.0
"""A comment this often shows both sides that the line is there."""

GATHER_SECONDS: Final = 0.3
"""Many changes in a row are told once."""


class Live:
    """Tells open pages when the views changed."""

    def __init__(self, node: Node) -> None:
        """Listen to the views of ``node``, from the first page on."""
        self._node = node
        self._waiting: set[asyncio.Event] = set()
        self._open: set[asyncio.Task[None]] = set()
        self._listening = False

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Answer ``GET /live``: an event each time something changed."""
        if len(self._waiting) >= STREAMS_MAX or self._node.views is None:
            return web.Response(status=204)  # EventSource does not ask again
        if not self._listening:
            self._node.views.subscribe(self._tell)
            self._listening = True
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        changed = asyncio.Event()
        self._waiting.add(changed)
        task = asyncio.current_task()
        if task is not None:
            self._open.add(task)
        try:
            await response.prepare(request)
            await self._send(response, changed)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the page is gone, or the node stops
        finally:
            self._waiting.discard(changed)
            if task is not None:
                self._open.discard(task)
        return response

    async def _send(self, response: web.StreamResponse, changed: asyncio.Event) -> None:
        await response.write(b"retry: 2000\n\n")
        while True:
            try:
                async with asyncio.timeout(QUIET_SECONDS):
                    await changed.wait()
            except TimeoutError:
                await response.write(b": still here\n\n")
                continue
            changed.clear()
            await response.write(b"event: changed\ndata: 1\n\n")
            await asyncio.sleep(GATHER_SECONDS)

    def _tell(self) -> None:
        for changed in self._waiting:
            changed.set()

    async def close(self, _: web.Application) -> None:
        """End all streams: one that stays open would hold up the server's end for seconds."""
        for task in tuple(self._open):
            task.cancel()
