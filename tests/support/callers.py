"""Neighbours that speak the handshake of a WebSocket by hand, truly or not."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol

import aiohttp
from aiohttp import WSMsgType, web

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
    prove,
    proves,
)
from broker.introduction import Identity
from broker.websocket import LinkRoute, WebSocketCarrier
from broker.websocket_connection import Timing
from tests.support.carriers import (
    CHILD,
    PARENT,
    Answering,
    keys_of,
    serving,
    soon,
)


class Caller:
    """A client that speaks the handshake by hand."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, address: str) -> None:
        """Speak over ``socket``, which was opened at ``address``."""
        self.socket = socket
        self.address = address

    def hello(self, dialler: str = CHILD.code, answerer: str = PARENT.code) -> Hello:
        """Return a good first message."""
        return Hello(dialler, answerer, self.address, secrets.token_bytes(NONCE_BYTES))

    async def ask(self, hello: Hello) -> Answer:
        """Send ``hello`` and return the answer."""
        await self.socket.send_bytes(encode_hello(hello))
        return decode_answer(await soon(self.socket.receive_bytes()))

    async def enter(self) -> None:
        """Prove to be the child."""
        hello = self.hello()
        answer = await self.ask(hello)
        await self.prove(prove(Side.DIALS, hello, answer.nonce, CHILD.signing_key))
        assert await soon(self.socket.receive_bytes()) == OPEN

    async def prove(self, signature: bytes) -> None:
        """Send the third message."""
        await self.socket.send_bytes(encode_proof(signature))

    async def refusal(self) -> str:
        """Return the reason with which the server closes; anything else fails."""
        message = await soon(self.socket.receive())
        assert message.type is WSMsgType.CLOSE, message
        return str(message.extra)


class Call(Protocol):
    """Opens one WebSocket to the relay, before any handshake."""

    async def __call__(self, *, autoping: bool = True) -> Caller:
        """Call; without ``autoping`` the caller leaves pings unanswered."""


class Parent:
    """A relay that answers."""

    def __init__(self, timing: Timing | None = None) -> None:
        """Answer at no address yet."""
        self.answering = Answering()
        self.addresses: list[str] = []
        self.route = LinkRoute(PARENT, keys_of, self.answering, self.addresses, timing=timing)


@asynccontextmanager
async def dialler(
    identity: Identity = CHILD, timing: Timing | None = None
) -> AsyncIterator[WebSocketCarrier]:
    """A carrier that is closed in the end."""
    carrier = WebSocketCarrier(identity, keys_of, timing=timing or Timing(close_seconds=0.05))
    yield carrier
    await carrier.close()


Script = Callable[[web.WebSocketResponse, Hello], Awaitable[None]]


@asynccontextmanager
async def lying(script: Script) -> AsyncIterator[str]:
    """A server that reads a hello and then follows ``script``."""

    async def handle(request: web.Request) -> web.StreamResponse:
        caller = web.WebSocketResponse(timeout=0.05)
        await caller.prepare(request)
        await script(caller, decode_hello(await caller.receive_bytes()))
        await caller.receive()
        return caller

    async with serving(handle) as address:
        yield address


def answers(sign: Callable[[Hello, bytes], bytes], last: bytes = OPEN) -> Script:
    """A server whose answer is signed by ``sign`` and whose last message is ``last``."""

    async def script(socket: web.WebSocketResponse, hello: Hello) -> None:
        nonce = secrets.token_bytes(NONCE_BYTES)
        await socket.send_bytes(encode_answer(Answer(nonce, sign(hello, nonce))))
        message = await socket.receive()
        if message.type is WSMsgType.BINARY:
            assert proves(Side.DIALS, hello, nonce, decode_proof(message.data), keys_of(CHILD.code))
            await socket.send_bytes(last)

    return script


def says(message: bytes) -> Script:
    """A server that says ``message`` instead of an answer."""

    async def script(socket: web.WebSocketResponse, _: Hello) -> None:
        await socket.send_bytes(message)

    return script


def good(hello: Hello, nonce: bytes) -> bytes:
    """The signature of the real parent."""
    return prove(Side.ANSWERS, hello, nonce, PARENT.signing_key)
