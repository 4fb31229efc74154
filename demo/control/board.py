"""What is known of the district at a glance: pure functions of what its nodes say of themselves.

Once a second everybody's ``status`` is taken together. From two or three of them follows how each
link stands, and whether anything is missing or was taken in twice.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from demo.district import District, Division
from shared.record.feed import Feed, is_above, is_holder

Status = Mapping[str, Any]

AT_ONCE: Final = 20
"""So many waiting records are a backlog at once; fewer only if they wait while nothing moves."""
REST_GLANCES: Final = 4
"""A link that rested in so many glances has nothing under way: now its ends must agree."""
SPEED_GLANCES: Final = 4


class State(StrEnum):
    """How a link stands."""

    EQUAL = "equal"
    BEHIND = "behind"
    CUT = "cut"
    DOWN = "down"
    OFF = "off"


@dataclass(frozen=True)
class Line:
    """What was done to a line.

    Attributes:
        cut: Nothing goes through.
        loss: Fraction of frames that are lost.
        cut_ms: Since when it is cut.
    """

    cut: bool = False
    loss: float = 0.0
    cut_ms: int | None = None


WHOLE: Final = Line()


@dataclass(frozen=True)
class Glance:
    """What the nodes said at one moment.

    Attributes:
        at_ms: When.
        statuses: By code; a node that did not answer in time is missing.
        lines: What was done to lines, by code of the lower end; whole ones may be missing.
        off: Codes of the nodes whose process is gone.
        carried: Frames that each line carried since its process started: up, down, other.
    """

    at_ms: int
    statuses: Mapping[str, Status]
    lines: Mapping[str, Line] = field(default_factory=dict)
    off: frozenset[str] = frozenset()
    carried: Mapping[str, Sequence[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class LinkSeen:
    """How one link stands.

    Attributes:
        code: Of its lower end.
        state: In a word.
        up: Records that wait at the lower end.
        down: Records that wait at the upper end.
        urgent: How many of those in urgent feeds the lower end lacks.
        line: What was done to it.
        since_ms: Since when it carries nothing; None while it does.
        frames: With records, carried since the glance before: up, down.
        carried: All that it carried: up, down, other.
    """

    code: str
    state: State
    up: int
    down: int
    urgent: int
    line: Line
    since_ms: int | None
    frames: tuple[int, int]
    carried: tuple[int, int, int]

    @property
    def waiting(self) -> int:
        """Records that wait at both ends."""
        return self.up + self.down


@dataclass(frozen=True)
class Figures:
    """The figures of the whole.

    Attributes:
        speed: Records a second that reach the district.
        total: Records that the district holds.
        waiting: Records that wait at the ends of all links.
        missing: Records that one end of a link at rest lacks although the other has them.
        twice: Records that an end of a link at rest has and nobody wrote.
        again: Records that were offered again and recognised, since the start.
        refused: Runs and frames that were refused, since the start.
    """

    speed: float = 0.0
    total: int = 0
    waiting: int = 0
    missing: int = 0
    twice: int = 0
    again: int = 0
    refused: int = 0


@dataclass(frozen=True)
class Seen:
    """What the page shows.

    Attributes:
        at_ms: When.
        links: By code of their lower end.
        figures: Of the whole.
        refused: How many runs and frames each node refused since the start.
        held: How many records of each feed each node holds, by code.
    """

    at_ms: int
    links: Mapping[str, LinkSeen]
    figures: Figures
    refused: Mapping[str, int]
    held: Mapping[str, Mapping[str, int]]


class Counted:
    """A counter that begins anew with its process, counted on over all of them."""

    def __init__(self) -> None:
        """Start at nothing."""
        self._before: dict[str, int] = {}
        self._last: dict[str, int] = {}

    def take(self, code: str, value: int) -> int:
        """Take what node ``code`` counts now; return what it counted since the first."""
        last = self._last.get(code, 0)
        if value < last:
            self._before[code] = self._before.get(code, 0) + last
        self._last[code] = value
        return self._before.get(code, 0) + value


class Board:
    """Remembers as much of what was as is needed to say how it is."""

    def __init__(self, district: District) -> None:
        """Watch ``district``."""
        self._district = district
        self._last: dict[str, Status] = {}
        self._waited: dict[str, int] = {}
        self._since: dict[str, int] = {}
        self._carried: dict[str, tuple[int, int, int]] = {}
        self._rested: dict[str, int] = {}
        self._heads: deque[dict[str, dict[str, int]]] = deque(maxlen=REST_GLANCES)
        self._arrived: deque[tuple[int, int]] = deque(maxlen=SPEED_GLANCES)
        self._again, self._refused = Counted(), Counted()

    def take(self, glance: Glance) -> Seen:
        """Return what follows from ``glance`` and those before it."""
        self._last.update(glance.statuses)
        held = {code: held_of(status) for code, status in self._last.items()}
        self._heads.append(held)
        links = {one.code: self._link(one, glance) for one in self._district.everybody[1:]}
        missing, twice = 0, 0
        for one in self._district.everybody[1:]:
            lacking, over = self._disagreement(one, links[one.code])
            missing, twice = missing + lacking, twice + over
        counters = {code: status["counters"] for code, status in self._last.items()}
        refused = {c: self._refused.take(c, counts["refused"]) for c, counts in counters.items()}
        again = sum(self._again.take(c, n["duplicates_offered"]) for c, n in counters.items())
        figures = Figures(
            speed=self._speed(glance),
            total=int(self._last.get(self._district.top.code, {}).get("records", 0)),
            waiting=sum(link.waiting for link in links.values()),
            missing=missing, twice=twice, again=again, refused=sum(refused.values()),
        )  # fmt: skip
        return Seen(glance.at_ms, links, figures, refused, held)

    # --- links -----------------------------------------------------------------------------------

    def _link(self, below: Division, glance: Glance) -> LinkSeen:
        code, parent = below.code, below.parent
        lower, upper = self._end(code, parent), self._end(parent, code)
        up, down = lower.get("backlog", 0), upper.get("backlog", 0)
        line = glance.lines.get(code, WHOLE)
        frames, carried = self._frames(code, glance)
        moves = any(frames) and not line.loss
        state = self._state(code, parent, up + down, line, glance, moves=moves)
        if state in {State.EQUAL, State.BEHIND}:
            self._since.pop(code, None)
        else:
            self._since.setdefault(code, glance.at_ms)
        self._waited[code] = up + down
        resting = state == State.EQUAL and not (
            up or down or lower.get("in_flight") or upper.get("in_flight")
        )
        self._rested[code] = self._rested.get(code, 0) + 1 if resting else 0
        since_ms = line.cut_ms if line.cut else self._since.get(code)
        urgent = self._urgent(code, parent)
        return LinkSeen(code, state, up, down, urgent, line, since_ms, frames, carried)

    def _frames(self, code: str, glance: Glance) -> tuple[tuple[int, int], tuple[int, int, int]]:
        """Return what the line carried since the glance before, and what it carried in all."""
        up, down, other = glance.carried.get(code, self._carried.get(code, (0, 0, 0)))
        before = self._carried.get(code, (up, down, other))
        self._carried[code] = (up, down, other)
        if up < before[0] or down < before[1]:
            before = (0, 0, 0)  # its process was started anew
        return (up - before[0], down - before[1]), (up, down, other)

    def _end(self, code: str, peer: str) -> Status:
        links = self._last.get(code, {}).get("links", ())
        return next((link for link in links if link["peer"] == peer), {})

    def _state(
        self, code: str, parent: str, waiting: int, line: Line, glance: Glance, *, moves: bool
    ) -> State:
        if code in glance.off:
            return State.OFF
        if line.cut:
            return State.CUT
        ends = (self._end(code, parent), self._end(parent, code))
        if parent in glance.off or any(not end.get("connected_since_ms") for end in ends):
            return State.DOWN
        if waiting >= AT_ONCE or (waiting and self._waited.get(code) and not moves):
            return State.BEHIND
        return State.EQUAL

    def _urgent(self, code: str, parent: str) -> int:
        """Return how many urgent records wait for the lower end."""
        here, above = self._heads[-1].get(code, {}), self._heads[-1].get(parent, {})
        return sum(
            max(0, count - here.get(name, 0))
            for name, count in above.items()
            if name.split("/")[2] == "urgent" and is_holder(feed_of(name), code)
        )

    # --- the whole -------------------------------------------------------------------------------

    def _disagreement(self, below: Division, link: LinkSeen) -> tuple[int, int]:
        """Return what one end lacks, and what one end has too much, of a link at rest."""
        if self._rested[link.code] < REST_GLANCES or len(self._heads) < REST_GLANCES:
            return 0, 0
        missing = twice = 0
        ends = {below.code, below.parent}
        for name in self._names(below.code, below.parent):
            feed = feed_of(name)
            if not all(is_holder(feed, end) for end in ends):
                continue
            near = below.code if _is_within(feed.author, below.code) else below.parent
            (far,) = ends - {near}
            before, now = self._heads[0], self._heads[-1]
            missing += max(0, _count(before, near, name) - _count(now, far, name))
            twice += max(0, _count(before, far, name) - _count(now, near, name))
        return missing, twice

    def _names(self, *codes: str) -> Iterator[str]:
        now = self._heads[-1]
        yield from dict.fromkeys(name for code in codes for name in now.get(code, {}))

    def _speed(self, glance: Glance) -> float:
        status = glance.statuses.get(self._district.top.code)
        if status is not None:
            self._arrived.append((glance.at_ms, int(status["counters"]["accepted"])))
        if len(self._arrived) < 2:  # noqa: PLR2004 - a speed needs two
            return 0.0
        (began, first), (ended, last) = self._arrived[0], self._arrived[-1]
        return max(0.0, (last - first) * 1000 / max(1, ended - began))


def held_of(status: Status) -> dict[str, int]:
    """Return how many records of each feed a node says to hold."""
    return {str(head["feed"]): int(head["count"]) for head in status["heads"]}


def feed_of(name: str) -> Feed:
    """Return the feed of that name in a status, without its epoch: its holders do not ask."""
    author, _, lane, audience = name.split("/")
    return Feed(author, b"", lane, audience)


def _is_within(code: str, place: str) -> bool:
    return code == place or is_above(place, code)


def _count(heads: Mapping[str, Mapping[str, int]], code: str, name: str) -> int:
    return heads.get(code, {}).get(name, 0)
