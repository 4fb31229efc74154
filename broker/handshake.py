"""How two nodes prove to each other who they are (protocol 5.7); bytes only, no I/O.

    dialler                                            answerer
      hello   [1, "hello", from, to, address, nonce]  →
                             ←  unknown [1, "unknown"]                  only to whom it knows no
      certificates  [1, "certificates", [chunk, …]]   →                 key of
                             ←  answer  [1, "answer", nonce, signature]
      proof   [1, "proof", signature]                 →
                             ←  open    [1, "open"]

Each signs, with the key its division is certified for, one statement: the domain
``sanji/link/v1``, which of the two it is, both codes, the address that was dialled and both
nonces. So no signature is of use a second time (nonces), in the other role (direction), to
another node (codes), at another address, or as anything but this handshake (domain).

Whoever sits in the middle and passes all of it on has become a cable. That is why TLS is not
bound into it (Python's ``ssl`` has no exporter, and a proxy may end TLS): a cable can lose and
delay, it cannot invent, because every record carries its author's signature.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from shared.errors import FaultError, InvalidError
from shared.record import cbor
from shared.record.feed import check_code
from shared.trust.keys import PublicKey, SigningKey

DOMAIN: Final = "sanji/link/v1"
VERSION: Final = 1
NONCE_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
ADDRESS_CHARS_MAX: Final = 200
# A hello with two codes of 32 digits and an address of 200 characters of 4 bytes has 930 bytes.
MESSAGE_BYTES_MAX: Final = 1024

CERTIFICATES_BYTES_MAX: Final = 1 << 20
"""Those of a town with 300 villages were measured as 85 kB."""

_SCHEMES: Final = {
    "ws": "ws", "http": "ws", "wss": "wss", "https": "wss", "amqp": "amqp", "amqps": "amqps",
}  # fmt: skip
_PORTS: Final = {"ws": 80, "wss": 443, "amqp": 5672, "amqps": 5671}


class Side(StrEnum):
    """Who of the two signs: the direction of the link."""

    DIALS = "dials"
    ANSWERS = "answers"


class Hello(NamedTuple):
    """The first message.

    Attributes:
        dialler: Division code of who dials.
        answerer: Division code of who is meant to answer.
        address: Where it was dialled, as ``normal_address`` writes it.
        nonce: 32 random bytes.
    """

    dialler: str
    answerer: str
    address: str
    nonce: bytes


class Answer(NamedTuple):
    """The second message: the answerer's nonce and proof."""

    nonce: bytes
    signature: bytes


def prove(side: Side, hello: Hello, answer_nonce: bytes, key: SigningKey) -> bytes:
    """Return the signature, 64 bytes, by which ``side`` proves who it is on this link."""
    return key.sign_bytes(_statement(side, hello, answer_nonce))


def proves(
    side: Side, hello: Hello, answer_nonce: bytes, signature: bytes, keys: Sequence[PublicKey]
) -> bool:
    """Tell whether ``signature`` was made by one of ``keys`` as ``side`` of this link."""
    statement = _statement(side, hello, answer_nonce)
    return any(key.verifies_bytes(signature, statement) for key in keys)


def _statement(side: Side, hello: Hello, answer_nonce: bytes) -> bytes:
    return cbor.encode_flat([DOMAIN, side.value, *hello, answer_nonce])


def encode_hello(hello: Hello) -> bytes:
    """Return the first message."""
    return cbor.encode_flat([VERSION, "hello", *hello])


def decode_hello(message: bytes) -> Hello:
    """Return what the first message says.

    Raises:
        FaultError: too long, not deterministic CBOR, or not these fields.
    """
    match _decoded(message):
        case [version, "hello", str(dialler), str(answerer), str(address), bytes(nonce)] if (
            cbor.is_number(version, VERSION)
            and len(nonce) == NONCE_BYTES
            and len(address) <= ADDRESS_CHARS_MAX
        ):
            return Hello(check_code(dialler), check_code(answerer), address, nonce)
        case _:
            raise FaultError("not a hello of this protocol")


UNKNOWN: Final = cbor.encode_flat([VERSION, "unknown"])
"""Instead of the answer: no key of the caller is known here, its certificates are wanted."""


def encode_certificates(chunks: Sequence[bytes]) -> bytes:
    """Return the message that follows ``UNKNOWN``."""
    return cbor.encode_flat([VERSION, "certificates", list(chunks)])


def decode_certificates(message: bytes) -> list[bytes]:
    """Return the Chunk frames of the message that follows ``UNKNOWN``.

    Raises:
        FaultError: too long, not deterministic CBOR, or not these fields.
    """
    match _decoded(message, CERTIFICATES_BYTES_MAX):
        case [version, "certificates", [*chunks]] if cbor.is_number(version, VERSION) and all(
            type(chunk) is bytes for chunk in chunks
        ):
            return chunks
        case _:
            raise FaultError("not the certificates of this protocol")


def encode_answer(answer: Answer) -> bytes:
    """Return the second message."""
    return cbor.encode_flat([VERSION, "answer", *answer])


def decode_answer(message: bytes) -> Answer:
    """Return what the second message says.

    Raises:
        FaultError: too long, not deterministic CBOR, or not these fields.
    """
    match _decoded(message):
        case [version, "answer", bytes(nonce), bytes(signature)] if (
            cbor.is_number(version, VERSION)
            and len(nonce) == NONCE_BYTES
            and len(signature) == SIGNATURE_BYTES
        ):
            return Answer(nonce, signature)
        case _:
            raise FaultError("not an answer of this protocol")


def encode_proof(signature: bytes) -> bytes:
    """Return the third message."""
    return cbor.encode_flat([VERSION, "proof", signature])


def decode_proof(message: bytes) -> bytes:
    """Return the signature in the third message.

    Raises:
        FaultError: too long, not deterministic CBOR, or not these fields.
    """
    match _decoded(message):
        case [version, "proof", bytes(signature)] if (
            cbor.is_number(version, VERSION) and len(signature) == SIGNATURE_BYTES
        ):
            return signature
        case _:
            raise FaultError("not a proof of this protocol")


OPEN: Final = cbor.encode_flat([VERSION, "open"])
"""The last message: the dialler's proof was good."""


def _decoded(message: bytes, bytes_max: int = MESSAGE_BYTES_MAX) -> Any:
    if len(message) > bytes_max:
        raise FaultError("a message of the handshake larger than the limit")
    value = cbor.decode(message, max_depth=2)
    if type(value) is not list or type(value[0] if value else None) is not int:
        raise FaultError("not a message of the handshake")
    return value


def normal_address(address: str) -> str:
    """Return ``address`` in the one form that is signed and compared.

    ``http`` and ``https`` stand for ``ws`` and ``wss``; the host is in lower case, a port that
    goes without saying is left out. The path of ``amqp`` and ``amqps`` is the virtual host.

    Raises:
        InvalidError: not ``ws://host[:port]/path`` or one of the other five schemes.
    """
    try:
        parts = urlsplit(address)
        scheme, port = _SCHEMES.get(parts.scheme, ""), parts.port
    except ValueError as error:
        raise InvalidError(f"{address[:80]!r} is not an address of a link: {error}") from error
    extras = (parts.username, parts.password, parts.query, parts.fragment)
    if not scheme or not parts.hostname or any(extras) or len(address) > ADDRESS_CHARS_MAX:
        raise InvalidError(f"{address[:80]!r} is not an address of a link: ws://host[:port]/path")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    place = host if port in (None, _PORTS[scheme]) else f"{host}:{port}"
    return f"{scheme}://{place}{parts.path or '/'}"
