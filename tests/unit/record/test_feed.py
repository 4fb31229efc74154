"""Divisions, audiences, holders and lanes."""

import pytest

from shared.errors import FaultError
from shared.record import cbor
from shared.record.feed import (
    LANES,
    Feed,
    Level,
    check_code,
    check_feed,
    feed_from,
    is_above,
    is_holder,
    travel_order,
)
from tests.support.records import feed_of

DISTRICT, TOWN, VILLAGE = "340602", "340602100", "340602100201"
OTHER_TOWN, OTHER_VILLAGE, FAR_VILLAGE = "340602101", "340602100202", "340602101201"
NODES = (DISTRICT, TOWN, OTHER_TOWN, VILLAGE, OTHER_VILLAGE, FAR_VILLAGE)

# Who holds what each tier says, written down by hand (protocol 3.4).
HOLDERS = [
    (DISTRICT, "^", {DISTRICT}),
    (DISTRICT, "340602*", set(NODES)),
    (DISTRICT, TOWN, {DISTRICT, TOWN}),
    (DISTRICT, TOWN + "*", {DISTRICT, TOWN, VILLAGE, OTHER_VILLAGE}),
    (DISTRICT, VILLAGE, {DISTRICT, TOWN, VILLAGE}),
    (DISTRICT, VILLAGE + "*", {DISTRICT, TOWN, VILLAGE}),
    (TOWN, "^", {DISTRICT, TOWN}),
    (TOWN, TOWN + "*", {DISTRICT, TOWN, VILLAGE, OTHER_VILLAGE}),
    (TOWN, VILLAGE, {DISTRICT, TOWN, VILLAGE}),
    (TOWN, VILLAGE + "*", {DISTRICT, TOWN, VILLAGE}),
    (VILLAGE, "^", {DISTRICT, TOWN, VILLAGE}),
    (VILLAGE, VILLAGE + "*", {DISTRICT, TOWN, VILLAGE}),
]


@pytest.mark.parametrize(("author", "audience", "holders"), HOLDERS)
def test_holders(author: str, audience: str, holders: set[str]) -> None:
    """The author, all above it and the path to the audience hold a feed (protocol 3.4)."""
    feed = feed_of(author, "ordinary", audience)
    assert {node for node in NODES if is_holder(feed, node)} == holders


@pytest.mark.parametrize("code", ["34", "340602", "340602100", "340602100201", "1" * 32])
def test_codes(code: str) -> None:
    """A division's code is made of digits (protocol 3.1)."""
    assert check_code(code) == code


@pytest.mark.parametrize(
    "code", ["", "3", "1" * 33, "34060a", "３４０６０２", "٣٤", "34 06", "34\n", "-34", "34*", "^"]
)
def test_no_codes(code: str) -> None:
    """Anything but ASCII digits, and their number, is refused (protocol 3.1)."""
    with pytest.raises(FaultError, match="code"):
        check_code(code)


def test_parent_is_a_prefix() -> None:
    """A parent's code is a proper prefix of its children's (protocol 3.1)."""
    assert is_above(DISTRICT, TOWN)
    assert is_above(DISTRICT, VILLAGE)
    assert not is_above(TOWN, TOWN)
    assert not is_above(TOWN, DISTRICT)
    assert not is_above(TOWN, FAR_VILLAGE)


@pytest.mark.parametrize(
    ("author", "audience"),
    [
        (TOWN, TOWN),
        (TOWN, DISTRICT),
        (TOWN, DISTRICT + "*"),
        (TOWN, OTHER_TOWN),
        (TOWN, FAR_VILLAGE),
        (TOWN, VILLAGE + "**"),
        (TOWN, "*"),
        (TOWN, ""),
        (TOWN, "^*"),
        (TOWN, "^^"),
        (TOWN, VILLAGE + " "),
    ],
)
def test_audiences_outside(author: str, audience: str) -> None:
    """An audience is upward, below the author or the author with ``*`` (protocol 3.3)."""
    with pytest.raises(FaultError):
        check_feed(Feed(author, bytes(8), "ordinary", audience))


def test_feed_fields() -> None:
    """A feed is author, epoch, lane and audience, and nothing else (protocol 3.2)."""
    feed = feed_of(TOWN, "urgent", VILLAGE)
    assert feed_from(list(feed)) == feed
    assert feed.key == cbor.encode(list(feed))
    assert str(feed) == "340602100/00000000/urgent/340602100201"
    values: tuple[object, ...] = (
        list(feed)[:3], [*feed, 0], "feed", None, [TOWN, "12345678", "urgent", "^"],
        [1, bytes(8), "urgent", "^"], [TOWN, bytes(7), "urgent", "^"],
        [TOWN, bytes(8), "Urgent", "^"],
    )  # fmt: skip
    for value in values:
        with pytest.raises(FaultError):
            feed_from(value)


def test_lanes_travel_in_order() -> None:
    """Trust goes first, from the top down, then urgent, ordinary and custody (3.5, 5.3)."""
    assert LANES == ("trust", "urgent", "ordinary", "custody")
    sent = [
        feed_of(DISTRICT, "trust"),
        feed_of(TOWN, "trust"),
        feed_of(VILLAGE, "trust", "^"),
        feed_of(VILLAGE, "urgent", "^"),
        feed_of(DISTRICT, "ordinary"),
        feed_of(TOWN, "custody"),
    ]
    mixed = [*sent[3:], *sent[:3]]
    assert sorted(mixed, key=travel_order) == sent


def test_levels() -> None:
    """Levels are written as words; another word is a fault (protocol 4.2)."""
    assert [level.word for level in Level] == ["district", "town", "village"]
    assert Level.of("town") is Level.TOWN
    with pytest.raises(FaultError):
        Level.of("province")
