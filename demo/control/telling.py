"""What the page is told once a second, in its reader's language; pure."""

from collections.abc import Mapping
from typing import Any, Final

from demo.control.board import LinkSeen, Seen, State
from demo.control.broker import FIGURES as BROKER_FIGURES
from demo.control.broker import BrokerSeen, BrokerState
from demo.control.journal import Event
from demo.district import District
from shared.domain.china import in_china
from shared.record.feed import Level
from shared.web.i18n import Words, later

SHORT_FROM: Final = 1000
"""Counts from here on stand in thousands where there is room for three characters only."""

_MINUTE: Final = 60
_HOUR: Final = 3600

SIGNS: Final = {"done": "✓", "wait": "…", "doing": "→", "late": "!"}
_CLASSES: Final = {
    State.EQUAL: "done",
    State.BEHIND: "wait",
    State.CUT: "late",
    State.DOWN: "late",
    State.OFF: "late",
}


_BROKER_WORDS: Final = {
    BrokerState.RUNNING: ("done", later("在跑")),
    BrokerState.KILLED: ("late", later("断电了")),
    BrokerState.STARTING: ("wait", later("正在启动")),
}


def told_of(
    district: District, seen: Seen, events: list[Event], words: Words, *, rate: float, paused: bool,
    broker: BrokerSeen | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Return everything that changes on the page.

    Args:
        district: All divisions.
        seen: How it is.
        events: The newest first.
        words: Of the reader.
        rate: Records a second that are wanted in the background.
        paused: Whether they are held back.
        broker: How it is; None where there is none.
    """
    figures = seen.figures
    levels = {one.code: one.level for one in district.everybody}
    broken = sum(link.state not in {State.EQUAL, State.BEHIND} for link in seen.links.values())
    ups, downs = zip(*(link.frames for link in seen.links.values()), strict=True)
    return {
        "time": clock(seen.at_ms),
        "figures": {
            "speed": words.number(round(figures.speed)),
            "total": words.number(figures.total),
            "waiting": words.number(figures.waiting),
            "missing": words.number(figures.missing),
            "twice": words.number(figures.twice),
            "again": words.say("送重 {count}", count=words.number(figures.again)),
            "refused": words.number(figures.refused),
        },
        "uneasy": {
            "waiting": figures.waiting > 0,
            "missing": figures.missing > 0,
            "twice": figures.twice > 0,
            "refused": figures.refused > 0,
        },
        "lines": words.say(
            "{count} 条连线，断 {broken} 条",
            count=words.number(len(seen.links)), broken=words.number(broken),
        ),
        "flow": {
            "up": words.say("每秒 {count} 包", count=words.number(sum(ups))),
            "down": words.say("每秒 {count} 包", count=words.number(sum(downs))),
        },
        "links": {
            code: link_told(link, seen.at_ms, levels[code], words)
            for code, link in seen.links.items()
        },
        "frames": {
            code: list(link.frames) for code, link in seen.links.items() if any(link.frames)
        },
        "events": [
            [one.number, clock(one.at_ms), one.sign, SIGNS[one.sign], one.said(words)]
            for one in events
        ],
        "rate": rate,
        "paused": paused,
        "broker": broker and broker_told(broker, words),
    }  # fmt: skip


def broker_told(broker: BrokerSeen, words: Words) -> dict[str, Any]:
    """Return how the broker is, in a word and in its own figures."""
    kind, msgid = _BROKER_WORDS[broker.state]
    figures = {
        name: words.number(broker.figures[name]) if name in broker.figures else "–"
        for name in BROKER_FIGURES
    }
    return {
        "state": broker.state.value,
        "class": kind,
        "word": f"{SIGNS[kind]} {words.say(msgid)}",
        "figures": figures,
    }


def link_told(link: LinkSeen, now_ms: int, level: Level, words: Words) -> dict[str, Any]:
    """Return how one link stands, in figures and in words."""
    kind = _CLASSES[link.state]
    return {
        "state": link.state.value,
        "class": kind,
        "on": not link.line.cut,
        "up": link.up,
        "down": link.down,
        "badge": "" if link.state == State.EQUAL else short(link.waiting),
        "word": SIGNS[kind] + " " + _state_word(link, now_ms, words),
        "fault": words.say("丢一半包") if link.line.loss else "",
        "rises": _waits(link.up, words, later("{count} 条要往上送，一条没丢")),
        "falls": _falls(link, words),
        "carried": words.say(
            "往上 {up} 包，往下 {down} 包，对数 {other} 次",
            up=words.number(link.carried[0]), down=words.number(link.carried[1]),
            other=words.number(link.carried[2]),
        ),
        "level": level.word,
    }  # fmt: skip


def _state_word(link: LinkSeen, now_ms: int, words: Words) -> str:
    long = "" if link.since_ms is None else span((now_ms - link.since_ms) // 1000, words)
    match link.state:
        case State.EQUAL:
            return words.say("两头一样")
        case State.BEHIND:
            return words.say("在补，差 {count} 条", count=words.number(link.waiting))
        case State.CUT:
            return words.say("断了 {span}", span=long)
        case State.DOWN:
            return words.say("连不上 {span}", span=long)
        case State.OFF:
            return words.say("断电 {span}", span=long)


def _waits(count: int, words: Words, msgid: str) -> str:
    return words.say(msgid, count=words.number(count)) if count else words.say("没有要送的")


def _falls(link: LinkSeen, words: Words) -> str:
    if link.down and link.urgent:
        return words.say(
            "{count} 条要往下送，{urgent} 条紧急的排最前",
            count=words.number(link.down), urgent=words.number(link.urgent),
        )  # fmt: skip
    return _waits(link.down, words, later("{count} 条要往下送，一条没丢"))


def clock(at_ms: int) -> str:
    """Return the time of day in China, with seconds."""
    at = in_china(at_ms)
    return at.strftime("%H:%M:%S") if at else ""


def span(seconds: int, words: Words) -> str:
    """Return a length of time in its two largest units."""
    if seconds < _MINUTE:
        return words.say("{count} 秒", count=max(0, seconds))
    if seconds < _HOUR:
        return words.say("{count} 分 {rest} 秒", count=seconds // _MINUTE, rest=seconds % _MINUTE)
    return words.say(
        "{count} 小时 {rest} 分", count=seconds // _HOUR, rest=seconds % _HOUR // _MINUTE
    )


def short(count: int) -> str:
    """Return a count in at most three characters."""
    return str(count) if count < SHORT_FROM else f"{min(count // SHORT_FROM, 99)}k"


def changed(told: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of ``told`` the page does not know from ``before``; the clock is always new."""
    links = before.get("links", {})
    fresh = {code: link for code, link in told["links"].items() if links.get(code) != link}
    rest = {
        name: value
        for name, value in told.items()
        if name not in {"links", "frames"} and before.get(name) != value
    }
    return rest | {"links": fresh, "frames": told["frames"]}
