"""The view of cases: what was filed, how it was answered and rated.

Who has received a case is the view of custody's to say: ask it for ``feed`` and ``seq``.
"""

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
    func,
    select,
)

from shared.domain.cases import receipts, rules
from shared.domain.cases.kinds import KINDS
from shared.domain.fields import account_and_role
from shared.domain.projection import Fact
from shared.domain.tables import STEP, VIEWS, Projection, Rows, is_older, step_rows
from shared.record.feed import Level

CASE_FILE: Final = Table(
    "case_file",
    VIEWS,
    Column("subject", LargeBinary(32), primary_key=True),
    Column("author", Text, nullable=False),
    Column("level", Integer, nullable=False),
    Column("feed", LargeBinary, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("receipt", Text, nullable=False),
    Column("receipt_year", Text, nullable=False),
    Column("receipt_number", Integer, nullable=False),
    Column("receipt_key", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("topic", Text),
    Column("place", Text),
    Column("about_unit", Text),
    Column("text", Text, nullable=False),
    Column("filed_ms", BigInteger, nullable=False),
    Column("by_account", Text),
    Column("by_role", Text),
    Column("stage", Text, nullable=False),
    Column("answered_ms", BigInteger),
    Column("answer", LargeBinary(32)),
    Index("case_file_newest", "filed_ms", "subject"),
    Index("case_file_receipt", "receipt"),
    Index("case_file_number", "author", "receipt_year", "receipt_number"),
)

CASE_ANSWER: Final = Table(
    "case_answer",
    VIEWS,
    Column("subject", LargeBinary(32), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("rid", LargeBinary(32), nullable=False),
    Column("author", Text, nullable=False),
    Column("level", Integer, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("publish", Text, nullable=False),
    Column("answered_ms", BigInteger, nullable=False),
    Column("by_account", Text),
    Column("by_role", Text),
)

CASE_RATING: Final = Table(
    "case_rating",
    VIEWS,
    Column("subject", LargeBinary(32), primary_key=True),
    Column("rid", LargeBinary(32), primary_key=True),
    Column("answer", LargeBinary(32), nullable=False),
    Column("score", Text, nullable=False),
    Column("cause", Text),
    Column("rated_ms", BigInteger, nullable=False),
)


class CaseRow(NamedTuple):
    """A case as its own records tell it.

    Attributes:
        rid: Of the filing.
        author: Code of the node that filed it.
        feed: Key of the filing's feed; with ``seq`` what custody is asked for.
        receipt: Number without label.
        receipt_key: Hex of the public half of the receipt's secret.
        channel: One of ``kinds.Channel``.
        kind: One of ``kinds.Concern``.
        topic: One of ``kinds.Topic``, if it was said.
        place: Where it is.
        about_unit: The unit it is about.
        text: What was said.
        filed_ms: By the author's clock.
        by_account: Who took it down, if somebody did; ``by_role`` in which role.
        stage: filed, answered or rated; ``rules.stage`` adds what was received.
        answered_ms: Of the first answer that counts.
        answer: rid of the current answer; what a rating names.
    """

    rid: bytes
    author: str
    level: Level
    feed: bytes
    seq: int
    receipt: str
    receipt_key: str
    channel: str
    kind: str
    topic: str | None
    place: str | None
    about_unit: str | None
    text: str
    filed_ms: int
    by_account: str | None
    by_role: str | None
    stage: str
    answered_ms: int | None
    answer: bytes | None


class AnswerRow(NamedTuple):
    """An answer that counts; the last one is current."""

    rid: bytes
    author: str
    level: Level
    outcome: str
    text: str
    publish: str
    answered_ms: int
    by_account: str | None
    by_role: str | None


class RatingRow(NamedTuple):
    """What the person thinks of an answer."""

    rid: bytes
    answer: bytes
    score: str
    cause: str | None
    rated_ms: int


def fold(subject: bytes, facts: Sequence[Fact]) -> Rows:
    """Return the rows of one case."""
    case, order, steps = rules.replay(subject, facts)
    rows: Rows = {STEP.name: step_rows(subject, order, steps)}
    if case is None:
        return rows
    rows[CASE_FILE.name] = [_case(subject, case)]
    rows[CASE_ANSWER.name] = [
        {
            "subject": subject,
            "position": position,
            "rid": fact.rid,
            "author": fact.feed.author,
            "level": int(fact.level),
            "outcome": body.outcome,
            "text": body.text,
            "publish": body.publish,
            "answered_ms": fact.claimed_at_ms,
            **account_and_role(body.by),
        }
        for position, (fact, body) in enumerate(case.answers)
    ]
    if case.rating:
        fact, rated = case.rating
        rows[CASE_RATING.name] = [
            {
                "subject": subject,
                "rid": fact.rid,
                "answer": fact.refs[1],
                "score": rated.score,
                "cause": rated.cause,
                "rated_ms": fact.claimed_at_ms,
            }
        ]
    return rows


def _case(subject: bytes, case: rules.Case) -> dict[str, object]:
    first, filing = case.first, case.filing
    number = receipts.parse(filing.receipt)[1]
    return {
        "subject": subject,
        "author": first.feed.author,
        "level": int(first.level),
        "feed": first.feed.key,
        "seq": first.seq,
        "receipt": filing.receipt,
        "receipt_year": number.year,
        "receipt_number": int(number.number),
        "receipt_key": filing.receipt_key,
        "channel": filing.channel,
        "kind": filing.kind,
        "topic": filing.topic,
        "place": filing.place,
        "about_unit": filing.about_unit,
        "text": filing.text,
        "filed_ms": first.claimed_at_ms,
        **account_and_role(filing.by),
        "stage": case.stage.value,
        "answered_ms": case.answers[0][0].claimed_at_ms if case.answers else None,
        "answer": case.answers[-1][0].rid if case.answers else None,
    }


PROJECTION: Final = Projection(
    "cases",
    frozenset(kind.name for kind in KINDS),
    (CASE_FILE, CASE_ANSWER, CASE_RATING, STEP),
    fold,
)

_COLUMNS = (CASE_FILE.c.subject, *(CASE_FILE.c[name] for name in CaseRow._fields[1:]))


def page(
    conn: Connection,
    limit: int,
    before: tuple[int, bytes] | None = None,
    *,
    stage: str | None = None,
    author: str | None = None,
    oldest: bool = False,
) -> list[CaseRow]:
    """Return up to ``limit`` cases, the newest first.

    Args:
        conn: A connection to the node's database.
        limit: How many at most.
        before: ``(filed_ms, rid)`` of the last row of the page before.
        stage: Only those that stand there: filed, answered or rated.
        author: Only those that this node filed.
        oldest: The oldest instead, and these first.
    """
    query = select(*_COLUMNS)
    if before is not None:
        query = query.where(is_older(CASE_FILE.c.filed_ms, CASE_FILE.c.subject, before))
    if stage is not None:
        query = query.where(CASE_FILE.c.stage == stage)
    if author is not None:
        query = query.where(CASE_FILE.c.author == author)
    place = (CASE_FILE.c.filed_ms, CASE_FILE.c.subject)
    query = query.order_by(*(place if oldest else (one.desc() for one in place))).limit(limit)
    return [_read(row) for row in conn.execute(query)]


def get(conn: Connection, rid: bytes) -> CaseRow | None:
    """Return the case that the record ``rid`` filed."""
    row = conn.execute(select(*_COLUMNS).where(CASE_FILE.c.subject == rid)).first()
    return None if row is None else _read(row)


def by_receipt(conn: Connection, receipt: str, author: str | None = None) -> list[CaseRow]:
    """Return the cases with this number; without ``author`` several villages may have given it."""
    query = select(*_COLUMNS).where(CASE_FILE.c.receipt == receipt)
    if author is not None:
        query = query.where(CASE_FILE.c.author == author)
    return [_read(row) for row in conn.execute(query.order_by(CASE_FILE.c.subject))]


def answers(conn: Connection, rid: bytes) -> list[AnswerRow]:
    """Return the answers of a case that count, in order."""
    query = (
        select(*(CASE_ANSWER.c[name] for name in AnswerRow._fields))
        .where(CASE_ANSWER.c.subject == rid)
        .order_by(CASE_ANSWER.c.position)
    )
    return [AnswerRow(*row)._replace(level=Level(row.level)) for row in conn.execute(query)]


def ratings(conn: Connection, rid: bytes) -> list[RatingRow]:
    """Return the ratings of a case that count."""
    query = (
        select(*(CASE_RATING.c[name] for name in RatingRow._fields))
        .where(CASE_RATING.c.subject == rid)
        .order_by(CASE_RATING.c.rid)
    )
    return [RatingRow(*row) for row in conn.execute(query)]


def counts(conn: Connection) -> dict[str, int]:
    """Return how many cases stand at each stage; one that has none is left out."""
    stage = CASE_FILE.c.stage
    return dict(conn.execute(select(stage, func.count()).group_by(stage)).all())


def last_number(conn: Connection, author: str, year: int) -> int:
    """Return the highest running number that ``author`` has given out in a year, 0 if none."""
    query = select(func.max(CASE_FILE.c.receipt_number)).where(
        CASE_FILE.c.author == author, CASE_FILE.c.receipt_year == f"{year % 100:02}"
    )
    return conn.execute(query).scalar_one() or 0


def _read(row: Sequence[object]) -> CaseRow:
    found = CaseRow(*row)  # type: ignore[arg-type] # the columns are the fields
    return found._replace(level=Level(found.level))
