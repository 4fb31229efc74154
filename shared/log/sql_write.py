"""What one commit writes in SQL, and the trunk ends that it keeps in memory.

Rows go in by ``executemany`` of plain dicts: the ORM costs four to six times as much.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from shared.log.database import insert_new
from shared.log.store import (
    BadFrame,
    Batch,
    FeedState,
    ForkProof,
    check_place,
    frames_to_drop,
    kept_frame,
)
from shared.log.tables import aside, bad_frame, feed, fork, note, record
from shared.record.feed import Feed
from shared.record.record import Record
from shared.record.run import Run


@dataclass
class Known:
    """A row of the table ``feed``, and which other tables may mention it.

    Attributes:
        id: Its primary key.
        state: The trunk.
        has_aside: False if nothing stands aside; True if something may.
        has_fork: Whether a proof is kept.
    """

    id: int
    state: FeedState
    has_aside: bool = False
    has_fork: bool = False


Feeds = dict[Feed, Known]

_RID8_BYTES: Final = 8

_FEED_COLUMNS: Final = tuple(column for column in feed.c if column.name != "key")
_INSERT_FEED: Final = insert(feed)
_INSERT_RECORD: Final = insert(record)
_INSERT_ASIDE: Final = insert_new(aside)
_INSERT_FORK: Final = insert_new(fork)
_DELETE_ASIDE: Final = delete(aside).where(aside.c.rid == bindparam("known_rid"))
_DELETE_NOTE: Final = delete(note).where(note.c.name == bindparam("known_name"))
_UPDATE_FEED: Final = (
    update(feed)
    .where(feed.c.id == bindparam("known_id"))
    .values({name: bindparam(f"new_{name}") for name in ("count", "rid", "stopped", "since_ms")})
)
_TRUNK_RID: Final = select(record.c.rid).where(
    record.c.feed_id == bindparam("feed_id"), record.c.seq == bindparam("seq")
)
_BEYOND: Final = (record.c.feed_id == bindparam("feed_id"), record.c.seq >= bindparam("count"))
_COPY_BEYOND: Final = insert(aside).from_select(
    [column.name for column in aside.c],
    select(*(record.c[column.name] for column in aside.c)).where(*_BEYOND),
)
_DELETE_BEYOND: Final = delete(record).where(*_BEYOND)
_LAST: Final = (
    select(record.c.seq + 1, record.c.rid, record.c.stored_at_ms)
    .where(record.c.feed_id == bindparam("feed_id"))
    .order_by(record.c.seq.desc())
    .limit(1)
)


def rid8_of(rid: bytes) -> int:
    """Return the first 8 bytes of ``rid`` as the signed integer that SQL can hold."""
    return int.from_bytes(rid[:_RID8_BYTES], "big", signed=True)


def load_feeds(connection: Connection) -> Feeds:
    """Return every feed that the tables name."""
    with_aside = set(connection.scalars(select(aside.c.feed_id).distinct()))
    with_fork = set(connection.scalars(select(fork.c.feed_id).distinct()))
    rows = connection.execute(select(*_FEED_COLUMNS))
    return {
        Feed(*name): Known(
            key, FeedState(count, rid, stopped, at_ms), key in with_aside, key in with_fork
        )
        for key, *name, count, rid, stopped, at_ms in rows
    }


def write_batch(connection: Connection, feeds: Feeds, batch: Batch) -> None:
    """Write ``batch`` and change ``feeds`` with it; after an error ``feeds`` is of no use.

    Raises:
        InvalidError: a run does not begin where its trunk ends.
    """
    writer = _Writer(connection, feeds, batch.at_ms)
    for name, count in batch.cuts:
        writer.cut(name, count)
    writer.add_runs(batch.runs)
    writer.add_aside(batch.aside)
    writer.add_forks(batch.forks)
    writer.set_notes(batch.notes)
    writer.add_bad_frames(batch.bad_frames)


@dataclass
class _Writer:
    """One transaction; each method writes one part of a batch."""

    connection: Connection
    feeds: Feeds
    at_ms: int

    def cut(self, name: Feed, count: int) -> None:
        known = self._feed(name)
        place = {"feed_id": known.id, "count": count}
        moved = self.connection.execute(_COPY_BEYOND, place).rowcount
        known.has_aside = known.has_aside or moved > 0
        self.connection.execute(_DELETE_BEYOND, place)
        last = self.connection.execute(_LAST, {"feed_id": known.id}).one_or_none()
        end, rid, since_ms = last or (0, b"", 0)
        known.state = FeedState(end, rid, stopped=True, since_ms=since_ms)
        self._save([known])

    def add_runs(self, runs: Iterable[Run]) -> None:
        rows: list[dict[str, Any]] = []
        grown: dict[int, Known] = {}
        for run in runs:
            known = self._feed(run.feed)
            check_place(run, known.state.count)
            grown[known.id] = known
            rows.extend(self._rows(known.id, run))
            known.state = replace(
                known.state, count=run.end, rid=run.records[-1].rid, since_ms=self.at_ms
            )
        if not rows:
            return
        self.connection.execute(_INSERT_RECORD, rows)
        if any(known.has_aside for known in grown.values()):
            self.connection.execute(_DELETE_ASIDE, [{"known_rid": row["rid"]} for row in rows])
        self._save(grown.values())

    def _rows(self, feed_id: int, run: Run) -> list[dict[str, Any]]:
        at_ms = self.at_ms
        return [
            {
                "feed_id": feed_id, "seq": seq, "rid": item.rid, "rid8": rid8_of(item.rid),
                "header_cose": item.header_cose, "salt": item.salt, "body": item.body,
                "stored_at_ms": at_ms,
            }
            for seq, item in enumerate(run.records, run.first_seq)
        ]  # fmt: skip

    def add_aside(self, records: Iterable[Record]) -> None:
        rows: list[dict[str, Any]] = []
        for item in records:
            seq, known = item.header.seq, self._feed(item.header.feed)
            place = {"feed_id": known.id, "seq": seq}
            if self.connection.scalar(_TRUNK_RID, place) != item.rid:
                known.has_aside = True
                parts = {"header_cose": item.header_cose, "salt": item.salt, "body": item.body}
                rows.append({"rid": item.rid, **place, **parts})
        if rows:
            self.connection.execute(_INSERT_ASIDE, rows)

    def add_forks(self, forks: Iterable[ForkProof]) -> None:
        for proof in forks:
            known = self._feed(proof.feed)
            known.has_fork = True
            place = {"feed_id": known.id, "seq": proof.seq}
            self.connection.execute(
                _INSERT_FORK, {**place, "first": proof.first, "second": proof.second}
            )

    def set_notes(self, notes: dict[str, bytes | None]) -> None:
        if not notes:
            return
        self.connection.execute(_DELETE_NOTE, [{"known_name": name} for name in notes])
        kept = [
            {"name": name, "value": value} for name, value in notes.items() if value is not None
        ]
        if kept:
            self.connection.execute(insert(note), kept)

    def add_bad_frames(self, frames: Iterable[BadFrame]) -> None:
        rows = [vars(kept_frame(bad)) for bad in frames]
        if not rows:
            return
        self.connection.execute(insert(bad_frame), rows)
        query = select(bad_frame.c.id, func.length(bad_frame.c.frame)).order_by(bad_frame.c.id)
        held = self.connection.execute(query).all()
        dropped = frames_to_drop([size for _, size in held])
        if dropped:
            oldest_kept = held[dropped][0]
            self.connection.execute(delete(bad_frame).where(bad_frame.c.id < oldest_kept))

    def _feed(self, name: Feed) -> Known:
        """Return what is known of a feed; a new one gets its row."""
        known = self.feeds.get(name)
        if known is None:
            values = {"key": name.key, **name._asdict(), "count": 0, "rid": b""}
            result = self.connection.execute(
                _INSERT_FEED, {**values, "stopped": False, "since_ms": 0}
            )
            (key,) = result.inserted_primary_key or (0,)
            known = self.feeds[name] = Known(key, FeedState())
        return known

    def _save(self, changed: Iterable[Known]) -> None:
        self.connection.execute(
            _UPDATE_FEED,
            [
                {"known_id": known.id} | {f"new_{name}": v for name, v in vars(known.state).items()}
                for known in changed
            ],
        )
