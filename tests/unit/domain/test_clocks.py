"""The handling clock: working days of China, calendar days for a complaint (product clocks)."""

from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.cases.clocks import handling
from shared.domain.china import CHINA

DAY_MS = 86_400_000


def at(year: int, month: int, day: int, hour: int = 12) -> int:
    """Return an hour of a day in China as Unix ms."""
    return int(datetime(year, month, day, hour, tzinfo=CHINA).timestamp() * 1000)


@pytest.mark.parametrize(
    ("kind", "received", "due"),
    [
        ("help", at(2026, 11, 24), date(2026, 12, 8)),
        ("ask", at(2026, 11, 24), date(2026, 12, 1)),
        ("suggest", at(2026, 11, 24), date(2026, 12, 15)),
        ("complain", at(2026, 11, 24), date(2027, 1, 23)),
        ("ask", at(2026, 11, 24, 0), date(2026, 12, 1)),
        ("ask", at(2026, 11, 23, 23), date(2026, 11, 30)),
        ("ask", at(2026, 9, 30), date(2026, 10, 13)),  # the national holiday, and a swap Saturday
    ],
)
def test_due_days(kind: str, received: int, due: date) -> None:
    """The day of receipt is day 0, in China's time."""
    limit = handling(kind, received, received)
    assert limit.due == due
    assert (limit.used, limit.over, limit.is_late) == (0, 0, False)
    assert limit.working == (kind != "complain")


def test_it_runs_and_runs_out() -> None:
    """On the due day it is not late yet; on the next working day by one."""
    received = at(2026, 11, 24)
    assert handling("ask", received, at(2026, 12, 1, 23)).used == 5
    assert handling("ask", received, at(2026, 12, 1, 23)).over == 0
    assert handling("ask", received, at(2026, 12, 2)).over == 1
    assert handling("ask", received, at(2026, 12, 7)).over == 4
    assert handling("complain", received, at(2027, 1, 25)).over == 2


def test_a_year_without_a_calendar_is_estimated() -> None:
    """Monday to Friday, and it says so."""
    limit = handling("ask", at(2031, 3, 3), at(2031, 3, 3))
    assert limit.estimated
    assert limit.due == date(2031, 3, 10)
    assert not handling("ask", at(2026, 11, 24), at(2026, 11, 24)).estimated


@given(
    st.sampled_from(["ask", "suggest", "help", "complain"]),
    st.integers(at(2020, 1, 1), at(2026, 6, 1)),
    st.integers(0, 400 * DAY_MS),
)
def test_the_days_add_up(kind: str, received: int, span: int) -> None:
    """It never runs backwards, and is late only when all its days are used."""
    now, later = (
        handling(kind, received, received + span),
        handling(kind, received, received + span + DAY_MS),
    )
    assert 0 <= now.used <= now.total
    assert now.over == 0 or now.used == now.total
    assert (later.used, later.over) >= (now.used, now.over)
    assert later.due == now.due


@pytest.mark.parametrize("wild", [2**53 - 1, 0])
def test_a_wild_claim_of_time_counts_no_further_than_it_must(wild: int) -> None:
    """Times are claims (protocol 1.4); a page that shows one stands."""
    assert handling("ask", at(2026, 1, 5), wild).total == 5
    assert handling("ask", wild, at(2026, 1, 5)).total == 5
