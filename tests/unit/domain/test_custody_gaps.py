"""What others vouch for and is not here."""

import json

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.custody import gaps, view
from shared.domain.custody.gaps import Missing
from shared.domain.custody.kinds import Stated
from shared.domain.projection import Fact
from shared.record.feed import Feed
from tests.unit.domain.facts import DISTRICT, EPOCH, TOWN, VILLAGE, fact, stored

VOICES = Feed(VILLAGE, EPOCH, "ordinary", "^")
NOTICES = Feed(TOWN, EPOCH, "ordinary", TOWN + "*")
OTHERS = Feed(TOWN + "299", EPOCH, "urgent", "^")


def stated(name: str, by: str, use: str, feed: Feed, count: int, since_ms: int) -> Fact:
    """Return the word of ``by`` that it holds ``count`` records of ``feed``."""
    rid = "ab" * 32 if count else "00" * 32
    held = [(feed.author, feed.epoch.hex(), feed.lane, feed.audience, count, rid, since_ms, 0)]
    audience = {"receipt": feed.author, "beat": by + "*"}.get(use, "^")
    body = Stated.model_validate_json(json.dumps({"use": use, "held": held}))
    return fact(name, by, body, audience=audience, lane="custody")


def test_the_end_of_a_feed_is_missing() -> None:
    """The most that anybody states counts, and since when somebody held more than we do."""
    facts = [
        stated("1", TOWN, "receipt", VOICES, 3, 100),
        stated("2", TOWN, "receipt", VOICES, 5, 200),
        stated("3", TOWN, "receipt", VOICES, 9, 300),
    ]
    conn = stored(*(view.fold(one.rid, [one]) for one in facts))
    assert gaps.missing(conn, DISTRICT, {VOICES: 4}) == [Missing(VOICES, 4, 9, TOWN, 200)]
    assert gaps.missing(conn, DISTRICT, {VOICES: 4})[0].records == 5
    assert gaps.missing(conn, DISTRICT, {VOICES: 9}) == []
    assert gaps.missing(conn, DISTRICT, {VOICES: 12}) == []


def test_a_feed_of_which_nothing_is_here_is_missing_whole() -> None:
    """Nobody need hold a part of it to see that."""
    one = stated("1", TOWN, "receipt", VOICES, 2, 7)
    conn = stored(view.fold(one.rid, [one]))
    assert gaps.missing(conn, DISTRICT, {}) == [Missing(VOICES, 0, 2, TOWN, 7)]


def test_a_village_learns_from_a_beat_what_it_lacks() -> None:
    """The author's own head is a word, too."""
    one = stated("b", TOWN, "beat", NOTICES, 6, 50)
    conn = stored(view.fold(one.rid, [one]))
    assert gaps.missing(conn, VILLAGE, {NOTICES: 6}) == []
    assert gaps.missing(conn, VILLAGE, {NOTICES: 1}) == [Missing(NOTICES, 1, 6, TOWN, 50)]


def test_what_is_not_ours_is_not_missing() -> None:
    """Another village's voices do not concern this one."""
    one = stated("1", TOWN, "receipt", OTHERS, 4, 7)
    conn = stored(view.fold(one.rid, [one]))
    assert gaps.missing(conn, VILLAGE, {}) == []
    assert [found.feed for found in gaps.missing(conn, TOWN, {})] == [OTHERS]


words = st.tuples(st.sampled_from([VOICES, OTHERS]), st.integers(0, 6), st.integers(0, 99))


@given(st.lists(words, max_size=8), st.integers(0, 6), st.integers(0, 6))
def test_missing_is_what_the_statements_say(
    said: list[tuple[Feed, int, int]], voices: int, others: int
) -> None:
    """Whatever was stated in whatever order."""
    facts = [stated(str(n), TOWN, "receipt", *word) for n, word in enumerate(said)]
    conn = stored(*(view.fold(one.rid, [one]) for one in facts))
    counts = {VOICES: voices, OTHERS: others}
    expected = {}
    for feed, held in counts.items():
        more = [(count, since) for other, count, since in said if other == feed and count > held]
        if more:
            expected[feed] = (max(more)[0] - held, min(since for _, since in more))
    found = gaps.missing(conn, DISTRICT, counts)
    assert {one.feed: (one.records, one.since_ms) for one in found} == expected
