"""Whom a notice reaches: the fewest audiences for what is ticked."""

from hypothesis import given
from hypothesis import strategies as st

from shared.app.desk.picker import Branch, audiences, reached


def village(code: str) -> Branch:
    """Return a village."""
    return Branch(code, code, 1)


TOWN_A = Branch("340602100", "A", 3, tuple(village(f"34060210020{n}") for n in range(3)))
TOWN_B = Branch("340602101", "B", 2, tuple(village(f"34060210120{n}") for n in range(2)))
EMPTY = Branch("340602102", "C", 0)
TOP = Branch("340602", "D", 5, (TOWN_A, TOWN_B, EMPTY))
CODES = [TOP.code] + [one.code for one in (TOWN_A, TOWN_B, EMPTY, *TOWN_A.below, *TOWN_B.below)]


def test_whole_branches_are_one_audience() -> None:
    """The district, a town, all villages of a town one by one."""
    assert audiences(TOP, {"340602"}) == ["340602*"]
    assert audiences(TOP, {"340602100"}) == ["340602100*"]
    assert audiences(TOP, {one.code for one in TOWN_B.below}) == ["340602101*"]
    assert audiences(TOP, {TOWN_A.below[0].code, TOWN_B.code}) == ["340602100200", "340602101*"]
    assert audiences(TOP, set()) == []
    assert audiences(TOP, {"999", "*"}) == []
    assert audiences(TOP, {EMPTY.code}) == ["340602102"]


@given(st.sets(st.sampled_from(CODES)))
def test_they_reach_exactly_what_is_ticked(ticked: set[str]) -> None:
    """No village more, none less, none twice."""
    wanted = {
        one.code
        for town in (TOWN_A, TOWN_B)
        for one in town.below
        if ticked & {TOP.code, town.code, one.code}
    }
    found = audiences(TOP, ticked)
    hit = [
        one.code
        for audience in found
        for town in (TOWN_A, TOWN_B)
        for one in town.below
        if audience == one.code or (audience[-1] == "*" and one.code.startswith(audience[:-1]))
    ]
    assert sorted(hit) == sorted(wanted)
    assert reached(TOP, ticked) == len(wanted)
