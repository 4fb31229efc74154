"""COSE_Sign1 in one fixed byte template (RFC 9052 §4.2, protocol 2.1).

``D2 84 | 4D A2 01 27 04 48 kid8 | A0 | bstr(payload) | 58 40 sig64``. Anything else is a fault of
the carrier and no record; otherwise a relay could wrap one signature in several ways, get several
rids, and make an honest author look like a forker.
"""

import hashlib
from typing import Final, NamedTuple

from shared.errors import FaultError
from shared.record import cbor
from shared.record.limits import HEADER_BYTES_MAX

RECORD_AAD: Final = b"sanji/record/v1"
HEADS_AAD: Final = b"sanji/heads/v1"

_OPENING: Final = bytes.fromhex("d2844da2012704 48".replace(" ", ""))
_KID_END: Final = len(_OPENING) + 8
_PAYLOAD_AT: Final = _KID_END + 1
_SIGNATURE_HEAD: Final = b"\x58\x40"
_SIGNATURE_BYTES: Final = 64
_TAIL_BYTES: Final = len(_SIGNATURE_HEAD) + _SIGNATURE_BYTES


class Envelope(NamedTuple):
    """The three variable parts of a COSE_Sign1 in our template.

    Attributes:
        kid: First 8 bytes of SHA-256 of the public key; names a key, selects nothing.
        payload: The signed bytes.
        signature: Ed25519, 64 bytes.
    """

    kid: bytes
    payload: bytes
    signature: bytes


def wrap(envelope: Envelope) -> bytes:
    """Return the bytes of ``envelope`` in the fixed template."""
    kid, payload, signature = envelope
    return b"".join(
        (_OPENING, kid, b"\xa0", cbor.head(2, len(payload)), payload, _SIGNATURE_HEAD, signature)
    )


def unwrap(data: bytes, payload_bytes_max: int = HEADER_BYTES_MAX) -> Envelope:
    """Split ``data``, which must follow the template to the byte.

    Raises:
        FaultError: too long, or not the template.
    """
    if len(data) > payload_bytes_max + _PAYLOAD_AT + 3 + _TAIL_BYTES:
        raise FaultError("signed bytes longer than the limit")
    payload_end = len(data) - _TAIL_BYTES
    payload_start = _PAYLOAD_AT + _head_size(data)
    payload = data[payload_start:payload_end]
    envelope = Envelope(data[len(_OPENING) : _KID_END], payload, data[payload_end + 2 :])
    # Comparing with the re-wrapped bytes checks every constant and every length at once.
    if payload_end < payload_start or wrap(envelope) != data:
        raise FaultError("not a COSE_Sign1 in the fixed template")
    if len(payload) > payload_bytes_max:
        raise FaultError("signed bytes longer than the limit")
    return envelope


def to_be_signed(kid: bytes, payload: bytes, aad: bytes) -> bytes:
    """Return the Sig_structure of RFC 9052 §4.4 for a body signed under ``aad``."""
    return b"".join(
        (
            b"\x84\x6aSignature1",
            _OPENING[2:],
            kid,
            cbor.head(2, len(aad)),
            aad,
            cbor.head(2, len(payload)),
            payload,
        )
    )


def rid_of(header_cose: bytes) -> bytes:
    """Return the record's identity, 32 bytes (protocol 2.3)."""
    return hashlib.sha256(header_cose).digest()


def _head_size(data: bytes) -> int:
    """Return how many bytes the payload's length takes; wrong values fail the re-wrap."""
    lead = data[_PAYLOAD_AT] if len(data) > _PAYLOAD_AT else 0
    return {0x58: 2, 0x59: 3}.get(lead, 1)
