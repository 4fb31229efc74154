"""Evidence files: one record that anybody can check without a node (protocol 9.1). Pure.

::

    anchor ─▶ certificates and openings ─┬─▶ the record ─▶ its successors, as far as they are needed
                                         └─▶ statements: who holds the record, since when

What is proven rests on the file and the anchor alone, and is judged by the functions that judge
what comes over a link. What a file cannot show (that nothing was corrected, revoked or held back
later) only a node can.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from shared.domain.custody.kinds import KINDS, Stated
from shared.domain.custody.rules import judge
from shared.domain.projection import Fact, State
from shared.errors import FaultError, InvalidError
from shared.log.accept import vouch
from shared.record import cbor
from shared.record.feed import ROOT_EPOCH, Feed
from shared.record.limits import CHUNK_RECORDS_MAX
from shared.record.record import Record
from shared.record.run import Run
from shared.trust.authority import KindTable
from shared.trust.certificate import Certificate
from shared.trust.roster import Base, Roster

FORMAT: Final = "sanji/evidence/v1"
EVIDENCE_BYTES_MAX: Final = 1024 * 1024
BASES_MAX: Final = 256
RUN_RECORDS_MAX: Final = CHUNK_RECORDS_MAX
STATEMENTS_MAX: Final = 32

_CUSTODY: Final = KindTable(KINDS)


@dataclass(frozen=True)
class Evidence:
    """What an evidence file holds.

    Attributes:
        bases: The founding record, then certificates and openings, each after what it stands on.
        run: The record and its successors; these are without salt and body.
        statements: Of those who hold the record.
    """

    bases: tuple[Record, ...]
    run: Run
    statements: tuple[Record, ...] = ()


@dataclass(frozen=True)
class Holder:
    """Somebody who states to hold the record.

    Attributes:
        certificate: Whose statement it is.
        since_ms: Since when, by the holder's clock, Unix ms.
        rid: Of the statement.
    """

    certificate: Certificate
    since_ms: int
    rid: bytes


@dataclass(frozen=True)
class Proof:
    """What an evidence file proves, to whoever trusts its anchor.

    Attributes:
        record: The record.
        path: Certificates from the author's up to the district's, the author's first.
        holders: In the order of the file.
    """

    record: Record
    path: tuple[Certificate, ...]
    holders: tuple[Holder, ...]

    @property
    def anchor(self) -> bytes:
        """The rid of the founding record on which all of it rests, 32 bytes."""
        return self.path[-1].rid


def encode_evidence(evidence: Evidence) -> bytes:
    """Return the bytes of the file.

    Raises:
        InvalidError: it would be larger than a file may be.
    """
    first = evidence.run.records[0]
    data = cbor.encode_flat(
        [
            FORMAT,
            [_item(one) for one in evidence.bases],
            [one.header_cose for one in evidence.run.records],
            first.salt,
            first.body,
            [_item(one) for one in evidence.statements],
        ]
    )
    if len(data) > EVIDENCE_BYTES_MAX:
        raise InvalidError(f"an evidence file has at most {EVIDENCE_BYTES_MAX:,} bytes.")
    return data


def _item(record: Record) -> list[bytes | None]:
    return [record.header_cose, record.salt, record.body]


def decode_evidence(data: bytes) -> Evidence:
    """Return what a file holds; nothing of it is proven yet.

    Raises:
        FaultError: not an evidence file, cut short, too large, or of another version.
    """
    if len(data) > EVIDENCE_BYTES_MAX:
        raise FaultError("not an evidence file: too large")
    match cbor.decode(data, max_depth=4):
        case [str(form), list(bases), list(headers), bytes() | None as salt,
              bytes() | None as body, list(statements)] if (
            form == FORMAT and (salt is None) == (body is None)
        ):  # fmt: skip
            _check_count("bases", bases, 1, BASES_MAX)
            _check_count("headers", headers, 1, RUN_RECORDS_MAX)
            _check_count("statements", statements, 0, STATEMENTS_MAX)
        case [str(form), *_] if form.startswith("sanji/evidence/"):
            raise FaultError("this evidence file is of another version, or a field of it is wrong")
        case _:
            raise FaultError("not an evidence file")
    if not all(type(header) is bytes for header in headers):
        raise FaultError("a header is not bytes")
    records = (Record(headers[0], salt, body), *(Record(one, None, None) for one in headers[1:]))
    first = records[0].header
    return Evidence(
        tuple(map(_record, bases)), Run(first.feed, first.seq, records),
        tuple(map(_record, statements)),
    )  # fmt: skip


def _check_count(what: str, items: Sequence[Any], least: int, most: int) -> None:
    if not least <= len(items) <= most:
        raise FaultError(f"an evidence file has {least} to {most} {what}")


def _record(item: object) -> Record:
    match item:
        case [bytes(header_cose), bytes(salt), bytes(body)]:
            return Record(header_cose, salt, body)
        case _:
            raise FaultError("a record of an evidence file is [header, salt, body]")


def prove(evidence: Evidence) -> Proof:
    """Return what ``evidence`` proves.

    Raises:
        FaultError: it proves nothing: something in it is altered, missing, or not what it
            should be.
    """
    roster = _learned(evidence.bases)
    base = vouch(evidence.run, roster)
    holders = tuple(_holder(one, evidence.run, roster) for one in evidence.statements)
    return Proof(evidence.run.records[0], _path(base, roster), holders)


def _learned(bases: Sequence[Record]) -> Roster:
    """Return what the certificates, confirmations and openings say.

    Each of them has to count where it stands, and still in the end: which of two rivals for a
    division counts, only a node knows, which holds all of them. So what confirms a certificate
    stands before it.
    """
    roster = Roster(bases[0].rid)
    for record in bases:
        vouch(Run(record.header.feed, record.header.seq, (record,)), roster)
        roster.learn(record)
        _check_counts(record.header.feed, record.rid, roster)
    for record in bases:
        _check_counts(record.header.feed, roster.confirmed_by(record.rid) or record.rid, roster)
    if len({record.rid for record in bases}) < len(bases):
        raise FaultError("a record stands twice in the chain")
    return roster


def _check_counts(feed: Feed, rid: bytes, roster: Roster) -> None:
    opened = roster.incarnation(feed.author, feed.epoch)
    opens = opened is not None and opened.rid == rid
    if not (opens or roster.counts(rid) or roster.confirmed_by(rid)):
        raise FaultError("a record on which the others should stand certifies nobody")


def _path(base: Base, roster: Roster) -> tuple[Certificate, ...]:
    path = [base.certificate]
    while path[-1].issuer.epoch != ROOT_EPOCH:
        above = roster.author_of(path[-1].issuer)
        if above is None:
            raise FaultError("the chain of certificates does not reach the anchor")
        path.append(above)
    return tuple(path)


def _holder(record: Record, run: Run, roster: Roster) -> Holder:
    """Return who states by ``record`` to hold the first of ``run``.

    A count alone would not do: of a fork, somebody may hold the other branch. So the record that
    the statement names has to stand in the run.
    """
    header = record.header
    certificate = vouch(Run(header.feed, header.seq, (record,)), roster).certificate
    objection = _CUSTODY.objection(header.kind, header.feed, certificate.level)
    if objection is not None:
        raise FaultError(f"no statement: {objection}")
    try:
        stated = _CUSTODY.read(record)
    except InvalidError as error:
        raise FaultError(f"no statement: {error}") from error
    own = header.feed.author == run.feed.author
    if not isinstance(stated, Stated) or stated.use == "beat" or own:
        raise FaultError("a statement is no proof and no receipt of another")
    fact = Fact(
        record.rid, header.feed, header.seq, header.kind, certificate.level,
        header.claimed_at_ms, header.refs, stated,
    )  # fmt: skip
    if judge(fact, stated).state is not State.APPLIED:
        raise FaultError("a statement is about what its author cannot hold")
    rids = {one.rid.hex(): one.header.seq for one in run.records}
    for held in stated.held:
        if held.feed == run.feed and rids.get(held.rid) == held.up_to - 1:
            return Holder(certificate, held.since_ms, record.rid)
    raise FaultError("a statement does not cover the record")
