"""The cases of a desk in the order in which they have to be answered."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection

from shared.domain.cases import view as cases
from shared.domain.cases.clocks import Limit, day_of, handling
from shared.domain.cases.view import CaseRow
from shared.domain.custody import view as custody

CASES_MAX: Final = 500
"""Cases on one page; whoever has more open ones has other troubles, and is told so."""

WEEK_DAYS: Final = 7


class Group(StrEnum):
    """Where a case stands in the list, the most pressing first."""

    LATE = "late"
    TODAY = "today"
    WEEK = "week"
    LATER = "later"
    ON_THE_WAY = "on_the_way"
    ANSWERED = "answered"
    RATED = "rated"


@dataclass(frozen=True)
class Entry:
    """A case with its clock.

    Attributes:
        case: As its own records tell it.
        received: Since when which node holds it, by code, Unix ms.
        limit: The handling clock; None until the district has it.
        group: Where it stands in the list.
    """

    case: CaseRow
    received: dict[str, int]
    limit: Limit | None
    group: Group


DONE: Final = frozenset({Group.ANSWERED, Group.RATED})
"""Groups of cases that nobody has to answer any more."""


def load(conn: Connection, district: str, now_ms: int, stage: str = "filed") -> list[Entry]:
    """Return the cases of a stage that this node holds, by due date; of too many the oldest.

    Args:
        conn: A connection to the node's database.
        district: Code of the district, whose statement starts the clock.
        now_ms: Unix ms.
        stage: filed, answered or rated.
    """
    rows = cases.page(conn, CASES_MAX, stage=stage, oldest=stage == "filed")
    return sorted(entries_of(conn, rows, district, now_ms), key=_urgency)


def entries_of(
    conn: Connection, rows: Sequence[CaseRow], district: str, now_ms: int
) -> list[Entry]:
    """Return cases with their clocks."""
    held = custody.held_since_each(conn, [(row.feed, row.seq) for row in rows])
    return [_entry(row, held[row.feed, row.seq], district, now_ms) for row in rows]


def _entry(row: CaseRow, received: dict[str, int], district: str, now_ms: int) -> Entry:
    since_ms = row.filed_ms if row.author == district else received.get(district)
    limit = None
    if since_ms is not None:
        limit = handling(row.kind, since_ms, row.answered_ms or now_ms)
    return Entry(row, received, limit, _group(row, limit, now_ms))


def _group(row: CaseRow, limit: Limit | None, now_ms: int) -> Group:
    if row.stage in {Group.ANSWERED, Group.RATED}:
        return Group(row.stage)
    if limit is None:
        return Group.ON_THE_WAY
    if limit.is_late:
        return Group.LATE
    today = day_of(now_ms)
    if limit.due <= today:
        return Group.TODAY
    return Group.WEEK if limit.due <= today + timedelta(days=WEEK_DAYS) else Group.LATER


def _urgency(entry: Entry) -> tuple[int, str, int, bytes]:
    order = list(Group).index(entry.group)
    due = entry.limit.due.isoformat() if entry.limit else ""
    return order, due, entry.case.filed_ms, entry.case.rid


def counts(entries: Sequence[Entry]) -> Counter[Group]:
    """Return how many stand in each group."""
    return Counter(entry.group for entry in entries)
