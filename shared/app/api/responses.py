"""What a program is told of notices and of the node.

Times are Unix ms UTC, by the clock of whoever claims them.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.app.api.problem import Problem
from shared.domain.notices.kinds import Category, Stream
from shared.domain.notices.rules import NoticeState
from shared.web.i18n import later

Tier = Literal["district", "town", "village"]


class Told(BaseModel):
    """Base of all: built when a program first asks, because a village has little memory."""

    model_config = ConfigDict(defer_build=True)


class Version(Told):
    """What a notice said from some record on."""

    rid: str
    at_ms: int
    title: str
    text: str
    reason: str | None


class Notice(Told):
    """A notice as it stands now."""

    rid: str
    author: str = Field(description=later("谁发的，区划代码。"))
    author_label: str
    level: Tier
    audience: str = Field(description=later("发给谁：^ 往上，CODE 一个单位，CODE* 连它下面的。"))
    stream: Stream
    category: Category
    urgent: bool
    title: str
    text: str = Field(description=later("Markdown；撤回后是空的。"))
    state: NoticeState
    reason: str | None = Field(description=later("最后一次更正或撤回的原因。"))
    published_ms: int
    changed_ms: int | None
    effective_ms: int | None
    expires_ms: int | None


class NoticeWhole(Notice):
    """A notice with all that it has said."""

    versions: list[Version]


class Notices(Told):
    """A part of the list of notices."""

    items: list[Notice]
    next: str | None = Field(description=later("下一页的 before；没有下一页就是 null。"))


class Written(Told):
    """A record that is signed and on the disk."""

    rid: str
    kind: str
    audience: str
    seq: int = Field(description=later("在它那一列里排第几，从 0 起。"))


class WrittenResult(Told):
    """What became of one notice of a batch: the record, or the problem."""

    status: int
    written: Written | None = None
    problem: Problem | None = None


class WrittenResults(Told):
    """What became of each, in the order of the request."""

    results: list[WrittenResult]


class Holder(Told):
    """A node that has signed that it holds a notice."""

    division: str
    label: str
    level: Tier | None
    since_ms: int
    shown_ms: int | None = Field(description=later("从什么时候起屏上看得见；没说过是 null。"))


class Waiting(Told):
    """A node that shall have it and has not said so yet."""

    division: str
    label: str
    level: Tier


class Delivery(Told):
    """Who holds a notice, by the holders' own signed word."""

    rid: str
    holders: list[Holder]
    waiting: list[Waiting]


class Division(Told):
    """A node of the district."""

    code: str
    label: str
    level: Tier
    parent: str | None
    signing_key: str = Field(description=later("它签名的公钥，十六进制。"))
    certificate: str = Field(description=later("证明这一点的记录号。"))


class Divisions(Told):
    """All that are certified, by code."""

    items: list[Division]


class Head(Told):
    """How far a feed is held."""

    feed: str
    count: int
    rid: str
    stopped: bool


class Link(Told):
    """How it stands with a neighbour."""

    peer: str
    connected_since_ms: int | None
    by: str
    heard_ms: int | None
    in_flight: int
    backlog: int = Field(description=later("还有多少条没送到。"))
    reconnects: int = Field(description=later("断了又接上几次。"))
    bad_frames: int
    trouble: str


class Carrier(Told):
    """How it stands with what carries links."""

    scheme: str
    address: str
    answers: bool = Field(description=later("true 是等别人来连，false 是自己去连。"))
    connected_since_ms: int | None
    reconnects: int = Field(description=later("断了又接上几次。"))
    unconfirmed: int = Field(description=later("交给消息台，还没说收到的消息。"))
    alarm: str = Field(description=later("消息台为什么不再收；照常收就是空的。"))
    trouble: str
    links: int = Field(description=later("现在有几条连线走它。"))
    backlog: int = Field(description=later("还有多少条没送到。"))


class SaidToAll(Told):
    """What was said once to all below, since the node started."""

    on: bool
    records: int


class Listening(Told):
    """Whom the node listens to while its parent is silent, and how much came so."""

    to: str
    since_ms: int | None
    records: int
    trouble: str


class MissingTold(Told):
    """Records of one feed that another node has signed that it holds, and that are not here."""

    feed: str
    author: str
    held: int
    records: int = Field(description=later("至少缺几条。"))
    by: str = Field(description=later("谁签字说有。"))
    since_ms: int
    waits_for: str = Field(description=later("要等哪一级的线通；线是通的就是空。"))


class Certificate(Told):
    """A certificate that does not count, or that its division did not ask for."""

    certificate: str
    division: str
    label: str
    issuer: str
    kid: str
    disowned: bool = Field(description=later("本单位说没有要过这张证书。"))


class Quarantined(Told):
    """A frame that was refused."""

    at_ms: int
    peer: str
    reason: str
    bytes: int


class Status(Told):
    """What the node holds, to whom it talks, what waits."""

    division: str
    label: str
    level: Tier
    anchor: str
    epoch: str
    certified: bool
    doubt: bool
    unconfirmed: list[Certificate] = Field(description=later("换了密钥、还不算数的证书。"))
    unasked: list[Certificate] = Field(description=later("本单位没有要过的本单位证书。"))
    records: int
    heads: list[Head]
    links: list[Link]
    carriers: list[Carrier]
    said_to_all: SaidToAll
    listening: Listening | None
    missing: list[MissingTold]
    custody: int
    counters: dict[str, int]
    quarantine: list[Quarantined]
