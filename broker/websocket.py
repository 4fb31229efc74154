"""The WebSocket carrier (protocol 5.7): the embedded default, it needs no broker.

A relay's web server takes ``GET /link`` (``LinkRoute``), its children dial it
(``WebSocketCarrier``). Before the first frame both ends prove their keys (``broker.handshake``).
Each frame is one binary message; nothing is compressed, because chunks already are.
"""

import asyncio
import ssl as tls
from collections.abc import Collection
from typing import Final

import aiohttp
from aiohttp import web

from broker.handshake import normal_address
from broker.introduction import Identity, KeysOf, introduce, meet
from broker.wall import wall_ms
from broker.websocket_connection import Timing, WebSocketConnection, words
from shared.errors import FaultError, InvalidError, RefusedError
from shared.link.carrier import CarrierState, LinkDownError, OnConnection
from shared.record.limits import FRAME_BYTES_MAX

HANDSHAKES_MAX: Final = 64
"""Callers that have not proven a key yet. Each may fill one message, 4 MiB, before it is refused,
so together they take at most 256 MiB; three hundred children that return at once take turns."""


class WebSocketCarrier:
    """Dials relays in the name of one node (see ``shared.link.carrier.Carrier``).

    Attributes:
        state: How it stands with the link that was dialled last.
    """

    def __init__(
        self,
        identity: Identity,
        keys_of: KeysOf,
        ssl: tls.SSLContext | None = None,
        *,
        timing: Timing | None = None,
    ) -> None:
        """Dial as ``identity``.

        Args:
            identity: This node.
            keys_of: Whose keys are believed.
            ssl: For ``wss``; None uses the system's certificates.
            timing: How long links wait.
        """
        self.state = CarrierState(answers=False)
        self._identity = identity
        self._keys_of = keys_of
        self._ssl = ssl
        self._timing = timing or Timing()
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def dial(self, peer: str, address: str) -> WebSocketConnection:
        """Open a link to division ``peer`` at ``address``; see the port."""
        try:
            connection = await self._dial(peer, address)
        except LinkDownError as error:
            self.state.trouble = str(error)
            raise
        self.state.connected(wall_ms())
        connection.when_down(self.state.lost)
        return connection

    async def _dial(self, peer: str, address: str) -> WebSocketConnection:
        if not self._keys_of(peer):
            raise LinkDownError(f"no key of {peer} is known here")
        seconds = self._timing.handshake_seconds
        try:
            self.state.address = address = normal_address(address)
            async with asyncio.timeout(seconds):
                connection = await self._connect(address)
                try:
                    await introduce(connection, self._identity, self._keys_of, peer, address)
                    connection.peer = peer
                except BaseException:
                    await connection.close()
                    raise
        except TimeoutError as error:
            raise LinkDownError(f"{address} did not answer within {seconds:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise LinkDownError(f"{address} cannot be reached: {words(error)}") from error
        except (FaultError, RefusedError) as error:
            raise LinkDownError(f"{address} is not {peer}: {error}") from error
        except InvalidError as error:
            raise LinkDownError(str(error)) from error
        except LinkDownError as error:
            raise LinkDownError(f"{address} did not take the link: {error}") from error
        return connection

    async def _connect(self, address: str) -> WebSocketConnection:
        if self._closed:
            raise LinkDownError("this node is stopping")
        if self._session is None:
            # Each link holds a connection as long as it lives: no limit, no time for the whole.
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
            )
        web_socket = await self._session.ws_connect(
            address,
            ssl=self._ssl or True,
            heartbeat=self._timing.heartbeat_seconds,
            max_msg_size=FRAME_BYTES_MAX + 1,  # aiohttp refuses what is not below it
            timeout=aiohttp.ClientWSTimeout(ws_close=self._timing.close_seconds),
        )
        return WebSocketConnection(web_socket, self._timing)

    async def close(self) -> None:
        """Dial no more, and break what is still open; links are best closed before."""
        self._closed = True
        if self._session is not None:
            await self._session.close()


class LinkRoute:
    """The answering side: what a relay's web server does with ``GET /link``.

    Attributes:
        state: Since when the server listens; see ``listens``.
    """

    def __init__(
        self,
        identity: Identity,
        keys_of: KeysOf,
        on_connection: OnConnection,
        addresses: Collection[str] = (),
        *,
        timing: Timing | None = None,
    ) -> None:
        """Answer as ``identity``.

        Args:
            identity: This node.
            keys_of: Whose keys are believed; whether a division that proves one may have a link
                is for ``on_connection`` to decide, by its ``peer``.
            on_connection: Called for each proven link, which lives until it returns.
            addresses: Where this node says that it can be reached; looked at anew for each link.
                A caller who dialled another address is refused, because it was led here by
                somebody else. None at all: any address is good, which a node behind a changing
                address needs.
            timing: How long links wait.
        """
        self.state = CarrierState(answers=True)
        self._identity = identity
        self._keys_of = keys_of
        self._on_connection = on_connection
        self._addresses = addresses
        self._timing = timing or Timing()
        self._open: set[WebSocketConnection] = set()
        self._unproven = 0
        self._closed = False

    def listens(self, address: str) -> None:
        """Note that the web server listens now, and at which address links come in."""
        self.state.address = address
        self.state.connected(wall_ms())

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Take one call, from the upgrade to its end: the handler for ``GET /link``."""
        if self._closed or self._unproven >= HANDSHAKES_MAX:
            raise web.HTTPServiceUnavailable(text="no link can be taken now\n")
        web_socket = web.WebSocketResponse(
            heartbeat=self._timing.heartbeat_seconds,
            max_msg_size=FRAME_BYTES_MAX + 1,
            compress=False,
            timeout=self._timing.close_seconds,
        )
        await web_socket.prepare(request)
        connection = WebSocketConnection(web_socket, self._timing)
        self._open.add(connection)
        why = ""
        try:
            why = await self._meet(connection)
            if not why:
                await self._on_connection(connection)
        except LinkDownError:
            pass  # that is how most links end
        finally:
            self._open.discard(connection)
            await connection.close(why)
        return web_socket

    async def _meet(self, connection: WebSocketConnection) -> str:
        """Let the caller prove who it is.

        Returns:
            Why it may not go on; empty if it may, then ``connection.peer`` is who it is.
        """
        seconds = self._timing.handshake_seconds
        self._unproven += 1
        try:
            why = await meet(connection, self._identity, self._keys_of, self._addresses, seconds)
        finally:
            self._unproven -= 1
        return why or ("this node is stopping" if self._closed else "")

    async def close(self) -> None:
        """Take no more calls and close all links, for the web server's ``on_shutdown``."""
        self._closed = True
        if self.state.connected_since_ms is not None:
            self.state.lost("this node is stopping")
        await asyncio.gather(*(connection.close() for connection in self._open))
