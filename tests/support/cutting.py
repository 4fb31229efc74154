"""A line to a PostgreSQL server that loses a COMMIT, or the answer to it."""

import asyncio
from typing import Final, Literal, Self

COMMIT: Final = b"COMMIT;\0"
DONE: Final = b"COMMIT\0"
"""What the server says to it."""

Cut = Literal["asked", "answered", "silent"]
"""Where the line breaks: before the server hears of the COMMIT, or after it has done it.

Silent: it does not break; the server is asked, and its answer gets lost.
"""


class CuttingLine:
    """Listens on a port of its own and passes everything on.

    Attributes:
        cuts: How the next COMMITs go, the first first; None passes, as do all after the last.
        is_down: Take no new connections.
    """

    def __init__(self, port: int) -> None:
        """Lead to the server on ``port``."""
        self.cuts: list[Cut | None] = []
        self.is_down = False
        self._port = port
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Stop."""
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_down:
            writer.transport.abort()
            return
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._port)
        call = _Call(up_reader, writer)
        task = asyncio.create_task(call.pass_down())
        self._tasks.add(task)
        try:
            while data := await reader.read(65536):
                cut = self.cuts.pop(0) if COMMIT in data and self.cuts else None
                if cut == "asked":
                    break
                call.is_muted |= cut is not None
                up_writer.write(data)
                if cut == "answered":
                    await call.done.wait()
                    break
        except ConnectionError:
            pass  # whoever is there has gone
        finally:
            writer.transport.abort()
            up_writer.transport.abort()


class _Call:
    """What goes from the server to the client over one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.is_muted = False
        self.done = asyncio.Event()
        self._reader = reader
        self._writer = writer

    async def pass_down(self) -> None:
        """Pass on what the server says, unless muted; note that it has done a COMMIT."""
        try:
            while data := await self._reader.read(65536):
                if not self.is_muted:
                    self._writer.write(data)
                elif DONE in data:
                    self.done.set()
        except ConnectionError:
            pass
        finally:
            self._writer.transport.abort()
