"""The invitation as text, and the request that answers it."""

import base64
import hashlib
from dataclasses import fields, replace
from typing import Any

import pytest

from shared.errors import FaultError, InvalidError
from shared.record import cbor
from shared.record.feed import Level
from shared.trust.invitation import (
    PREFIX,
    TOKEN_CHARS_MAX,
    BadInvitationError,
    Invitation,
    JoinRequest,
    make_request,
    proof_message,
    read_request,
    read_token,
)
from shared.trust.keys import sealing_public
from tests.support.records import START_MS, key_of

INVITATION = Invitation(
    anchor=bytes(range(32)),
    parent="340602100",
    parent_key=key_of(1).public.raw,
    addresses=(("340602100", "ws://10.0.0.1:8000/link"), ("340602", "wss://qu.example/link")),
    division="340602100201",
    label="袁庄村",
    level=Level.VILLAGE,
    secret=bytes(range(200, 216)),
    expires_ms=START_MS,
)
TOKEN = INVITATION.token()
NONCE = bytes(range(100, 116))
REQUEST = make_request(INVITATION, key_of(2), sealing_public(bytes(range(32))), NONCE)


def crafted(value: object) -> str:
    """Return a token whose check is right, whatever it holds."""
    packed = cbor.encode(value)
    data = hashlib.sha256(packed).digest()[:4] + packed
    return PREFIX + base64.b32encode(data).decode().rstrip("=")


def packed_fields() -> list[Any]:
    """Return the fields that stand in ``TOKEN``."""
    encoded = TOKEN.removeprefix(PREFIX)
    value: list[Any] = cbor.decode(base64.b32decode(encoded + "=" * (-len(encoded) % 8))[4:])
    return value


def test_round_trip() -> None:
    """A token holds all that a new node needs, its time of expiry too (protocol 4.6)."""
    assert read_token(TOKEN) == INVITATION
    assert read_token(TOKEN).expires_ms == START_MS
    assert crafted(packed_fields()) == TOKEN


def test_token_survives_people() -> None:
    """Blanks, line ends and small letters are forgiven: it is copied by hand (4.6)."""
    lines = "\n".join(TOKEN[at : at + 20] for at in range(0, len(TOKEN), 20))
    assert read_token(f"  {lines.lower()}\r\n") == INVITATION


def test_token_fits_the_alphanumeric_qr() -> None:
    """A token has only characters that a QR code packs tightly (protocol 4.6)."""
    assert set(TOKEN) <= set("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:")
    assert len(TOKEN) < TOKEN_CHARS_MAX


def test_mistyped_token() -> None:
    """One wrong character anywhere is noticed, or was no different (protocol 4.6)."""
    for at in range(len(TOKEN)):
        other = "A" if TOKEN[at] != "A" else "B"
        try:
            assert read_token(TOKEN[:at] + other + TOKEN[at + 1 :]) == INVITATION
        except BadInvitationError:
            continue
        assert at == len(TOKEN) - 1  # of the last only the first bits say something


@pytest.mark.parametrize("other", ["0", "1", "8", "-", "=", "中", "Ａ", "İ", "\x00"])
def test_foreign_character(other: str) -> None:
    """A character that stands in no token is told as a bad invitation (protocol 4.6)."""
    for at in (0, 3, len(PREFIX), 50, len(TOKEN) - 1):
        with pytest.raises(BadInvitationError):
            read_token(TOKEN[:at] + other + TOKEN[at + 1 :])


def test_cut_token() -> None:
    """A token that was not copied whole is noticed at every length (protocol 4.6)."""
    for end in range(len(TOKEN)):
        with pytest.raises(BadInvitationError):
            read_token(TOKEN[:end])
        with pytest.raises(BadInvitationError):
            read_token(TOKEN[end:] if end else "")


def test_endless_token() -> None:
    """A text longer than any token is not decoded at all (protocol 2.4)."""
    with pytest.raises(BadInvitationError):
        read_token(PREFIX + "A" * TOKEN_CHARS_MAX)


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (0, 2),
        (1, bytes(31)),
        (2, "34060210a"),
        (2, 5),
        (3, bytes(33)),
        (4, [["340602100"]]),
        (4, [["340602100", "ws://a", 3]]),
        (4, [5]),
        (4, ["ab"]),
        (4, [[1, 2]]),
        (4, [["x", "ws://a"]]),
        (4, {}),
        (5, ""),
        (6, 7),
        (7, "county"),
        (8, bytes(15)),
        (8, b""),
        (9, -1),
        (9, 2**60),
        (9, "later"),
        (9, None),
    ],
)
def test_crafted_token(at: int, value: object) -> None:
    """Fields that are wrong, also that of expiry, are refused though the check is right (4.6)."""
    changed = packed_fields()
    changed[at] = value
    with pytest.raises(BadInvitationError):
        read_token(crafted(changed))


@pytest.mark.parametrize("value", [[], {}, 1, None, [1], "text"])
def test_crafted_token_of_other_shape(value: object) -> None:
    """A right check around something else is still no invitation (protocol 4.6)."""
    with pytest.raises(BadInvitationError, match="Copy it whole"):
        read_token(crafted(value))


def test_secret_is_not_shown() -> None:
    """The one-time secret stands in no log and no traceback (protocol 4.6)."""
    assert repr(INVITATION.secret) not in repr(INVITATION)
    assert INVITATION.secret.hex() not in repr(INVITATION)


def test_request_round_trip() -> None:
    """A request comes back as it was sent, proven and sealed (protocol 4.2)."""
    request = read_request(REQUEST.encode())
    assert request == REQUEST
    assert request.is_proven()
    assert request.is_sealed_by(INVITATION.secret)


def test_secret_does_not_travel() -> None:
    """Whoever reads a request does not learn the invitation's secret (protocol 4.6)."""
    assert INVITATION.secret not in REQUEST.encode()
    assert not REQUEST.is_sealed_by(bytes(16))
    assert not REQUEST.is_sealed_by(b"")


def test_proof_is_over_anchor_parent_division_and_nonce() -> None:
    """The new key signs (anchor, parent, division, nonce), each of which counts (4.2)."""
    message = proof_message(REQUEST.anchor, REQUEST.parent, REQUEST.division, REQUEST.nonce)
    assert message.startswith(b"sanji/join/v1")
    assert key_of(2).public.verifies_bytes(REQUEST.proof, message)
    for changes in (
        {"anchor": bytes(32)}, {"parent": "340602"}, {"division": "340602100202"},
        {"nonce": bytes(16)}, {"signing_key": key_of(3).public.raw}, {"proof": bytes(64)},
        {"signing_key": bytes(32)},
    ):  # fmt: skip
        assert not replace(REQUEST, **changes).is_proven()


@pytest.mark.parametrize(
    "name", [field.name for field in fields(JoinRequest) if field.name != "seal"]
)
def test_seal_covers_every_field(name: str) -> None:
    """Nobody on the way can put another key into a request (protocol 4.6)."""
    value = getattr(REQUEST, name)
    other = value[:-1] + ("9" if isinstance(value, str) else bytes((value[-1] ^ 1,)))
    assert not replace(REQUEST, **{name: other}).is_sealed_by(INVITATION.secret)


@pytest.mark.parametrize(
    "changes",
    [{"anchor": b""}, {"nonce": bytes(15)}, {"signing_key": bytes(31)}, {"sealing_key": bytes(33)},
     {"proof": bytes(63)}, {"seal": b""}, {"parent": "x"}, {"division": ""}],
    ids=repr,
)  # fmt: skip
def test_malformed_request(changes: dict[str, Any]) -> None:
    """A request with a field of another length or form is a fault (protocol 4.2)."""
    with pytest.raises(FaultError):
        read_request(replace(REQUEST, **changes).encode())


def test_no_request() -> None:
    """Bytes that are no request at all are a fault as well (protocol 4.2)."""
    for data in (b"", b"\x80", REQUEST.encode()[:-1], REQUEST.encode() + b"\x00", b"\xff" * 40):
        with pytest.raises(InvalidError):
            read_request(data)
    changed = cbor.decode(REQUEST.encode())
    changed[0] = 2
    with pytest.raises(FaultError):
        read_request(cbor.encode(changed))
