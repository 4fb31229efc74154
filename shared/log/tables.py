"""The tables of the log, as ``shared.log.sql`` writes and reads them.

No unique index stands on the 32-byte rid, which would cost a third of the time of a commit:
``(feed_id, seq)`` keeps the trunk single, and a rid is looked up by its first 8 bytes, taken as an
integer.
"""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

LOG_TABLES: Final = MetaData()
"""The tables of the log, for the ``open`` of a database."""


class _Bytes(LargeBinary):
    """A BLOB that SQLite's driver takes and gives as it is, without a memoryview around each."""

    cache_ok = True

    def bind_processor(self, dialect: Any) -> None:
        """Return None: a value goes in as it is."""

    def result_processor(self, dialect: Any, coltype: Any) -> None:
        """Return None: a value comes out as it is."""


def _feed_id() -> Column[int]:
    return Column("feed_id", Integer, ForeignKey("feed.id"), nullable=False)


feed = Table(
    "feed",
    LOG_TABLES,
    Column("id", Integer, primary_key=True),
    Column("key", _Bytes, nullable=False, unique=True),
    Column("author", String, nullable=False),
    Column("epoch", _Bytes, nullable=False),
    Column("lane", String, nullable=False),
    Column("audience", String, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("rid", _Bytes, nullable=False),
    Column("stopped", Boolean, nullable=False),
    Column("since_ms", BigInteger, nullable=False),
)
record = Table(
    "record",
    LOG_TABLES,
    Column("arrival", Integer().with_variant(BigInteger, "postgresql"), primary_key=True),
    _feed_id(),
    Column("seq", BigInteger, nullable=False),
    Column("rid", _Bytes, nullable=False),
    Column("rid8", BigInteger, nullable=False),
    Column("header_cose", _Bytes, nullable=False),
    Column("salt", _Bytes),
    Column("body", _Bytes),
    Column("stored_at_ms", BigInteger, nullable=False),
    UniqueConstraint("feed_id", "seq"),
    Index("record_rid8", "rid8"),
    # An arrival is never given out again, also when a cut takes the newest records away: folds
    # keep it as their bookmark. PostgreSQL's sequences behave so by themselves.
    sqlite_autoincrement=True,
)
aside = Table(
    "aside",
    LOG_TABLES,
    Column("rid", _Bytes, primary_key=True),
    _feed_id(),
    Column("seq", BigInteger, nullable=False),
    Column("header_cose", _Bytes, nullable=False),
    Column("salt", _Bytes),
    Column("body", _Bytes),
)
fork = Table(
    "fork",
    LOG_TABLES,
    Column("feed_id", Integer, ForeignKey("feed.id"), primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("first", _Bytes, nullable=False),
    Column("second", _Bytes, nullable=False),
)
note = Table(
    "note",
    LOG_TABLES,
    Column("name", String, primary_key=True),
    Column("value", _Bytes, nullable=False),
)
bad_frame = Table(
    "bad_frame",
    LOG_TABLES,
    Column("id", Integer, primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("peer", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("frame", _Bytes, nullable=False),
)
