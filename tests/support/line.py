"""A line on loopback between clients and a server, which a test cuts, mutes, slows and slices."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Final, Self

READ_BYTES: Final = 65536

PACED_BYTES: Final = 1024
"""A slow line passes so many bytes at once."""

BURST: Final = 256
"""Pieces after which others of the loop get their turn."""


class Way(Enum):
    """Where bytes go."""

    TO_SERVER = "to the server"
    TO_CLIENT = "to the client"


class BreakError(ConnectionError):
    """The line breaks here: what was said last does not arrive."""


class Call:
    """One connection over the line.

    Attributes:
        is_mute: Whatever is said vanishes, also that an end has closed.
    """

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        """Connect two ends."""
        self.is_mute = False
        self._ends = (client, server)

    def abort(self) -> None:
        """End it at both ends, by RST."""
        for end in self._ends:
            end.transport.abort()


class Line:
    """Listens on a port of its own and passes everything on.

    Attributes:
        port: Where it listens.
        is_down: Take no new connections.
        pace: Bytes a second, in each direction of each connection; None: as fast as it goes.
        piece_bytes: What comes is passed on in pieces of at most so many.
        opened: Connections that it took.
    """

    def __init__(self, port: int) -> None:
        """Lead to the server on ``port`` of this machine."""
        self.is_down = False
        self.pace: float | None = None
        self.piece_bytes = READ_BYTES
        self.opened = 0
        self._port = port
        self._calls: set[Call] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._passes = asyncio.Event()
        self._passes.set()

    async def __aenter__(self) -> Self:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Stop."""
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- faults ----------------------------------------------------------------------------------

    def cut(self) -> None:
        """End all connections."""
        for call in tuple(self._calls):
            call.abort()

    def mute(self) -> None:
        """Let all that is said over the connections of now vanish; nobody is told."""
        for call in self._calls:
            call.is_mute = True

    @contextmanager
    def held(self) -> Iterator[None]:
        """Pass nothing on while the block runs, and lose nothing."""
        self._passes.clear()
        try:
            yield
        finally:
            self._passes.set()

    def treat(self, call: Call, way: Way, data: bytes) -> bytes:
        """Return what of ``data`` goes on; a subclass may look at it.

        Raises:
            BreakError: nothing, and the connection ends.
        """
        del call, way
        return data

    # --- work ------------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            if self.is_down:
                raise BreakError  # as if nobody listened behind it
            back_reader, back_writer = await asyncio.open_connection("127.0.0.1", self._port)
        except ConnectionError:
            writer.transport.abort()
            return
        self.opened += 1
        call = Call(writer, back_writer)
        self._calls.add(call)
        try:
            await asyncio.gather(
                self._pump(call, Way.TO_SERVER, reader, back_writer),
                self._pump(call, Way.TO_CLIENT, back_reader, writer),
            )
        finally:
            self._calls.discard(call)
            call.abort()

    async def _pump(
        self, call: Call, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            while data := await reader.read(READ_BYTES):
                if not call.is_mute:
                    await self._pass(call, self.treat(call, way, data), writer)
        except ConnectionError:
            pass  # whoever was there has gone
        finally:
            if not call.is_mute:
                call.abort()

    async def _pass(self, call: Call, data: bytes, writer: asyncio.StreamWriter) -> None:
        start = turns = 0
        while start < len(data):
            await self._passes.wait()
            if call.is_mute:
                return
            step = self.piece_bytes if self.pace is None else min(self.piece_bytes, PACED_BYTES)
            piece = data[start : start + step]
            writer.write(piece)
            await writer.drain()
            start += step
            turns += 1
            if self.pace is not None:
                await asyncio.sleep(len(piece) / self.pace)
            elif turns % BURST == 0:
                await asyncio.sleep(0)
