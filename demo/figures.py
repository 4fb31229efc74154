"""The figures of the story, counted from the nodes' logs after they have stopped."""

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from shared.app.compose import open_database
from shared.domain.cases.kinds import ANSWERED, FILED
from shared.domain.notices.kinds import PUBLISHED
from shared.log.sql import SqlStore
from shared.node.home import Home
from shared.record.feed import Feed, is_holder

PART_RECORDS: Final = 1000

MUST_BE_ZERO: Final = ("stored_twice", "lost", "misdelivered")
MUST_NOT_BE_ZERO: Final = (
    "notices_published",
    "in_flight_at_kill",
    "duplicates_offered",
    "tampered_refused",
    "backlog_while_cut",
)


@dataclass
class NodeLog:
    """What one node holds.

    Attributes:
        rids: Each record's kind and feed, by rid.
        filed: The filings held: their authors, by rid.
        answered: The answers held: the filing that each answers, by rid.
        rows: Records stored, on the trunk or aside; more than ``rids`` if one is stored twice.
    """

    rids: dict[bytes, tuple[str, Feed]] = field(default_factory=dict)
    filed: dict[bytes, str] = field(default_factory=dict)
    answered: dict[bytes, bytes] = field(default_factory=dict)
    rows: int = 0


async def read_log(home: Home) -> NodeLog:
    """Return what the stopped node in ``home`` holds.

    Raises:
        StorageError: its database cannot be read.
    """
    store = SqlStore(await open_database(home))
    log = NodeLog()
    try:
        records = await store.aside()
        arrival = 0
        while part := await store.since(arrival, PART_RECORDS):
            arrival = part[-1].arrival
            records += [stored.record for stored in part]
    finally:
        await store.close()
    for record in records:
        header = record.header
        log.rows += 1
        log.rids[record.rid] = header.kind, header.feed
        if header.kind == FILED:
            log.filed[record.rid] = header.feed.author
        if header.kind == ANSWERED and header.refs:
            log.answered[record.rid] = header.refs[0]
    return log


async def read_logs(homes: Iterable[tuple[str, Home]]) -> dict[str, NodeLog]:
    """Return what all stopped nodes hold, by code."""
    pairs = list(homes)
    logs = await asyncio.gather(*(read_log(home) for _, home in pairs))
    return dict(zip((code for code, _ in pairs), logs, strict=True))


def count(logs: dict[str, NodeLog], top: str, given_file: Path) -> dict[str, int]:
    """Return the figures that the logs tell.

    Args:
        logs: By code.
        top: The district's code.
        given_file: The promises, one JSON object a line.
    """
    kinds = {rid: kind for log in logs.values() for rid, (kind, _) in log.rids.items()}
    filed = {rid for rid, kind in kinds.items() if kind == FILED}
    return {
        "nodes": len(logs),
        "notices_published": sum(kind == PUBLISHED for kind in kinds.values()),
        "notices_held": sum(
            kind == PUBLISHED for log in logs.values() for kind, _ in log.rids.values()
        ),
        "feedback_filed": len(filed),
        "feedback_at_district": len(filed & logs[top].rids.keys()),
        "answers_at_village": sum(
            log.filed.get(subject) == code
            for code, log in logs.items()
            for subject in log.answered.values()
        ),
        "stored_twice": sum(log.rows - len(log.rids) for log in logs.values()),
        "lost": sum(map(bool, lost(logs, given_file))),
        "misdelivered": sum(
            not is_holder(feed, code) for code, log in logs.items() for _, feed in log.rids.values()
        ),
    }


def lost(logs: dict[str, NodeLog], given_file: Path) -> list[list[str]]:
    """Return for each promise the codes of the nodes at which its record is missing."""
    feeds = {rid: feed for log in logs.values() for rid, (_, feed) in log.rids.items()}
    missing = []
    lines = given_file.read_text("utf-8").splitlines()
    promises: list[dict[str, str]] = [json.loads(line) for line in lines]
    for promise in promises:
        rid = bytes.fromhex(promise["rid"])
        holders = {promise["node"]}
        if rid in feeds:
            holders |= {code for code in logs if is_holder(feeds[rid], code)}
        missing.append([code for code in sorted(holders) if rid not in logs[code].rids])
    return missing


def failed_expectations(figures: dict[str, Any]) -> list[str]:
    """Return what is wrong with the figures, each in a few words."""
    wrong = [f"{name} is {figures[name]}, not 0" for name in MUST_BE_ZERO if figures[name]]
    wrong += [f"{name} is 0" for name in MUST_NOT_BE_ZERO if not figures[name]]
    filed = figures["feedback_filed"]
    for name in ("feedback_at_district", "answers_at_village"):
        if figures[name] != filed or not filed:
            wrong.append(f"{name} is {figures[name]} of {filed} filed")
    return wrong
