"""Both sides of the proof of keys (protocol 5.7), over any line that moves messages.

``broker.handshake`` knows the messages; here they are sent and awaited. The WebSocket and the
RabbitMQ carrier run the same.
"""

import asyncio
import secrets
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from broker.handshake import (
    NONCE_BYTES,
    OPEN,
    UNKNOWN,
    Answer,
    Hello,
    Side,
    decode_answer,
    decode_certificates,
    decode_hello,
    decode_proof,
    encode_answer,
    encode_certificates,
    encode_hello,
    encode_proof,
    normal_address,
    prove,
    proves,
)
from shared.errors import FaultError, RefusedError
from shared.record.feed import is_above
from shared.trust.keys import PublicKey, SigningKey

KeysOf = Callable[[str], Sequence[PublicKey]]
"""Returns the keys that this node's roster knows for a division; none if it is not known."""


class Papers(Protocol):
    """The certificates of a node: shown to an ancestor that does not know it (protocol 4.8)."""

    async def show(self, peer: str) -> Sequence[bytes]:
        """Return Chunk frames that lead from ``peer`` to this node.

        Raises:
            LinkDownError: they cannot be read now.
        """

    async def take(self, caller: str, chunks: Sequence[bytes]) -> None:
        """Take in what ``caller`` showed, as far as it is good.

        Raises:
            FaultError: it is no way from here to the caller.
            RefusedError: it cannot be taken now.
        """


@dataclass(frozen=True)
class Identity:
    """Who this node is on its links.

    Attributes:
        code: Its division.
        signing_key: Proves it.
        papers: Its certificates; None shows and takes none.
    """

    code: str
    signing_key: SigningKey
    papers: Papers | None = None


class Line(Protocol):
    """What the messages travel over: a connection whose peer is not known yet."""

    async def send(self, frame: bytes) -> None:
        """Send one message."""

    async def receive(self) -> bytes:
        """Return the next message."""

    def done(self) -> None:
        """Say that it was dealt with."""


class Caller(Line, Protocol):
    """A line that somebody opened to us.

    Attributes:
        peer: Who it is, once that is proven.
    """

    peer: str


async def _heard(line: Line) -> bytes:
    message = await line.receive()
    line.done()
    return message


async def introduce(
    line: Line, identity: Identity, keys_of: KeysOf, peer: str, address: str
) -> None:
    """The dialler's side: prove who we are, and that ``peer`` answers.

    Args:
        line: Open, nothing said yet.
        identity: This node.
        keys_of: Whose keys are believed.
        peer: Division that is meant to answer.
        address: Where it was dialled, as ``normal_address`` writes it.

    Raises:
        FaultError: the answers are not those of the protocol.
        RefusedError: who answers is not ``peer``.
        LinkDownError: the line broke.
    """
    hello = Hello(identity.code, peer, address, secrets.token_bytes(NONCE_BYTES))
    await line.send(encode_hello(hello))
    reply = await _heard(line)
    if reply == UNKNOWN and identity.papers is not None:
        await line.send(encode_certificates(await identity.papers.show(peer)))
        reply = await _heard(line)
    answer = decode_answer(reply)
    if not proves(Side.ANSWERS, hello, *answer, keys_of(peer)):
        raise RefusedError("who answers there holds none of its keys")
    proof = prove(Side.DIALS, hello, answer.nonce, identity.signing_key)
    await line.send(encode_proof(proof))
    if await _heard(line) != OPEN:
        raise FaultError("the handshake did not end as it must")


async def greet(line: Line, identity: Identity, keys_of: KeysOf, addresses: Collection[str]) -> str:
    """The answerer's side: prove who we are, and find out who dialled.

    Args:
        line: Open, nothing said yet.
        identity: This node.
        keys_of: Whose keys are believed.
        addresses: Where this node may have been dialled; none at all: anywhere.

    Returns:
        The division code of the caller, proven.

    Raises:
        FaultError: its messages are not those of the protocol.
        RefusedError: it may have no link.
        LinkDownError: the line broke.
    """
    hello = decode_hello(await _heard(line))
    _check(hello, identity, addresses)
    keys = keys_of(hello.dialler)
    if not keys and identity.papers is not None and is_above(identity.code, hello.dialler):
        await line.send(UNKNOWN)
        await identity.papers.take(hello.dialler, decode_certificates(await _heard(line)))
        keys = keys_of(hello.dialler)
    if not keys:
        raise RefusedError(f"no key of {hello.dialler} is known here")
    nonce = secrets.token_bytes(NONCE_BYTES)
    proof = prove(Side.ANSWERS, hello, nonce, identity.signing_key)
    await line.send(encode_answer(Answer(nonce, proof)))
    signature = decode_proof(await _heard(line))
    if not proves(Side.DIALS, hello, nonce, signature, keys):
        raise RefusedError(f"the caller holds no key of {hello.dialler}")
    await line.send(OPEN)
    return hello.dialler


async def meet(
    caller: Caller,
    identity: Identity,
    keys_of: KeysOf,
    addresses: Collection[str],
    seconds: float,
) -> str:
    """``greet``, within ``seconds``: afterwards ``caller.peer`` is who it is.

    Returns:
        Why it may not go on; empty if it may.

    Raises:
        LinkDownError: the line broke.
    """
    try:
        async with asyncio.timeout(seconds):
            caller.peer = await greet(caller, identity, keys_of, addresses)
    except TimeoutError:
        return f"the handshake took longer than {seconds:g} s"
    except (FaultError, RefusedError) as error:
        return str(error)
    return ""


def _check(hello: Hello, identity: Identity, addresses: Collection[str]) -> None:
    """Let the caller go on.

    Raises:
        RefusedError: it wants somebody else, was led here, or claims to be us.
    """
    if hello.answerer != identity.code:
        raise RefusedError(f"here is {identity.code}, not {hello.answerer}")
    if addresses and hello.address not in map(normal_address, addresses):
        raise RefusedError("the address that was dialled is none of this node's")
    if hello.dialler == identity.code:
        raise RefusedError(f"here is {identity.code} itself")
