"""Who has a notice, as a drawing: every village once, nothing over anything else."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from shared.app.desk.delivery import CELL, COLUMNS, Delivery, Stop, Town, map_of

Towns = list[list[tuple[int | None, int | None]]]
"""For each town, since when its villages hold and show the notice."""

_MOMENT = st.none() | st.just(1)
SIZES: st.SearchStrategy[Towns] = st.lists(
    st.lists(st.tuples(_MOMENT, _MOMENT), max_size=40), max_size=12
)


def delivery_of(towns: Towns) -> Delivery:
    """Return towns whose villages hold the notice or not."""
    return Delivery(
        tuple(
            Town(f"{at}", "", None, tuple(
                Stop(f"{at}-{number}", "", held, shown)
                for number, (held, shown) in enumerate(stops)
            ))
            for at, stops in enumerate(towns)
        )
    )  # fmt: skip


@given(SIZES)
def test_the_drawing_holds_every_village_once(towns: Towns) -> None:
    """Each in the box of its town, with room for its name."""
    made = delivery_of(towns)
    drawn = map_of(made)
    assert sorted(box.town.code for box in drawn.boxes) == sorted(one.code for one in made.towns)
    places = []
    for box in drawn.boxes:
        assert [stop for stop, _, _ in box.marks] == list(box.town.villages)
        for _, x, y in box.marks:
            assert box.x <= x <= x + CELL[0] <= box.x + box.width
            assert box.y <= y - CELL[1] // 2 <= y + CELL[1] // 2 <= box.y + box.height
            places.append((x, y))
    for (x, y), (other_x, other_y) in combinations(places, 2):
        assert abs(x - other_x) >= CELL[0] or abs(y - other_y) >= CELL[1]


@given(SIZES)
def test_boxes_do_not_overlap(towns: Towns) -> None:
    """They lie beside or below each other, within the drawing."""
    drawn = map_of(delivery_of(towns))
    for box in drawn.boxes:
        assert 0 <= box.x <= box.x + box.width <= drawn.width
        assert 0 <= box.y <= box.y + box.height <= drawn.height
    for one, other in combinations(drawn.boxes, 2):
        beside = one.x + one.width <= other.x or other.x + other.width <= one.x
        assert beside or one.y + one.height <= other.y or other.y + other.height <= one.y
    assert len({box.x for box in drawn.boxes}) <= COLUMNS


@given(SIZES)
def test_each_village_is_at_one_stage(towns: Towns) -> None:
    """Shown, held or awaited; what is shown is there, whatever else was said."""
    made = delivery_of(towns)
    assert made.wanted == sum(map(len, towns)) == sum(made.stages.values())
    assert made.stages["shown"] == sum(shown is not None for stops in towns for _, shown in stops)
    assert made.stages["open"] == sum(stop == (None, None) for stops in towns for stop in stops)
    assert made.has == made.wanted - made.stages["open"]
    for stage, count in made.stages.items():
        assert len(made.at(stage)) == count
        assert all(stop in town.villages and stop.stage == stage for town, stop in made.at(stage))
