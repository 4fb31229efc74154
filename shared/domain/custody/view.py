"""The view of custody: who states to hold which feed up to where, since when (protocol 4.7).

Each statement is a subject of its own. One that counts leaves only its entries: a step for each
would double what is already the most numerous kind.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    column,
    func,
    select,
    values,
)

from shared.domain.custody import rules
from shared.domain.custody.kinds import KINDS, Stated
from shared.domain.projection import Fact, State, ordered
from shared.domain.tables import STEP, VIEWS, Projection, Rows, step_rows

CUSTODY_HELD: Final = Table(
    "custody_held",
    VIEWS,
    Column("subject", LargeBinary(32), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("stater", Text, nullable=False),
    Column("stater_level", Integer, nullable=False),
    Column("use", Text, nullable=False),
    Column("feed", LargeBinary, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("rid", LargeBinary(32), nullable=False),
    Column("since_ms", BigInteger, nullable=False),
    Column("absent", BigInteger, nullable=False),
    Index("custody_held_feed", "feed", "count"),
)

CUSTODY_SHOWN: Final = Table(
    "custody_shown",
    VIEWS,
    Column("subject", LargeBinary(32), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("stater", Text, nullable=False),
    Column("notice", LargeBinary(32), nullable=False, index=True),
    Column("since_ms", BigInteger, nullable=False),
)


def fold(subject: bytes, facts: Sequence[Fact]) -> Rows:
    """Return the rows of one statement."""
    rows: Rows = {STEP.name: [], CUSTODY_HELD.name: [], CUSTODY_SHOWN.name: []}
    for fact in ordered(facts):
        if not isinstance(fact.body, Stated):
            continue
        step = rules.judge(fact, fact.body)
        if step.state is State.APPLIED:
            rows[CUSTODY_HELD.name] += _held(subject, fact, fact.body)
            rows[CUSTODY_SHOWN.name] += _shown(subject, fact, fact.body)
        else:
            rows[STEP.name] += step_rows(subject, [fact], [step])
    return rows


def _held(subject: bytes, fact: Fact, body: Stated) -> list[dict[str, object]]:
    return [
        {
            "subject": subject,
            "position": position,
            "stater": fact.feed.author,
            "stater_level": int(fact.level),
            "use": body.use,
            "feed": held.feed.key,
            "count": held.up_to,
            "rid": bytes.fromhex(held.rid),
            "since_ms": held.since_ms,
            "absent": held.absent,
        }
        for position, held in enumerate(body.held)
    ]


def _shown(subject: bytes, fact: Fact, body: Stated) -> list[dict[str, object]]:
    return [
        {
            "subject": subject,
            "position": position,
            "stater": fact.feed.author,
            "notice": bytes.fromhex(shown.rid),
            "since_ms": shown.since_ms,
        }
        for position, shown in enumerate(body.shown)
    ]


PROJECTION: Final = Projection(
    "custody",
    frozenset(kind.name for kind in KINDS),
    (CUSTODY_HELD, CUSTODY_SHOWN, STEP),
    fold,
)


def held_since(conn: Connection, feed_key: bytes, seq: int) -> dict[str, int]:
    """Return since when which node holds record ``seq`` of a feed, in its own signed words.

    Args:
        conn: A connection to the node's database.
        feed_key: ``Feed.key``.
        seq: Number of the record.

    Returns:
        The earliest ``since_ms`` of each stater's proofs and receipts that cover the record.
    """
    return held_since_each(conn, [(feed_key, seq)])[feed_key, seq]


def held_since_each(
    conn: Connection, records: Iterable[tuple[bytes, int]]
) -> dict[tuple[bytes, int], dict[str, int]]:
    """Return ``held_since`` of several records, by one query: the rows of a list on a page."""
    held: dict[tuple[bytes, int], dict[str, int]] = {one: {} for one in records}
    if not held:
        return held
    wanted = (
        values(column("feed", LargeBinary), column("seq", BigInteger))
        .data(list(held))
        .cte("wanted")
    )
    columns = CUSTODY_HELD.c
    covers = (columns.feed == wanted.c.feed) & (columns["count"] > wanted.c.seq)
    query = (
        select(wanted.c.feed, wanted.c.seq, columns.stater, func.min(columns.since_ms))
        .select_from(wanted)
        .join(CUSTODY_HELD, covers & (columns.use != "beat"))
        .group_by(wanted.c.feed, wanted.c.seq, columns.stater)
        .order_by(columns.stater)
    )
    for feed_key, seq, stater, since_ms in conn.execute(query):
        held[feed_key, seq][stater] = since_ms
    return held


def statements(
    conn: Connection, feed_key: bytes, seq: int, limit: int
) -> list[tuple[bytes, int, bytes]]:
    """Return by which proof or receipt each stater first covered record ``seq`` of a feed.

    Args:
        conn: A connection to the node's database.
        feed_key: ``Feed.key``.
        seq: Number of the record.
        limit: So many staters at most, those from the top down.

    Returns:
        The rid of the statement, the count and the head's rid that it names.
    """
    columns = CUSTODY_HELD.c
    place = func.row_number().over(
        partition_by=columns.stater,
        order_by=(columns["count"], columns.since_ms, columns.subject, columns.position),
    )
    covering = (
        select(columns.subject, columns.stater, columns.stater_level, columns["count"],
               columns.rid, place.label("place"))
        .where(columns.feed == feed_key, columns["count"] > seq, columns.use != "beat")
        .subquery()
    )  # fmt: skip
    query = (
        select(covering.c.subject, covering.c["count"], covering.c.rid)
        .where(covering.c.place == 1)
        .order_by(covering.c.stater_level, covering.c.stater)
        .limit(limit)
    )
    return [(subject, count, rid) for subject, count, rid in conn.execute(query)]


def shown_since(conn: Connection, rids: Iterable[bytes]) -> dict[bytes, dict[str, int]]:
    """Return since when each notice stands on which node's screens, in its own signed words.

    Returns:
        By rid; a notice that nobody has shown has no staters.
    """
    shown: dict[bytes, dict[str, int]] = {rid: {} for rid in rids}
    columns = CUSTODY_SHOWN.c
    query = (
        select(columns.notice, columns.stater, func.min(columns.since_ms))
        .where(columns.notice.in_(shown))
        .group_by(columns.notice, columns.stater)
    )
    for rid, stater, since_ms in conn.execute(query):
        shown[rid][stater] = since_ms
    return shown
