"""What a program is told of cases. Times are Unix ms UTC, by the clock of whoever claims them."""

from pydantic import Field

from shared.app.api.problem import Problem
from shared.app.api.responses import Told, Written
from shared.domain.cases.kinds import Channel, Concern, Outcome, Publish, Score, Topic
from shared.domain.cases.rules import Stage
from shared.web.i18n import later


class Receipted(Written):
    """A feedback that has its number."""

    receipt: str
    secret: str = Field(description=later("交给本人；这里不留底。"))


class ReceiptedResult(Told):
    """What became of one feedback of a batch."""

    status: int
    filed: Receipted | None = None
    problem: Problem | None = None


class ReceiptedResults(Told):
    """What became of each, in the order of the request."""

    results: list[ReceiptedResult]


class AnswerTold(Told):
    """An answer that counts; the last one is current."""

    rid: str
    by: str
    by_label: str
    outcome: Outcome
    text: str
    answered_ms: int


class AnswerWhole(AnswerTold):
    """The same, for those who work on the case."""

    publish: Publish


class RatingTold(Told):
    """What the person thinks of an answer."""

    rid: str
    score: Score
    cause: str | None
    rated_ms: int


class Case(Told):
    """A case as it stands now."""

    rid: str
    receipt: str
    author: str = Field(description=later("在哪个村写下的，区划代码。"))
    author_label: str
    channel: Channel
    kind: Concern
    topic: Topic | None
    place: str | None
    text: str
    stage: Stage
    filed_ms: int
    received_town_ms: int | None = Field(description=later("镇签字说收到的时间。"))
    received_district_ms: int | None = Field(description=later("区签字说收到的时间。"))
    answered_ms: int | None


class CaseWhole(Case):
    """A case with its answers and its rating."""

    answers: list[AnswerWhole]
    ratings: list[RatingTold]


class Cases(Told):
    """A part of the list of cases."""

    items: list[Case]
    next: str | None


class Followed(Told):
    """Where a case is; words and answers only for who has the secret."""

    rid: str
    receipt: str
    author: str
    author_label: str
    kind: Concern
    topic: Topic | None
    place: str | None
    stage: Stage
    filed_ms: int
    received_town_ms: int | None
    received_district_ms: int | None
    answered_ms: int | None
    answer_count: int
    text: str | None = Field(description=later("没有密码就是 null。"))
    answers: list[AnswerTold] | None = Field(description=later("没有密码就是 null。"))
