"""The WebSocket carrier against neighbours that lie, stay silent or break the rules."""

import asyncio
import contextlib
import datetime as dt
import gc
import secrets
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import aiohttp
import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from broker import websocket
from broker.handshake import (
    MESSAGE_BYTES_MAX,
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
from broker.websocket import Identity, LinkRoute, WebSocketCarrier
from broker.websocket_connection import ClientSocket, Timing
from shared.errors import FaultError, InvalidError
from shared.link.carrier import Connection, LinkDownError
from shared.record import cbor
from shared.record.limits import FRAME_BYTES_MAX
from tests.support.carriers import (
    CHILD,
    OTHER,
    PARENT,
    Answering,
    keys_of,
    serving,
    soon,
    until_still,
)
from tests.support.records import key_of

SHORT = Timing(handshake_seconds=0.05, close_seconds=0.05)


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


@pytest.fixture
def timing() -> Timing:
    """How long the server waits; a test may give another value."""
    return Timing(close_seconds=0.05)


@pytest.fixture
async def parent(timing: Timing) -> AsyncIterator[Parent]:
    """A relay on a free port; the list of its addresses has just that one."""
    made = Parent(timing)
    async with serving(made.route.handle, made.route.close) as address:
        made.addresses.append(address)
        yield made
        made.answering.release.set()


@pytest.fixture
async def call(parent: Parent) -> AsyncIterator[Call]:
    """Calls the relay; whatever became of the calls, their connections are given back."""
    opened: list[aiohttp.ClientWebSocketResponse] = []
    async with aiohttp.ClientSession(ws_response_class=ClientSocket) as session:

        async def made(*, autoping: bool = True) -> Caller:
            address = parent.addresses[0]
            opened.append(await session.ws_connect(address, autoping=autoping))
            return Caller(opened[-1], address)

        yield made
        for socket in opened:
            assert isinstance(socket, ClientSocket)
            socket.release()


@asynccontextmanager
async def dialler(
    identity: Identity = CHILD, timing: Timing | None = None
) -> AsyncIterator[WebSocketCarrier]:
    """A carrier that is closed in the end."""
    carrier = WebSocketCarrier(identity, keys_of, timing=timing or Timing(close_seconds=0.05))
    yield carrier
    await carrier.close()


async def test_handshake_by_hand_opens_a_link(parent: Parent, call: Call) -> None:
    """The messages are those of the protocol; frames follow them."""
    caller = await call()
    await caller.enter()
    link = await soon(parent.answering.links.get())
    assert link.peer == CHILD.code
    await caller.socket.send_bytes(b"frame")
    assert await soon(link.receive()) == b"frame"
    await soon(asyncio.gather(link.close(), caller.socket.close()))


# --- a caller that lies --------------------------------------------------------------------------


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
            f"no key of {PARENT.code} is known here",
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
    assert parent.route._unproven == 0


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


# --- a server that lies --------------------------------------------------------------------------


Script = Callable[[web.WebSocketResponse, Hello], Awaitable[None]]


@asynccontextmanager
async def lying(script: Script) -> AsyncIterator[str]:
    """A server that reads a hello and then follows ``script``."""

    async def handle(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(timeout=0.05)
        await socket.prepare(request)
        await script(socket, decode_hello(await socket.receive_bytes()))
        await socket.receive()
        return socket

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


@pytest.mark.parametrize(
    "script",
    [
        answers(lambda hello, nonce: prove(Side.ANSWERS, hello, nonce, OTHER.signing_key)),
        answers(lambda hello, nonce: prove(Side.DIALS, hello, nonce, PARENT.signing_key)),
        answers(
            lambda hello, nonce: prove(
                Side.ANSWERS, hello._replace(nonce=bytes(32)), nonce, PARENT.signing_key
            )
        ),
        answers(
            lambda hello, nonce: prove(
                Side.ANSWERS, hello._replace(dialler=OTHER.code), nonce, PARENT.signing_key
            )
        ),
        answers(good, last=b"\x82\x01"),
        says(b"garbage"),
        says(b""),
        says(bytes(FRAME_BYTES_MAX)),
        says(cbor.encode([1, "answer", bytes(32), bytes(63)])),
    ],
    ids=["key", "direction", "replay", "dialler", "end", "garbage", "empty", "large", "short"],
)
async def test_server_that_is_not_the_parent_gets_no_link(script: Script) -> None:
    """Who cannot prove to be the one that was dialled is not told more than a hello."""
    async with dialler() as carrier, lying(script) as address:
        with pytest.raises(LinkDownError, match=f"is not {PARENT.code}"):
            await soon(carrier.dial(PARENT.code, address))


async def test_good_script_is_believed() -> None:
    """The lying server can tell the truth: what the test above changes is what matters."""
    async with dialler() as carrier, lying(answers(good)) as address:
        link = await soon(carrier.dial(PARENT.code, address))
        await soon(link.close())


async def test_silent_server_is_given_up() -> None:
    """A server that takes the WebSocket and never answers, within the time allowed."""

    async def script(socket: web.WebSocketResponse, _: Hello) -> None:
        await socket.receive()

    async with dialler(timing=SHORT) as carrier, lying(script) as address:
        with pytest.raises(LinkDownError, match=r"within 0\.05 s"):
            await soon(carrier.dial(PARENT.code, address))


async def test_cancelled_dial_leaves_nothing_open() -> None:
    """The server sees the connection end."""
    came, ended = asyncio.Event(), asyncio.Event()

    async def script(socket: web.WebSocketResponse, _: Hello) -> None:
        came.set()
        await socket.receive()
        ended.set()

    async with dialler() as carrier, lying(script) as address:
        dialling = asyncio.create_task(carrier.dial(PARENT.code, address))
        await soon(came.wait())
        dialling.cancel()
        await asyncio.wait({dialling})
        assert dialling.cancelled()
        await soon(ended.wait())


async def test_refusal_reaches_the_dialler_in_words(parent: Parent) -> None:
    """Whoever is not certified for the code it claims reads why it has no link."""
    impostor = Identity(CHILD.code, key_of(99))
    stranger = Identity("34069999", key_of(99))
    for identity, words in ((impostor, "holds no key"), (stranger, "no key of 34069999")):
        async with dialler(identity) as carrier:
            with pytest.raises(LinkDownError, match=words):
                await soon(carrier.dial(PARENT.code, parent.addresses[0]))


async def test_unknown_peer_is_not_dialled() -> None:
    """Without a key there is nothing to check the answer by."""
    async with dialler() as carrier:
        with pytest.raises(LinkDownError, match="no key of 99"):
            await carrier.dial("99", "ws://127.0.0.1:1/link")


async def test_page_that_is_no_link(parent: Parent) -> None:
    """Another path of the same server."""
    async with dialler() as carrier:
        with pytest.raises(LinkDownError, match="HTTP status 404"):
            await soon(carrier.dial(PARENT.code, parent.addresses[0] + "s"))


async def test_closed_carrier_dials_no_more(parent: Parent) -> None:
    """A node that stops opens no link behind its back."""
    carrier = WebSocketCarrier(CHILD, keys_of)
    await carrier.close()
    with pytest.raises(LinkDownError, match="stopping"):
        await carrier.dial(PARENT.code, parent.addresses[0])


# --- addresses -----------------------------------------------------------------------------------


async def test_address_of_somebody_else_is_refused(parent: Parent) -> None:
    """Led here under another name; with that name in the list, or with no list, it is fine."""
    address = parent.addresses[0]
    other = address.replace("127.0.0.1", "localhost")
    async with dialler() as carrier:
        with pytest.raises(LinkDownError, match="none of this node's"):
            await soon(carrier.dial(PARENT.code, other))
        for addresses in ([address, other], []):
            parent.addresses[:] = addresses
            link = await soon(carrier.dial(PARENT.code, other))
            end = await soon(parent.answering.links.get())
            await soon(asyncio.gather(link.close(), end.close()))


async def test_http_stands_for_ws(parent: Parent) -> None:
    """People type what they know; the signed address is the same."""
    async with dialler() as carrier:
        link = await soon(
            carrier.dial(PARENT.code, parent.addresses[0].replace("ws://", "HTTP://"))
        )
        end = await soon(parent.answering.links.get())
        await soon(asyncio.gather(link.close(), end.close()))


@pytest.mark.parametrize(
    ("address", "normal"),
    [
        ("ws://a.example/link", "ws://a.example/link"),
        ("WS://A.Example:80/link", "ws://a.example/link"),
        ("http://a.example:8080/link", "ws://a.example:8080/link"),
        ("https://a.example:443/Link", "wss://a.example/Link"),
        ("wss://a.example", "wss://a.example/"),
        ("wss://[2001:DB8::1]:8443/link", "wss://[2001:db8::1]:8443/link"),
    ],
)
def test_addresses_have_one_form(address: str, normal: str) -> None:
    """Written differently, compared equal; and the form is stable."""
    assert normal_address(address) == normal
    assert normal_address(normal) == normal


@pytest.mark.parametrize(
    "address",
    [
        "", "link", "ftp://a/link", "ws:///link", "ws://user@a/link", "ws://user:word@a/link",
        "ws://a/link?x=1", "ws://a/link#x", "ws://a:99999/link", "ws://a:x/link", "ws://[::1/link",
        "ws://a/" + "x" * 200,
    ],
)  # fmt: skip
async def test_what_is_no_address_is_no_link(address: str) -> None:
    """The link runner meets the one error that it knows."""
    with pytest.raises(InvalidError):
        normal_address(address)
    async with dialler() as carrier:
        with pytest.raises(LinkDownError):
            await carrier.dial(PARENT.code, address)


# --- after the handshake -------------------------------------------------------------------------


async def test_text_frame_ends_the_link(parent: Parent, call: Call) -> None:
    """The neighbour is told, and this end is down."""
    caller = await call()
    await caller.enter()
    link = await soon(parent.answering.links.get())
    await caller.socket.send_str("text")
    hearing = asyncio.create_task(caller.refusal())
    with pytest.raises(LinkDownError, match="text"):
        await soon(link.receive())
    assert await soon(hearing) == "a link carries binary frames"


async def test_frame_beyond_the_limit_ends_the_link(parent: Parent, call: Call) -> None:
    """What our own ``send`` would have refused."""
    caller = await call()
    await caller.enter()
    link = await soon(parent.answering.links.get())
    sending = asyncio.create_task(caller.socket.send_bytes(bytes(FRAME_BYTES_MAX + 1)))
    with pytest.raises(LinkDownError, match="larger than the limit"):
        await soon(link.receive())
    await asyncio.wait({sending})
    sending.exception()


@pytest.mark.parametrize("timing", [Timing(heartbeat_seconds=0.2, close_seconds=0.05)])
async def test_neighbour_that_answers_no_ping_is_given_up(parent: Parent, call: Call) -> None:
    """A line that died without a word is noticed by the one who only listens."""
    made = await call(autoping=False)
    await made.enter()
    link = await soon(parent.answering.links.get())
    with pytest.raises(LinkDownError):
        await soon(link.receive())
    await soon(made.socket.close())


@pytest.mark.parametrize("timing", [Timing(send_seconds=0.05, close_seconds=0.05)])
async def test_neighbour_that_takes_nothing_is_given_up(parent: Parent, call: Call) -> None:
    """No send waits for ever; who receives on the same link hears of it too."""
    caller = await call()
    await caller.enter()
    link = await soon(parent.answering.links.get())
    receiving = asyncio.create_task(link.receive())
    with pytest.raises(LinkDownError, match="took nothing"):
        await soon(send_without_end(link))
    with pytest.raises(LinkDownError):
        await soon(receiving)
    await soon(caller.socket.close())


async def test_close_ends_a_send_that_waits(parent: Parent, call: Call) -> None:
    """Closing does not wait for a neighbour who reads nothing, and no sender is left hanging."""
    caller = await call()
    await caller.enter()
    link = await soon(parent.answering.links.get())
    sending = asyncio.create_task(send_without_end(link))
    await soon(until_still(lambda: 0))
    await soon(link.close())
    with pytest.raises(LinkDownError):
        await soon(sending)
    await soon(caller.socket.close())


async def test_reset_line_leaves_nothing_open() -> None:
    """A line that is cut off, not closed: both directions say so, and nothing of it is left."""
    proven = asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await answers(good)(socket, decode_hello(await socket.receive_bytes()))
        await soon(proven.wait())
        assert request.transport is not None
        request.transport.abort()
        return socket

    async with dialler() as carrier, serving(handle) as address:
        link = await soon(carrier.dial(PARENT.code, address))
        proven.set()
        for attempt in (link.receive(), link.send(b"late"), link.receive()):
            with pytest.raises(LinkDownError):
                await soon(attempt)
        await soon(link.close())
    del link
    gc.collect()  # an unclosed connection would warn here, and a warning is an error


async def send_without_end(link: Connection) -> None:
    """Send large frames until the link breaks."""
    while True:
        await link.send(bytes(FRAME_BYTES_MAX // 4))


async def test_stopping_server_closes_its_links(parent: Parent) -> None:
    """Links end at once, and later callers are told to come again."""
    async with dialler() as carrier:
        address = parent.addresses[0]
        link = await soon(carrier.dial(PARENT.code, address))
        receiving = asyncio.create_task(link.receive())
        await asyncio.sleep(0)
        await soon(parent.route.close())
        with pytest.raises(LinkDownError):
            await soon(receiving)
        with pytest.raises(LinkDownError, match="503"):
            await soon(carrier.dial(PARENT.code, address))
        await soon(link.close())


async def test_owner_that_fails_is_heard_and_its_link_closed() -> None:
    """A broken link ends its owner quietly; any other error goes to the web server."""
    seen: list[Exception] = []

    async def on_connection(connection: Connection) -> None:
        await connection.receive()
        raise ZeroDivisionError

    route = LinkRoute(PARENT, keys_of, on_connection)

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await route.handle(request)
        except ZeroDivisionError as error:
            seen.append(error)
            raise web.HTTPInternalServerError from error

    async with serving(handle, route.close) as address, dialler() as carrier:
        link = await soon(carrier.dial(PARENT.code, address))
        await soon(link.close())
        link = await soon(carrier.dial(PARENT.code, address))
        await link.send(b"go")
        with pytest.raises(LinkDownError):
            await soon(link.receive())
        await soon(link.close())
    assert len(seen) == 1


# --- TLS -----------------------------------------------------------------------------------------


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for ``localhost`` that no system trusts, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "localhost.pem"
    path.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


async def test_wss_needs_a_certificate_that_is_trusted(certificate: Path) -> None:
    """With the district's own certificates it works, with the system's it is refused."""
    answering = Answering()
    route = LinkRoute(PARENT, keys_of, answering)
    app = web.Application()
    app.router.add_get("/link", route.handle)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    server = TestServer(app, scheme="https", host="localhost")
    await server.start_server(ssl=context)
    address = f"wss://localhost:{server.port}/link"
    trusting = WebSocketCarrier(CHILD, keys_of, ssl.create_default_context(cafile=str(certificate)))
    async with dialler() as carrier:
        with pytest.raises(LinkDownError, match="cannot be reached"):
            await soon(carrier.dial(PARENT.code, address))
    link = await soon(trusting.dial(PARENT.code, address))
    end = await soon(answering.links.get())
    await link.send(b"sealed")
    assert await soon(end.receive()) == b"sealed"
    await soon(asyncio.gather(link.close(), end.close()))
    answering.release.set()
    await trusting.close()
    await server.close()


# --- the messages --------------------------------------------------------------------------------


def test_messages_come_back_as_they_were() -> None:
    """What is encoded is decoded to the same, up to the largest hello there can be."""
    hello = Hello("3" * 32, "4" * 32, "ws://" + "\U00020000" * 195, secrets.token_bytes(32))
    assert decode_hello(encode_hello(hello)) == hello
    answer = Answer(secrets.token_bytes(32), secrets.token_bytes(64))
    assert decode_answer(encode_answer(answer)) == answer
    assert decode_proof(encode_proof(answer.signature)) == answer.signature


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
