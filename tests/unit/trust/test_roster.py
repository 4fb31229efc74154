"""The roster: the anchor, certificates, epochs."""

from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest

from shared.record.feed import ROOT_EPOCH, Feed, Level
from shared.record.header import NO_PREV
from shared.record.record import Record
from shared.trust.kinds import ADDRESSES, CERTIFIED, FOUNDED, OPENED
from shared.trust.roster import Roster, own_trust_feed
from tests.support.records import feed_of, key_of, record_of
from tests.support.trust import (
    DISTRICT,
    EPOCH,
    TOWN,
    VILLAGE,
    certified_body,
    founded,
    keyed,
    opened,
    signed,
    small_district,
    trust_feed,
)

SMALL = small_district()
DISTRICT_FEED = trust_feed(DISTRICT, Level.DISTRICT)
TOWN_FEED = trust_feed(TOWN, Level.TOWN)
OTHER = "340602100202"
OTHER_TOWN = "340602101"


def certify(
    author_feed: Feed, code: str, tier: Level, *, parent: str = "", **changes: Any
) -> Record:
    """Return a certificate for ``code`` as record 2 of ``author_feed``."""
    parent = parent or author_feed.author
    body = certified_body(SMALL.founded.rid, parent, code, tier, key_of(9))
    return signed(author_feed, 2, bytes(32), CERTIFIED, body | changes, key_of())


def learned(*records: Record) -> Roster:
    """Return the small district's roster after some more records."""
    roster = SMALL.roster()
    for record in records:
        roster.learn(record)
    return roster


def test_small_district() -> None:
    """Anchor, certificates and epochs give every node a key and a level (4.1, 4.2, 4.3)."""
    roster = SMALL.roster()
    assert list(roster.divisions()) == [DISTRICT, TOWN, VILLAGE]
    for number, (code, level) in enumerate(
        [(DISTRICT, Level.DISTRICT), (TOWN, Level.TOWN), (VILLAGE, Level.VILLAGE)]
    ):
        certificate = roster.certificate_of(code)
        assert certificate is not None
        assert certificate.key == key_of(number).public
        assert certificate.level is level
        assert roster.author_of(Feed(code, EPOCH, "ordinary", "^")) == certificate
        incarnation = roster.incarnation(code, EPOCH)
        assert incarnation is not None
        assert incarnation.certificate == certificate
        assert roster.incarnations_of(code) == {EPOCH: incarnation}
    assert roster.certificate_of(OTHER) is None
    assert roster.author_of(feed_of(OTHER, audience="^")) is None
    assert roster.author_of(SMALL.founded.header.feed) == roster.certificate_of(DISTRICT)
    assert roster.incarnation(TOWN, bytes(8)) is None


def test_anchor_is_pinned() -> None:
    """A founding record counts only if its rid is the pinned anchor (protocol 4.1)."""
    assert SMALL.roster().founding(SMALL.founded) is not None
    forger = founded(key_of(5))
    roster = Roster(SMALL.founded.rid)
    roster.learn(forger)
    assert roster.founding(forger) is None
    assert roster.divisions() == {}
    other = Roster(forger.rid)
    for record in SMALL.records:
        other.learn(record)
    assert other.divisions() == {}


@pytest.mark.parametrize(
    "record",
    [
        signed(SMALL.founded.header.feed, 1, NO_PREV, FOUNDED,
               {**keyed(DISTRICT, Level.DISTRICT, key_of()), "recovery_hash": "0" * 64}, key_of()),
        record_of(SMALL.founded.header.feed, 0),
        record_of(SMALL.founded.header.feed, 0, kind=FOUNDED),
        founded(key_of(), DISTRICT, Level.TOWN),
        signed(feed_of(lane="trust"), 0, NO_PREV, FOUNDED,
               {**keyed(DISTRICT, Level.DISTRICT, key_of()), "recovery_hash": "0" * 64}, key_of()),
        signed(SMALL.founded.header.feed, 0, bytes([1]) * 32, FOUNDED,
               {**keyed(DISTRICT, Level.DISTRICT, key_of()), "recovery_hash": "0" * 64}, key_of()),
        signed(SMALL.founded.header.feed, 0, NO_PREV, FOUNDED,
               {**keyed(TOWN, Level.DISTRICT, key_of()), "recovery_hash": "0" * 64}, key_of()),
        signed(SMALL.founded.header.feed, 0, NO_PREV, FOUNDED,
               {**keyed(DISTRICT, Level.DISTRICT, key_of()), "signing_key": "01" + "00" * 31,
                "recovery_hash": "0" * 64}, key_of()),
        replace(SMALL.founded, salt=None, body=None),
    ],
    ids=["seq 1", "kind", "body", "level", "epoch", "prev", "division", "small key", "no body"],
)  # fmt: skip
def test_what_cannot_be_an_anchor(record: Record) -> None:
    """Also a pinned record founds nothing unless it is a founding in form (protocol 4.1)."""
    assert Roster(record.rid).founding(record) is None


def test_stranger_certifies_nobody() -> None:
    """A certificate by somebody without a certificate counts for nobody (protocol 4.2)."""
    roster = learned(certify(trust_feed(OTHER_TOWN, Level.TOWN), "340602101201", Level.VILLAGE))
    assert list(roster.divisions()) == [DISTRICT, TOWN, VILLAGE]


@pytest.mark.parametrize(
    ("record", "counts"),
    [
        (certify(TOWN_FEED, OTHER, Level.VILLAGE), True),
        (certify(DISTRICT_FEED, OTHER, Level.VILLAGE, parent=TOWN), True),
        (certify(DISTRICT_FEED, OTHER_TOWN, Level.TOWN), True),
        (certify(TOWN_FEED, OTHER_TOWN, Level.TOWN), False),
        (certify(TOWN_FEED, OTHER_TOWN, Level.TOWN, parent=DISTRICT), False),
        (certify(TOWN_FEED, TOWN, Level.VILLAGE), False),
        (certify(TOWN_FEED, OTHER, Level.VILLAGE, parent=OTHER_TOWN), False),
        (certify(TOWN_FEED, OTHER, Level.VILLAGE, parent=OTHER), False),
        (certify(TOWN_FEED, OTHER, Level.VILLAGE, parent=DISTRICT), False),
        (certify(TOWN_FEED, OTHER, Level.TOWN), False),
        (certify(TOWN_FEED, OTHER, Level.DISTRICT), False),
        (certify(DISTRICT_FEED, OTHER_TOWN, Level.DISTRICT), False),
        (certify(trust_feed(VILLAGE, Level.VILLAGE), VILLAGE + "01", Level.VILLAGE), False),
        (certify(DISTRICT_FEED._replace(audience=TOWN), OTHER, Level.VILLAGE), False),
        (certify(TOWN_FEED, OTHER, Level.VILLAGE, signing_key="00" * 32), False),
        (certify(TOWN_FEED, OTHER, Level.VILLAGE, signing_key="AB" * 32), False),
        (certify(TOWN_FEED, OTHER, Level.VILLAGE, sealing_key="ab"), False),
        (certify(TOWN_FEED, OTHER, Level.VILLAGE, label=""), False),
        (certify(TOWN_FEED, OTHER, Level.VILLAGE, level="county"), False),
        (certify(TOWN_FEED, OTHER, Level.VILLAGE, proof=None), False),
        (replace(certify(TOWN_FEED, OTHER, Level.VILLAGE), salt=None, body=None), False),
    ],
    ids=["town", "district for town", "district", "sideways", "sideways for district", "itself",
         "wrong parent", "own parent", "parent above the author", "same level", "higher level",
         "second district", "village", "audience", "small key", "upper case", "short key",
         "no label", "no such level", "no proof", "no body"],
)  # fmt: skip
def test_who_certifies_whom(record: Record, counts: bool) -> None:
    """The parent or one above it certifies what is below, at a level below (4.2, 4.5)."""
    divisions = learned(record).divisions()
    assert (len(divisions) == 4) == counts


@pytest.mark.parametrize(
    ("asked", "changes"),
    [
        ((SMALL.founded.rid, TOWN, OTHER), {"nonce": "00" * 16}),
        ((SMALL.founded.rid, TOWN, OTHER), {"proof": "00" * 64}),
        ((SMALL.founded.rid, TOWN, OTHER), {"signing_key": key_of(8).public.raw.hex()}),
        ((bytes(32), TOWN, OTHER), {}),
        ((SMALL.founded.rid, DISTRICT, OTHER), {"parent": TOWN}),
        ((SMALL.founded.rid, TOWN, VILLAGE), {"division": OTHER}),
    ],
    ids=["nonce", "proof", "key", "anchor", "parent", "division"],
)
def test_a_key_that_nobody_asked_for(asked: tuple[Any, str, str], changes: dict[str, Any]) -> None:
    """The new key must have signed for exactly this anchor, parent and division (4.2)."""
    body = certified_body(*asked, Level.VILLAGE, key_of(9)) | changes
    record = signed(TOWN_FEED, 2, bytes(32), CERTIFIED, body, key_of(1))
    assert learned(record).certificate_of(OTHER) is None


def again(issuer: Feed, seq: int, code: str, tier: Level, number: int, parent: str) -> Record:
    """Return a certificate that gives ``code`` another key."""
    body = certified_body(SMALL.founded.rid, parent, code, tier, key_of(number))
    return signed(issuer, seq, bytes(32), CERTIFIED, body, key_of())


def test_a_town_is_not_the_master_of_its_villages_keys() -> None:
    """A later certificate replaces no key; what is signed under it is unconfirmed (4.2)."""
    other = again(TOWN_FEED, 2, VILLAGE, Level.VILLAGE, 9, TOWN)
    second = (2).to_bytes(8, "big")
    taken = opened(VILLAGE, Level.VILLAGE, other.rid, key_of(9), second)
    roster = learned(other, taken)
    mine = roster.certificate_of(VILLAGE)
    assert mine is not None
    assert mine.key == key_of(2).public
    usurper = roster.author_of(Feed(VILLAGE, second, "ordinary", "^"))
    assert usurper is not None
    assert usurper.key == key_of(9).public
    assert not roster.is_confirmed(usurper)
    assert roster.is_confirmed(mine)
    assert roster.unconfirmed() == (usurper,)
    assert not roster.revised


def test_which_of_two_certificates_counts_in_any_order() -> None:
    """The district's word first, then the earlier epoch, then the earlier number (1.5, 4.2)."""
    second = bytes(7) + bytes([2])
    later = trust_feed(TOWN, Level.TOWN, second)
    early = again(TOWN_FEED, 9, OTHER, Level.VILLAGE, 5, TOWN)
    words = (
        opened(TOWN, Level.TOWN, SMALL.town_certified.rid, key_of(1), second, follows=EPOCH.hex()),
        again(later, 1, OTHER, Level.VILLAGE, 6, TOWN),
        again(TOWN_FEED, 10, OTHER, Level.VILLAGE, 7, TOWN),
        early,
    )
    for order in permutations(words):
        found = learned(*order, *order).certificate_of(OTHER)
        assert found is not None
        assert found.rid == early.rid
    assert not learned(*words[::-1][:1]).revised
    after = learned(early, again(DISTRICT_FEED, 3, OTHER, Level.VILLAGE, 8, TOWN))
    found = after.certificate_of(OTHER)
    assert found is not None
    assert found.key == key_of(8).public
    assert after.revised


def test_who_is_unconfirmed_certifies_nobody() -> None:
    """What is written under a certificate that does not count binds nobody (4.2)."""
    second = (2).to_bytes(8, "big")
    other = again(DISTRICT_FEED, 2, TOWN, Level.TOWN, 9, DISTRICT)
    feed = trust_feed(TOWN, Level.TOWN, second)
    roster = learned(
        other, opened(TOWN, Level.TOWN, other.rid, key_of(9), second),
        again(feed, 1, OTHER, Level.VILLAGE, 5, TOWN),
    )  # fmt: skip
    assert roster.author_of(feed) is not None
    assert roster.certificate_of(OTHER) is None


def test_opening_names_its_certificate() -> None:
    """An epoch counts if it stands on a held certificate, in the node's own feed (4.3)."""
    town = SMALL.town_certified.rid
    second = (2).to_bytes(8, "big")
    good = opened(TOWN, Level.TOWN, town, key_of(1), second, follows=EPOCH.hex())
    incarnation = learned(good).incarnation(TOWN, second)
    assert incarnation is not None
    assert (incarnation.rid, incarnation.follows) == (good.rid, EPOCH)
    for bad in (
        opened(TOWN, Level.TOWN, bytes(32), key_of(1), second),
        opened(TOWN, Level.TOWN, SMALL.village_certified.rid, key_of(1), second),
        opened(TOWN, Level.VILLAGE, town, key_of(1), second),
        opened(TOWN, Level.TOWN, town, key_of(1), second, follows="12"),
        signed(trust_feed(TOWN, Level.TOWN, second), 0, town, OPENED,
               {"certificate": "ab" * 32}, key_of(1)),
        signed(trust_feed(TOWN, Level.TOWN, second), 1, town, OPENED,
               {"certificate": town.hex()}, key_of(1)),
        signed(Feed(TOWN, second, "ordinary", TOWN + "*"), 0, town, OPENED,
               {"certificate": town.hex()}, key_of(1)),
    ):  # fmt: skip
        assert learned(bad).incarnation(TOWN, second) is None


def test_bases() -> None:
    """Seq 0 follows the opening; the opening follows the certificate, the anchor nothing (2.2)."""
    roster = SMALL.roster()
    cases = [
        (Feed(DISTRICT, ROOT_EPOCH, "trust", DISTRICT + "*"), SMALL.founded, NO_PREV),
        (DISTRICT_FEED, SMALL.district_opened, SMALL.founded.rid),
        (feed_of(), record_of(feed_of(), 0), SMALL.district_opened.rid),
        (TOWN_FEED, SMALL.town_opened, SMALL.town_certified.rid),
        (feed_of(TOWN), record_of(feed_of(TOWN), 0), SMALL.town_opened.rid),
        (trust_feed(VILLAGE, Level.VILLAGE), SMALL.village_opened, SMALL.village_certified.rid),
        (feed_of(VILLAGE, "ordinary", "^"), record_of(feed_of(), 0), SMALL.village_opened.rid),
    ]
    for feed, first, prev in cases:
        base = roster.base_of(feed, first.header)
        assert base is not None
        assert base.first_prev == prev
        assert base.certificate.division == feed.author


def test_base_of_an_opening_not_yet_learned() -> None:
    """The run that opens an epoch stands on the certificate that it names itself (4.3)."""
    roster = SMALL.roster(3)
    first = SMALL.town_opened.header
    base = roster.base_of(TOWN_FEED, first)
    assert base is not None
    assert base.first_prev == SMALL.town_certified.rid
    assert roster.base_of(feed_of(TOWN), first) is None
    assert roster.base_of(TOWN_FEED, first._replace(seq=1)) is None
    assert roster.base_of(TOWN_FEED, first._replace(kind=ADDRESSES)) is None
    assert roster.base_of(TOWN_FEED, first._replace(prev=bytes(32))) is None


def test_no_base_without_certificate_or_opening() -> None:
    """A feed whose certificate or opening is not held has no base yet (protocol 4.3)."""
    first = record_of(feed_of(), 0).header
    assert SMALL.roster(1).base_of(feed_of(), first) is None
    assert SMALL.roster(4).base_of(feed_of(VILLAGE, audience="^"), first) is None
    assert SMALL.roster().base_of(feed_of(epoch=2), first) is None
    assert SMALL.roster().base_of(Feed(TOWN, ROOT_EPOCH, "trust", TOWN + "*"), first) is None
    assert SMALL.roster().base_of(Feed(DISTRICT, ROOT_EPOCH, "urgent", "^"), first) is None


def test_own_trust_feed() -> None:
    """A node's trust feed goes to all below it, a leaf's upward (protocol 4.3)."""
    divisions = SMALL.roster().divisions()
    audiences = [own_trust_feed(one, EPOCH).audience for one in divisions.values()]
    assert audiences == [DISTRICT + "*", TOWN + "*", "^"]


def addresses(seq: int, link: str, epoch: bytes = EPOCH) -> Record:
    """Return the town's word on where it can be reached."""
    feed = trust_feed(TOWN, Level.TOWN, epoch)
    return signed(feed, seq, bytes(32), ADDRESSES, {"links": [link]}, key_of(1))


def test_last_address_counts_in_any_order() -> None:
    """Of several addresses the last of the last epoch counts, however they arrive (1.5, 4.6)."""
    second = (0).to_bytes(7, "big") + b"\x09"
    town = SMALL.town_certified.rid
    later = opened(TOWN, Level.TOWN, town, key_of(1), second, follows=EPOCH.hex())
    words = (addresses(7, "old"), addresses(8, "newer"), addresses(1, "newest", second))
    for order in permutations(words):
        assert learned(later, *order).addresses_of(TOWN) == ("newest",)
    assert learned(*words[:2][::-1]).addresses_of(TOWN) == ("newer",)
    assert SMALL.roster().addresses_of(TOWN) == ()


def test_following_in_a_circle_ends() -> None:
    """Epochs that name each other as followed do not make the roster search for ever (4.3)."""
    two, three = ((n).to_bytes(8, "big") for n in (2, 3))
    town = SMALL.town_certified.rid
    roster = learned(
        opened(TOWN, Level.TOWN, town, key_of(1), two, follows=three.hex()),
        opened(TOWN, Level.TOWN, town, key_of(1), three, follows=two.hex()),
        addresses(1, "first"),
        addresses(1, "two", two),
    )
    assert roster.addresses_of(TOWN) == ("two",)


def test_copy_is_independent() -> None:
    """A transaction is tried on a copy, which leaves the roster as it was (protocol 1.3)."""
    roster = SMALL.roster()
    twin = roster.copy()
    twin.learn(certify(TOWN_FEED, OTHER, Level.VILLAGE))
    twin.learn(opened(TOWN, Level.TOWN, SMALL.town_certified.rid, key_of(1), bytes([7] * 8)))
    twin.learn(addresses(9, "there"))
    assert len(twin.divisions()) == 4
    assert len(roster.divisions()) == 3
    assert len(roster.incarnations_of(TOWN)) == 1
    assert roster.addresses_of(TOWN) == ()


def test_learning_twice_changes_nothing() -> None:
    """The roster is a function of the set of records (protocol 1.5)."""
    roster = learned(*SMALL.records)
    assert roster.divisions() == SMALL.roster().divisions()
    assert roster.incarnations_of(TOWN) == SMALL.roster().incarnations_of(TOWN)
