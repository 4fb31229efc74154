"""One link over a WebSocket, whichever side opened it (protocol 5.7)."""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import aiohttp
from aiohttp import WSCloseCode, WSMsgType, web

from broker.bounds import check_frame
from shared.link.carrier import LinkDownError

_REASON_BYTES_MAX: Final = 123  # RFC 6455 §5.5: a control frame holds 125, two are the code
_CLOSED: Final = "the link was closed"


@dataclass(frozen=True)
class Timing:
    """How long a link waits, in seconds.

    Attributes:
        handshake_seconds: From the call to the proven link. On a bad mobile line (a round trip
            takes 1 s) TCP, TLS, HTTP and two exchanges of the handshake take 6 s.
        heartbeat_seconds: After so long without a byte a ping is sent, and half of it later the
            link is given up. Home routers and mobile networks forget a silent connection after
            some minutes, bad ones after one: 30 s keeps it alive, and a dead line is noticed
            within 45 s, so that the by-pass and the "last heard" of a page are not misled. An
            idle link pays for it with one ping and pong in 30 s, about 160 bytes with all headers
            (0.5 MB a day). Its price for a busy one: a ping waits behind the frame in front of
            it, so a frame has to cross within 45 s; for a full chunk, 256 KiB, that takes
            48 kbit/s. And it is ``receive`` that answers pings: who holds a link calls it again
            within 15 s.
        send_seconds: For one frame to find room. The neighbour's ``receive`` is then stuck while
            its pongs still come, or nobody at this end receives, so no heartbeat helps.
        close_seconds: For the neighbour to say that it closes too; then the line is cut.
    """

    handshake_seconds: float = 10.0
    heartbeat_seconds: float = 30.0
    send_seconds: float = 120.0
    close_seconds: float = 2.0


class WebSocketConnection:
    """One open link over a WebSocket (see ``shared.link.carrier.Connection``).

    Attributes:
        hears_all: Nothing is said to all over WebSockets.
    """

    hears_all = False

    def __init__(
        self,
        web_socket: aiohttp.ClientWebSocketResponse | web.WebSocketResponse,
        timing: Timing,
        peer: str = "",
    ) -> None:
        """Take over ``web_socket``; ``peer`` is empty until the handshake has proven it."""
        self.peer = peer
        self._web_socket = web_socket
        self._tcp: socket.socket | None = web_socket.get_extra_info("socket")
        self._timing = timing
        self._down = ""
        self._on_down: Callable[[str], None] = lambda _why: None
        self._closing = asyncio.Lock()
        self._writing: set[asyncio.Task[None]] = set()

    async def send(self, frame: bytes) -> None:
        """Hand over one frame; see the port. Cancelled, it may still send the frame."""
        check_frame(frame)
        if self._down:
            raise LinkDownError(self._down)
        # A task of its own: all who wait for room share one future inside aiohttp, and a cancelled
        # caller would cancel it, and with it whoever sends next. What a cancelled caller left
        # behind is waited for, so that at most one frame stands before the full line.
        await self._all_written()
        writing = asyncio.create_task(self._web_socket.send_bytes(frame))
        self._writing.add(writing)
        writing.add_done_callback(self._written)
        await self._all_written()
        if writing.cancelled():
            raise self._failed("the link broke")
        error = writing.exception()
        if isinstance(error, (aiohttp.ClientError, OSError)):
            raise self._failed(f"the link broke: {words(error)}")
        if error is not None:
            raise error

    async def _all_written(self) -> None:
        if not self._writing:
            return
        seconds = self._timing.send_seconds
        _, waiting = await asyncio.wait(self._writing, timeout=seconds)
        if waiting:
            down = self._failed(f"the neighbour took nothing for {seconds:g} s")
            self._cut()
            raise down

    def _written(self, writing: asyncio.Task[None]) -> None:
        self._writing.discard(writing)
        if not writing.cancelled():
            writing.exception()  # its sender may be gone, then nobody else asks for it

    async def receive(self) -> bytes:
        """Return the next frame; see the port."""
        if self._down:
            raise LinkDownError(self._down)
        try:
            message = await self._web_socket.receive()
        except (aiohttp.ClientError, OSError) as error:
            raise self._failed(f"the link broke: {words(error)}") from error
        match message.type:
            case WSMsgType.BINARY:
                return bytes(message.data)
            case WSMsgType.TEXT:
                self._failed("the neighbour sent text")
                await self.close("a link carries binary frames")
            case WSMsgType.CLOSE:
                self._failed(_spoken(message.extra) or "the neighbour closed the link")
            case WSMsgType.ERROR:
                self._failed(f"the link broke: {words(message.data)}")
            case _:
                self._failed("the link broke or was closed")
        raise LinkDownError(self._down)

    def done(self) -> None:
        """Nothing is acknowledged here; see the port."""

    def when_down(self, act: Callable[[str], None]) -> None:
        """Call ``act`` with the reason once the link has ended."""
        self._on_down = act
        if self._down:
            act(self._down)

    async def close(self, reason: str = "") -> None:
        """Close the link; see the port.

        Args:
            reason: What is told to the neighbour, if it did something wrong.
        """
        self._failed(_CLOSED)
        code = WSCloseCode.POLICY_VIOLATION if reason else WSCloseCode.OK
        said = reason.encode("ascii", "replace")[:_REASON_BYTES_MAX]
        async with self._closing:
            try:
                async with asyncio.timeout(self._timing.close_seconds):
                    await self._web_socket.close(code=code, message=said)
            except (TimeoutError, aiohttp.ClientError, OSError):
                return  # it is cut now, whatever the neighbour made of it
            finally:
                self._cut()

    def _cut(self) -> None:
        """End the line itself: a transport that closes waits for a neighbour who reads nothing."""
        for writing in self._writing:
            writing.cancel()
        if self._tcp is not None:
            with contextlib.suppress(OSError):  # it is closed already, as it mostly is
                self._tcp.shutdown(socket.SHUT_RDWR)

    def _failed(self, why: str) -> LinkDownError:
        """Return the error for a link that is down; what was said first stays."""
        if not self._down:
            self._down = why
            self._on_down(why)
        return LinkDownError(self._down)


def words(error: object) -> str:
    """Return an error of the network in one short line of plain words."""
    if isinstance(error, aiohttp.WSServerHandshakeError):
        return f"HTTP status {error.status}"
    if isinstance(error, aiohttp.WebSocketError) and error.code == WSCloseCode.MESSAGE_TOO_BIG:
        return "a frame larger than the limit came"
    if isinstance(error, OSError) and error.strerror:
        return _spoken(error.strerror)
    return _spoken(str(error)) or type(error).__name__


def _spoken(text: str | None) -> str:
    """Return what a neighbour or a library says, fit for a log: one line, printable, short."""
    return "".join(char if char.isprintable() else " " for char in (text or "")[:200]).strip()
