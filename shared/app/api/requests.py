"""What a program may ask for: addresses, queries and bodies.

The fields are those of the records' bodies; the patterns say in a description what the validators
of ``shared.domain.fields`` check. A name that is not known is refused: it may be a typing error.
"""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from shared.domain.cases.kinds import Channel, Concern, Outcome, Publish, Score, Topic
from shared.domain.fields import Markdown, Reason, ShortLine, SpokenText, Title
from shared.domain.notices.kinds import Category, Stream
from shared.web.i18n import later

PAGE_MAX: Final = 100
PAGE: Final = 20
BATCH_MAX: Final = 100

CURSOR: Final = r"^[A-Za-z0-9_-]{52}$"

_LINE: Final = {"pattern": r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"}
_SAID: Final = {
    "pattern": r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f]"
    r"[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$"
}
_CLEAN: Final = {"pattern": r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$"}

OneLine = Annotated[ShortLine, Field(json_schema_extra=_LINE)]
Heading = Annotated[Title, Field(json_schema_extra=_LINE)]
Words = Annotated[SpokenText, Field(json_schema_extra=_SAID)]
Why = Annotated[Reason, Field(json_schema_extra=_SAID)]
Marked = Annotated[Markdown, Field(json_schema_extra=_CLEAN)]
Rid = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Code = Annotated[str, StringConstraints(pattern=r"^[0-9]{2,32}$")]
Cursor = Annotated[str, StringConstraints(pattern=CURSOR)]
To = Annotated[str, StringConstraints(pattern=r"^([0-9]{2,32}\*?|\^)?$")]
Typed = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Secret = Annotated[str, StringConstraints(max_length=100)]
Found = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Limit = Annotated[int, Field(ge=1, le=PAGE_MAX)]


class Asked(BaseModel):
    """Base of all: nothing that is not known."""

    # Built when first used, as all models of the API: a village has little memory.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Body(Asked):
    """Base of all bodies: strict, for JSON has types of its own."""

    model_config = ConfigDict(strict=True)


class Nothing(Asked):
    """No address, query or body of its own."""


class AtRid(Asked):
    """An address with a record's id."""

    rid: Rid = Field(description=later("记录号，64 位十六进制。"))


class AtReceipt(Asked):
    """An address with a receipt number."""

    receipt: Typed = Field(
        description=later("回执编号，如“沈集 26-0001-5”，村名可以不写；也可以写记录号。")
    )


class Page(Asked):
    """A part of a list, the newest first."""

    before: Cursor | None = Field(None, description=later("上一页里的 next；第一页不写。"))
    limit: Limit = Field(PAGE, description=later("最多几条。"))


class NoticePage(Page):
    """A part of the list of notices."""

    stream: Stream | None = Field(None, description=later("只要这一类。"))
    find: Found | None = Field(None, description=later("只要有这些字的；撤回的不算。"))
    author: Code | None = Field(None, description=later("只要这个单位发的，写区划代码。"))


class CasePage(Page):
    """A part of the list of cases."""

    stage: Literal["filed", "answered", "rated"] | None = Field(
        None, description=later("filed 是还没答复的，不论送到了哪一级。")
    )


class NoticeDraft(Body):
    """A notice to be published."""

    title: Heading = Field(description=later("标题，一行。"))
    text: Marked = Field("", description=later("正文，Markdown；可以空着。"))
    to: To = Field("", description=later("发给谁：区划代码，连它下面的都算；不写就是下面所有人。"))
    category: Category | None = Field(None, description=later("公开的是什么事。"))
    stream: Stream | None = Field(None, description=later("党务、政务还是村务。"))
    urgent: bool = Field(default=False, description=later("紧急的先送、先看见。"))


class NoticeBatch(Body):
    """Notices to be published together."""

    items: Annotated[list[NoticeDraft], Field(min_length=1, max_length=BATCH_MAX)]


class Correction(Body):
    """What a notice says from now on."""

    title: Heading
    text: Marked = ""
    reason: Why = Field(description=later("为什么改，大家都看得见。"))


class Withdrawal(Body):
    """The end of a notice."""

    reason: Why = Field(description=later("为什么撤，大家都看得见。"))


class FeedbackDraft(Body):
    """What somebody says."""

    kind: Concern | Literal["accuse"] = Field(
        description=later("accuse 是举报，这里不收：它不能明文写下。")
    )
    text: Words = Field(description=later("说的话。"))
    topic: Topic | None = None
    place: OneLine | None = Field(None, description=later("在哪里。"))
    channel: Channel = Field("web", description=later("从哪里来的。"))


class FeedbackBatch(Body):
    """What several people said."""

    items: Annotated[list[FeedbackDraft], Field(min_length=1, max_length=BATCH_MAX)]


class Follow(Body):
    """A receipt in somebody's hand."""

    receipt: Typed = Field(description=later("回执编号，村名可以不写。"))
    secret: Secret = Field("", description=later("小票上的 10 组数字；不写就只说到了哪里。"))


class AnswerDraft(Body):
    """An answer to a case."""

    text: Words
    outcome: Outcome = "explained"
    publish: Publish = Field("summary", description=later("公开到什么程度。"))


class RatingDraft(Body):
    """What the person thinks of the answer."""

    secret: Secret = Field(description=later("小票上的 10 组数字：只有本人能评。"))
    score: Score
    cause: Why | None = Field(None, description=later("为什么。"))
