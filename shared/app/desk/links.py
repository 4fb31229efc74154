"""The rows of the page of links: neighbours, what carries the links to them, what is missing."""

from collections.abc import Iterable, Sequence
from typing import Any

from shared.app.desk.labels import ALARMS
from shared.record.feed import is_above
from shared.web.i18n import Words
from shared.web.site import Site


def link_rows(site: Site, words: Words) -> Sequence[dict[str, Any]]:
    """Return the neighbours, those with trouble first; also who links past one of them now."""
    node = site.node
    now_ms = node.clock.wall_ms()
    below = [
        code for code, one in node.log.roster.divisions().items()
        if is_above(node.identity.division, code) and one.level == node.identity.level + 1
    ]  # fmt: skip
    past = {
        code: between for code, state in node.links.states.items() for between in below
        if is_above(between, code) and state.connected_since_ms is not None
    }  # fmt: skip
    neighbours = [*below, *past]
    if node.identity.parent:
        neighbours.insert(0, node.identity.parent)
    rows = []
    for code in neighbours:
        state = node.links.state(code)
        up = state.connected_since_ms is not None
        backlog = node.links.backlog(code)
        rows.append({
            "code": code, "label": site.label(code), "up": up, "backlog": backlog,
            "sign": ("wait" if backlog else "done") if up else "late",
            "heard": words.moment(state.heard_ms, now_ms) if state.heard_ms else "",
            "in_flight": node.links.in_flight(code), "bad_frames": state.bad_frames,
            "opened": state.opened, "by": state.by, "trouble": state.trouble,
            "above": code == node.identity.parent,
            "past": site.label(past[code]) if code in past else "",
        })  # fmt: skip
    return sorted(rows, key=lambda row: (row["up"], not row["backlog"]))


def carrier_rows(
    site: Site, carriers: Iterable[dict[str, Any]], words: Words
) -> Sequence[dict[str, Any]]:
    """Return the carriers, those with trouble first.

    Args:
        site: Of the node.
        carriers: As ``shared.app.status.report`` tells them.
        words: The reader's.
    """
    now_ms = site.node.clock.wall_ms()
    rows = []
    for one in carriers:
        since_ms, alarm = one["connected_since_ms"], one["alarm"]
        up = since_ms is not None
        rows.append(one | {
            "up": up, "sign": "done" if up and not alarm else "late",
            "has_broker": one["scheme"].startswith("amqp"),
            "since": words.moment(since_ms, now_ms) if up else "",
            "alarm": words.say(ALARMS[alarm]) if alarm in ALARMS else alarm,
        })  # fmt: skip
    return sorted(rows, key=lambda row: (row["up"], not row["alarm"]))


def gap_rows(
    site: Site, missing: Iterable[dict[str, Any]], words: Words
) -> Sequence[dict[str, Any]]:
    """Return what is missing of whom and why, as far as is known; the oldest first.

    Args:
        site: Of the node.
        missing: As ``shared.app.status.report`` tells it; one row for all feeds of an author.
        words: The reader's.
    """
    now_ms = site.node.clock.wall_ms()
    rows: dict[str, dict[str, Any]] = {}
    for one in sorted(missing, key=lambda gap: gap["since_ms"]):
        waits_for = one["waits_for"]
        span = words.span(max(0, now_ms - one["since_ms"]))
        row = rows.setdefault(one["author"], {
            "whose": site.label(one["author"]), "records": 0, "by": site.label(one["by"]),
            "why": words.say("等{place}的线通", place=site.label(waits_for)) if waits_for
            else words.say("线通着，缺了{span}", span=span),
            "is_late": not waits_for,
        })  # fmt: skip
        row["records"] += one["records"]
    return list(rows.values())
