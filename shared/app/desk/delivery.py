"""Who has received a notice, by the receivers' own signed word; and that as a drawing by rule."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final

from sqlalchemy import Connection

from shared.domain.custody import view as custody
from shared.domain.notices.view import NoticeRow
from shared.node.node import Node
from shared.record.feed import Level, is_above
from shared.trust.certificate import Certificate

COLUMNS: Final = 3
"""Towns side by side in the drawing."""

CELL: Final = (150, 34)
"""Width and height of a village in the drawing, in units of its view box."""

_PER_ROW: Final = 2
_HEAD: Final = 64
_GAP: Final = 16


@dataclass(frozen=True)
class Stop:
    """One village that shall have the notice.

    Attributes:
        code: Of the village.
        label: As people call it.
        since_ms: Since when it holds the notice, by its own word; None if none is here yet.
        shown_ms: Since when it stands on its screens; None if no word of that is here.
    """

    code: str
    label: str
    since_ms: int | None
    shown_ms: int | None

    @property
    def stage(self) -> str:
        """``shown``, ``held`` or ``open``: nothing has come from there yet."""
        if self.shown_ms is not None:
            return "shown"
        return "open" if self.since_ms is None else "held"


@dataclass(frozen=True)
class Town:
    """A town and its villages.

    Attributes:
        code: Of the town.
        label: As people call it.
        since_ms: Since when the town itself holds it; None if no word is here.
        villages: Those of its villages that shall have it.
    """

    code: str
    label: str
    since_ms: int | None
    villages: tuple[Stop, ...]

    @property
    def stages(self) -> Counter[str]:
        """How many of them are at which stage."""
        return Counter(one.stage for one in self.villages)


@dataclass(frozen=True)
class Delivery:
    """Who shall have a notice, and who has it."""

    towns: tuple[Town, ...]

    @property
    def wanted(self) -> int:
        """How many villages shall have it."""
        return sum(len(town.villages) for town in self.towns)

    @property
    def stages(self) -> Counter[str]:
        """How many are at which stage."""
        return sum((town.stages for town in self.towns), Counter())

    @property
    def has(self) -> int:
        """How many have it, shown or not."""
        return self.wanted - self.stages["open"]

    def at(self, stage: str) -> list[tuple[Town, Stop]]:
        """Return the villages at a stage."""
        return [(t, one) for t in self.towns for one in t.villages if one.stage == stage]


def deliveries_of(conn: Connection, rows: Sequence[NoticeRow], node: Node) -> list[Delivery]:
    """Return the delivery of each notice in ``rows`` as far as this node knows."""
    held = custody.held_since_each(conn, [(row.feed, row.seq) for row in rows])
    shown = custody.shown_since(conn, [row.rid for row in rows])
    divisions = node.log.roster.divisions()
    return [_delivery(row, held[row.feed, row.seq], shown[row.rid], divisions) for row in rows]


def _delivery(
    row: NoticeRow,
    held: dict[str, int],
    shown: dict[str, int],
    divisions: dict[str, Certificate],
) -> Delivery:
    code = row.audience.removesuffix("*")
    below = row.audience.endswith("*")
    villages = [
        one for one in divisions.values()
        if one.level is Level.VILLAGE
        and (one.division == code or (below and is_above(code, one.division)))
    ]  # fmt: skip
    towns = []
    for town in (one for one in divisions.values() if one.level is Level.TOWN):
        own = tuple(
            Stop(one.division, one.label, held.get(one.division), shown.get(one.division))
            for one in villages
            if is_above(town.division, one.division)
        )
        if own:
            towns.append(Town(town.division, town.label, held.get(town.division), own))
    return Delivery(tuple(towns))


@dataclass(frozen=True)
class Box:
    """A town in the drawing.

    Attributes:
        town: Which.
        x: Left edge.
        y: Upper edge.
        width: In units of the view box.
        height: In units of the view box.
        marks: Each village with the place of its mark.
    """

    town: Town
    x: int
    y: int
    width: int
    height: int
    marks: tuple[tuple[Stop, int, int], ...]


@dataclass(frozen=True)
class Map:
    """The drawing: a diagram, not to scale."""

    width: int
    height: int
    boxes: tuple[Box, ...]


def map_of(delivery: Delivery) -> Map:
    """Return the drawing of ``delivery``: towns in columns, each as high as it needs."""
    width, height = CELL
    box_width = _PER_ROW * width + _GAP
    columns = max(1, min(COLUMNS, len(delivery.towns)))
    bottoms = [0] * columns
    boxes = []
    for town in sorted(delivery.towns, key=lambda one: -len(one.villages)):
        column = bottoms.index(min(bottoms))
        rows = ceil(len(town.villages) / _PER_ROW)
        x, y = column * (box_width + _GAP), bottoms[column]
        tall = _HEAD + rows * height + _GAP
        marks = tuple(
            (one, x + _GAP + (number % _PER_ROW) * width,
             y + _HEAD + (number // _PER_ROW) * height + height // 2)
            for number, one in enumerate(town.villages)
        )  # fmt: skip
        boxes.append(Box(town, x, y, box_width, tall, marks))
        bottoms[column] = y + tall + _GAP
    return Map(columns * (box_width + _GAP) - _GAP, max(bottoms) - _GAP if boxes else 0,
               tuple(boxes))  # fmt: skip
