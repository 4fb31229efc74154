"""The tables of the log as they were before there were revisions. Never changed again."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create them."""
    _create_trunk()
    _create_beside()


def _feed_id(*, is_key: bool = False) -> sa.Column[int]:
    link = sa.ForeignKey("feed.id")
    return sa.Column("feed_id", sa.Integer, link, nullable=False, primary_key=is_key)


def _create_trunk() -> None:
    op.create_table(
        "feed",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("key", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("author", sa.String, nullable=False),
        sa.Column("epoch", sa.LargeBinary, nullable=False),
        sa.Column("lane", sa.String, nullable=False),
        sa.Column("audience", sa.String, nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("rid", sa.LargeBinary, nullable=False),
        sa.Column("stopped", sa.Boolean, nullable=False),
        sa.Column("since_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "record",
        sa.Column(
            "arrival", sa.Integer().with_variant(sa.BigInteger, "postgresql"), primary_key=True
        ),
        _feed_id(),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("rid", sa.LargeBinary, nullable=False),
        sa.Column("rid8", sa.BigInteger, nullable=False),
        sa.Column("header_cose", sa.LargeBinary, nullable=False),
        sa.Column("salt", sa.LargeBinary),
        sa.Column("body", sa.LargeBinary),
        sa.Column("stored_at_ms", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("feed_id", "seq"),
        sqlite_autoincrement=True,
    )
    op.create_index("record_rid8", "record", ["rid8"])


def _create_beside() -> None:
    op.create_table(
        "aside",
        sa.Column("rid", sa.LargeBinary, primary_key=True),
        _feed_id(),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("header_cose", sa.LargeBinary, nullable=False),
        sa.Column("salt", sa.LargeBinary),
        sa.Column("body", sa.LargeBinary),
    )
    op.create_table(
        "fork",
        _feed_id(is_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True),
        sa.Column("first", sa.LargeBinary, nullable=False),
        sa.Column("second", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "note",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("value", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "bad_frame",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("peer", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("frame", sa.LargeBinary, nullable=False),
    )
