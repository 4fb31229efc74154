"""Certificates that replace a key, in the small district."""

from typing import Any

from shared.record.feed import Feed, Level
from shared.record.record import Record
from shared.trust.invitation import consent_message
from shared.trust.kinds import CERTIFIED, CONFIRMED
from tests.support.records import key_of
from tests.support.trust import (
    DISTRICT,
    TOWN,
    VILLAGE,
    certified_body,
    keyed,
    signed,
    small_district,
    trust_feed,
)

_SMALL = small_district()
_PARENTS = {TOWN: DISTRICT, VILLAGE: TOWN}
_LEVELS = {TOWN: Level.TOWN, VILLAGE: Level.VILLAGE}


def consent(by: int, code: str, replaces: bytes, number: int) -> str:
    """Return the signature by which key ``by`` lets key ``number`` take its place."""
    named = keyed(code, _LEVELS[code], key_of(number))
    keys = (bytes.fromhex(named[name]) for name in ("signing_key", "sealing_key"))
    asked = consent_message(_SMALL.founded.rid, code, replaces, *keys)
    return key_of(by).sign_bytes(asked).hex()


def replacing(
    old: bytes, number: int, by: int | None, *, place: tuple[Feed, int, bytes] | None = None,
    code: str = VILLAGE, signer: int = 1, **changes: Any,
) -> Record:  # fmt: skip
    """Return a certificate that gives ``code`` key ``number`` instead of the one of ``old``.

    Args:
        old: rid of the certificate that it replaces.
        number: Of the new key.
        by: Number of the key that consents; None if none does.
        place: Feed, seq and prev; else record 2 of the town.
        code: Whose key.
        signer: Number of the issuer's key.
        changes: To the body.
    """
    feed, seq, prev = place or (trust_feed(TOWN, Level.TOWN), 2, _SMALL.village_certified.rid)
    more: dict[str, Any] = {"replaces": old.hex()}
    if by is not None:
        more["consent"] = consent(by, code, old, number)
    parent, level = _PARENTS[code], _LEVELS[code]
    body = certified_body(_SMALL.founded.rid, parent, code, level, key_of(number), **more | changes)
    return signed(feed, seq, prev, CERTIFIED, body, key_of(signer))


def confirmed(certificate: bytes, seq: int = 2, prev: bytes = _SMALL.town_certified.rid) -> Record:
    """Return the district's word that ``certificate`` counts."""
    feed, body = trust_feed(DISTRICT, Level.DISTRICT), {"certificate": certificate.hex()}
    return signed(feed, seq, prev, CONFIRMED, body, key_of())
