"""Ed25519 keys and the signatures of protocol 2.3."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from shared.errors import InvalidError
from shared.record.envelope import Envelope, to_be_signed, wrap

KEY_BYTES: Final = 32
KID_BYTES: Final = 8

_FIELD: Final = 2**255 - 19
_SIGN_BIT: Final = 1 << 255
_ORDER_8: Final = int.from_bytes(
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"
)
# The y coordinates of the eight points whose order divides 8: with such a "key" a signature says
# nothing, because it can be made to verify for any message.
_SMALL_ORDER: Final = frozenset({0, 1, _FIELD - 1, _ORDER_8, _FIELD - _ORDER_8})


@dataclass(frozen=True)
class PublicKey:
    """A public signing key, 32 bytes, checked when made.

    Raises:
        InvalidError: wrong length, not canonical, or of small order (protocol 2.3).
    """

    raw: bytes

    def __post_init__(self) -> None:
        """Refuse keys that can be written in two ways or that bind nobody."""
        if len(self.raw) != KEY_BYTES:
            raise InvalidError("a public key has 32 bytes")
        y = int.from_bytes(self.raw, "little") & ~_SIGN_BIT
        if y >= _FIELD or y in _SMALL_ORDER:
            raise InvalidError("this public key is not canonical or of small order")

    @cached_property
    def kid(self) -> bytes:
        """First 8 bytes of SHA-256 of the key; it names and selects nothing."""
        return hashlib.sha256(self.raw).digest()[:KID_BYTES]

    @cached_property
    def _key(self) -> Ed25519PublicKey:
        return Ed25519PublicKey.from_public_bytes(self.raw)

    def verifies(self, envelope: Envelope, aad: bytes) -> bool:
        """Tell whether ``envelope`` was signed by this key under ``aad``."""
        signed = to_be_signed(envelope.kid, envelope.payload, aad)
        return envelope.kid == self.kid and self.verifies_bytes(envelope.signature, signed)

    def verifies_bytes(self, signature: bytes, message: bytes) -> bool:
        """Tell whether ``signature`` is this key's signature of ``message``."""
        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True)
class SigningKey:
    """A private signing key from its 32-byte seed."""

    seed: bytes

    @cached_property
    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)

    @cached_property
    def public(self) -> PublicKey:
        """The public half."""
        return PublicKey(self._key.public_key().public_bytes_raw())

    def sign(self, payload: bytes, aad: bytes) -> bytes:
        """Return the COSE_Sign1 of ``payload`` in the fixed template (protocol 2.1)."""
        kid = self.public.kid
        signature = self._key.sign(to_be_signed(kid, payload, aad))
        return wrap(Envelope(kid, payload, signature))

    def sign_bytes(self, message: bytes) -> bytes:
        """Return the bare 64-byte signature of ``message``."""
        return self._key.sign(message)

    def __repr__(self) -> str:
        """Keep the secret out of logs and tracebacks."""
        return "SigningKey(…)"


def sealing_public(seed: bytes) -> bytes:
    """Return the public half, 32 bytes, of the X25519 key whose private bytes are ``seed``."""
    return X25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
