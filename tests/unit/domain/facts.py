"""Facts for tests of folds: no keys, no chain, a rid made from a name."""

from hashlib import sha256

from sqlalchemy import Connection, create_engine, insert

from shared.domain.cases import kinds as cases
from shared.domain.custody import kinds as custody
from shared.domain.notices import kinds as notices
from shared.domain.projection import Fact
from shared.domain.tables import VIEWS, Rows
from shared.record.feed import Feed, Level
from shared.trust import kinds as trust
from shared.trust.authority import Body

DISTRICT, TOWN, OTHER_TOWN = "340602", "340602100", "340602101"
VILLAGE, OTHER_VILLAGE = "340602100201", "340602101201"
EPOCH = bytes(7) + b"\x01"
KEY = "ab" * 32

LEVELS = {6: Level.DISTRICT, 9: Level.TOWN, 12: Level.VILLAGE}
NAMES: dict[type[Body], str] = {
    notices.Published: notices.PUBLISHED,
    notices.Corrected: notices.CORRECTED,
    notices.Withdrawn: notices.WITHDRAWN,
    cases.Filed: cases.FILED,
    cases.Answered: cases.ANSWERED,
    cases.Rated: cases.RATED,
    custody.Stated: custody.STATED,
    trust.Founded: trust.FOUNDED,
    trust.Certified: trust.CERTIFIED,
    trust.Addresses: trust.ADDRESSES,
}


def rid(name: str) -> bytes:
    """Return 32 bytes that are the name's own."""
    return sha256(name.encode()).digest()


def fact(
    name: str,
    author: str,
    body: Body,
    *refs: str,
    audience: str = "^",
    lane: str = "ordinary",
    seq: int = 0,
    epoch: bytes = EPOCH,
) -> Fact:
    """Return the fact of that name; ``refs`` are names too, its time is its seq in seconds."""
    return Fact(
        rid(name),
        Feed(author, epoch, lane, audience),
        seq,
        NAMES[type(body)],
        LEVELS[len(author)],
        1000 * seq,
        tuple(map(rid, refs)),
        body,
    )


def stored(*rows: Rows) -> Connection:
    """Return a connection to a database in memory that holds these rows."""
    engine = create_engine("sqlite://")
    conn = engine.connect()
    VIEWS.create_all(conn)
    for tables in rows:
        for name, values in tables.items():
            if values:
                conn.execute(insert(VIEWS.tables[name]), values)
    return conn


def filed(number: str = "26-0001-5", **fields: str) -> cases.Filed:
    """Return a filing."""
    values = {
        "receipt": number,
        "channel": "kiosk",
        "kind": "complain",
        "text": "路灯不亮",
        "receipt_key": KEY,
    } | fields
    return cases.Filed.model_validate(values)


def answered(text: str = "已修好") -> cases.Answered:
    """Return an answer."""
    return cases.Answered(outcome="settled", text=text, publish="full")


def published(title: str = "停水通知", **fields: object) -> notices.Published:
    """Return a notice."""
    values: dict[str, object] = {
        "stream": "government",
        "category": "public_interest",
        "title": title,
        "text": "明天停水",
    }
    return notices.Published.model_validate(values | fields)


def corrected(title: str = "停水通知（更正）", reason: str = "日期有误") -> notices.Corrected:
    """Return a correction."""
    return notices.Corrected(
        stream="government",
        category="public_interest",
        title=title,
        text="后天停水",
        reason=reason,
    )
