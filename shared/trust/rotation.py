"""A node asks for new keys in place of its old ones (protocol 4.2). Pure."""

from dataclasses import dataclass
from typing import Final

from shared.errors import FaultError, InvalidError
from shared.record import cbor
from shared.record.feed import check_code
from shared.record.header import RID_BYTES
from shared.trust.certificate import Certificate
from shared.trust.invitation import NONCE_BYTES, consent_message, proof_message
from shared.trust.keys import KEY_BYTES, PublicKey, SigningKey

_VERSION: Final = 2
_SIGNATURE_BYTES: Final = 64
_LENGTHS: Final = (
    RID_BYTES, NONCE_BYTES, KEY_BYTES, KEY_BYTES, _SIGNATURE_BYTES, RID_BYTES, _SIGNATURE_BYTES,
)  # fmt: skip


@dataclass(frozen=True)
class KeyRequest:
    """A certified node asks for a certificate of other keys; no secret is needed.

    Attributes:
        anchor: rid of ``district.founded``, 32 bytes.
        parent: Who is asked.
        division: Who asks.
        nonce: 16 random bytes.
        signing_key: The new public signing key, 32 bytes.
        sealing_key: The public sealing key, 32 bytes.
        proof: The new key's signature over (anchor, parent, division, nonce).
        replaces: rid of the certificate in force, 32 bytes.
        consent: The old key's signature, see ``consent_message``.
    """

    anchor: bytes
    parent: str
    division: str
    nonce: bytes
    signing_key: bytes
    sealing_key: bytes
    proof: bytes
    replaces: bytes
    consent: bytes

    def encode(self) -> bytes:
        """Return the request's bytes."""
        return cbor.encode([_VERSION, *self.__dict__.values()])

    def is_agreed(self, certificate: Certificate) -> bool:
        """Tell whether both keys signed it: the new one, and that of ``certificate``."""
        asked = proof_message(self.anchor, self.parent, self.division, self.nonce)
        agreed = consent_message(
            self.anchor, self.division, self.replaces, self.signing_key, self.sealing_key
        )
        try:
            proven = PublicKey(self.signing_key).verifies_bytes(self.proof, asked)
        except InvalidError:
            return False
        return (
            proven
            and self.replaces == certificate.rid
            and certificate.key.verifies_bytes(self.consent, agreed)
        )


def make_key_request(
    anchor: bytes, parent: str, old: Certificate, keys: tuple[SigningKey, SigningKey], nonce: bytes
) -> KeyRequest:
    """Return the request by which another key takes the place of that of ``old``.

    Args:
        anchor: rid of ``district.founded``, 32 bytes.
        parent: Who is asked.
        old: The certificate in force.
        keys: Its key and the new one.
        nonce: 16 random bytes.
    """
    old_key, new_key = keys
    new = new_key.public.raw
    agreed = consent_message(anchor, old.division, old.rid, new, old.sealing_key)
    return KeyRequest(
        anchor, parent, old.division, nonce, new, old.sealing_key,
        new_key.sign_bytes(proof_message(anchor, parent, old.division, nonce)),
        old.rid, old_key.sign_bytes(agreed),
    )  # fmt: skip


def read_key_request(data: bytes) -> KeyRequest | None:
    """Return the request in ``data``; None if it is one of another version.

    Raises:
        FaultError: malformed.
    """
    match cbor.decode(data):
        case [version, bytes(anchor), str(parent), str(division), bytes(nonce), bytes(signing_key),
              bytes(sealing_key), bytes(proof), bytes(replaces), bytes(consent)] if (
            cbor.is_number(version, _VERSION)
        ):  # fmt: skip
            values = (anchor, nonce, signing_key, sealing_key, proof, replaces, consent)
            if tuple(map(len, values)) != _LENGTHS:
                raise FaultError("a field of the request for a key has the wrong length")
            return KeyRequest(
                anchor, check_code(parent), check_code(division), nonce, signing_key, sealing_key,
                proof, replaces, consent,
            )  # fmt: skip
        case _:
            return None
