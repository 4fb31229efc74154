"""The two clocks of a case: transit and handling (protocol 10). Pure.

Transit runs from the filing to the district's custody statement; handling begins there. These are
the default limits; signed tables that change them, pauses and extensions come later. Working days
are those of mainland China: holidays and swap days as the State Council announced them.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import chinese_calendar

from shared.domain.china import in_china

WORKING_DAYS: Final = {"ask": 5, "suggest": 15, "help": 10}
"""Until an answer is due, by the kind as filed."""

COMPLAINT_DAYS: Final = 60
"""Calendar days (信访工作条例 art. 34)."""

_WEEKEND: Final = 5
_DAYS_MAX: Final = 4000
"""A clock counts no longer than that: whoever claims a time claims it (protocol 1.4)."""


@dataclass(frozen=True)
class Limit:
    """How far the handling clock of a case has run.

    Attributes:
        total: Days it has.
        used: Days of them that have passed, at most ``total``.
        over: Days beyond them.
        due: The last day for an answer, in China.
        working: True if it counts working days, False for calendar days.
        estimated: True if the calendar of a year it needs is not known: Monday to Friday count.
    """

    total: int
    used: int
    over: int
    due: date
    working: bool
    estimated: bool

    @property
    def is_late(self) -> bool:
        """True if it ran out before the answer."""
        return self.over > 0


def handling(kind: str, received_ms: int, until_ms: int) -> Limit:
    """Return the handling clock of a case.

    Args:
        kind: As filed.
        received_ms: Since when the district holds it, by its own signed word, Unix ms.
        until_ms: When it was answered, or now. The day of receipt is day 0.
    """
    start, until = day_of(received_ms), day_of(until_ms)
    working = kind in WORKING_DAYS
    total = WORKING_DAYS.get(kind, COMPLAINT_DAYS)
    due, estimated = _after(start, total, working=working)
    if until > due:
        used, (over, unsure) = total, _between(due, until, working=working)
    else:
        (used, unsure), over = _between(start, until, working=working), 0
    return Limit(total, used, over, due, working, estimated or unsure)


def _after(start: date, days: int, *, working: bool) -> tuple[date, bool]:
    """Return the day that is ``days`` after ``start``, and whether it is an estimate."""
    at, left, estimated = start, days, False
    while left:
        at += timedelta(days=1)
        counts, unsure = _counts(at) if working else (True, False)
        left -= counts
        estimated |= unsure
    return at, estimated


def _between(start: date, end: date, *, working: bool) -> tuple[int, bool]:
    """Return the days after ``start`` up to ``end``, and whether they are an estimate."""
    span = max(0, min((end - start).days, _DAYS_MAX))
    if not working:
        return span, False
    told = [_counts(start + timedelta(days=number)) for number in range(1, span + 1)]
    return sum(counts for counts, _ in told), any(unsure for _, unsure in told)


def _counts(day: date) -> tuple[bool, bool]:
    """Tell whether ``day`` is a working day, and whether that is a guess."""
    try:
        return bool(chinese_calendar.is_workday(day)), False
    except NotImplementedError:
        return day.weekday() < _WEEKEND, True


def day_of(at_ms: int) -> date:
    """Return the day of a moment (Unix ms) in China; a far one for a claim beyond the calendar."""
    at = in_china(at_ms)
    return date.max - timedelta(days=_DAYS_MAX) if at is None else at.date()
