"""The WebSocket carrier (protocol 5.7): the embedded default, it needs no broker.

A relay's web server takes ``GET /link`` (``LinkRoute``), its children dial it
(``WebSocketCarrier``). Before the first frame both ends prove their keys (``broker.handshake``).
Each frame is one binary message; nothing is compressed, because chunks already are.
"""

import asyncio
import secrets
import ssl as tls
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

import aiohttp
from aiohttp import web

from broker.handshake import (
    NONCE_BYTES,
    OPEN,
    Answer,
    Hello,
    Side,
    decode_answer,
    decode_hello,
    decode_proof,
    encode_answer,
    encode_hello,
    encode_proof,
    normal_address,
    prove,
    proves,
)
from broker.websocket_connection import Timing, WebSocketConnection, words
from shared.errors import FaultError, InvalidError, RefusedError
from shared.link.carrier import LinkDownError, OnConnection
from shared.record.limits import FRAME_BYTES_MAX
from shared.trust.keys import PublicKey, SigningKey

KeysOf = Callable[[str], Sequence[PublicKey]]
"""Returns the keys that this node's roster knows for a division; none if it is not known."""

HANDSHAKES_MAX: Final = 64
"""Callers that have not proven a key yet. Each may fill one message, 4 MiB, before it is refused,
so together they take at most 256 MiB; three hundred children that return at once take turns."""


@dataclass(frozen=True)
class Identity:
    """Who this node is on its links."""

    code: str
    signing_key: SigningKey


class WebSocketCarrier:
    """Dials relays in the name of one node (see ``shared.link.carrier.Carrier``)."""

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
        self._identity = identity
        self._keys_of = keys_of
        self._ssl = ssl
        self._timing = timing or Timing()
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def dial(self, peer: str, address: str) -> WebSocketConnection:
        """Open a link to division ``peer`` at ``address``; see the port."""
        if not self._keys_of(peer):
            raise LinkDownError(f"no key of {peer} is known here")
        seconds = self._timing.handshake_seconds
        try:
            address = normal_address(address)
            async with asyncio.timeout(seconds):
                connection = await self._connect(address)
                try:
                    await self._introduce(connection, peer, address)
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

    async def _introduce(self, connection: WebSocketConnection, peer: str, address: str) -> None:
        hello = Hello(self._identity.code, peer, address, secrets.token_bytes(NONCE_BYTES))
        await connection.send(encode_hello(hello))
        answer = decode_answer(await connection.receive())
        if not proves(Side.ANSWERS, hello, *answer, self._keys_of(peer)):
            raise RefusedError("who answers there holds none of its keys")
        proof = prove(Side.DIALS, hello, answer.nonce, self._identity.signing_key)
        await connection.send(encode_proof(proof))
        if await connection.receive() != OPEN:
            raise FaultError("the handshake did not end as it must")
        connection.peer = peer

    async def close(self) -> None:
        """Dial no more, and break what is still open; links are best closed before."""
        self._closed = True
        if self._session is not None:
            await self._session.close()


class LinkRoute:
    """The answering side: what a relay's web server does with ``GET /link``."""

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
        self._identity = identity
        self._keys_of = keys_of
        self._on_connection = on_connection
        self._addresses = addresses
        self._timing = timing or Timing()
        self._open: set[WebSocketConnection] = set()
        self._unproven = 0
        self._closed = False

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
            async with asyncio.timeout(seconds):
                connection.peer = await self._greet(connection)
        except TimeoutError:
            return f"the handshake took longer than {seconds:g} s"
        except (FaultError, RefusedError) as error:
            return str(error)
        finally:
            self._unproven -= 1
        return "this node is stopping" if self._closed else ""

    async def _greet(self, connection: WebSocketConnection) -> str:
        hello = decode_hello(await connection.receive())
        keys = self._checked(hello)
        nonce = secrets.token_bytes(NONCE_BYTES)
        proof = prove(Side.ANSWERS, hello, nonce, self._identity.signing_key)
        await connection.send(encode_answer(Answer(nonce, proof)))
        signature = decode_proof(await connection.receive())
        if not proves(Side.DIALS, hello, nonce, signature, keys):
            raise RefusedError(f"the caller holds no key of {hello.dialler}")
        await connection.send(OPEN)
        return hello.dialler

    def _checked(self, hello: Hello) -> Sequence[PublicKey]:
        """Return the caller's keys if it may go on.

        Raises:
            RefusedError: it wants somebody else, was led here, is not known, or claims to be us.
        """
        own = self._identity.code
        if hello.answerer != own:
            raise RefusedError(f"here is {own}, not {hello.answerer}")
        if self._addresses and hello.address not in map(normal_address, self._addresses):
            raise RefusedError("the address that was dialled is none of this node's")
        keys = () if hello.dialler == own else self._keys_of(hello.dialler)
        if not keys:
            raise RefusedError(f"no key of {hello.dialler} is known here")
        return keys

    async def close(self) -> None:
        """Take no more calls and close all links, for the web server's ``on_shutdown``."""
        self._closed = True
        await asyncio.gather(*(connection.close() for connection in self._open))
