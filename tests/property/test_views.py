"""A view is a function of the set of records (protocol 1.5)."""

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.cases import kinds as cases
from shared.domain.cases import view as cases_view
from shared.domain.notices import kinds as notices
from shared.domain.notices import view as notices_view
from shared.domain.projection import Fact, ordered
from shared.domain.tables import Fold
from shared.record.feed import Feed, Level
from shared.trust.authority import Body

DISTRICT, TOWN, OTHER_TOWN, VILLAGE = "340602", "340602100", "340602101", "340602100201"
AUTHORS = (DISTRICT, TOWN, OTHER_TOWN, VILLAGE)
LEVELS = {6: Level.DISTRICT, 9: Level.TOWN, 12: Level.VILLAGE}
FACTS_MAX = 8


def rid(number: int) -> bytes:
    """Return the rid of fact ``number``; 0 is the subject."""
    return sha256(b"%d" % number).digest()


CASE_BODIES: dict[str, Body] = {
    cases.FILED: cases.Filed(
        receipt="26-0001-5", channel="web", kind="ask", text="问", receipt_key="00" * 32
    ),
    cases.ANSWERED: cases.Answered(outcome="explained", text="答", publish="full"),
    cases.RATED: cases.Rated(score="fair"),
}
_WORDS = {"stream": "party", "category": "decision", "title": "题", "text": "文"}
NOTICE_BODIES: dict[str, Body] = {
    notices.PUBLISHED: notices.Published.model_validate(_WORDS),
    notices.CORRECTED: notices.Corrected.model_validate(_WORDS | {"reason": "错"}),
    notices.WITHDRAWN: notices.Withdrawn(reason="废"),
}


@st.composite
def stories(draw: st.DrawFn, bodies: dict[str, Body]) -> list[Fact]:
    """Draw facts of one subject: each refers only to earlier ones, or to what is not here."""
    begins, *follows = bodies
    facts = []
    for number in range(draw(st.integers(1, FACTS_MAX))):
        kind = draw(st.sampled_from(follows)) if number else begins
        author = draw(st.sampled_from(AUTHORS if number else (TOWN, VILLAGE)))
        audience = draw(st.sampled_from(("^", VILLAGE, TOWN + "*")))
        lane = draw(st.sampled_from(("ordinary", "urgent")))
        more = draw(st.lists(st.integers(1, number - 1), max_size=2)) if number > 1 else []
        missing = [99] if number and draw(st.booleans()) else []
        refs = (rid(0), *map(rid, more), *map(rid, missing)) if number else ()
        feed = Feed(author, bytes((draw(st.integers(1, 2)),)) * 8, lane, audience)
        seq = draw(st.integers(0, 2))
        facts.append(
            Fact(rid(number), feed, seq, kind, LEVELS[len(author)], seq, refs, bodies[kind])
        )
    return facts


@st.composite
def shuffled(draw: st.DrawFn, bodies: dict[str, Body]) -> tuple[list[Fact], list[Fact]]:
    """Draw a part of a story (records may be missing) and a permutation of it."""
    story = draw(stories(bodies))
    part = [fact for fact in story if draw(st.integers(0, 5))]
    return part, draw(st.permutations(part))


def check(fold: Fold, some: list[Fact], others: list[Fact]) -> None:
    """Compare the rows of two orders of arrival, and look for each fact among the steps."""
    rows = fold(rid(0), some)
    assert repr(fold(rid(0), others)) == repr(rows)
    assert {row["rid"] for row in rows["step"]} == {fact.rid for fact in some}
    assert all(bool(row["reason"]) == (row["state"] != "applied") for row in rows["step"])


@given(shuffled(CASE_BODIES))
def test_a_case_does_not_depend_on_arrival(both: tuple[list[Fact], list[Fact]]) -> None:
    """Any permutation of any part of a case gives equal rows, and every fact has its step."""
    check(cases_view.fold, *both)


@given(shuffled(NOTICE_BODIES))
def test_a_notice_does_not_depend_on_arrival(both: tuple[list[Fact], list[Fact]]) -> None:
    """Any permutation of any part of a notice gives equal rows, and every fact has its step."""
    check(notices_view.fold, *both)


@given(shuffled(CASE_BODIES))
def test_the_order_is_the_set_s(both: tuple[list[Fact], list[Fact]]) -> None:
    """Permutations have one order, in which every fact comes after what it refers to."""
    order = ordered(both[0])
    assert ordered(both[1]) == order
    place = {fact.rid: at for at, fact in enumerate(order)}
    assert all(place.get(ref, -1) < place[fact.rid] for fact in order for ref in fact.refs)


@given(stories(CASE_BODIES))
def test_a_case_is_rated_at_most_once(story: list[Fact]) -> None:
    """Whatever nodes write, one rating counts, and it is of an answer that counts."""
    rows = cases_view.fold(rid(0), story)
    ratings, answers = rows.get("case_rating", []), rows["case_answer"]
    assert len(ratings) <= 1
    assert {row["answer"] for row in ratings} <= {row["rid"] for row in answers}


@given(stories(NOTICE_BODIES))
def test_only_the_author_changes_a_notice(story: list[Fact]) -> None:
    """Whatever nodes write, each step that counts is the author's and to the same audience."""
    own = (story[0].feed.author, story[0].feed.audience)
    steps = notices_view.fold(rid(0), story)["step"]
    counted = {row["rid"] for row in steps if row["state"] == "applied"}
    feeds = [fact.feed for fact in story if fact.rid in counted]
    assert all((feed.author, feed.audience) == own for feed in feeds)
