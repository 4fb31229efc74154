"""Signing keys and what they sign."""

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.errors import InvalidError
from shared.record.envelope import HEADS_AAD, RECORD_AAD, to_be_signed, unwrap
from shared.trust.keys import PublicKey, SigningKey
from tests.support.records import key_of

FIELD = 2**255 - 19
SIGN = 1 << 255
# The points of order 1, 2, 4 and 8, as published with the curve (protocol 2.3).
ORDER_8 = (
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
)
SMALL_ORDER = [
    *(value.to_bytes(32, "little") for value in (0, 1, FIELD - 1)),
    *(value.to_bytes(32, "little") for value in (SIGN, 1 | SIGN, (FIELD - 1) | SIGN)),
    *map(bytes.fromhex, ORDER_8),
    *((int.from_bytes(bytes.fromhex(h), "little") | SIGN).to_bytes(32, "little") for h in ORDER_8),
]
# What is a number of the field written a second time; all of these fit into 255 bits.
NON_CANONICAL = [
    (value | sign).to_bytes(32, "little") for value in range(FIELD, 2**255) for sign in (0, SIGN)
]
PAYLOAD = b"payload"


@pytest.mark.parametrize("raw", SMALL_ORDER, ids=bytes.hex)
def test_small_order_is_refused(raw: bytes) -> None:
    """A key of small order binds nobody and is refused (protocol 2.3)."""
    with pytest.raises(InvalidError, match="small order"):
        PublicKey(raw)


@pytest.mark.parametrize("raw", NON_CANONICAL, ids=bytes.hex)
def test_non_canonical_is_refused(raw: bytes) -> None:
    """A key that is a second spelling of another is refused (protocol 2.3)."""
    with pytest.raises(InvalidError, match="canonical"):
        PublicKey(raw)


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_key_has_32_bytes(size: int) -> None:
    """A key of another length is refused (protocol 2.3)."""
    with pytest.raises(InvalidError, match="32 bytes"):
        PublicKey(b"\x09" * size)


def test_kid_names_the_key() -> None:
    """The kid is the first 8 bytes of SHA-256 of the public key (protocol 2.3)."""
    public = key_of().public
    assert public.kid == hashlib.sha256(public.raw).digest()[:8]
    assert unwrap(key_of().sign(PAYLOAD, RECORD_AAD)).kid == public.kid


def test_signature_holds_for_one_key_payload_and_use() -> None:
    """A signature verifies for its key, its payload and its external data only (2.1)."""
    envelope = unwrap(key_of().sign(PAYLOAD, RECORD_AAD))
    public = key_of().public
    assert public.verifies(envelope, RECORD_AAD)
    assert not public.verifies(envelope, HEADS_AAD)
    assert not key_of(1).public.verifies(envelope, RECORD_AAD)
    assert not public.verifies(envelope._replace(payload=b"Payload"), RECORD_AAD)
    assert not public.verifies(envelope._replace(signature=bytes(64)), RECORD_AAD)
    assert not public.verifies(envelope._replace(signature=b""), RECORD_AAD)


def test_kid_must_match() -> None:
    """A good signature under another kid does not verify: a kid selects nothing (2.3)."""
    kid = bytes(8)
    signature = key_of().sign_bytes(to_be_signed(kid, PAYLOAD, RECORD_AAD))
    envelope = unwrap(key_of().sign(PAYLOAD, RECORD_AAD))._replace(kid=kid, signature=signature)
    assert not key_of().public.verifies(envelope, RECORD_AAD)


def test_point_off_the_curve_verifies_nothing() -> None:
    """32 bytes that are no point are a key that nothing verifies under, without an error (2.3)."""
    off = PublicKey((2).to_bytes(32, "little"))
    envelope = unwrap(key_of().sign(PAYLOAD, RECORD_AAD))
    assert not off.verifies(envelope._replace(kid=off.kid), RECORD_AAD)


def test_malleable_signature_is_refused() -> None:
    """Nobody can make a second signature, and so a second rid, out of one (protocol 2.1)."""
    order = 2**252 + 27742317777372353535851937790883648493
    envelope = unwrap(key_of().sign(PAYLOAD, RECORD_AAD))
    scalar = int.from_bytes(envelope.signature[32:], "little") + order
    other = envelope.signature[:32] + scalar.to_bytes(32, "little")
    assert not key_of().public.verifies(envelope._replace(signature=other), RECORD_AAD)


def test_secret_stays_out_of_sight() -> None:
    """A private key does not show its seed, and is plain Ed25519 (protocol 2.3, 4.6)."""
    key = SigningKey(bytes(range(32)))
    assert "0001" not in repr(key)
    assert repr(key.seed) not in repr(key)
    plain = Ed25519PrivateKey.from_private_bytes(key.seed)
    assert key.public.raw == plain.public_key().public_bytes_raw()
    assert key.sign_bytes(b"m") == plain.sign(b"m")
