"""The answering side against callers that lie, stay silent or say garbage."""

import asyncio
import contextlib
import secrets
from collections.abc import Callable

import aiohttp
import pytest
from aiohttp import WSMsgType

from broker import websocket
from broker.handshake import (
    CERTIFICATES_BYTES_MAX,
    MESSAGE_BYTES_MAX,
    OPEN,
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
    prove,
)
from broker.websocket_connection import Timing
from shared.errors import FaultError
from shared.link.carrier import LinkDownError
from shared.record import cbor
from shared.record.limits import FRAME_BYTES_MAX
from tests.support.callers import Call, Parent, dialler
from tests.support.carriers import (
    CHILD,
    OTHER,
    PARENT,
    soon,
    until_still,
)


async def test_handshake_by_hand_opens_a_link(parent: Parent, call: Call) -> None:
    """The messages are those of the protocol; frames follow them."""
    caller = await call()
    await caller.enter()
    link = await soon(parent.answering.links.get())
    assert link.peer == CHILD.code
    await caller.socket.send_bytes(b"frame")
    assert await soon(link.receive()) == b"frame"
    await soon(asyncio.gather(link.close(), caller.socket.close()))


async def test_replayed_proof_is_refused(call: Call) -> None:
    """A proof that was good once is of no use: the nonce is another one."""
    first = await call()
    hello = first.hello()
    answer = await first.ask(hello)
    proof = prove(Side.DIALS, hello, answer.nonce, CHILD.signing_key)
    await first.prove(proof)
    assert await soon(first.socket.receive_bytes()) == OPEN
    second = await call()
    await second.ask(hello)
    await second.prove(proof)
    assert await second.refusal() == f"the caller holds no key of {CHILD.code}"


async def test_answer_reflected_as_proof_is_refused(call: Call) -> None:
    """The server's own signature does not let anybody in."""
    caller = await call()
    answer = await caller.ask(caller.hello())
    await caller.prove(answer.signature)
    assert "holds no key" in await caller.refusal()


@pytest.mark.parametrize(
    "sign",
    [
        lambda hello, nonce: prove(Side.ANSWERS, hello, nonce, CHILD.signing_key),
        lambda hello, nonce: prove(Side.DIALS, hello, nonce, OTHER.signing_key),
        lambda hello, _: prove(Side.DIALS, hello, bytes(32), CHILD.signing_key),
        lambda hello, nonce: prove(
            Side.DIALS, hello._replace(address="ws://elsewhere/link"), nonce, CHILD.signing_key
        ),
        lambda hello, nonce: prove(
            Side.DIALS, hello._replace(answerer=OTHER.code), nonce, CHILD.signing_key
        ),
        lambda _, nonce: CHILD.signing_key.sign_bytes(nonce),
    ],
    ids=["direction", "key", "nonce", "address", "answerer", "domain"],
)
async def test_proof_over_anything_else_is_refused(
    parent: Parent, call: Call, sign: Callable[[Hello, bytes], bytes]
) -> None:
    """Direction, key, nonce, address, codes and domain all have to be right."""
    caller = await call()
    hello = caller.hello()
    answer = await caller.ask(hello)
    await caller.prove(sign(hello, answer.nonce))
    assert "holds no key" in await caller.refusal()
    assert parent.answering.links.empty()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda hello: hello._replace(dialler="34069999"),
            "no key of 34069999 is known here",
        ),
        (
            lambda hello: hello._replace(dialler=PARENT.code),
            f"here is {PARENT.code} itself",
        ),
        (
            lambda hello: hello._replace(answerer=OTHER.code),
            f"here is {PARENT.code}, not {OTHER.code}",
        ),
        (
            lambda hello: hello._replace(address="ws://elsewhere/link"),
            "the address that was dialled is none of this node's",
        ),
    ],
    ids=["unknown", "itself", "somebody else", "elsewhere"],
)
async def test_wrong_hello_is_answered_with_the_reason(
    call: Call, change: Callable[[Hello], Hello], reason: str
) -> None:
    """Before anything is signed: who calls, whom, and where."""
    caller = await call()
    await caller.socket.send_bytes(encode_hello(change(caller.hello())))
    assert await caller.refusal() == reason


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xff",
        b"\xa0",
        b"\x80",
        cbor.encode("hello"),
        cbor.encode([2, "hello", CHILD.code, PARENT.code, "ws://a/link", bytes(32)]),
        cbor.encode([True, "hello", CHILD.code, PARENT.code, "ws://a/link", bytes(32)]),
        cbor.encode([1, "hello", CHILD.code, PARENT.code, "ws://a/link", bytes(31)]),
        cbor.encode([1, "hello", "no code", PARENT.code, "ws://a/link", bytes(32)]),
        cbor.encode([1, "hello", CHILD.code, PARENT.code, "w" * 201, bytes(32)]),
        cbor.encode([1, "proof", bytes(64)]),
        encode_hello(Hello(CHILD.code, PARENT.code, "ws://a/link", bytes(32))) + b"\x00",
        bytes(MESSAGE_BYTES_MAX + 1),
        bytes(FRAME_BYTES_MAX),
    ],
    ids=range(14),
)
async def test_garbage_instead_of_a_hello_is_refused(
    parent: Parent, call: Call, message: bytes
) -> None:
    """The link closes with a reason that a person can read."""
    caller = await call()
    await caller.socket.send_bytes(message)
    assert (await caller.refusal()).isprintable()
    assert parent.answering.links.empty()


async def test_garbage_instead_of_a_proof_is_refused(call: Call) -> None:
    """The third message is checked like the first."""
    caller = await call()
    await caller.ask(caller.hello())
    await caller.socket.send_bytes(b"garbage")
    assert await caller.refusal()


async def test_text_instead_of_a_hello_is_refused(call: Call) -> None:
    """Links are binary from the first message on."""
    caller = await call()
    await caller.socket.send_str("hello")
    assert await caller.refusal() == "a link carries binary frames"


async def test_message_beyond_the_frame_limit_is_refused(parent: Parent, call: Call) -> None:
    """Whoever has not proven a key cannot make the server hold more than one frame."""
    caller = await call()
    with contextlib.suppress(aiohttp.ClientError, OSError):  # the server may not hear it to the end
        await caller.socket.send_bytes(bytes(FRAME_BYTES_MAX + 1))
    message = await soon(caller.socket.receive())
    assert message.type in (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.ERROR)
    assert parent.answering.links.empty()


@pytest.mark.parametrize("timing", [Timing(handshake_seconds=0.3, close_seconds=0.05)])
async def test_silent_caller_is_closed_in_time(call: Call) -> None:
    """Who opens a WebSocket and says nothing, or stops after the hello, holds no place for long."""
    silent, halfway = await call(), await call()
    await halfway.ask(halfway.hello())
    for caller in (silent, halfway):
        assert await caller.refusal() == "the handshake took longer than 0.3 s"


async def test_caller_that_vanishes_is_forgotten(parent: Parent, call: Call) -> None:
    """The place is free again, and no link comes of it."""
    caller = await call()
    await caller.socket.close()
    async with dialler() as carrier:
        link = await soon(carrier.dial(PARENT.code, parent.addresses[0]))
        await soon(asyncio.gather(link.close(), (await parent.answering.links.get()).close()))
    parent.answering.release.set()
    await soon(until_still(lambda: len(parent.route._open)))
    assert (parent.route._unproven, parent.route._open) == (0, set())


async def test_callers_without_proof_are_bounded(
    parent: Parent, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When all places are taken the next caller is told to come later."""
    monkeypatch.setattr(websocket, "HANDSHAKES_MAX", 1)
    caller = await call()
    await caller.ask(caller.hello())
    async with dialler() as carrier:
        with pytest.raises(LinkDownError, match="503"):
            await soon(carrier.dial(PARENT.code, parent.addresses[0]))
    await caller.prove(bytes(64))
    await caller.refusal()


async def test_plain_request_is_no_link(parent: Parent) -> None:
    """A browser that opens the address gets an error, not a hanging page."""
    address = parent.addresses[0].replace("ws:", "http:")
    async with aiohttp.ClientSession() as session, session.get(address) as response:
        assert response.status == 400


# --- the messages --------------------------------------------------------------------------------


def test_messages_come_back_as_they_were() -> None:
    """What is encoded is decoded to the same, up to the largest hello there can be."""
    hello = Hello("3" * 32, "4" * 32, "ws://" + "\U00020000" * 195, secrets.token_bytes(32))
    assert decode_hello(encode_hello(hello)) == hello
    answer = Answer(secrets.token_bytes(32), secrets.token_bytes(64))
    assert decode_answer(encode_answer(answer)) == answer
    assert decode_proof(encode_proof(answer.signature)) == answer.signature
    assert decode_certificates(encode_certificates([b"a", b""])) == [b"a", b""]


def test_message_beyond_the_limit_is_not_even_decoded() -> None:
    """Whoever has not proven a key gives us no work."""
    for decode in (decode_hello, decode_answer, decode_proof):
        with pytest.raises(FaultError, match="larger than the limit"):
            decode(bytes(MESSAGE_BYTES_MAX + 1))
    with pytest.raises(FaultError, match="larger than the limit"):
        decode_certificates(bytes(CERTIFICATES_BYTES_MAX + 1))


def test_message_altered_anywhere_is_another_one_or_none() -> None:
    """No two byte strings say the same: what is signed is what was sent."""
    hello = Hello(CHILD.code, PARENT.code, "ws://a/link", bytes(32))
    message = encode_hello(hello)
    for position in range(len(message)):
        for bit in range(8):
            altered = bytearray(message)
            altered[position] ^= 1 << bit
            try:
                assert decode_hello(bytes(altered)) != hello
            except FaultError:
                continue
