"""The view of custody, and the kind's bounds."""

import pytest

from shared.domain.catalogue import KINDS
from shared.domain.custody import view
from shared.domain.custody.kinds import STATED, Held, Shown, Stated
from shared.domain.projection import Fact
from shared.errors import InvalidError
from shared.record.body import encode_body
from shared.record.feed import Feed, Level
from shared.trust.authority import read_as
from tests.unit.domain.facts import (
    DISTRICT,
    EPOCH,
    OTHER_VILLAGE,
    TOWN,
    VILLAGE,
    fact,
    stored,
)

FEED = Feed(VILLAGE, EPOCH, "ordinary", "^")


def receipt(name: str, author: str, count: int, since_ms: int, of: Feed = FEED) -> Fact:
    """Return a receipt for the village."""
    entry = Held(of.author, of.epoch.hex(), "ordinary", of.audience, count, "ab" * 32, since_ms, 0)
    body = Stated(use="receipt", held=(entry,))
    return fact(name, author, body, audience=VILLAGE, lane="custody")


def test_since_when_a_record_is_held_is_the_earliest_statement_that_covers_it() -> None:
    """By each stater; counts are one more than numbers."""
    facts = [
        receipt("1", TOWN, 3, 100),
        receipt("2", TOWN, 5, 200),
        receipt("3", DISTRICT, 4, 400),
        receipt("4", DISTRICT, 9, 300),
    ]
    conn = stored(*(view.fold(one.rid, [one]) for one in facts))
    assert view.held_since(conn, FEED.key, 2) == {TOWN: 100, DISTRICT: 300}
    assert view.held_since(conn, FEED.key, 3) == {TOWN: 200, DISTRICT: 300}
    assert view.held_since(conn, FEED.key, 8) == {DISTRICT: 300}
    assert view.held_since(conn, FEED.key, 9) == {}
    assert view.held_since(conn, b"other", 0) == {}
    both = [(FEED.key, 8), (FEED.key, 9), (FEED.key, 8)]
    assert view.held_since_each(conn, both) == {
        (FEED.key, 8): {DISTRICT: 300},
        (FEED.key, 9): {},
    }


def test_the_statements_that_first_cover_a_record() -> None:
    """One of each stater, from the top down; no beat, none before it, none of another feed."""
    beat = Stated(use="beat", held=(Held(TOWN, EPOCH.hex(), "ordinary", "^", 4, "ab" * 32, 5, 0),))
    facts = [
        receipt("1", TOWN, 2, 100),
        receipt("2", TOWN, 5, 200),
        receipt("3", TOWN, 4, 300),
        receipt("4", DISTRICT, 9, 400),
        receipt("5", TOWN, 4, 50, Feed(OTHER_VILLAGE, EPOCH, "ordinary", "^")),
        fact("6", TOWN, beat, audience=TOWN + "*", lane="custody"),
    ]
    conn = stored(*(view.fold(one.rid, [one]) for one in facts))
    first = [(one.rid, count) for one, count in ((facts[3], 9), (facts[2], 4))]
    head = bytes.fromhex("ab" * 32)
    assert view.statements(conn, FEED.key, 2, 8) == [(*one, head) for one in first]
    assert view.statements(conn, FEED.key, 2, 1) == [(*first[0], head)]
    assert view.statements(conn, FEED.key, 9, 8) == []


def test_a_beat_is_no_evidence_of_holding() -> None:
    """An author that names its own head has not received it."""
    entry = Held(TOWN, EPOCH.hex(), "ordinary", TOWN + "*", 1, "ab" * 32, 5, 0)
    beat = fact("b", TOWN, Stated(use="beat", held=(entry,)), audience=TOWN + "*", lane="custody")
    conn = stored(view.fold(beat.rid, [beat]))
    assert view.held_since(conn, entry.feed.key, 0) == {}


def test_a_statement_that_counts_leaves_no_step_and_one_that_does_not_leaves_only_that() -> None:
    """The receipt of a village that is not the stater's is shown, not believed."""
    good = receipt("g", TOWN, 1, 5)
    bad = receipt("b", TOWN, 1, 5, Feed(OTHER_VILLAGE, EPOCH, "ordinary", "^"))
    rows = view.fold(good.rid, [good])
    assert (len(rows["custody_held"]), rows["step"]) == (1, [])
    rows = view.fold(bad.rid, [bad])
    assert rows["custody_held"] == []
    assert [(row["state"], row["reason"]) for row in rows["step"]] == [("not_applied", "no_holder")]


def test_since_when_a_notice_is_shown_is_the_earliest_word_of_each() -> None:
    """By notice and stater; a proof that does not count shows nothing."""

    def proof(name: str, author: str, since_ms: int, audience: str = "^") -> Fact:
        body = Stated(use="proof", shown=(Shown("ab" * 32, since_ms),))
        return fact(name, author, body, audience=audience, lane="custody")

    facts = [
        proof("1", VILLAGE, 9), proof("2", VILLAGE, 7), proof("3", OTHER_VILLAGE, 8),
        proof("4", TOWN, 1, TOWN + "*"),
    ]  # fmt: skip
    conn = stored(*(view.fold(one.rid, [one]) for one in facts))
    notice, other = bytes.fromhex("ab" * 32), bytes(32)
    assert view.shown_since(conn, [notice, other]) == {
        notice: {VILLAGE: 7, OTHER_VILLAGE: 8}, other: {},
    }  # fmt: skip


def test_a_body_is_an_array_of_arrays() -> None:
    """And comes back as what it was."""
    body = receipt("g", TOWN, 1, 5).body
    data = encode_body(body.model_dump(mode="json"))
    assert data == (
        b'{"use":"receipt","held":[["340602100201","0000000000000001","ordinary","^",1,"'
        + b"ab" * 32
        + b'",5,0]],"late":[],"shown":[]}'
    )
    assert read_as(Stated, data) == body


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"ordinary"', b'"custody"'),
        (b'"^"', b'"*"'),
        (b'"0000000000000001"', b'"01"'),
        (b",5,0]", b",-5,0]"),
        (b",5,0]", b",5]"),
        (b'"receipt"', b'"gossip"'),
        (b'"late":[]', b'"late":["x"]'),
        (b'"shown":[]', b'"shown":[["ab",5]]'),
        (b'"shown":[]', b'"shown":[["' + b"ab" * 32 + b'",-5]]'),
    ],
)
def test_what_cannot_be_stated(old: bytes, new: bytes) -> None:
    """Each field has its form; the custody lane is none of those that can be held."""
    data = encode_body(receipt("g", TOWN, 1, 5).body.model_dump(mode="json"))
    assert old in data
    with pytest.raises(InvalidError):
        read_as(Stated, data.replace(old, new))


@pytest.mark.parametrize(
    ("level", "author", "audience", "allowed"),
    [
        (Level.VILLAGE, VILLAGE, "^", True),
        (Level.TOWN, TOWN, "^", True),
        (Level.TOWN, TOWN, VILLAGE, True),
        (Level.TOWN, TOWN, TOWN + "*", True),
        (Level.DISTRICT, DISTRICT, "^", True),
        (Level.DISTRICT, DISTRICT, TOWN + "*", False),
        (Level.VILLAGE, VILLAGE, VILLAGE + "*", False),
    ],
)
def test_who_may_state_to_whom(level: Level, author: str, audience: str, allowed: bool) -> None:
    """Everybody upward, relays to a descendant and to all below; in the custody lane only."""
    objection = KINDS.objection(STATED, Feed(author, EPOCH, "custody", audience), level)
    assert (objection is None) == allowed
    assert KINDS.objection(STATED, Feed(author, EPOCH, "ordinary", audience), level)
