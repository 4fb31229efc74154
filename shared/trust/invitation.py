"""Joining: the invitation, the request and its proof (protocol 4.2, 4.6). Pure.

The token is ``SANJI1-`` and base32 of deterministic CBOR with 4 bytes of its SHA-256 in front, so
that a mistyped one is recognised. It holds a one-time secret: whoever has it can join once.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

from shared.errors import FaultError, InvalidError
from shared.record import cbor
from shared.record.feed import Level, check_code
from shared.record.header import RID_BYTES
from shared.record.limits import INTEGER_MAX
from shared.trust.keys import KEY_BYTES, PublicKey, SigningKey

PREFIX: Final = "SANJI1-"
SECRET_BYTES: Final = 16
NONCE_BYTES: Final = 16
TOKEN_CHARS_MAX: Final = 4000

_VERSION: Final = 1
_CHECK_BYTES: Final = 4
_PROOF_BYTES: Final = 64
_SEAL_BYTES: Final = 32
_REQUEST_LENGTHS: Final = (
    RID_BYTES, NONCE_BYTES, KEY_BYTES, KEY_BYTES, _PROOF_BYTES, _SEAL_BYTES,
)  # fmt: skip
_PROOF_DOMAIN: Final = b"sanji/join/v1"
_CONSENT_DOMAIN: Final = b"sanji/replace/v1"


class BadInvitationError(InvalidError):
    """This invitation cannot be read."""

    advice = "Copy it whole, from SANJI1- to its end, or ask for a new one."


@dataclass(frozen=True)
class Invitation:
    """What a new node needs to find its parent and to trust the district.

    Attributes:
        anchor: rid of ``district.founded``, 32 bytes.
        parent: The parent's code.
        parent_key: Its signing key, 32 bytes.
        addresses: (code, link address) of all ancestors, the parent first.
        division: The code that is invited.
        label: Its short name.
        level: Its level.
        secret: One-time, 16 bytes.
        expires_ms: Unix ms UTC.
    """

    anchor: bytes
    parent: str
    parent_key: bytes
    addresses: tuple[tuple[str, str], ...]
    division: str
    label: str
    level: Level
    secret: bytes
    expires_ms: int

    def __repr__(self) -> str:
        """Keep the secret out of logs and tracebacks."""
        return f"Invitation({self.division} {self.label}, by {self.parent})"

    def token(self) -> str:
        """Return the invitation as text for a person or a QR code (alphanumeric mode)."""
        packed = cbor.encode(
            [_VERSION, self.anchor, self.parent, self.parent_key,
             [list(pair) for pair in self.addresses], self.division, self.label,
             self.level.word, self.secret, self.expires_ms]
        )  # fmt: skip
        check = hashlib.sha256(packed).digest()[:_CHECK_BYTES]
        return PREFIX + base64.b32encode(check + packed).decode().rstrip("=")


def read_token(text: str) -> Invitation:
    """Return the invitation that ``text`` holds; spaces and line ends are ignored.

    Raises:
        BadInvitationError: mistyped, cut off, or made by another version.
    """
    token = "".join(text.split()).upper()
    if not token.startswith(PREFIX) or len(token) > TOKEN_CHARS_MAX:
        raise BadInvitationError
    encoded = token.removeprefix(PREFIX)
    try:
        data = base64.b32decode(encoded + "=" * (-len(encoded) % 8))
        packed = data[_CHECK_BYTES:]
        if hashlib.sha256(packed).digest()[:_CHECK_BYTES] != data[:_CHECK_BYTES]:
            raise BadInvitationError("This invitation was mistyped or cut off.")
        return _invitation(cbor.decode(packed))
    except (ValueError, FaultError) as error:  # b32decode: also of what is not ASCII
        raise BadInvitationError from error


def _invitation(value: object) -> Invitation:
    match value:
        case [version, bytes(anchor), str(parent), bytes(parent_key), list(addresses),
              str(division), str(label), str(level), bytes(secret), int(expires_ms)] if (
            cbor.is_number(version, _VERSION) and type(expires_ms) is int
        ):  # fmt: skip
            pairs = tuple(_address(pair) for pair in addresses)
        case _:
            raise BadInvitationError
    lengths = (len(anchor), len(parent_key), len(secret))
    if lengths != (RID_BYTES, KEY_BYTES, SECRET_BYTES) or not 0 <= expires_ms <= INTEGER_MAX:
        raise BadInvitationError
    return Invitation(
        anchor, check_code(parent), parent_key, pairs, check_code(division), label,
        Level.of(level), secret, expires_ms,
    )  # fmt: skip


def _address(pair: object) -> tuple[str, str]:
    match pair:
        case [str(code), str(address)]:
            return check_code(code), address
        case _:
            raise BadInvitationError


@dataclass(frozen=True)
class JoinRequest:
    """A new node asks to be certified.

    Attributes:
        anchor: As in the invitation.
        parent: As in the invitation.
        division: As in the invitation.
        nonce: 16 random bytes.
        signing_key: The new node's public signing key, 32 bytes.
        sealing_key: Its public sealing key, 32 bytes.
        proof: The new key's signature over (anchor, parent, division, nonce).
        seal: HMAC-SHA256 of all that with the invitation's secret, which so never travels.
    """

    anchor: bytes
    parent: str
    division: str
    nonce: bytes
    signing_key: bytes
    sealing_key: bytes
    proof: bytes
    seal: bytes

    def encode(self) -> bytes:
        """Return the request's bytes."""
        return cbor.encode([*_said(self), self.proof, self.seal])

    def is_proven(self) -> bool:
        """Tell whether the request was signed by the key it names, and that can be a key."""
        message = proof_message(self.anchor, self.parent, self.division, self.nonce)
        try:
            return PublicKey(self.signing_key).verifies_bytes(self.proof, message)
        except InvalidError:
            return False

    def is_sealed_by(self, secret: bytes) -> bool:
        """Tell whether whoever made the request knows ``secret``."""
        return hmac.compare_digest(self.seal, _seal(self, secret))


def make_request(
    invitation: Invitation, key: SigningKey, sealing_key: bytes, nonce: bytes
) -> JoinRequest:
    """Return the request of the node that holds ``key``."""
    message = proof_message(invitation.anchor, invitation.parent, invitation.division, nonce)
    request = JoinRequest(
        invitation.anchor, invitation.parent, invitation.division, nonce, key.public.raw,
        sealing_key, key.sign_bytes(message), b"",
    )  # fmt: skip
    return JoinRequest(**{**request.__dict__, "seal": _seal(request, invitation.secret)})


def read_request(data: bytes) -> JoinRequest:
    """Return the request in ``data``.

    Raises:
        FaultError: malformed.
    """
    match cbor.decode(data):
        case [version, bytes(anchor), str(parent), str(division), bytes(nonce), bytes(signing_key),
              bytes(sealing_key), bytes(proof), bytes(seal)] if (
            cbor.is_number(version, _VERSION)
        ):  # fmt: skip
            lengths = tuple(map(len, (anchor, nonce, signing_key, sealing_key, proof, seal)))
            if lengths != _REQUEST_LENGTHS:
                raise FaultError("a field of the join request has the wrong length")
            return JoinRequest(
                anchor, check_code(parent), check_code(division), nonce, signing_key, sealing_key,
                proof, seal,
            )  # fmt: skip
        case _:
            raise FaultError("not the fields of a join request")


def proof_message(anchor: bytes, parent: str, division: str, nonce: bytes) -> bytes:
    """Return what the new key signs (protocol 4.2)."""
    return _PROOF_DOMAIN + cbor.encode([anchor, parent, division, nonce])


def consent_message(
    anchor: bytes, division: str, replaces: bytes, signing_key: bytes, sealing_key: bytes
) -> bytes:
    """Return what the old key signs when new ones replace it (protocol 4.2)."""
    said = [anchor, division, replaces, signing_key, sealing_key]
    return _CONSENT_DOMAIN + cbor.encode(said)


def _said(request: JoinRequest) -> list[object]:
    return [_VERSION, request.anchor, request.parent, request.division, request.nonce,
            request.signing_key, request.sealing_key]  # fmt: skip


def _seal(request: JoinRequest, secret: bytes) -> bytes:
    message = cbor.encode([*_said(request), request.proof])
    return hmac.digest(secret, message, "sha256")
