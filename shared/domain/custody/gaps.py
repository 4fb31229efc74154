"""Numbers that somebody has vouched for and that are not here (protocol 4.7, 9.1).

A chain shows a hole in its middle by itself; only another's word shows that its end is missing.
Statements of custody are such words: who states to hold a feed further than we do has seen records
that we have not.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, func, select

from shared.domain.custody.view import CUSTODY_HELD
from shared.errors import FaultError
from shared.record import cbor
from shared.record.feed import Feed, feed_from, is_holder


@dataclass(frozen=True)
class Missing:
    """What is missing of one feed.

    Attributes:
        feed: The feed.
        held: How many records of it are here.
        vouched: How many there are at least.
        by: The division that states to hold so many; of several the first by code.
        since_ms: Since when, in its words, it or another one has held more than we do.
    """

    feed: Feed
    held: int
    vouched: int
    by: str
    since_ms: int

    @property
    def records(self) -> int:
        """How many are missing at least."""
        return self.vouched - self.held


_ROWS = CUSTODY_HELD.c
_NEXT = select(_ROWS.feed).where(_ROWS.feed > bindparam("feed")).order_by(_ROWS.feed).limit(1)
_MOST = select(func.max(_ROWS["count"])).where(_ROWS.feed == bindparam("feed"))
_WHO = select(func.min(_ROWS.stater)).where(
    _ROWS.feed == bindparam("feed"), _ROWS["count"] == bindparam("vouched")
)
_SINCE = select(func.min(_ROWS.since_ms)).where(
    _ROWS.feed == bindparam("feed"), _ROWS["count"] > bindparam("held")
)


def missing(conn: Connection, me: str, counts: Mapping[Feed, int]) -> list[Missing]:
    """Return what this node is entitled to and lacks, as far as others have vouched for it.

    It goes from feed to feed along the index, however many statements there are.

    Args:
        conn: A connection to the node's database.
        me: Its division.
        counts: How many records of each feed it holds.
    """
    found, key = list[Missing](), b""
    while key := conn.scalar(_NEXT, {"feed": key}) or b"":
        feed = _feed_of(key)
        if feed is None or not is_holder(feed, me):
            continue
        held, vouched = counts.get(feed, 0), conn.scalar(_MOST, {"feed": key}) or 0
        if vouched > held:
            by = conn.scalar(_WHO, {"feed": key, "vouched": vouched}) or ""
            since_ms = conn.scalar(_SINCE, {"feed": key, "held": held}) or 0
            found.append(Missing(feed, held, vouched, by, since_ms))
    return found


def _feed_of(key: bytes) -> Feed | None:
    try:
        return feed_from(cbor.decode(key))
    except FaultError:
        return None  # a statement of something else than a feed: nobody's loss
