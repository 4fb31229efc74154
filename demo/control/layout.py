"""Where everything stands in the picture of a district: a rule, so that any district has one.

The district stands in the middle, the towns on a ring around it, the villages on an outer arc
beside their town. Lengths are in units of the picture, one CSS pixel at full size. The rings grow
until nothing overlaps and each switch can be hit; nothing here depends on chance or time.
"""

import math
from collections.abc import Iterator
from typing import Final, NamedTuple

from demo.control.lettering import LINE, label_lines, seal_lines, town_lines, width_of
from demo.control.picture import Box, Glyphs, Picture, Point, Spot, Wire, square
from demo.district import District, Division

VILLAGE_RADIUS: Final = 10.0
TOWN_RADIUS: Final = 34.0
SEAL_RADIUS: Final = 42.0
"""Half the side of the seal in the middle."""

PITCH: Final = 33.0
"""From one village to the next on the arc, where it is narrowest."""
GAP: Final = 1.6
"""Between the villages of two towns, in steps from village to village."""
TOWN_PITCH: Final = 98.0
"""From one town to the next on the ring: squares around their circles stand clear."""
RINGS_APART: Final = 174.0
"""From the towns' ring to the villages' arc: room for lines, switches and what travels."""
WIDER: Final = 28.0
ARC_WIDER: Final = 76.0
"""Screens are wide: both rings are ellipses."""
TOWN_RING_MIN: Final = 168.0
ARC_MIN: Final = 342.0

HIT: Final = 27.0
TOWN_HIT: Final = 44.0
"""Sides of the squares that hit a switch."""
SWITCH_AT: Final = 0.84
"""How far out on its line a village's switch stands; a town's stands in the middle."""

UPRIGHT_FROM: Final = math.radians(36)
"""Beyond this slope of its ray a name stands upright, character below character."""
LABEL_GAP: Final = 6.0
MARGIN: Final = 14.0
LEGEND: Final = (230.0, 62.0)
"""Room for the words in each corner."""
LEGEND_STEP: Final = 10.0
BROKER: Final = (190.0, 58.0)
"""Room for the broker, below the words at the top left."""
BROKER_GAP: Final = 14.0
"""Above it and below it."""


class _Rays(NamedTuple):
    """In which direction everybody stands, and how far."""

    towns: dict[str, float]
    villages: dict[str, float]
    ring: tuple[float, float]
    arc: tuple[float, float]


def picture_of(district: District, *, has_broker: bool = False) -> Picture:
    """Return the picture of ``district``, and of the broker through which its lines go."""
    rays = _rays(district)
    spots = tuple(_spots(district, rays))
    wires = tuple(_wires(district, rays))
    drawn = [box for spot in spots for box in (spot.box, spot.label)]
    drawn += [Box(-rays.arc[0], -rays.arc[1], rays.arc[0], rays.arc[1])]
    more = BROKER[1] + 2 * BROKER_GAP if has_broker else 0.0
    view, corners = _framed(drawn[:-1], _around(drawn), more)
    left, top = corners[0].left, corners[0].top + LEGEND[1] + BROKER_GAP
    broker = Box(left, top, left + BROKER[0], top + BROKER[1]) if has_broker else None
    return Picture(view, Point(0.0, 0.0), (rays.ring, rays.arc), spots, wires, corners, broker)


def _rays(district: District) -> _Rays:
    """Give each village one step on the arc, each town a gap, the largest town the top."""
    counts = {town.code: max(1, len(district.villages_of(town))) for town in district.towns}
    step = math.tau / max(1.0, sum(counts.values()) + GAP * len(counts))
    angle = 0.0
    towns, villages = {}, {}
    for town in district.towns:
        own = district.villages_of(town)
        for number, village in enumerate(own):
            villages[village.code] = angle + (number + 0.5) * step
        towns[town.code] = angle + counts[town.code] * step / 2
        angle += (counts[town.code] + GAP) * step
    if counts:
        turned = -math.pi / 2 - towns[max(counts, key=lambda code: counts[code])]
        towns = {code: ray + turned for code, ray in towns.items()}
        villages = {code: ray + turned for code, ray in villages.items()}
    nearest = (1 + GAP) * step
    if len(counts) > 1:
        sizes = [counts[town.code] for town in district.towns]
        pairs = zip(sizes, sizes[1:] + sizes[:1], strict=True)
        nearest = min((one + other) / 2 + GAP for one, other in pairs) * step
    ring = max(TOWN_RING_MIN, TOWN_PITCH / 2 / math.sin(min(nearest, math.pi) / 2))
    arc = max(ARC_MIN, PITCH / step, ring + RINGS_APART)
    ring = max(ring, arc * TOWN_RING_MIN / ARC_MIN)
    return _Rays(towns, villages, (ring + WIDER, ring), (arc + ARC_WIDER, arc))


def _spots(district: District, rays: _Rays) -> Iterator[Spot]:
    top = district.top
    yield _centred(top, Point(0.0, 0.0), SEAL_RADIUS, seal_lines(top.label), 32.0)
    for town in district.towns:
        lines = town_lines(town.label, top.label)
        at = _on(rays.ring, rays.towns[town.code])
        yield _centred(town, at, TOWN_RADIUS, lines, 18.0 if len(lines) < 3 else 15.0)  # noqa: PLR2004
    for town in district.towns:
        own = district.villages_of(town)
        for village in own:
            lines = label_lines(village.label, alone=len(own) == 1)
            yield _outside(village, rays.villages[village.code], rays.arc, lines)


def _centred(
    division: Division, at: Point, radius: float, lines: tuple[str, ...], line: float
) -> Spot:
    first = at.y - line * (len(lines) - 1) / 2 + line * 0.3
    glyphs = tuple(Glyphs(text, Point(at.x, first + n * line)) for n, text in enumerate(lines))
    return Spot(division, at, radius, glyphs, "middle", square(at, radius))


def _outside(
    division: Division, ray: float, arc: tuple[float, float], lines: tuple[str, ...]
) -> Spot:
    """Return a village: its name lies beside it, or stands above or below it."""
    at = _on(arc, ray)
    away = VILLAGE_RADIUS + LABEL_GAP
    if abs(math.sin(ray)) <= math.sin(UPRIGHT_FROM):
        right = math.cos(ray) > 0
        x = at.x + (away if right else -away)
        first = at.y + 5 - LINE * (len(lines) - 1) / 2
        glyphs = tuple(Glyphs(text, Point(x, first + n * LINE)) for n, text in enumerate(lines))
        wide = max(map(width_of, lines))
        half = LINE * len(lines) / 2
        box = Box(x if right else x - wide, at.y - half, x + wide if right else x, at.y + half)
        return Spot(division, at, VILLAGE_RADIUS, glyphs, "start" if right else "end", box)
    tall = LINE * max(map(len, lines))
    top = at.y + away if math.sin(ray) > 0 else at.y - away - tall
    # Upright lines are read from the right.
    columns = [at.x + LINE * ((len(lines) - 1) / 2 - number) for number in range(len(lines))]
    glyphs = tuple(
        Glyphs(char, Point(x, top + LINE * (n + 0.8)))
        for x, text in zip(columns, lines, strict=True)
        for n, char in enumerate(text)
    )
    box = Box(min(columns) - LINE / 2, top, max(columns) + LINE / 2, top + tall)
    return Spot(division, at, VILLAGE_RADIUS, glyphs, "middle", box)


def _wires(district: District, rays: _Rays) -> Iterator[Wire]:
    towns = {town.code: town for town in district.towns}
    for town in district.towns:
        end = _on(rays.ring, rays.towns[town.code])
        # In the middle of what is seen of the line, between seal and circle.
        length = math.hypot(*end)
        at = (SEAL_RADIUS + length - TOWN_RADIUS) / 2 / length
        yield Wire(
            town, district.top, f"M0 0L{_text(end)}", Point(end.x * at, end.y * at),
            math.degrees(math.atan2(end.y, end.x)), TOWN_HIT,
        )  # fmt: skip
    for village in district.villages:
        town = towns[village.parent]
        points = _curve(rays, rays.towns[town.code], rays.villages[village.code])
        path = f"M{_text(points[0])}C{' '.join(map(_text, points[1:]))}"
        angle = math.degrees(math.atan2(*reversed(_slope(points, SWITCH_AT))))
        yield Wire(village, town, path, _along(points, SWITCH_AT), angle, HIT)


def _curve(rays: _Rays, town: float, village: float) -> tuple[Point, Point, Point, Point]:
    """Leave the town in a bundle, reach each village on its own ray."""

    def between(part: float) -> tuple[float, float]:
        wide, high = (a + (b - a) * part for a, b in zip(rays.ring, rays.arc, strict=True))
        return wide, high

    return (
        _on(rays.ring, town),
        _on(between(0.42), town + (village - town) / 4),
        _on(between(0.5), village),
        _on(rays.arc, village),
    )


def _along(points: tuple[Point, Point, Point, Point], part: float) -> Point:
    rest = 1 - part
    weights = (rest**3, 3 * rest**2 * part, 3 * rest * part**2, part**3)
    return Point(
        sum(w * p.x for w, p in zip(weights, points, strict=True)),
        sum(w * p.y for w, p in zip(weights, points, strict=True)),
    )


def _slope(points: tuple[Point, Point, Point, Point], part: float) -> Point:
    before, behind = _along(points, part - 0.01), _along(points, part + 0.01)
    return Point(behind.x - before.x, behind.y - before.y)


def _framed(drawn: list[Box], around: Box, more: float) -> tuple[Box, tuple[Box, Box, Box, Box]]:
    """Leave room for what stands in the corners, at the top and the bottom as much as it takes.

    Args:
        drawn: What must not be covered.
        around: The room that it takes.
        more: So much more stands at the top left than words.
    """
    wide, high = LEGEND
    left, right = around.left - MARGIN, around.right + MARGIN
    width = max(right - left, 2 * wide + MARGIN)
    left, right = (left + right - width) / 2, (left + right + width) / 2
    top, bottom = around.top - MARGIN, around.bottom + MARGIN

    def corners() -> tuple[Box, Box, Box, Box]:
        return (
            Box(left, top, left + wide, top + high + more),
            Box(right - wide, top, right, top + high),
            Box(left, bottom - high, left + wide, bottom),
            Box(right - wide, bottom - high, right, bottom),
        )

    while any(one.overlaps(corner) for corner in corners()[:2] for one in drawn):
        top -= LEGEND_STEP
    while any(one.overlaps(corner) for corner in corners()[2:] for one in drawn):
        bottom += LEGEND_STEP
    return Box(left, top, right, bottom), corners()


def _around(boxes: list[Box]) -> Box:
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return Box(min(lefts), min(tops), max(rights), max(bottoms))


def _on(axes: tuple[float, float], ray: float) -> Point:
    return Point(axes[0] * math.cos(ray), axes[1] * math.sin(ray))


def _text(point: Point) -> str:
    return f"{point.x:.1f} {point.y:.1f}"
