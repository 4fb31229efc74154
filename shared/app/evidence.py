"""Looking at single records, and checking all of them."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from shared.app.rids import find_rid
from shared.domain.custody import view as custody
from shared.errors import FaultError, InvalidError
from shared.log.log import Log
from shared.node.node import Node
from shared.node.views import Views
from shared.record.body import decode_body
from shared.record.envelope import RECORD_AAD
from shared.record.feed import Feed, is_holder, travel_order
from shared.record.header import Header
from shared.record.record import Record, check_body
from shared.trust.keys import PublicKey

PART_RECORDS: Final = 200
PART_BYTES_MAX: Final = 4 * 1024 * 1024


async def show(node: Node, views: Views, rid: str) -> dict[str, Any]:
    """Return everything that this node can say of a record."""
    log = node.log
    stored = await log.find(await find_rid(log, rid))
    record, header = stored.record, stored.record.header
    await views.catch_up()
    held = await views.query(lambda c: custody.held_since(c, header.feed.key, header.seq))
    objection = _objection(node, header)
    return {
        "rid": record.rid.hex(),
        "kind": header.kind,
        "author": header.feed.author,
        "epoch": header.feed.epoch.hex(),
        "lane": header.feed.lane,
        "audience": header.feed.audience,
        "seq": header.seq,
        "prev": header.prev.hex(),
        "claimed_at_ms": header.claimed_at_ms,
        "refs": [ref.hex() for ref in header.refs],
        "body": _body(record),
        "body_hash": header.body_hash.hex(),
        "stored_at_ms": stored.stored_at_ms,
        "not_projected_because": objection,
        "own_signature": _is_signed(log, record),
        "held_by": held,
        "header_cose": record.header_cose.hex(),
    }


def _objection(node: Node, header: Header) -> str | None:
    """Return why the record is stored and relayed, and not projected; None if it is."""
    author = node.log.roster.author_of(header.feed)
    if author is None:
        return "its author's certificate or epoch counts no longer"
    if not node.log.roster.is_confirmed(author):
        return "it is signed under another certificate than the one that counts"
    return node.kinds.objection(header.kind, header.feed, author.level)


def _body(record: Record) -> Any:
    if record.body is None:
        return None
    try:
        return decode_body(record.body)
    except InvalidError:
        return record.body.hex()


def _is_signed(log: Log, record: Record) -> bool:
    base = log.roster.base_of(record.header.feed, record.header)
    return base is not None and base.certificate.key.verifies(record.envelope, RECORD_AAD)


async def verify(log: Log, progress: Callable[[int, int], None]) -> dict[str, Any]:
    """Check every record of the trunk; the answer names what is wrong and where."""
    total = sum(state.count for state in log.feeds.values())
    problems: list[str] = []
    done = 0
    for feed in sorted(log.feeds, key=travel_order):
        done = await _verify_feed(log, feed, problems, done, lambda n: progress(n, total))
    return {"records": done, "feeds": len(log.feeds), "problems": problems[:100],
            "problem_count": len(problems)}  # fmt: skip


async def _verify_feed(
    log: Log, feed: Feed, problems: list[str], done: int, progress: Callable[[int], None]
) -> int:
    if not is_holder(feed, log.me):
        problems.append(f"{feed}: this node is no holder of it")
    state = log.state(feed)
    first, prev = 0, b""
    while first < state.count:
        # Not beyond the head that is being checked: a serving node writes on meanwhile.
        wanted = min(PART_RECORDS, state.count - first)
        records = await log.store.read(feed, first, wanted, PART_BYTES_MAX)
        if not records:
            problems.append(f"{feed} {first}: missing")
            break
        base = log.roster.base_of(feed, records[0].header)
        if base is None:
            problems.append(f"{feed}: certificate or epoch.opened is missing")
            return done
        expected: bytes | None = prev if first else base.first_prev
        if feed.lane == "custody" and (held := _seq_of(records[0], first)) > first:
            # What nobody cites of that lane is forgotten: reading goes on behind the hole (4.7).
            first, expected = held, None
        found = await asyncio.to_thread(
            _check_part, feed, first, records, base.certificate.key, expected
        )
        problems += found
        # Forward in any case, whatever a false header says.
        first += len(records)
        first, prev = max(first, _seq_of(records[-1], 0) + 1), records[-1].rid
        done += len(records)
        progress(done)
    if first and prev != state.rid:
        problems.append(f"{feed}: the head is not the last record")
    return done


def _seq_of(record: Record, expected: int) -> int:
    """Return the number that a record says it has; ``expected`` if it cannot be read."""
    try:
        return record.header.seq
    except FaultError:
        return expected


def _check_part(
    feed: Feed, first: int, records: list[Record], key: PublicKey, prev: bytes | None
) -> list[str]:
    """Check one part of a feed, in a thread: hashes and signatures release the lock.

    Behind a hole ``prev`` is None: nobody can tell.
    """
    problems = []
    for seq, record in enumerate(records, first):
        where = f"{feed} {seq} {record.rid.hex()[:16]}"
        try:
            header = record.header
            check_body(record)
        except FaultError as error:
            problems.append(f"{where}: {error}")
            prev = record.rid
            continue
        if (header.feed, header.seq) != (feed, seq):
            problems.append(f"{where}: stands at another place than it says")
        if prev is not None and header.prev != prev:
            problems.append(f"{where}: the chain is broken before it")
        if not key.verifies(record.envelope, RECORD_AAD):
            problems.append(f"{where}: the signature is not the author's")
        prev = record.rid
    return problems
