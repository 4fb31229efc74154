"""Gathering an evidence file from what a node holds (protocol 9.1)."""

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import chain
from typing import Final

from shared.domain.custody import view as custody
from shared.domain.evidence import (
    EVIDENCE_BYTES_MAX,
    RUN_RECORDS_MAX,
    Evidence,
    encode_evidence,
    prove,
)
from shared.errors import InvalidError, NotFoundError, RefusedError
from shared.log.log import Log
from shared.node.node import Node
from shared.record.envelope import RECORD_AAD
from shared.record.feed import ROOT_EPOCH, Feed
from shared.record.record import Record
from shared.record.run import Run
from shared.trust.certificate import Certificate
from shared.trust.keys import PublicKey
from shared.trust.roster import Roster

STATERS_MAX: Final = 8
"""Of a notice hundreds may hold a copy: those nearest to the top speak for it."""


async def gather_evidence(node: Node, rid: bytes, *, with_body: bool = True) -> bytes:
    """Return the evidence file of a record, checked as anybody will check it.

    Args:
        node: Holds the record.
        rid: Of the record.
        with_body: False leaves out what it says: the file then proves that it was said.

    Raises:
        NotFoundError: the record is not here.
        RefusedError: its author's certificate does not count, or no signature vouches for it yet.
    """
    log = node.log
    record = (await log.find(rid)).record
    author = _author(log.roster, record)
    run = await _run(log, record)
    statements = await _statements(node, run)
    needed = _vouched(run, author.key, [index for _, index in statements])
    kept = tuple(Record(one.header_cose, None, None) for one in run[1:needed])
    first = record if with_body else Record(record.header_cose, None, None)
    said = [one for one, index in statements if index < needed]
    while True:
        feeds = [record.header.feed, *(one.header.feed for one in said)]
        bases = [(await log.find(one)).record for one in _base_rids(log.roster, feeds)]
        whole = Run(record.header.feed, record.header.seq, (first, *kept))
        evidence = Evidence(tuple(bases), whole, tuple(said))
        try:
            data = encode_evidence(evidence)
            await asyncio.to_thread(prove, evidence)
        except InvalidError:
            if not said:
                raise
            # Too large; or a holder stands on another certificate of a division than the author.
            said.pop()
        else:
            return data


def _author(roster: Roster, record: Record) -> Certificate:
    author = roster.author_of(record.header.feed)
    if author is None or not roster.is_confirmed(author):
        raise RefusedError("its author's certificate does not count: nothing can be proven by it.")
    return author


async def _run(log: Log, record: Record) -> list[Record]:
    """Return ``record`` and what is held without a hole behind it."""
    header = record.header
    found = await log.read(header.feed, header.seq, RUN_RECORDS_MAX, EVIDENCE_BYTES_MAX)
    whole = [one for seq, one in enumerate(found, header.seq) if one.header.seq == seq]
    return whole or [record]


async def _statements(node: Node, run: Sequence[Record]) -> list[tuple[Record, int]]:
    """Return who states to hold the first of ``run``, and the place in it that the statement names.

    One whose head is not in the run is left out: it would need more records than a file takes.
    """
    if node.views is None:
        return []
    header = run[0].header
    await node.views.catch_up()
    query = partial(
        custody.statements, feed_key=header.feed.key, seq=header.seq, limit=STATERS_MAX
    )  # fmt: skip
    found = list[tuple[Record, int]]()
    for subject, count, head in await node.views.query(query):
        index = count - 1 - header.seq
        if index >= len(run) or run[index].rid != head:
            continue
        try:
            record = (await node.log.find(subject)).record
        except NotFoundError:
            continue  # a fork moved it aside since the views were made
        if record.header.feed.author != header.feed.author:
            found.append((record, index))
    return found


def _vouched(run: Sequence[Record], key: PublicKey, places: Iterable[int]) -> int:
    """Return how many records are needed: those named, and on to a signature that vouches for them.

    Where none follows, those up to the last good one.

    Raises:
        RefusedError: no signature of the run is good.
    """
    last = max(places, default=0)
    for index in chain(range(last, len(run)), reversed(range(last))):
        if key.verifies(run[index].envelope, RECORD_AAD):
            return index + 1
    raise RefusedError("no signature vouches for this record yet; wait for a later one.")


def _base_rids(roster: Roster, feeds: Iterable[Feed]) -> list[bytes]:
    """Return on which records ``feeds`` stand, each after what it stands on itself."""
    rids = dict.fromkeys([roster.anchor])
    for feed in feeds:
        rids.update(dict.fromkeys(_bases_of(roster, feed)))
    return list(rids)


def _bases_of(roster: Roster, feed: Feed) -> list[bytes]:
    if feed.epoch == ROOT_EPOCH:
        return [roster.anchor]
    incarnation = roster.incarnation(feed.author, feed.epoch)
    if incarnation is None:
        raise RefusedError(f"the opening of {feed} is not here.")
    rids = list[bytes]()
    for certificate in roster.line_to(incarnation.certificate):
        rids += _bases_of(roster, certificate.issuer)
        confirmed = roster.confirmation_of(certificate.rid) if certificate.replaces else None
        if confirmed is not None:
            rids += [*_bases_of(roster, confirmed[0]), confirmed[1]]
        rids.append(certificate.rid)
    return [*rids, incarnation.rid]
