"""The view of notices: what is in force, and every version of it."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    Boolean,
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

from shared.domain.fields import account_and_role
from shared.domain.notices import rules
from shared.domain.notices.kinds import KINDS, Content, Corrected
from shared.domain.notices.search import NOTICE_WORDS, is_found, words_row
from shared.domain.notices.words import Query
from shared.domain.projection import Fact
from shared.domain.tables import STEP, VIEWS, Projection, Rows, is_older, step_rows
from shared.record.feed import Level

NOTICE: Final = Table(
    "notice",
    VIEWS,
    Column("subject", LargeBinary(32), primary_key=True),
    Column("author", Text, nullable=False),
    Column("level", Integer, nullable=False),
    Column("audience", Text, nullable=False),
    Column("feed", LargeBinary, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("stream", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("urgent", Boolean, nullable=False),
    Column("title", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("published_ms", BigInteger, nullable=False),
    Column("changed_ms", BigInteger),
    Column("effective_ms", BigInteger),
    Column("expires_ms", BigInteger),
    Column("last_rid", LargeBinary(32), nullable=False),
    Column("by_account", Text),
    Column("by_role", Text),
    Index("notice_newest", "published_ms", "subject"),
)

NOTICE_VERSION: Final = Table(
    "notice_version",
    VIEWS,
    Column("subject", LargeBinary(32), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("rid", LargeBinary(32), nullable=False),
    Column("claimed_at_ms", BigInteger, nullable=False),
    Column("stream", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("reason", Text),
    Column("effective_ms", BigInteger),
    Column("expires_ms", BigInteger),
    Column("by_account", Text),
    Column("by_role", Text),
)


class NoticeRow(NamedTuple):
    """A notice as it stands, whatever the time; ``rules.state_at`` knows of expiry.

    Attributes:
        rid: Of the publication.
        author: Code of the node that says it.
        level: The author's.
        audience: To whom.
        feed: Key of the publication's feed; with ``seq`` what custody is asked for.
        seq: Its number there.
        stream: One of ``kinds.Stream``.
        category: One of ``kinds.Category``.
        urgent: It came in the urgent lane, or its category is urgent.
        title: Current one.
        text: Markdown; empty once withdrawn, the versions keep it.
        state: published, corrected or withdrawn.
        reason: Of the last correction or the withdrawal.
        published_ms: By the author's clock.
        changed_ms: Of the last correction or the withdrawal.
        effective_ms: From when it is in force.
        expires_ms: Until when.
        last_rid: The last step applied; what follows names it in ``refs[1]``.
        by_account: Who acted last.
        by_role: In which role.
    """

    rid: bytes
    author: str
    level: Level
    audience: str
    feed: bytes
    seq: int
    stream: str
    category: str
    urgent: bool
    title: str
    text: str
    state: str
    reason: str | None
    published_ms: int
    changed_ms: int | None
    effective_ms: int | None
    expires_ms: int | None
    last_rid: bytes
    by_account: str | None
    by_role: str | None


class VersionRow(NamedTuple):
    """What a notice said from some step on."""

    rid: bytes
    claimed_at_ms: int
    stream: str
    category: str
    title: str
    text: str
    reason: str | None
    effective_ms: int | None
    expires_ms: int | None
    by_account: str | None
    by_role: str | None


def fold(subject: bytes, facts: Sequence[Fact]) -> Rows:
    """Return the rows of one notice."""
    notice, order, steps = rules.replay(subject, facts)
    rows: Rows = {STEP.name: step_rows(subject, order, steps)}
    if notice is not None:
        rows[NOTICE.name] = [_notice(subject, notice)]
        rows[NOTICE_VERSION.name] = [
            {"subject": subject, "position": position, **_version(fact, content)}
            for position, (fact, content) in enumerate(notice.versions)
        ]
        if notice.withdrawal is None:
            content = notice.versions[-1][1]
            rows[NOTICE_WORDS.name] = [words_row(subject, content.title, content.text)]
    return rows


def _content(content: Content) -> dict[str, object]:
    return {
        "stream": content.stream,
        "category": content.category,
        "title": content.title,
        "text": content.text,
        "reason": content.reason if isinstance(content, Corrected) else None,
        "effective_ms": content.effective_ms,
        "expires_ms": content.expires_ms,
        **account_and_role(content.by),
    }


def _version(fact: Fact, content: Content) -> dict[str, object]:
    return {"rid": fact.rid, "claimed_at_ms": fact.claimed_at_ms, **_content(content)}


def _notice(subject: bytes, notice: rules.Notice) -> dict[str, object]:
    first, last = notice.first, notice.last
    content = notice.versions[-1][1]
    row = {
        "subject": subject,
        "author": first.feed.author,
        "level": int(first.level),
        "audience": first.feed.audience,
        "feed": first.feed.key,
        "seq": first.seq,
        **_content(content),
        "urgent": first.feed.lane == "urgent" or content.category == "urgent",
        "state": notice.state.value,
        "published_ms": first.claimed_at_ms,
        "changed_ms": None if last is first else last.claimed_at_ms,
        "last_rid": last.rid,
    }
    if notice.withdrawal:
        body = notice.withdrawal[1]
        # A withdrawn notice leaves its stub and the reason; no page can show the text by mistake.
        row |= {"text": "", "reason": body.reason, **account_and_role(body.by)}
    return row


PROJECTION: Final = Projection(
    "notices",
    frozenset(kind.name for kind in KINDS),
    (NOTICE, NOTICE_VERSION, NOTICE_WORDS, STEP),
    fold,
)

_COLUMNS = (NOTICE.c.subject, *(NOTICE.c[name] for name in NoticeRow._fields[1:]))


def page(
    conn: Connection,
    limit: int,
    before: tuple[int, bytes] | None = None,
    *,
    stream: str | None = None,
    author: str | None = None,
    words: Query | None = None,
) -> list[NoticeRow]:
    """Return up to ``limit`` notices, the newest first.

    Args:
        conn: A connection to the node's database.
        limit: How many at most.
        before: ``(published_ms, rid)`` of the last row of the page before.
        stream: Only of this stream.
        author: Only by this node.
        words: Only what this query finds; nothing that is withdrawn.
    """
    query = select(*_COLUMNS)
    if before is not None:
        query = query.where(is_older(NOTICE.c.published_ms, NOTICE.c.subject, before))
    if stream is not None:
        query = query.where(NOTICE.c.stream == stream)
    if author is not None:
        query = query.where(NOTICE.c.author == author)
    if words is not None:
        query = query.where(is_found(conn, NOTICE.c.subject, words))
    query = query.order_by(NOTICE.c.published_ms.desc(), NOTICE.c.subject.desc()).limit(limit)
    return [_read(row) for row in conn.execute(query)]


def urgent(
    conn: Connection, limit: int, now_ms: int, *, stream: str | None = None
) -> list[NoticeRow]:
    """Return up to ``limit`` urgent notices that are in force at ``now_ms``, the newest first."""
    lasts = NOTICE.c.expires_ms.is_(None) | (NOTICE.c.expires_ms > now_ms)
    query = select(*_COLUMNS).where(NOTICE.c.urgent, NOTICE.c.state != "withdrawn", lasts)
    if stream is not None:
        query = query.where(NOTICE.c.stream == stream)
    query = query.order_by(NOTICE.c.published_ms.desc(), NOTICE.c.subject.desc()).limit(limit)
    return [_read(row) for row in conn.execute(query)]


def get(conn: Connection, rid: bytes) -> NoticeRow | None:
    """Return the notice that the record ``rid`` published."""
    row = conn.execute(select(*_COLUMNS).where(NOTICE.c.subject == rid)).first()
    return None if row is None else _read(row)


def versions(conn: Connection, rid: bytes) -> list[VersionRow]:
    """Return what the notice has said, the first version first."""
    query = (
        select(*(NOTICE_VERSION.c[name] for name in VersionRow._fields))
        .where(NOTICE_VERSION.c.subject == rid)
        .order_by(NOTICE_VERSION.c.position)
    )
    return [VersionRow(*row) for row in conn.execute(query)]


def count(conn: Connection) -> int:
    """Return how many notices there are, withdrawn ones included."""
    return conn.execute(select(func.count()).select_from(NOTICE)).scalar_one()


def _read(row: Sequence[object]) -> NoticeRow:
    found = NoticeRow(*row)  # type: ignore[arg-type] # the columns are the fields
    return found._replace(level=Level(found.level))
