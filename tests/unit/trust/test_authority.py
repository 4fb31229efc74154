"""Who may say what: rows, and bodies read as their kind's model."""

from dataclasses import replace

import pytest

from shared.errors import InvalidError
from shared.record.feed import Feed, Level
from shared.trust.authority import ALL_BELOW, Body, Kind, KindTable, Reach, Row, reach_of, read_as
from shared.trust.kinds import ADDRESSES, CERTIFIED, FOUNDED, KINDS, OPENED, Addresses, Opened
from tests.support.records import feed_of, key_of
from tests.support.trust import DISTRICT, TOWN, VILLAGE, signed, small_district

LEVELS = {DISTRICT: Level.DISTRICT, TOWN: Level.TOWN, VILLAGE: Level.VILLAGE}
TRUST = KindTable(KINDS)
ORDER = Kind(
    "order.given.v1",
    "A kind of this test.",
    Body,
    (
        Row(Level.DISTRICT, ALL_BELOW, frozenset({"ordinary", "urgent"})),
        Row(Level.TOWN, frozenset({Reach.UPWARD}), frozenset({"urgent"})),
        Row(Level.TOWN, frozenset({Reach.DIVISION}), frozenset({"ordinary"})),
    ),
)
TABLE = KindTable([ORDER])


@pytest.mark.parametrize(
    ("author", "audience", "reach"),
    [
        (TOWN, "^", Reach.UPWARD),
        (TOWN, TOWN + "*", Reach.OWN_SUBTREE),
        (TOWN, VILLAGE, Reach.DIVISION),
        (TOWN, VILLAGE + "*", Reach.SUBTREE),
        (DISTRICT, TOWN + "*", Reach.SUBTREE),
    ],
)
def test_reach(author: str, audience: str, reach: Reach) -> None:
    """An audience has one of four forms as its author sees it (protocol 3.3)."""
    assert reach_of(feed_of(author, "ordinary", audience)) is reach


@pytest.mark.parametrize(
    ("author", "lane", "audience", "allowed"),
    [
        (DISTRICT, "ordinary", DISTRICT + "*", True),
        (DISTRICT, "urgent", TOWN, True),
        (DISTRICT, "ordinary", TOWN + "*", True),
        (DISTRICT, "ordinary", "^", False),
        (DISTRICT, "trust", TOWN, False),
        (TOWN, "urgent", "^", True),
        (TOWN, "ordinary", "^", False),
        (TOWN, "ordinary", VILLAGE, True),
        (TOWN, "urgent", VILLAGE, False),
        (TOWN, "ordinary", VILLAGE + "*", False),
        (VILLAGE, "urgent", "^", False),
    ],
)
def test_rows(author: str, lane: str, audience: str, allowed: bool) -> None:
    """Level, audience and lane must stand together in one row of the kind (protocol 4.5)."""
    objection = TABLE.objection(ORDER.name, feed_of(author, lane, audience), LEVELS[author])
    assert (objection is None) == allowed
    if objection is not None:
        assert ORDER.name in objection


def test_unknown_kind_and_version() -> None:
    """A rule change is a new version of the kind; one not known here is not projected (4.5)."""
    for name in ("order.given.v2", "order.taken.v1"):
        objection = TABLE.objection(name, feed_of(), Level.DISTRICT)
        assert objection is not None
        assert "not known" in objection
    assert TABLE.get("order.given.v2") is None


def test_name_stands_once() -> None:
    """Two declarations of one kind are a mistake of ours, found when the table is made (4.5)."""
    with pytest.raises(InvalidError, match="twice"):
        KindTable([ORDER, replace(ORDER, about="Another.")])
    assert list(TABLE) == [ORDER]


@pytest.mark.parametrize(
    ("kind", "writers"),
    [
        (FOUNDED, {(DISTRICT, DISTRICT + "*")}),
        (CERTIFIED, {(DISTRICT, DISTRICT + "*"), (TOWN, TOWN + "*")}),
        (OPENED, {(DISTRICT, DISTRICT + "*"), (TOWN, TOWN + "*"), (VILLAGE, "^")}),
        (ADDRESSES, {(DISTRICT, DISTRICT + "*"), (TOWN, TOWN + "*"), (VILLAGE, "^")}),
    ],
)
def test_trust_rows(kind: str, writers: set[tuple[str, str]]) -> None:
    """Trust kinds go to all below; a leaf, which uses only ``^``, upward (3.3, 4.1–4.3, 10)."""
    audiences = ("^", DISTRICT + "*", TOWN, TOWN + "*", VILLAGE, VILLAGE + "*")
    for author, level in LEVELS.items():
        for audience in audiences:
            for lane in ("trust", "ordinary"):
                feed = Feed(author, bytes(8), lane, audience)
                allowed = TRUST.objection(kind, feed, level) is None
                assert allowed == (lane == "trust" and (author, audience) in writers)


def test_body_is_read_as_its_model() -> None:
    """A body is read by its kind; what a later version adds is kept (protocol 2.5)."""
    feed = feed_of(lane="trust")
    record = signed(feed, 1, bytes(32), ADDRESSES, {"links": ["wss://a"], "more": [1]}, key_of())
    body = TRUST.read(record)
    assert isinstance(body, Addresses)
    assert body.links == ("wss://a",)
    assert body.model_extra == {"more": [1]}
    opened = TRUST.read(small_district().town_opened)
    assert isinstance(opened, Opened)
    assert opened.certificate == small_district().town_certified.rid.hex()


@pytest.mark.parametrize(
    "raw",
    [
        b'{"links":[1]}',
        b'{"links":"wss://a"}',
        b"{}",
        b'{"links":[]',
        b'{"links":[],"links":[]}',
        b'{"links":[],"more":0.5}',
        b'{"links":[],"more":' + b"[" * 250 + b"]" * 250 + b"}",
        b'{"links":["' + b"x" * 201 + b'"]}',
    ],
)
def test_body_that_does_not_fit(raw: bytes) -> None:
    """A body that is no I-JSON or lacks a field is refused when read (protocol 2.4)."""
    with pytest.raises(InvalidError):
        read_as(Addresses, raw)


def test_unreadable_records() -> None:
    """A record of an unknown kind, or without its body, is not read (protocol 2.5, 8.1)."""
    record = small_district().town_opened
    with pytest.raises(InvalidError, match="not here"):
        TRUST.read(replace(record, salt=None, body=None))
    with pytest.raises(InvalidError, match="not known"):
        TABLE.read(record)
