"""``status``: what a node holds, to whom it talks, what waits."""

from collections.abc import Sequence
from typing import Any

from shared.app import keys
from shared.domain.custody.gaps import Missing, missing
from shared.errors import UnavailableError
from shared.link.carrier import CarrierState
from shared.log.log import Log
from shared.node.node import Node
from shared.record.feed import is_above


async def report(node: Node) -> dict[str, Any]:
    """Return the state of ``node`` as JSON."""
    log = node.log
    refusals = await log.store.refusals()
    links = [_link(node, peer) for peer in _neighbours(log, node)]
    return {
        "division": node.identity.division,
        "label": node.identity.label,
        "level": node.identity.level.word,
        "anchor": log.roster.anchor.hex(),
        "epoch": log.epoch.hex(),
        "certified": _certified(node),
        "doubt": log.doubt,
        **keys.report(node),
        "records": sum(state.count for state in log.feeds.values()),
        "heads": [
            {"feed": str(feed), "count": state.count, "rid": state.rid.hex(),
             "stopped": state.stopped}
            for feed, state in sorted(log.feeds.items(), key=lambda item: item[0].key)
        ],
        "links": links,
        "carriers": [_carrier(node, one, links) for one in node.links.carriers if one.address],
        "said_to_all": _said_to_all(node),
        "listening": _listening(node),
        "missing": [_gap(node, one) for one in await _missing(node)],
        "bypass": _bypass(node),
        "custody": sum(s.count for f, s in log.feeds.items() if f.lane == "custody"),
        "counters": dict(log.counters.__dict__),
        "quarantine": [
            {"at_ms": bad.at_ms, "peer": bad.peer, "reason": bad.reason, "bytes": bad.size}
            for bad in refusals
        ],
    }  # fmt: skip


async def _missing(node: Node) -> list[Missing]:
    """Return what others vouch for and is not here; nothing where there are no views."""
    if node.views is None:
        return []
    counts = {feed: state.count for feed, state in node.log.feeds.items()}
    return await node.views.query(lambda conn: missing(conn, node.identity.division, counts))


def _gap(node: Node, one: Missing) -> dict[str, Any]:
    waits_for = _neighbour_towards(node, one.feed.author)
    is_up = node.links.state(waits_for).connected_since_ms is not None
    return {
        "feed": str(one.feed),
        "author": one.feed.author,
        "held": one.held,
        "records": one.records,
        "by": one.by,
        "since_ms": one.since_ms,
        "waits_for": "" if is_up else waits_for,
    }


def _neighbour_towards(node: Node, author: str) -> str:
    """Return the neighbour that brings what ``author`` says."""
    below = (
        code
        for code in _neighbours(node.log, node)
        if is_above(node.identity.division, code) and author.startswith(code)
    )
    return next(below, node.identity.parent or author)


def _listening(node: Node) -> dict[str, Any] | None:
    """Return to whom the node listens while its parent is silent; None if there is nobody."""
    one = node.listener
    if one is None:
        return None
    return {
        "to": one.source, "since_ms": one.since_ms, "records": one.stored, "trouble": one.trouble,
    }  # fmt: skip


def _bypass(node: Node) -> dict[str, Any] | None:
    """Return past whom the node links, and why; None if there is nobody above its parent."""
    one = node.bypasser
    if one is None:
        return None
    because = one.because
    return {
        "to": one.target, "since_ms": one.since_ms,
        "because": because and {"ancestor": because.ancestor, "reason": because.reason.value},
    }  # fmt: skip


def _certified(node: Node) -> bool:
    try:
        return bool(node.author.certificate)
    except UnavailableError:
        return False


def _neighbours(log: Log, node: Node) -> list[str]:
    """The parent and whoever is certified one step below; also who linked from further down."""
    below = [
        code
        for code, found in log.roster.divisions().items()
        if is_above(node.identity.division, code) and found.level == node.identity.level + 1
    ]
    parent = [node.identity.parent] if node.identity.parent else []
    return sorted({*parent, *below, *node.links.states})


def _link(node: Node, peer: str) -> dict[str, Any]:
    state = node.links.state(peer)
    return {
        "peer": peer,
        "connected_since_ms": state.connected_since_ms,
        "by": state.by,
        "heard_ms": state.heard_ms,
        "opened": state.opened,
        "reconnects": state.reconnects,
        "in_flight": node.links.in_flight(peer),
        "in_flight_max": state.in_flight_max,
        "backlog": node.links.backlog(peer),
        "bad_frames": state.bad_frames,
        "trouble": state.trouble,
    }


def _carrier(node: Node, carrier: CarrierState, links: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Say how it stands with a carrier, and with the links that go, or went last, over it."""
    over = [
        link
        for link in links
        if link["by"] == carrier.scheme
        and is_above(node.identity.division, link["peer"]) == carrier.answers
    ]
    return {
        "scheme": carrier.scheme,
        "address": carrier.address,
        "answers": carrier.answers,
        "connected_since_ms": carrier.connected_since_ms,
        "reconnects": carrier.reconnects,
        "unconfirmed": carrier.unconfirmed,
        "alarm": carrier.alarm,
        "trouble": carrier.trouble,
        "links": sum(link["connected_since_ms"] is not None for link in over),
        "backlog": sum(link["backlog"] for link in over),
    }


def _said_to_all(node: Node) -> dict[str, Any]:
    broadcaster = node.links.broadcaster
    return {"on": broadcaster.is_on, "records": broadcaster.said}
