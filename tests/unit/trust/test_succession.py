"""A certificate that replaces a key: by that key's consent, or by the district's word (4.2)."""

from itertools import permutations
from typing import Any

import pytest

from shared.record.feed import Level
from shared.record.record import Record
from shared.trust.certificate import Certificate, succession
from shared.trust.kinds import CONFIRMED
from shared.trust.roster import Roster
from tests.support.records import feed_of, key_of
from tests.support.replacing import confirmed, consent, replacing
from tests.support.trust import (
    DISTRICT,
    TOWN,
    VILLAGE,
    opened,
    signed,
    small_district,
    trust_feed,
)

SMALL = small_district()
FIRST = SMALL.village_certified.rid
SECOND_EPOCH = (2).to_bytes(8, "big")
TOWN_FEED = trust_feed(TOWN, Level.TOWN)


def learned(*records: Record) -> Roster:
    """Return the small district's roster after some more records."""
    roster = SMALL.roster()
    for record in records:
        roster.learn(record)
    return roster


def in_force(*records: Record) -> bytes:
    """Return the rid of the village's certificate in force after ``records``."""
    found = learned(*records).certificate_of(VILLAGE)
    assert found is not None
    return found.rid


def heir(old: bytes, number: int, by: int | None, seq: int = 2, **changes: Any) -> Record:
    """Return a certificate of the town for its village, as record ``seq``."""
    return replacing(old, number, by, place=(TOWN_FEED, seq, bytes(32)), **changes)


def test_the_old_key_consents() -> None:
    """The new key is in force, and what the old one signed counts as before."""
    new = heir(FIRST, 9, by=2)
    roster = learned(new)
    assert [key.raw for key in roster.keys_of(VILLAGE)] == [
        key_of(9).public.raw, key_of(2).public.raw,
    ]  # fmt: skip
    roster.learn(opened(VILLAGE, Level.VILLAGE, new.rid, key_of(9), SECOND_EPOCH))
    found = roster.certificate_of(VILLAGE)
    assert found is not None
    assert found.key == key_of(9).public
    assert roster.keys_of(VILLAGE) == (key_of(9).public,)
    old = roster.certificate_with(VILLAGE, key_of(2).public.raw)
    assert old is not None
    assert roster.is_confirmed(old)
    assert roster.unconfirmed() == ()
    assert not roster.revised


@pytest.mark.parametrize(
    "changes",
    [
        {"by": None},
        {"by": 9},
        {"by": 1},
        {"by": 0},
        {"by": 2, "consent": consent(2, VILLAGE, FIRST, 8)},
        {"by": 2, "consent": consent(2, VILLAGE, SMALL.town_certified.rid, 9)},
        {"by": 2, "consent": consent(2, TOWN, FIRST, 9)},
        {"by": 2, "consent": "00" * 64},
        {"by": 2, "consent": None},
        {"by": 2, "replaces": None},
        {"by": 2, "replaces": SMALL.town_certified.rid.hex()},
        {"by": 2, "replaces": "ab" * 32},
    ],
    ids=["nobody", "the new key", "the town", "the district", "to another key",
         "for another certificate", "for another division", "no signature", "missing",
         "names nothing", "names another division's", "names nothing held"],
)  # fmt: skip
def test_without_its_consent_the_key_stays(changes: dict[str, Any]) -> None:
    """The town alone replaces no key: what it certifies waits, unconfirmed, until it is."""
    new = heir(FIRST, 9, **changes)
    roster = learned(new)
    assert in_force(new) == FIRST
    assert [one.rid for one in roster.unconfirmed()] == [new.rid]
    assert roster.keys_of(VILLAGE) == (key_of(2).public,)


def test_the_district_confirms_in_any_order() -> None:
    """Its word makes the lost key's successor count, and says that what was learned is revised."""
    new = heir(FIRST, 9, by=None)
    for order in permutations((new, confirmed(new.rid))):
        assert in_force(*order) == new.rid
    assert learned(new, confirmed(new.rid)).revised
    assert not learned(confirmed(new.rid), new).revised


def test_only_the_district_confirms() -> None:
    """A town's confirmation is no word of the district's, wherever it stands (4.5)."""
    new = heir(FIRST, 9, by=None)
    body = {"certificate": new.rid.hex()}
    for feed, number in ((TOWN_FEED, 1), (feed_of(lane="ordinary"), 0)):
        word = signed(feed, 3, bytes(32), CONFIRMED, body, key_of(number))
        assert in_force(new, word) == FIRST


def test_a_certificate_of_the_districts_own_is_its_word() -> None:
    """The district replaces a key without a further record."""
    place = (trust_feed(DISTRICT, Level.DISTRICT), 2, bytes(32))
    new = replacing(FIRST, 9, None, place=place, signer=0)
    assert in_force(new) == new.rid
    assert in_force(new, heir(FIRST, 8, by=2)) == new.rid


def test_a_chain() -> None:
    """Each key consents to the next; without one of them the rest waits."""
    chain = [heir(FIRST, 9, by=2)]
    for number in (10, 11):
        chain.append(heir(chain[-1].rid, number, by=number - 1, seq=number))
    for order in permutations(chain):
        assert in_force(*order) == chain[2].rid
    assert in_force(*chain[1:]) == FIRST


def test_of_two_rivals_the_first_counts() -> None:
    """A key consents once: the earlier one of an issuer counts, in any order of arrival."""
    early, late = heir(FIRST, 9, by=2), heir(FIRST, 10, by=2, seq=3)
    after = heir(late.rid, 11, by=10, seq=4)
    for order in permutations((early, late, after)):
        assert in_force(*order) == early.rid
    assert in_force(late, after) == after.rid
    assert learned(late, after, early).revised


def test_a_replaced_key_consents_to_nothing_more() -> None:
    """Whoever finds the old key later cannot take the place of the new one."""
    new = heir(FIRST, 9, by=2)
    for thief in (heir(FIRST, 10, by=2, seq=3), heir(new.rid, 10, by=2, seq=3)):
        assert in_force(new, thief) == new.rid
        assert [one.rid for one in learned(new, thief).unconfirmed()] == [thief.rid]


def test_the_districts_last_word_counts() -> None:
    """It decides between rivals, against the rank and against its own earlier word."""
    rivals = [heir(FIRST, number, by=None, seq=number) for number in (9, 10)]
    words = [confirmed(one.rid, seq) for seq, one in enumerate(rivals, 2)]
    consented = heir(FIRST, 11, by=2)
    for order in permutations((*rivals, consented, *words)):
        assert in_force(*order) == rivals[1].rid
    assert in_force(*rivals, *words, confirmed(rivals[0].rid, 4)) == rivals[0].rid


def test_the_district_confirms_another_beginning() -> None:
    """A first certificate that the true node did not ask for gives way to the confirmed one."""
    true = heir(FIRST, 9, by=None, replaces=None)
    roster = learned(true, confirmed(true.rid))
    found = roster.certificate_of(VILLAGE)
    assert found is not None
    assert found.rid == true.rid
    assert [one.rid for one in roster.unconfirmed()] == [FIRST]


def test_a_circle_ends() -> None:
    """No two records can name each other; if they did, the line would end all the same."""

    def made(rid: bytes, replaces: bytes) -> Certificate:
        return Certificate(rid, VILLAGE, "", Level.VILLAGE, b"", b"", TOWN_FEED, 1, replaces)

    first, second, again = made(b"a", b""), made(b"b", b"a"), made(b"a", b"b")
    line = succession([first, second, again], lambda _old, _new: True)
    assert [one.rid for one in line] == [b"a", b"b", b"a"]
    assert succession([made(b"a", b"b"), made(b"b", b"a")], lambda _old, _new: True) == ()


@pytest.mark.parametrize(
    ("more", "keys", "unasked"),
    [
        ([heir(FIRST, 9, by=2)], [2], [0]),
        ([heir(FIRST, 9, by=2)], [9], []),
        ([heir(FIRST, 9, by=None)], [9], []),
        ([heir(FIRST, 9, by=None), heir(FIRST, 10, by=None, seq=3)], [9], [1]),
        ([heir(FIRST, 9, by=2), heir(FIRST, 10, by=2, seq=3)], [2, 9], [1]),
        ([ROBBED := heir(FIRST, 9, by=None), heir(ROBBED.rid, 2, by=9, seq=3),
          confirmed(ROBBED.rid)], [2], [0]),
    ],
    ids=["replaced by a thief", "replaced by itself", "a lost key's successor",
         "beside a lost key's successor", "under way to a new key", "its own key after a thief's"],
)  # fmt: skip
def test_what_a_node_did_not_ask_for(
    more: list[Record], keys: list[int], unasked: list[int]
) -> None:
    """Its keys' certificates and what counted before the first of them are its own; no other."""
    found = learned(*more).unasked(VILLAGE, [key_of(number).public.raw for number in keys])
    assert [one.rid for one in found] == [more[at].rid for at in unasked]
