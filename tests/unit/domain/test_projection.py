"""The order of facts, what it does with missing ones, and what projections share."""

from itertools import permutations

import pytest

from shared.domain.cases import view as cases_view
from shared.domain.catalogue import KINDS, PROJECTIONS
from shared.domain.notices import view as notices_view
from shared.domain.projection import Because, State, ordered, subject_of, without_first
from shared.domain.tables import VIEWS, Projection, step_rows, steps_of
from shared.record.feed import Level
from tests.unit.domain.facts import (
    DISTRICT,
    TOWN,
    VILLAGE,
    answered,
    fact,
    filed,
    published,
    rid,
    stored,
)


def test_refs_come_before_all_else() -> None:
    """A fact of the district that refers to a village's comes after it."""
    filing = fact("a", VILLAGE, filed())
    answer = fact("b", DISTRICT, answered(), "a", audience=VILLAGE)
    assert ordered([answer, filing]) == [filing, answer]


def test_ties_go_by_level_then_feed_then_seq() -> None:
    """What refs leave open is settled by the author's level, the feed's key and the number."""
    facts = [
        fact("late", DISTRICT, published(), audience=DISTRICT + "*", seq=7),
        fact("later", DISTRICT, published(), audience=DISTRICT + "*", seq=8),
        fact("town", TOWN, published(), audience=TOWN + "*", seq=1),
        fact("village", VILLAGE, published(), seq=0),
    ]
    for some in permutations(facts):
        assert ordered(some) == facts


def test_branches_of_a_fork_have_an_order() -> None:
    """Two facts that agree in all but the rid stand in the order of their rids."""
    one, two = fact("x", TOWN, published()), fact("y", TOWN, published())
    assert ordered([one, two]) == ordered([two, one])


def test_each_fact_stands_once() -> None:
    """A set has no doubles."""
    one = fact("x", TOWN, published())
    assert ordered([one, one]) == [one]


def test_a_circle_does_not_hang() -> None:
    """Facts that refer to each other or to themselves, which no hash allows, come last."""
    one = fact("a", TOWN, answered(), "b")
    two = fact("b", TOWN, answered(), "a")
    own = fact("c", DISTRICT, answered(), "c")
    free = fact("d", VILLAGE, filed())
    assert ordered([one, two, own, free])[0] == free
    assert {one, two, own} <= set(ordered([one, two, own, free]))


def test_what_follows_nothing_here_waits() -> None:
    """Facts whose subject has not begun wait; one that names no subject never counts."""
    follower = fact("b", TOWN, answered(), "a")
    nameless = fact("a", TOWN, answered())
    steps = without_first(rid("a"), [follower, nameless])
    assert [(step.state, step.reason) for step in steps] == [
        (State.WAITING, Because.FIRST_MISSING),
        (State.NOT_APPLIED, Because.NAMES_NOTHING),
    ]


def test_the_subject_is_the_first_ref_of_what_follows() -> None:
    """What begins a subject, or names none, is its own."""
    filing, answer = KINDS.get("feedback.filed.v1"), KINDS.get("case.answered.v1")
    assert filing is not None
    assert answer is not None
    assert subject_of(filing, b"own", [b"other"]) == b"own"
    assert subject_of(answer, b"own", [b"first", b"second"]) == b"first"
    assert subject_of(answer, b"own", []) == b"own"


def test_each_kind_has_one_projection() -> None:
    """Two projections of a kind would overwrite each other's steps."""
    kinds = [name for projection in PROJECTIONS for name in projection.kinds]
    assert len(kinds) == len(set(kinds))
    assert all(KINDS.get(name) for name in kinds)


def test_each_view_table_belongs_to_a_projection_and_has_a_subject() -> None:
    """Rows of a table that nobody clears would outlive their facts."""
    tables = {table for projection in PROJECTIONS for table in projection.tables}
    assert tables == set(VIEWS.tables.values())
    assert all("subject" in table.c for table in tables)


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda projection: projection.name)
def test_a_projection_has_a_fold_for_nothing(projection: Projection) -> None:
    """A subject without facts has no rows."""
    assert not any(projection.fold(rid("a"), []).values())


def test_clearing_leaves_the_steps_of_other_projections() -> None:
    """An answer to a notice is a step of the cases' projection under the notice's subject."""
    subject = rid("n")
    notice = fact("n", TOWN, published(), audience=TOWN + "*")
    stray = fact("s", TOWN, answered(), "n")
    conn = stored(
        notices_view.fold(subject, [notice]),
        cases_view.fold(subject, [stray]),
    )
    for table in notices_view.PROJECTION.tables:
        conn.execute(notices_view.PROJECTION.clear(table, [subject]))
    left = steps_of(conn, subject)
    assert [(row.rid, row.state, row.level) for row in left] == [(rid("s"), "waiting", Level.TOWN)]
    assert notices_view.count(conn) == 0


def test_rows_of_steps_tell_of_facts_and_steps_together() -> None:
    """Facts and steps that do not match are a mistake of the fold."""
    with pytest.raises(ValueError, match="shorter"):
        step_rows(rid("a"), [fact("a", VILLAGE, filed())], [])
