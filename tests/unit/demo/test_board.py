"""What follows from what the nodes say: how links stand, and whether anything is missing."""

from typing import Any

import pytest

from broker.faults import Direction, Fate
from demo.control.board import (
    REST_GLANCES,
    Board,
    Glance,
    Line,
    Seen,
    State,
)
from demo.control.telling import short, span, told_of
from demo.district import District, Division, district_of
from demo.frames import Carried, bears_records
from shared.link.frames import Chunk, encode_chunk
from shared.record.feed import Level
from shared.web.i18n import Catalogue

DISTRICT = district_of(
    [
        Division("34", "某区", Level.DISTRICT, ""),
        Division("3401", "甲镇", Level.TOWN, "34"),
        Division("340101", "子村", Level.VILLAGE, "3401"),
    ]
)
VOICES = "340101/0a/ordinary/^"
NOTICES = "34/0b/ordinary/34*"
URGENT = "34/0b/urgent/34*"


def status(
    heads: dict[str, int], links: dict[str, int | None], *, refused: int = 0, again: int = 0,
    accepted: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """Return what a node says; a link with None is down, else so many records wait."""
    return {
        "records": sum(heads.values()),
        "heads": [{"feed": name, "count": count} for name, count in heads.items()],
        "links": [
            {
                "peer": peer, "backlog": waiting or 0, "in_flight": 0,
                "connected_since_ms": None if waiting is None else 1,
            }
            for peer, waiting in links.items()
        ],
        "counters": {"refused": refused, "duplicates_offered": again, "accepted": accepted},
    }  # fmt: skip


def glance(at: int = 0, *, up: int | None = 0, village: int = 2, district: int = 2,
           town: int = 2, **more: Any) -> Glance:  # fmt: skip
    """Return a glance in which the village has said so much, and others hold so much of it."""
    statuses = {
        "340101": status({VOICES: village}, {"3401": up}),
        "3401": status({VOICES: town}, {"34": 0, "340101": None if up is None else 0}),
        "34": status({VOICES: district}, {"3401": 0}, accepted=10 * at),
    }
    return Glance(at * 1000, statuses, **more)


def looked(*glances: Glance, district: District = DISTRICT) -> Seen:
    """Return what is seen after the last of them."""
    board = Board(district)
    return [board.take(one) for one in glances][-1]


MOVED = ({"340101": [1, 0, 0]}, {"340101": [2, 0, 0]})


@pytest.mark.parametrize(
    ("glances", "state"),
    [
        ([glance()], State.EQUAL),
        ([glance(up=3)], State.EQUAL),
        ([glance(up=3), glance(up=1)], State.BEHIND),
        ([glance(up=3, carried=MOVED[0]), glance(up=1, carried=MOVED[1])], State.EQUAL),
        ([glance(up=300)], State.BEHIND),
        ([glance(up=None)], State.DOWN),
        ([glance(off=frozenset({"3401"}))], State.DOWN),
        ([glance(off=frozenset({"340101"}))], State.OFF),
        ([glance(lines={"340101": Line(cut=True)})], State.CUT),
    ],
)
def test_how_a_link_stands(glances: list[Glance], state: State) -> None:
    """A record in passing is no backlog; a cut, a dead neighbour and a dead node differ."""
    assert looked(*glances).links["340101"].state == state


def test_nothing_is_missing_while_it_is_on_its_way() -> None:
    """What still waits is not missing, however long."""
    behind = [glance(at, up=5, village=7) for at in range(3 * REST_GLANCES)]
    assert looked(*behind).figures.missing == 0


def test_a_record_that_a_link_at_rest_has_lost_is_missing() -> None:
    """Both ends say that nothing waits, and one lacks a record of the other: that shows."""
    board = Board(DISTRICT)
    found = [board.take(glance(at, town=1)).figures for at in range(3 * REST_GLANCES)]
    assert found[0].missing == 0
    assert found[-1].missing == 1
    assert found[-1].twice == 1  # the district has what the town has not: nobody gave it to it


def test_a_record_in_flight_between_two_looks_is_not_missing() -> None:
    """The nodes are not asked at one instant: an end may be ahead by what came in between."""
    growing = [glance(at, village=at + 1, town=at, district=at) for at in range(3 * REST_GLANCES)]
    assert looked(*growing).figures.missing == 0


def test_figures_of_a_process_that_was_started_anew_count_on() -> None:
    """Refused and repeated are counted since the start of the demo, not of the process."""
    board = Board(DISTRICT)
    for refused in (3, 5):
        board.take(Glance(0, {"3401": status({}, {}, refused=refused)}))
    seen = board.take(Glance(0, {"3401": status({}, {}, refused=1)}))
    assert seen.refused["3401"] == 6
    assert seen.figures.refused == 6


def test_speed_and_frames() -> None:
    """Records a second at the district, and frames since the glance before."""
    board = Board(DISTRICT)
    board.take(glance(0, carried={"340101": [5, 1, 2]}))
    seen = board.take(glance(1, carried={"340101": [8, 1, 4]}))
    assert seen.figures.speed == 10
    assert seen.links["340101"].frames == (3, 0)
    again = board.take(glance(2, carried={"340101": [2, 0, 0]}))
    assert again.links["340101"].frames == (2, 0), "a new process counts from nothing"


def test_urgent_records_that_wait_are_counted_apart() -> None:
    """They go first, and the card says so."""
    statuses = {
        "34": status({NOTICES: 4, URGENT: 2}, {"3401": 6}),
        "3401": status({}, {"34": 0}),
    }
    seen = looked(Glance(0, statuses))
    assert seen.links["3401"].urgent == 2
    told = told_of(DISTRICT, seen, [], Catalogue(("demo.control",)).words("en"),
                   rate=2, paused=False)  # fmt: skip
    assert told["links"]["3401"]["falls"] == "6 to send down, 2 urgent ones first"


def test_only_frames_with_records_are_shown_as_such() -> None:
    """What says what is held passes too, and is counted apart; what is lost is not carried."""
    chunk = encode_chunk(Chunk(b"12345678", 1, ()))
    assert bears_records(chunk)
    carried = Carried()
    for direction, fate, frame in (
        (Direction.OUT, Fate.PASSED, chunk),
        (Direction.OUT, Fate.LOST, chunk),
        (Direction.IN, Fate.PASSED, chunk),
        (Direction.IN, Fate.PASSED, b"\x85\x00"),
    ):
        carried.note(direction, fate, frame)
    assert (carried.up, carried.down, carried.other) == (1, 1, 1)


def test_lengths_of_time_and_counts_are_short() -> None:
    """Two units at most; three characters at most."""
    words = Catalogue(("demo.control",)).words("zh")
    assert [span(s, words) for s in (-1, 59, 61, 6360)] == [
        "0 秒", "59 秒", "1 分 1 秒", "1 小时 46 分",
    ]  # fmt: skip
    assert [short(n) for n in (0, 12, 999, 1000, 10_400, 990_000)] == [
        "0", "12", "999", "1k", "10k", "99k",
    ]  # fmt: skip
