"""Which certificates count, and the view of divisions."""

from hashlib import sha256

import pytest

from shared.domain.divisions import view
from shared.domain.divisions.rules import Because
from shared.domain.projection import Fact
from shared.record.feed import ROOT_EPOCH, Level
from shared.trust.keys import SigningKey
from shared.trust.kinds import Addresses, Certified, Founded
from tests.unit.domain.facts import (
    DISTRICT,
    EPOCH,
    OTHER_TOWN,
    OTHER_VILLAGE,
    TOWN,
    VILLAGE,
    fact,
    rid,
    stored,
)


def key(name: str) -> str:
    """Return a public signing key in hex."""
    return SigningKey(sha256(name.encode()).digest()).public.raw.hex()


def founding(division: str = DISTRICT, level: str = "district", signing_key: str = "") -> Founded:
    """Return the founding of a district."""
    return Founded(
        division=division,
        label="杜集区",
        level=level,
        signing_key=signing_key or key("district"),
        sealing_key="00" * 32,
        recovery_hash="00" * 32,
    )


def certified(
    division: str, level: str, parent: str, label: str = "某地", signing_key: str = ""
) -> Certified:
    """Return a certificate."""
    return Certified(
        division=division,
        label=label,
        level=level,
        parent=parent,
        signing_key=signing_key or key(division),
        sealing_key="00" * 32,
        nonce="00" * 16,
        proof="00" * 64,
    )


def root_fact(body: Founded, epoch: bytes = ROOT_EPOCH, seq: int = 0) -> Fact:
    """Return a founding as a fact of the root feed."""
    return fact("f", DISTRICT, body, audience=DISTRICT + "*", lane="trust", epoch=epoch, seq=seq)


def by(author: str, name: str, body: Certified | Addresses, seq: int = 1) -> Fact:
    """Return a fact in the trust feed of ``author``."""
    return fact(name, author, body, audience=author + "*", lane="trust", seq=seq)


def why(one: Fact) -> str:
    """Return why ``one`` is not applied, checking that it has no other rows."""
    rows = view.fold(one.rid, [one])
    assert list(rows) == ["step"]
    assert rows["step"][0]["state"] == "not_applied"
    return str(rows["step"][0]["reason"])


def test_the_district_and_those_it_certifies_are_listed() -> None:
    """By code, each with level, parent, key and the record that says so."""
    facts = [
        by(TOWN, "v", certified(VILLAGE, "village", TOWN, "袁庄村")),
        by(DISTRICT, "t", certified(TOWN, "town", DISTRICT, "矿山集")),
        root_fact(founding()),
    ]
    conn = stored(*(view.fold(one.rid, [one]) for one in facts))
    assert view.divisions(conn) == [
        view.DivisionRow(DISTRICT, "杜集区", Level.DISTRICT, None, key("district"), rid("f")),
        view.DivisionRow(TOWN, "矿山集", Level.TOWN, DISTRICT, key(TOWN), rid("t")),
        view.DivisionRow(VILLAGE, "袁庄村", Level.VILLAGE, TOWN, key(VILLAGE), rid("v")),
    ]
    assert view.get(conn, TOWN) == view.divisions(conn)[1]
    assert view.get(conn, OTHER_TOWN) is None


def test_of_two_certificates_the_higher_issuer_and_the_earlier_speaks() -> None:
    """A town cannot put another key in the place of the one that the district vouches for."""
    facts = [
        by(TOWN, "a", certified(VILLAGE, "village", TOWN, "假", key("x"))),
        by(DISTRICT, "b", certified(VILLAGE, "village", TOWN, "后", key("y")), seq=2),
        by(DISTRICT, "c", certified(VILLAGE, "village", TOWN, "真"), seq=1),
    ]
    conn = stored(*(view.fold(one.rid, [one]) for one in facts))
    assert [row.label for row in view.divisions(conn)] == ["真"]


@pytest.mark.parametrize(
    "one",
    [
        root_fact(founding(), epoch=EPOCH),
        root_fact(founding(), seq=1),
        root_fact(founding(division=TOWN)),
        root_fact(founding(level="town")),
    ],
)
def test_only_the_root_feed_founds(one: Fact) -> None:
    """A founding elsewhere, later, or of somebody else counts nothing."""
    assert why(one) == Because.NOT_THE_FOUNDING


@pytest.mark.parametrize(
    "body",
    [
        certified(OTHER_VILLAGE, "village", TOWN),
        certified(TOWN, "town", DISTRICT),
        certified(VILLAGE, "village", OTHER_TOWN),
    ],
)
def test_nobody_certifies_what_is_not_below(body: Certified) -> None:
    """Neither a neighbour's village, nor itself, nor under a parent that is none."""
    assert why(by(TOWN, "x", body)) == Because.NOT_BELOW


def test_a_key_of_small_order_is_none() -> None:
    """A signature by it would say nothing."""
    bad = "01" + "00" * 31
    body = certified(VILLAGE, "village", TOWN, signing_key=bad)
    assert why(by(TOWN, "x", body)) == Because.BAD_KEY
    assert why(root_fact(founding(signing_key=bad))) == Because.BAD_KEY


def test_the_last_addresses_of_each_epoch_are_candidates() -> None:
    """Each link once; the list before is forgotten."""
    facts = [
        by(TOWN, "1", Addresses(links=("ws://old",)), seq=1),
        by(TOWN, "2", Addresses(links=("ws://a", "ws://b")), seq=2),
        fact(
            "3", TOWN, Addresses(links=("ws://b", "ws://c")), audience=TOWN + "*", lane="trust",
            epoch=bytes(7) + b"\x02",
        ),
    ]  # fmt: skip
    conn = stored(*(view.fold(one.rid, [one]) for one in facts))
    assert view.addresses(conn, TOWN) == ["ws://a", "ws://b", "ws://c"]
    assert view.addresses(conn, VILLAGE) == []
