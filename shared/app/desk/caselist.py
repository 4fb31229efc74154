"""The cases of a desk in the order in which they have to be answered."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection

from shared.domain.cases import view as cases
from shared.domain.cases.clocks import CHINA, Limit, handling
from shared.domain.cases.view import CaseRow
from shared.domain.custody import view as custody

CASES_MAX: Final = 500
"""Open cases that are sorted by due date; whoever has more has other troubles, and is told so."""

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


def load(conn: Connection, district: str, now_ms: int, show: Group | None) -> list[Entry]:
    """Return the open cases that this node holds, or those of one later group, by due date.

    Args:
        conn: A connection to the node's database.
        district: Code of the district, whose statement starts the clock.
        now_ms: Unix ms.
        show: A group; None for all that are open.
    """
    stage = show.value if show in {Group.ANSWERED, Group.RATED} else "filed"
    rows = cases.page(conn, CASES_MAX, stage=stage)
    entries = [entry_of(conn, row, district, now_ms) for row in rows]
    if show is not None:
        entries = [entry for entry in entries if entry.group is show]
    return sorted(entries, key=_urgency)


def entry_of(conn: Connection, row: CaseRow, district: str, now_ms: int) -> Entry:
    """Return one case with its clock."""
    received = custody.held_since(conn, row.feed, row.seq)
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
    today = datetime.fromtimestamp(now_ms // 1000, UTC).astimezone(CHINA).date()
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
