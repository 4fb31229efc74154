"""The picture of a district: nothing overlaps, everything can be hit, and it is always the same."""

import math
from itertools import combinations

import pytest

from demo.control.layout import HIT, LEGEND, picture_of
from demo.control.lettering import label_lines, seal_lines, town_lines
from demo.control.picture import Box, Picture
from demo.district import District, Division, district_of, read_district
from shared.record.feed import Level

TARGET_PX = 24
MAP_PX = 965
"""What a window of 1366 pixels leaves for the picture."""


def made(towns: int, villages: int) -> District:
    """Return a district of so many towns with so many villages each."""
    rows = [Division("34", "某某区", Level.DISTRICT, "")]
    for t in range(towns):
        code = f"34{t:02}"
        rows.append(Division(code, f"第{t}镇", Level.TOWN, "34"))
        rows += [
            Division(f"{code}{v:02}", f"{t}镇第{v}村", Level.VILLAGE, code) for v in range(villages)
        ]
    return district_of(rows)


DISTRICTS = {
    "built-in": read_district(),
    "1 town, 1 village": made(1, 1),
    "1 town, 60 villages": made(1, 60),
    "2 towns, 1 village": made(2, 1),
    "12 towns, 40 villages": made(12, 40),
    "42 towns, 1 village": made(42, 1),
    "42 towns, 9 villages": made(42, 9),
    "3 towns, none": made(3, 0),
}
each = pytest.mark.parametrize("district", DISTRICTS.values(), ids=DISTRICTS)


def overlapping(boxes: list[tuple[str, Box]]) -> list[tuple[str, str]]:
    """Return the pairs that overlap; in the order of their left edges few need to be compared."""
    boxes = sorted(boxes, key=lambda one: one[1].left)
    found = []
    for number, (name, box) in enumerate(boxes):
        for other, its in boxes[number + 1 :]:
            if its.left >= box.right:
                break
            if box.overlaps(its):
                found.append((name, other))
    return found


@pytest.mark.parametrize("has_broker", [False, True], ids=["direct", "broker"])
@each
def test_nothing_overlaps(district: District, has_broker: bool) -> None:
    """Nodes, names, the words in the corners and a broker below them each have their own room."""
    picture = picture_of(district, has_broker=has_broker)
    boxes = [(f"node {spot.division.label}", spot.box) for spot in picture.spots]
    boxes += [
        (f"name {spot.division.label}", spot.label)
        for spot in picture.spots
        if spot.division.level == Level.VILLAGE
    ]
    boxes += [(f"corner {number}", box) for number, box in enumerate(picture.corners)]
    assert overlapping(boxes) == []
    assert (picture.broker is not None) == has_broker
    if picture.broker is not None:
        assert picture.corners[0].top + LEGEND[1] < picture.broker.top
        assert picture.broker.bottom < picture.corners[0].bottom


@each
def test_everything_is_inside(district: District) -> None:
    """Nothing is cut off at the edge."""
    picture = picture_of(district)
    for spot in picture.spots:
        for box in (spot.box, spot.label):
            assert picture.view.left < box.left < box.right < picture.view.right
            assert picture.view.top < box.top < box.bottom < picture.view.bottom


@each
def test_switches_can_be_hit(district: District) -> None:
    """Switches stand off from each other and from the nodes, at the scale of a small screen too."""
    picture = picture_of(district)
    least = min(switches_apart(picture), default=math.inf)
    assert least >= TARGET_PX
    if district is DISTRICTS["built-in"]:
        scale = min(1, MAP_PX / (picture.view.right - picture.view.left))
        assert least * scale >= TARGET_PX
        assert HIT * scale >= TARGET_PX
    for wire in picture.wires:
        for spot in picture.spots:
            if spot.division in (wire.below, wire.above):
                away = math.dist(wire.switch, spot.at)
                assert away > spot.radius + TARGET_PX / 2


def switches_apart(picture: Picture) -> list[float]:
    """Return the distances of neighbouring switches."""
    switches = sorted(wire.switch for wire in picture.wires)
    return [
        math.dist(one, other)
        for one, other in combinations(switches, 2)
        if abs(one.x - other.x) < 2 * TARGET_PX
    ]


@each
def test_each_node_and_link_is_there_once(district: District) -> None:
    """All divisions have a place; all but the district have a link to the one above."""
    picture = picture_of(district)
    assert [spot.division for spot in picture.spots] == sorted(
        district.everybody, key=lambda one: (one.level, one.code)
    )
    assert {(w.below.code, w.above.code) for w in picture.wires} == {
        (one.code, one.parent) for one in district.everybody[1:]
    }


@each
def test_it_is_always_the_same(district: District) -> None:
    """No chance, no time: a second picture equals the first."""
    assert picture_of(district) == picture_of(district)


def test_it_fits_the_screen_of_a_desk() -> None:
    """The built-in district is drawn at full size beside the controls on 1600 × 1000."""
    view = picture_of(DISTRICTS["built-in"]).view
    assert (view.right - view.left) / (view.bottom - view.top) > 1080 / 990


def test_the_largest_town_stands_on_top() -> None:
    """Reading begins there."""
    picture = picture_of(DISTRICTS["built-in"])
    towns = [spot for spot in picture.spots if spot.division.level == Level.TOWN]
    assert min(towns, key=lambda spot: spot.at.y).division.label == "高岳街道"


def test_long_names_stand_in_lines() -> None:
    """In the circle, in the seal, and beside a village that has room."""
    assert town_lines("朔里镇", "杜集区") == ("朔里镇",)
    assert town_lines("矿山集街道", "杜集区") == ("矿山集", "街道")
    assert town_lines("淮北杜集经济开发区", "杜集区") == ("经济", "开发区")
    assert town_lines("一二三四五六七八九十", "杜集区") == ("一二三", "四五六", "七八…")
    assert seal_lines("杜集区") == ("杜集",)
    assert seal_lines("攸攸某某区") == ("攸攸", "某某")
    assert label_lines("杜集经济开发区虚拟社区", alone=True) == ("杜集经济开发区", "虚拟社区")
    assert label_lines("杜集经济开发区虚拟社区", alone=False) == ("杜集经济开发区虚拟社区",)
    assert label_lines("海孜留守处社区", alone=True)[0] == "海孜留守处"
