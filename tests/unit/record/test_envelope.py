"""COSE_Sign1 in one fixed template."""

import hashlib

import cbor2
import pytest

from shared.errors import FaultError
from shared.record import cbor
from shared.record.envelope import (
    HEADS_AAD,
    RECORD_AAD,
    Envelope,
    rid_of,
    to_be_signed,
    unwrap,
    wrap,
)
from shared.record.limits import HEADER_BYTES_MAX

KID = bytes(range(8))
SIGNATURE = bytes(range(64))
SIZES = (0, 1, 23, 24, 25, 255, 256, 257, 1023, HEADER_BYTES_MAX)


def enveloped(size: int) -> Envelope:
    """Return an envelope with a payload of ``size`` bytes."""
    return Envelope(KID, b"\x83" * size, SIGNATURE)


def parts(size: int) -> list[bytes]:
    """Return the template's parts, written down from the text of protocol 2.1."""
    return [
        bytes.fromhex("d284"),
        bytes.fromhex("4da20127 0448"),
        KID,
        b"\xa0",
        cbor2.dumps(b"\x83" * size),
        bytes.fromhex("5840"),
        SIGNATURE,
    ]


@pytest.mark.parametrize("size", SIZES)
def test_template_to_the_byte(size: int) -> None:
    """The bytes are those of the one template, with the shortest length (protocol 2.1)."""
    data = b"".join(parts(size))
    assert wrap(enveloped(size)) == data
    assert unwrap(data) == enveloped(size)


@pytest.mark.parametrize("size", SIZES)
def test_other_length_forms_are_refused(size: int) -> None:
    """A length in any other than the shortest form is a fault, also the indefinite (2.1)."""
    payload = b"\x83" * size
    forms = [
        *(
            bytes((0x58 + k,)) + size.to_bytes(1 << k, "big")
            for k in range(4)
            if size >> (8 << k) == 0
        ),
        *([bytes((0x40 | size,))] if size < 24 else []),
        b"\x5f" + cbor.head(2, size),
    ]
    for form in forms:
        if form != cbor.head(2, size):
            before, after = parts(size)[:4], parts(size)[5:]
            with pytest.raises(FaultError):
                unwrap(b"".join((*before, form, payload, *after)))


@pytest.mark.parametrize("part", [0, 1, 3, 5])
def test_each_constant_is_constant(part: int) -> None:
    """No bit of the template's constants may differ (protocol 2.1)."""
    for at in range(len(parts(30)[part])):
        for bit in range(8):
            changed = parts(30)
            piece = bytearray(changed[part])
            piece[at] ^= 1 << bit
            changed[part] = bytes(piece)
            with pytest.raises(FaultError):
                unwrap(b"".join(changed))


def test_nothing_before_after_or_missing() -> None:
    """A byte too many or too few anywhere is a fault (protocol 2.1)."""
    data = wrap(enveloped(30))
    for end in range(len(data)):
        with pytest.raises(FaultError):
            unwrap(data[:end])
        with pytest.raises(FaultError):
            unwrap(data[:end] + b"\x00" + data[end:])
    with pytest.raises(FaultError):
        unwrap(data + b"\x00")


def test_other_wrappings_of_cose_are_refused() -> None:
    """What another COSE library would also read is no record here (protocol 2.1)."""
    protected, payload = cbor2.dumps({1: -8, 4: KID}), b"\x80"
    for value in (
        [protected, {}, payload, SIGNATURE],
        cbor2.CBORTag(18, [protected, {4: KID}, payload, SIGNATURE]),
        cbor2.CBORTag(18, [cbor2.dumps({4: KID, 1: -8}), {}, payload, SIGNATURE]),
        cbor2.CBORTag(18, [cbor2.dumps({1: -8}), {4: KID}, payload, SIGNATURE]),
        cbor2.CBORTag(98, [protected, {}, payload, SIGNATURE]),
    ):
        with pytest.raises(FaultError):
            unwrap(cbor2.dumps(value))
    assert unwrap(cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload, SIGNATURE])))


def test_payload_has_a_limit() -> None:
    """A signed payload beyond the limit is refused, however well formed (protocol 2.2)."""
    with pytest.raises(FaultError, match="limit"):
        unwrap(wrap(enveloped(HEADER_BYTES_MAX + 1)))
    with pytest.raises(FaultError, match="limit"):
        unwrap(wrap(enveloped(60_000)))
    # A smaller limit than the lengths' forms allow for.
    with pytest.raises(FaultError, match="limit"):
        unwrap(wrap(enveloped(23)), 22)


def test_sig_structure() -> None:
    """What is signed is the Sig_structure of RFC 9052 with the external data (protocol 2.1)."""
    for size in SIZES:
        payload = b"\x83" * size
        for aad in (RECORD_AAD, HEADS_AAD):
            expected = ["Signature1", cbor2.dumps({1: -8, 4: KID}), aad, payload]
            assert to_be_signed(KID, payload, aad) == cbor2.dumps(expected)
    assert (RECORD_AAD, HEADS_AAD) == (b"sanji/record/v1", b"sanji/heads/v1")


def test_rid_covers_every_byte() -> None:
    """The rid is SHA-256 of the whole signed header, signature included (protocol 2.3)."""
    data = wrap(enveloped(40))
    assert rid_of(data) == hashlib.sha256(data).digest()
    assert rid_of(data[:-1] + b"\x00") != rid_of(data)
