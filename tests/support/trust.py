"""A small district with its trust records: the anchor, one town, one village, one epoch each.

As in ``tests.support.records`` nothing is random. The district signs with ``key_of(0)``, so that
``run_of(feed_of(), …)`` with its opening as ``prev`` is a run that the roster knows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Any, Final

from shared.record.body import body_hash, encode_body
from shared.record.envelope import RECORD_AAD
from shared.record.feed import ROOT_EPOCH, UPWARD, Feed, Level
from shared.record.header import NO_PREV, Header, encode_header
from shared.record.record import Record
from shared.trust.invitation import proof_message
from shared.trust.keys import SigningKey, sealing_public
from shared.trust.kinds import CERTIFIED, FOUNDED, OPENED
from shared.trust.roster import Roster
from tests.support.records import START_MS, key_of

DISTRICT: Final = "340602"
TOWN: Final = "340602100"
VILLAGE: Final = "340602100201"
VILLAGE_2: Final = "340602100202"
TOWN_2: Final = "340602101"
VILLAGE_3: Final = "340602101204"
TWINS: Final = "新村（东）"
EPOCH: Final = (1).to_bytes(8, "big")

_TRUST: Final = "trust"
_NOTHING: Final[Mapping[int, Any]] = {}


def signed(
    feed: Feed,
    seq: int,
    prev: bytes,
    kind: str,
    body: Mapping[str, Any],
    key: SigningKey,
    *,
    refs: Sequence[bytes] = (),
    ext: Mapping[int, Any] = _NOTHING,
) -> Record:
    """Return one record with the given body, signed by ``key``; its salt comes from its place."""
    salt = sha256(feed.key + b"%d" % seq).digest()[:16]
    raw = encode_body(dict(body))
    header = Header(
        feed, seq, prev, START_MS + 1000 * seq, kind, len(raw), body_hash(salt, raw),
        tuple(refs), dict(ext),
    )  # fmt: skip
    return Record(key.sign(encode_header(header), RECORD_AAD), salt, raw)


def trust_feed(code: str, level: Level, epoch: bytes = EPOCH) -> Feed:
    """Return the trust feed of a node: ``CODE*``, for a village ``^``."""
    return Feed(code, epoch, _TRUST, UPWARD if level == Level.VILLAGE else f"{code}*")


def keyed(code: str, level: Level, key: SigningKey) -> dict[str, Any]:
    """Return what names a node's keys in ``district.founded`` and ``node.certified``."""
    return {
        "division": code,
        "label": f"单位{code}",
        "level": level.word,
        "signing_key": key.public.raw.hex(),
        "sealing_key": sealing_public(sha256(key.seed).digest()).hex(),
    }


def founded(key: SigningKey, code: str = DISTRICT, level: Level = Level.DISTRICT) -> Record:
    """Return ``district.founded.v1``."""
    recovery = sha256(key_of(99).public.raw).hexdigest()
    body = {**keyed(code, level, key), "recovery_hash": recovery}
    return signed(Feed(code, ROOT_EPOCH, _TRUST, f"{code}*"), 0, NO_PREV, FOUNDED, body, key)


def certified_body(
    anchor: bytes, parent: str, code: str, level: Level, key: SigningKey, **more: Any
) -> dict[str, Any]:
    """Return the body of ``node.certified.v1``, with the proof of the new key."""
    nonce = sha256(code.encode()).digest()[:16]
    proof = key.sign_bytes(proof_message(anchor, parent, code, nonce))
    named = keyed(code, level, key)
    return {**named, "parent": parent, "nonce": nonce.hex(), "proof": proof.hex(), **more}


def opened(
    code: str, level: Level, certificate: bytes, key: SigningKey, epoch: bytes = EPOCH, **more: Any
) -> Record:
    """Return ``epoch.opened.v1`` under ``certificate``."""
    body = {"certificate": certificate.hex(), **more}
    return signed(trust_feed(code, level, epoch), 0, certificate, OPENED, body, key)


@dataclass(frozen=True)
class SmallDistrict:
    """The trust records of a district with one town and one village, each after its base."""

    founded: Record
    district_opened: Record
    town_certified: Record
    town_opened: Record
    village_certified: Record
    village_opened: Record

    @property
    def records(self) -> tuple[Record, ...]:
        """All of them, in an order in which each can be learned."""
        return tuple(vars(self).values())

    def roster(self, count: int = 6) -> Roster:
        """Return a roster that has learned the first ``count`` of them."""
        roster = Roster(self.founded.rid)
        for record in self.records[:count]:
            roster.learn(record)
        return roster


@cache
def small_district() -> SmallDistrict:
    """Return the district: keys 0 (district), 1 (town) and 2 (village)."""
    district, town, village = map(key_of, range(3))
    anchor = founded(district)
    top = opened(DISTRICT, Level.DISTRICT, anchor.rid, district)
    town_body = certified_body(anchor.rid, DISTRICT, TOWN, Level.TOWN, town)
    town_certified = signed(
        trust_feed(DISTRICT, Level.DISTRICT), 1, top.rid, CERTIFIED, town_body, district
    )
    middle = opened(TOWN, Level.TOWN, town_certified.rid, town)
    village_body = certified_body(anchor.rid, TOWN, VILLAGE, Level.VILLAGE, village)
    village_certified = signed(
        trust_feed(TOWN, Level.TOWN), 1, middle.rid, CERTIFIED, village_body, town
    )
    leaf = opened(VILLAGE, Level.VILLAGE, village_certified.rid, village)
    return SmallDistrict(anchor, top, town_certified, middle, village_certified, leaf)


@cache
def further_divisions() -> tuple[Record, ...]:
    """Return what certifies, beside the small district, a village of its town and a second town.

    Keys 3 (village), 4 (the town) and 5 (its village). Both villages have one name, and codes for
    which all their receipt numbers are the same.
    """
    small = small_district()
    made: list[Record] = []

    def certify(base: Record, parent: str, by: int, code: str, number: int, **more: str) -> None:
        level = Level.TOWN if parent == DISTRICT else Level.VILLAGE
        feed, key = trust_feed(parent, Level(level - 1)), key_of(number)
        body = certified_body(small.founded.rid, parent, code, level, key, **more)
        seq = base.header.seq + 1
        made.append(signed(feed, seq, base.rid, CERTIFIED, body, key_of(by)))
        made.append(opened(code, level, made[-1].rid, key))

    certify(small.village_certified, TOWN, 1, VILLAGE_2, 3, label=TWINS)
    certify(small.town_certified, DISTRICT, 0, TOWN_2, 4)
    certify(made[-1], TOWN_2, 4, VILLAGE_3, 5, label=TWINS)
    return tuple(made)
