"""The link line: whether this node hears its neighbours, and how old that makes what it shows.

Pure: each sentence is a function of what is known and the time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.domain.custody.lacks import Reason
from shared.node.conversation import LinkState
from shared.trust.certificate import Certificate
from shared.web.i18n import Words, later

REASONS: Final = {
    Reason.NO_BEAT: later("很久没听到{who}的消息"),
    Reason.LATE: later("{who}说，发来的内容这里没有确认"),
    Reason.NO_RECEIPT: later("报上去的内容，{who}没有回执"),
    Reason.NOT_ARRIVED: later("{who}发的内容没有到全"),
}
"""Why a node links to the ancestor above its parent too."""


@dataclass(frozen=True)
class Banner:
    """One line in words.

    Attributes:
        sign: ``done`` or ``wait``, one of the state classes of the style sheet.
        lead: What matters, in bold.
        rest: What follows from it.
    """

    sign: str
    lead: str
    rest: str


def above(state: LinkState | None, now_ms: int, words: Words) -> Banner:
    """Return the line of a node that has another above it.

    Args:
        state: What is known of the link to the parent; None if it was never tried.
        now_ms: Unix ms.
        words: Of the reader.
    """
    heard_ms = None if state is None else state.heard_ms
    connected = state is not None and state.connected_since_ms is not None
    if connected and heard_ms is not None:
        age = words.ago(now_ms - heard_ms)
        return Banner("done", words.say("网络正常"), words.say("，上级{age}联系过", age=age))
    if connected:
        return Banner("wait", words.say("刚连上"), words.say("，正在和上级核对内容"))
    still = words.say("；仍可看通知、写反映，网通后自动上报")
    if heard_ms is None:
        return Banner("wait", words.say("还没连上上级"), words.say("，内容截至上次联网时") + still)
    age = words.say("，内容截至{age}", age=words.ago(now_ms - heard_ms))
    return Banner("wait", words.say("网断了"), age + still)


@dataclass(frozen=True)
class Bypassed:
    """A by-pass that is open.

    Attributes:
        parent: Label of the parent.
        target: Label of the ancestor to which it leads.
        who: Label of the ancestor whose word was lacked.
        reason: What was lacked.
        since_ms: Since when it is open, Unix ms.
    """

    parent: str
    target: str
    who: str
    reason: Reason
    since_ms: int


def past(one: Bypassed, now_ms: int, words: Words) -> Banner:
    """Return the line of a node whose by-pass is open and connected.

    Args:
        one: The by-pass.
        now_ms: Unix ms.
        words: Of the reader.
    """
    lead = words.say("已直接连上{target}", target=one.target)
    rest = words.say(
        "，{since}起绕过{parent}，因为{why}",
        since=words.moment(one.since_ms, now_ms), parent=one.parent,
        why=words.say(REASONS[one.reason], who=one.who),
    )  # fmt: skip
    return Banner("wait", lead, rest)


def below(states: Sequence[LinkState], words: Words) -> Banner:
    """Return the line of the district, which has nobody above it.

    Args:
        states: What is known of the link to each town that has joined.
        words: Of the reader.
    """
    if not states:
        return Banner("wait", words.say("还没有镇加入"), words.say("，通知先存在这里"))
    up = sum(state.connected_since_ms is not None for state in states)
    if up == len(states):
        return Banner(
            "done", words.say_count("{count} 个镇都连着", up), words.say("，新通知随发随到")
        )
    total = words.number(len(states))
    return Banner(
        "wait",
        words.say_count("{total} 个镇里有 {count} 个连着", up, total=total),
        words.say("，没连上的，网通后自动补齐"),
    )


def alarm(unasked: Sequence[Certificate], words: Words) -> Banner | None:
    """Return the line about a key that somebody certified in this division's name; None if fine.

    Args:
        unasked: What its node did not ask for.
        words: Of the reader.
    """
    if not unasked:
        return None
    number = unasked[0].rid.hex()[:16]
    return Banner(
        "late", words.say("有人冒用本单位的名义"),
        words.say("，给别的密钥发了证书（{number}），请马上告诉区里", number=number),
    )  # fmt: skip
