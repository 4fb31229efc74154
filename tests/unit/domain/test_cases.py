"""The life of a case, and its view."""

from typing import Any

import pytest
from pydantic import ValidationError

from shared.domain.cases import rules, view
from shared.domain.cases.kinds import ANSWERED, FILED, RATED, Answered, Rated
from shared.domain.cases.rules import Because, Stage, check_filing, stage
from shared.domain.catalogue import KINDS
from shared.domain.projection import Fact, State
from shared.domain.tables import steps_of
from shared.errors import InvalidError, RefusedError
from shared.record.feed import Feed, Level
from tests.unit.domain.facts import (
    DISTRICT,
    EPOCH,
    KEY,
    OTHER_TOWN,
    TOWN,
    VILLAGE,
    answered,
    fact,
    filed,
    rid,
    stored,
)

FILING = fact("f", VILLAGE, filed("26-0153-6", place="村口"), seq=4)
ANSWER = fact("a", TOWN, answered("三日内修好"), "f", audience=VILLAGE, seq=5)
SECOND = fact("b", DISTRICT, answered("已修好"), "f", "a", audience=VILLAGE, seq=6)
RATING = fact("r", VILLAGE, Rated(score="satisfied"), "f", "b", seq=7)


def outcome(facts: list[Fact], name: str) -> tuple[State, str]:
    """Return what became of the fact of that name."""
    steps = rules.replay(rid("f"), facts)[2]
    return next((step.state, step.reason) for step in steps if step.rid == rid(name))


def test_a_filed_case_shows_what_was_said() -> None:
    """The row has the filing's fields, its feed and number, and no answer."""
    conn = stored(view.fold(rid("f"), [FILING]))
    row = view.get(conn, rid("f"))
    assert row is not None
    assert (row.author, row.level, row.feed, row.seq) == (
        VILLAGE,
        Level.VILLAGE,
        FILING.feed.key,
        4,
    )
    assert (row.receipt, row.kind, row.channel, row.place) == (
        "26-0153-6",
        "complain",
        "kiosk",
        "村口",
    )
    assert (row.text, row.receipt_key, row.filed_ms) == ("路灯不亮", KEY, 4000)
    assert (row.stage, row.answered_ms, row.answer) == ("filed", None, None)
    assert view.answers(conn, rid("f")) == []
    assert view.ratings(conn, rid("f")) == []


def test_the_answer_that_knows_of_the_other_is_current() -> None:
    """The district stands above the town, but has answered after it: refs say so."""
    conn = stored(view.fold(rid("f"), [SECOND, ANSWER, FILING]))
    row = view.get(conn, rid("f"))
    assert row is not None
    assert (row.stage, row.answered_ms, row.answer) == ("answered", 5000, rid("b"))
    assert [one.text for one in view.answers(conn, rid("f"))] == ["三日内修好", "已修好"]
    assert view.answers(conn, rid("f"))[1].level is Level.DISTRICT


def test_a_rating_ends_the_story() -> None:
    """All steps count, and the rating names the answer it is about."""
    conn = stored(view.fold(rid("f"), [RATING, SECOND, ANSWER, FILING]))
    row = view.get(conn, rid("f"))
    assert row is not None
    assert row.stage == "rated"
    assert view.ratings(conn, rid("f")) == [
        view.RatingRow(rid("r"), rid("b"), "satisfied", None, 7000)
    ]
    assert [step.state for step in steps_of(conn, rid("f"))] == ["applied"] * 4


def test_a_town_answers_only_its_own_villages() -> None:
    """The neighbouring town's answer is kept and not applied."""
    foreign = fact("x", OTHER_TOWN, answered(), "f", audience=OTHER_TOWN + "201")
    assert outcome([FILING, foreign], "x") == (State.NOT_APPLIED, Because.NOT_ITS_CASE)


def test_a_town_does_not_answer_for_the_district() -> None:
    """What the district's counter filed is not below the town."""
    counter = fact("f", DISTRICT, filed())
    answer = fact("x", TOWN, answered(), "f")
    assert outcome([counter, answer], "x") == (State.NOT_APPLIED, Because.NOT_ITS_CASE)


@pytest.mark.parametrize("audience", ["^", VILLAGE[:-1] + "2"])
def test_an_answer_goes_to_the_node_that_filed(audience: str) -> None:
    """Up, or to the next village, it would never reach the person."""
    lost = fact("x", TOWN, answered(), "f", audience=audience)
    assert outcome([FILING, lost], "x") == (State.NOT_APPLIED, Because.OTHER_AUDIENCE)


@pytest.mark.parametrize("author", [TOWN, DISTRICT])
def test_a_node_answers_its_own_filings_upward(author: str) -> None:
    """Counter and telephone: the filing node is the author."""
    filing = fact("f", author, filed())
    answer = fact("x", author, answered(), "f", seq=1)
    assert outcome([filing, answer], "x") == (State.APPLIED, "")


def test_audience_of_an_answer() -> None:
    """Down to the filing node, or up where that is the author or above it."""
    assert rules.answer_audience(DISTRICT, VILLAGE) == VILLAGE
    assert rules.answer_audience(TOWN, TOWN) == "^"
    assert rules.answer_audience(TOWN, DISTRICT) == "^"


def test_only_the_filing_node_rates() -> None:
    """The town cannot praise itself."""
    own = fact("x", TOWN, Rated(score="satisfied"), "f", "a")
    assert outcome([FILING, ANSWER, own], "x") == (State.NOT_APPLIED, Because.NOT_THE_FILING_NODE)


def test_a_rating_waits_for_its_answer() -> None:
    """The answer may still be on its way."""
    assert outcome([FILING, ANSWER, RATING], "r") == (State.WAITING, Because.ANSWER_MISSING)


def test_a_rating_of_an_answer_that_does_not_count_does_not_count() -> None:
    """Neither of a foreign town's answer, nor of the filing itself."""
    foreign = fact("x", OTHER_TOWN, answered(), "f")
    rating = fact("r", VILLAGE, Rated(score="fair"), "f", "x")
    assert outcome([FILING, foreign, rating], "r") == (
        State.NOT_APPLIED,
        Because.ANSWER_NOT_APPLIED,
    )
    odd = fact("r", VILLAGE, Rated(score="fair"), "f", "f")
    assert outcome([FILING, odd], "r") == (State.NOT_APPLIED, Because.ANSWER_NOT_APPLIED)


def test_a_rating_names_its_answer() -> None:
    """One that refers to the case only says nothing."""
    rating = fact("r", VILLAGE, Rated(score="fair"), "f")
    assert outcome([FILING, ANSWER, rating], "r") == (State.NOT_APPLIED, Because.NAMES_NO_ANSWER)


def test_a_case_is_rated_once() -> None:
    """The second rating is kept and not applied, though it rates another answer."""
    again = fact("z", VILLAGE, Rated(score="unsatisfied", cause="没修"), "f", "a", "r", seq=9)
    facts = [again, RATING, SECOND, ANSWER, FILING]
    assert outcome(facts, "r") == (State.APPLIED, "")
    assert outcome(facts, "z") == (State.NOT_APPLIED, Because.ALREADY_RATED)


def test_without_the_filing_all_waits() -> None:
    """There is no row, only steps."""
    rows = view.fold(rid("f"), [RATING, ANSWER])
    assert list(rows) == ["step"]
    assert {row["state"] for row in rows["step"]} == {"waiting"}


@pytest.mark.parametrize(
    ("own", "town", "district", "shown"),
    [
        ("filed", False, False, Stage.FILED),
        ("filed", True, False, Stage.RECEIVED_TOWN),
        ("filed", True, True, Stage.RECEIVED_DISTRICT),
        ("filed", False, True, Stage.RECEIVED_DISTRICT),
        ("answered", False, False, Stage.ANSWERED),
        ("rated", True, True, Stage.RATED),
    ],
)
def test_stage_with_custody(own: str, town: bool, district: bool, shown: Stage) -> None:
    """The farthest that is known; a stick may bring a case to the district past the town."""
    assert stage(own, town_received=town, district_received=district) == shown


def test_an_accusation_is_refused_until_it_can_be_sealed() -> None:
    """It says why and where to go; other words are no kinds at all."""
    with pytest.raises(RefusedError, match=r"could not be sealed.*discipline office"):
        check_filing("accuse")
    with pytest.raises(InvalidError, match="no kind 'praise'"):
        check_filing("praise")
    for kind in ("ask", "suggest", "complain", "help"):
        check_filing(kind)


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "accuse"},
        {"text": ""},
        {"text": " \n"},
        {"text": "字" * 20_001},
        {"text": "a\x1bb"},
        {"receipt": "26-153-6"},
        {"receipt": "26-0153"},
        {"receipt": "沈集 26-0153-6"},
        {"receipt_key": "ab"},
        {"channel": "fax"},
        {"place": "两\n行"},
    ],
)
def test_what_cannot_be_filed(fields: dict[str, Any]) -> None:
    """Each field has its bounds."""
    with pytest.raises(ValidationError):
        filed(**fields)


@pytest.mark.parametrize("fields", [{"outcome": "closed"}, {"publish": "secret"}, {"text": ""}])
def test_what_cannot_be_answered(fields: dict[str, str]) -> None:
    """Each field has its values."""
    values = {"outcome": "settled", "text": "好", "publish": "full"} | fields
    with pytest.raises(ValidationError):
        Answered.model_validate(values)


@pytest.mark.parametrize(
    ("kind", "author", "audience", "allowed"),
    [
        (FILED, VILLAGE, "^", True),
        (FILED, TOWN, "^", True),
        (FILED, DISTRICT, "^", True),
        (FILED, TOWN, TOWN + "*", False),
        (ANSWERED, DISTRICT, VILLAGE, True),
        (ANSWERED, TOWN, VILLAGE, True),
        (ANSWERED, TOWN, "^", True),
        (ANSWERED, TOWN, TOWN + "*", False),
        (ANSWERED, VILLAGE, "^", False),
        (RATED, VILLAGE, "^", True),
        (RATED, DISTRICT, "^", True),
        (RATED, TOWN, VILLAGE, False),
    ],
)
def test_who_may_write_what(kind: str, author: str, audience: str, allowed: bool) -> None:
    """In the ordinary lane only."""
    level = {6: Level.DISTRICT, 9: Level.TOWN, 12: Level.VILLAGE}[len(author)]
    objection = KINDS.objection(kind, Feed(author, EPOCH, "ordinary", audience), level)
    assert (objection is None) == allowed
    assert KINDS.objection(kind, Feed(author, EPOCH, "urgent", audience), level)


def test_lists_counts_and_numbers() -> None:
    """Pages, filters, look-up by receipt, the last number of a year."""
    other = fact("g", TOWN, filed("26-0007-1"), seq=1)
    third = fact("h", VILLAGE, filed("26-10154-2"), seq=9)
    conn = stored(
        view.fold(rid("f"), [FILING, ANSWER]),
        view.fold(rid("g"), [other]),
        view.fold(rid("h"), [third]),
    )
    assert [row.rid for row in view.page(conn, 9)] == [rid("h"), rid("f"), rid("g")]
    assert [row.rid for row in view.page(conn, 9, (4000, rid("f")))] == [rid("g")]
    assert [row.rid for row in view.page(conn, 9, stage="filed")] == [rid("h"), rid("g")]
    assert [row.rid for row in view.page(conn, 1, author=VILLAGE)] == [rid("h")]
    assert [row.rid for row in view.by_receipt(conn, "26-0007-1")] == [rid("g")]
    assert view.by_receipt(conn, "26-0007-1", VILLAGE) == []
    assert view.counts(conn) == {"answered": 1, "filed": 2}
    assert view.last_number(conn, VILLAGE, 2026) == 10154
    assert view.last_number(conn, VILLAGE, 2027) == 0
