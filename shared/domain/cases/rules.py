"""The life of a case as far as records tell it. Pure.

::

    filed ─▶ received by the town ─▶ received by the district ─▶ answered ─▶ rated
             └────────── custody, not folded here ──────────┘     └▶ answered (again)

The two *received* are the statements of other nodes (protocol 4.7): ``stage`` adds them when asked.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, get_args

from shared.domain.cases.kinds import FILED, Answered, Concern, Filed, Rated
from shared.domain.projection import (
    Fact,
    Step,
    applied,
    first_and_rest,
    not_applied,
    waiting,
    without_first,
)
from shared.errors import InvalidError, RefusedError
from shared.record.feed import UPWARD, is_above

CONCERNS: Final[tuple[str, ...]] = get_args(Concern)
"""What can be filed openly."""

ACCUSE: Final = "accuse"

_RATING_REFS: Final = 2


class Stage(StrEnum):
    """Where a case is; the two *received* only by ``stage``."""

    FILED = "filed"
    RECEIVED_TOWN = "received_town"
    RECEIVED_DISTRICT = "received_district"
    ANSWERED = "answered"
    RATED = "rated"


class Because(StrEnum):
    """Why a step on a case waits or is not applied."""

    NOT_ITS_CASE = "not_its_case"  # of a division that is neither the author's nor below it
    OTHER_AUDIENCE = "other_audience"  # not to the filing node: the person would never see it
    NOT_THE_FILING_NODE = "not_the_filing_node"
    NAMES_NO_ANSWER = "names_no_answer"
    ANSWER_MISSING = "answer_missing"  # waits
    ANSWER_NOT_APPLIED = "answer_not_applied"
    ALREADY_RATED = "already_rated"


@dataclass
class Case:
    """A case as its facts tell it.

    Attributes:
        first: The filing.
        filing: Its body.
        answers: Those that count, in order; the last one is current.
        rating: The one that counts.
    """

    first: Fact
    filing: Filed
    answers: list[tuple[Fact, Answered]] = field(default_factory=list)
    rating: tuple[Fact, Rated] | None = None

    @property
    def stage(self) -> Stage:
        """How far its own records bring it."""
        if self.rating:
            return Stage.RATED
        return Stage.ANSWERED if self.answers else Stage.FILED


def replay(subject: bytes, facts: Iterable[Fact]) -> tuple[Case | None, list[Fact], list[Step]]:
    """Return the case, its facts in order, and what became of each.

    The case is None while its filing is not here.
    """
    first, rest = first_and_rest(subject, facts, FILED)
    if first is None or not isinstance(first.body, Filed):
        return None, rest, without_first(subject, rest)
    case = Case(first, first.body)
    here = {fact.rid for fact in rest}
    steps = [applied(first)]
    for fact in rest:
        if isinstance(fact.body, Answered):
            steps.append(_answer(case, fact, fact.body))
        elif isinstance(fact.body, Rated):
            steps.append(_rate(case, fact, fact.body, here))
        else:
            steps.append(not_applied(fact, Because.NOT_ITS_CASE))
    return case, [first, *rest], steps


def _answer(case: Case, fact: Fact, body: Answered) -> Step:
    author, filing_node = fact.feed.author, case.first.feed.author
    if not may_answer(author, filing_node):
        return not_applied(fact, Because.NOT_ITS_CASE)
    if fact.feed.audience != answer_audience(author, filing_node):
        return not_applied(fact, Because.OTHER_AUDIENCE)
    case.answers.append((fact, body))
    return applied(fact)


def _rate(case: Case, fact: Fact, body: Rated, here: set[bytes]) -> Step:
    if fact.feed.author != case.first.feed.author:
        return not_applied(fact, Because.NOT_THE_FILING_NODE)
    if len(fact.refs) < _RATING_REFS:
        return not_applied(fact, Because.NAMES_NO_ANSWER)
    answer = fact.refs[1]
    if answer not in {given.rid for given, _ in case.answers}:
        if answer in here or answer == case.first.rid:
            return not_applied(fact, Because.ANSWER_NOT_APPLIED)
        return waiting(fact, Because.ANSWER_MISSING)
    if case.rating:
        return not_applied(fact, Because.ALREADY_RATED)
    case.rating = (fact, body)
    return applied(fact)


def may_answer(author: str, filing_node: str) -> bool:
    """Tell whether node ``author`` may answer what ``filing_node`` filed: its own, or from below.

    For the district that is every case, for a town those of its villages and its own
    (protocol 10; until a case is assigned).
    """
    return author == filing_node or is_above(author, filing_node)


def answer_audience(author: str, filing_node: str) -> str:
    """Return to whom an answer goes: the filing node, or up where that is the author or above."""
    return filing_node if is_above(author, filing_node) else UPWARD


def check_filing(kind: str) -> None:
    """Let pass what can be filed openly.

    Raises:
        RefusedError: an accusation, which must not be written in clear (protocol 6).
        InvalidError: there is no such kind.
    """
    if kind == ACCUSE:
        raise RefusedError(
            "an accusation 举报 cannot be filed here: it could not be sealed.",
            advice="Nothing was kept. Please bring it to the discipline office of the district.",
        )
    if kind not in CONCERNS:
        raise InvalidError(f"there is no kind {kind[:20]!r}.", advice=f"One of {CONCERNS}.")


def stage(case_stage: str, *, town_received: bool, district_received: bool) -> Stage:
    """Return where a case is, with what the nodes above say that they hold.

    Args:
        case_stage: From the view of cases.
        town_received: The town's custody covers the filing; see the view of custody.
        district_received: The district's does.
    """
    own = Stage(case_stage)
    if own is not Stage.FILED:
        return own
    if district_received:
        return Stage.RECEIVED_DISTRICT
    return Stage.RECEIVED_TOWN if town_received else Stage.FILED
