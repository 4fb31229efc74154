"""The dialling side against servers that lie, addresses that do, and TLS."""

import asyncio
import datetime as dt
import ssl
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from broker.handshake import (
    Hello,
    Side,
    normal_address,
    prove,
)
from broker.introduction import Identity
from broker.websocket import LinkRoute, WebSocketCarrier
from broker.websocket_connection import Timing
from shared.errors import InvalidError
from shared.link.carrier import LinkDownError
from shared.record import cbor
from shared.record.limits import FRAME_BYTES_MAX
from tests.support.callers import Parent, Script, answers, dialler, good, lying, says
from tests.support.carriers import (
    CHILD,
    OTHER,
    PARENT,
    Answering,
    keys_of,
    soon,
)
from tests.support.records import key_of

SHORT = Timing(handshake_seconds=0.05, close_seconds=0.05)


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
