"""The parts of the picture: nodes, links, and the room that they take."""

from dataclasses import dataclass
from typing import NamedTuple

from demo.district import Division


class Point(NamedTuple):
    """A place in the picture."""

    x: float
    y: float


class Box(NamedTuple):
    """A rectangle in the picture."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: "Box") -> bool:
        """Tell whether the two share more than an edge."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )


class Glyphs(NamedTuple):
    """A line of text, or one character of an upright name.

    Attributes:
        text: What stands there.
        at: Where it begins, on its baseline.
    """

    text: str
    at: Point


@dataclass(frozen=True)
class Spot:
    """A node in the picture.

    Attributes:
        division: Whose node.
        at: Its middle.
        radius: Half its width.
        glyphs: Its name.
        anchor: ``start``, ``middle`` or ``end``: on which side of ``at`` the glyphs stand.
        label: The room that its name takes; inside the circle for all but villages.
    """

    division: Division
    at: Point
    radius: float
    glyphs: tuple[Glyphs, ...]
    anchor: str
    label: Box

    @property
    def box(self) -> Box:
        """The room that the node takes, without its name."""
        return square(self.at, self.radius)


@dataclass(frozen=True)
class Wire:
    """A link in the picture.

    Attributes:
        below: The lower end.
        above: The upper end.
        path: From the upper end to the lower one, as SVG has it.
        switch: The middle of its switch.
        angle: By which the switch is turned, in degrees: on points outward.
        hit: Side of the square that hits the switch.
    """

    below: Division
    above: Division
    path: str
    switch: Point
    angle: float
    hit: float


@dataclass(frozen=True)
class Picture:
    """The whole.

    Attributes:
        view: What is seen, the corners with their words included.
        centre: Where the district stands.
        rings: Half axes of the towns' ring and of the villages' arc.
        spots: All nodes, the higher levels first.
        wires: All links, towns' first.
        corners: Where the words stand: top left, top right, bottom left, bottom right.
        broker: Where the broker stands, if there is one.
    """

    view: Box
    centre: Point
    rings: tuple[tuple[float, float], tuple[float, float]]
    spots: tuple[Spot, ...]
    wires: tuple[Wire, ...]
    corners: tuple[Box, Box, Box, Box]
    broker: Box | None = None


def square(at: Point, half: float) -> Box:
    """Return the square around ``at``; ``half`` of its side reaches each way."""
    return Box(at.x - half, at.y - half, at.x + half, at.y + half)
