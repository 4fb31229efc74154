"""The view of divisions, made from the records of trust (protocol 4.1, 4.2, 4.6).

Each certificate and each list of addresses is a subject of its own; which one speaks for a
division is settled when asked.
"""

import json
from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    select,
)

from shared.domain.divisions import rules
from shared.domain.projection import Fact, State, ordered
from shared.domain.tables import STEP, VIEWS, Projection, Rows, step_rows
from shared.record.feed import Level
from shared.trust.kinds import ADDRESSES, CERTIFIED, FOUNDED, Addresses, Certified, Keyed

DIVISION: Final = Table(
    "division",
    VIEWS,
    Column("subject", LargeBinary(32), primary_key=True),
    Column("code", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("level", Integer, nullable=False),
    Column("parent", Text),
    Column("signing_key", Text, nullable=False),
    Column("issuer_level", Integer, nullable=False),
    Column("issuer_feed", LargeBinary, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Index("division_code", "code"),
)

DIVISION_ADDRESS: Final = Table(
    "division_address",
    VIEWS,
    Column("subject", LargeBinary(32), primary_key=True),
    Column("code", Text, nullable=False),
    Column("feed", LargeBinary, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("links", Text, nullable=False),  # a JSON array of texts
    Index("division_address_code", "code"),
)


class DivisionRow(NamedTuple):
    """A division's node.

    Attributes:
        code: Of the division.
        label: Short name shown to people.
        level: Its tier.
        parent: Code of the division that it links to; None for the district.
        signing_key: Hex of the public key that signs for it.
        certificate: rid of the record that says so.
    """

    code: str
    label: str
    level: Level
    parent: str | None
    signing_key: str
    certificate: bytes


def fold(subject: bytes, facts: Sequence[Fact]) -> Rows:
    """Return the rows of one certificate or list of addresses."""
    order = ordered(facts)
    steps = [rules.judge(fact) for fact in order]
    rows: Rows = {STEP.name: step_rows(subject, order, steps)}
    for fact, step in zip(order, steps, strict=True):
        if step.state is not State.APPLIED:
            continue
        if isinstance(fact.body, Keyed):
            rows[DIVISION.name] = [_division(subject, fact, fact.body)]
        elif isinstance(fact.body, Addresses):
            rows[DIVISION_ADDRESS.name] = [_address(subject, fact, fact.body)]
    return rows


def _division(subject: bytes, fact: Fact, body: Keyed) -> dict[str, object]:
    return {
        "subject": subject,
        "code": body.division,
        "label": body.label,
        "level": int(Level.of(body.level)),
        "parent": body.parent if isinstance(body, Certified) else None,
        "signing_key": body.signing_key,
        "issuer_level": int(fact.level),
        "issuer_feed": fact.feed.key,
        "seq": fact.seq,
    }


def _address(subject: bytes, fact: Fact, body: Addresses) -> dict[str, object]:
    return {
        "subject": subject,
        "code": fact.feed.author,
        "feed": fact.feed.key,
        "seq": fact.seq,
        "links": json.dumps(body.links, ensure_ascii=False, separators=(",", ":")),
    }


PROJECTION: Final = Projection(
    "divisions",
    frozenset({FOUNDED, CERTIFIED, ADDRESSES}),
    (DIVISION, DIVISION_ADDRESS, STEP),
    fold,
)


def divisions(conn: Connection, code: str | None = None) -> list[DivisionRow]:
    """Return all divisions by code, or only the one of ``code``.

    Of several certificates the first in order speaks: from the highest issuer, earliest in its
    feed. A later one replaces no key by itself (protocol 4.2).
    """
    columns = DIVISION.c
    query = select(
        columns.code,
        columns.label,
        columns.level,
        columns.parent,
        columns.signing_key,
        columns.subject,
    ).order_by(columns.code, columns.issuer_level, columns.issuer_feed, columns.seq)
    if code is not None:
        query = query.where(columns.code == code)
    found: dict[str, DivisionRow] = {}
    for row in conn.execute(query):
        found.setdefault(row.code, DivisionRow(*row)._replace(level=Level(row.level)))
    return list(found.values())


def get(conn: Connection, code: str) -> DivisionRow | None:
    """Return the division of that code."""
    return next(iter(divisions(conn, code)), None)


def addresses(conn: Connection, code: str) -> list[str]:
    """Return where the division's node can be reached: candidates to try, each once.

    The last list of each epoch counts. Between epochs nothing orders, so all of them are given:
    an address that no longer answers costs one attempt.
    """
    columns = DIVISION_ADDRESS.c
    query = (
        select(columns.feed, columns.links)
        .where(columns.code == code)
        .order_by(columns.feed, columns.seq)
    )
    last = dict(conn.execute(query).all())
    return list(dict.fromkeys(link for links in last.values() for link in json.loads(links)))
