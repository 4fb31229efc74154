"""The view tables are a function of the set of records: any arrival, restarts, rebuilds (1.5)."""

import asyncio
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select

from shared.domain.cases.kinds import ANSWERED, FILED, RATED
from shared.domain.catalogue import KINDS, PROJECTIONS
from shared.domain.custody.kinds import STATED
from shared.domain.notices.kinds import CORRECTED, PUBLISHED, WITHDRAWN
from shared.domain.tables import VIEWS
from shared.log.log import Log
from shared.log.sql import SqlStore
from shared.log.sqlite import SqliteDatabase
from shared.log.tables import LOG_TABLES
from shared.node.views import BOOKMARKS, Views
from shared.record.feed import Feed, Level
from shared.record.record import Record
from shared.record.run import Run
from shared.trust.kinds import CERTIFIED
from tests.support.records import key_of
from tests.support.trust import (
    DISTRICT,
    EPOCH,
    TOWN,
    VILLAGE,
    certified_body,
    opened,
    signed,
    small_district,
    trust_feed,
)

SECOND, USURPED = (2).to_bytes(8, "big"), (3).to_bytes(8, "big")
NOTICE = {"stream": "party", "category": "decision", "title": "题", "text": "文"}
FILING = {"receipt": "26-0001-5", "channel": "web", "kind": "ask", "text": "问",
          "receipt_key": "00" * 32}  # fmt: skip
ANSWER = {"outcome": "explained", "text": "答", "publish": "full"}


class Pen:
    """Writes the records of one feed after another."""

    def __init__(self) -> None:
        """Begin with the trust records."""
        self.records = list(small_district().records)

    def write(
        self, feed: Feed, kind: str, body: dict[str, Any], number: int, *refs: bytes
    ) -> bytes:
        """Append a record signed by key ``number``; return its rid."""
        before = [one for one in self.records if one.header.feed == feed]
        opening = next(
            one for one in self.records
            if (one.header.feed.author, one.header.feed.epoch) == (feed.author, feed.epoch)
        )  # fmt: skip
        prev = before[-1].rid if before else opening.rid
        one = signed(feed, len(before), prev, kind, body, key_of(number), refs=refs)
        self.records.append(one)
        return one.rid

    def open(self, code: str, level: Level, certificate: bytes, number: int, epoch: bytes,
             **more: str) -> None:  # fmt: skip
        """Append an ``epoch.opened``."""
        self.records.append(opened(code, level, certificate, key_of(number), epoch, **more))


@cache
def world() -> tuple[Record, ...]:
    """Return all records there are: notices, a case, custody, and a key that is not confirmed."""
    small, pen = small_district(), Pen()
    down = Feed(DISTRICT, EPOCH, "ordinary", DISTRICT + "*")
    first = pen.write(down, PUBLISHED, NOTICE, 0)
    second = pen.write(down, PUBLISHED, NOTICE | {"title": "二"}, 0)
    pen.write(down, CORRECTED, NOTICE | {"reason": "错"}, 0, first, first)
    town = Feed(TOWN, EPOCH, "urgent", TOWN + "*")
    pen.write(town, WITHDRAWN, {"reason": "废"}, 1, second, second)  # not its own: not applied
    pen.write(town, PUBLISHED, NOTICE, 1)
    up = Feed(VILLAGE, EPOCH, "ordinary", "^")
    filed = pen.write(up, FILED, FILING, 2)
    answer = pen.write(Feed(TOWN, EPOCH, "ordinary", VILLAGE), ANSWERED, ANSWER, 1, filed)
    pen.write(Feed(DISTRICT, EPOCH, "ordinary", VILLAGE), ANSWERED, ANSWER, 0, filed, answer)
    pen.write(up, RATED, {"score": "fair"}, 2, filed, answer)
    pen.write(up, RATED, {"score": "fair"}, 2, filed, bytes(32))  # what it rates is missing
    held = [VILLAGE, EPOCH.hex(), "ordinary", "^", 1, filed.hex(), 5, 0]
    pen.write(Feed(DISTRICT, EPOCH, "custody", VILLAGE), STATED,
              {"use": "receipt", "held": [held]}, 0)  # fmt: skip
    pen.write(Feed(VILLAGE, EPOCH, "custody", "^"), STATED,
              {"use": "proof", "shown": [[first.hex(), 5]]}, 2)  # fmt: skip
    pen.open(DISTRICT, Level.DISTRICT, small.founded.rid, 0, SECOND, follows=EPOCH.hex())
    body = certified_body(small.founded.rid, DISTRICT, TOWN, Level.TOWN, key_of(7))
    usurper = pen.write(trust_feed(DISTRICT, Level.DISTRICT, SECOND), CERTIFIED, body, 0)
    pen.open(TOWN, Level.TOWN, usurper, 7, USURPED)
    pen.write(Feed(TOWN, USURPED, "ordinary", TOWN + "*"), PUBLISHED, NOTICE | {"title": "假"}, 7)
    return tuple(pen.records)


class Box:
    """The district's log and views in one file."""

    def __init__(self, path: Path) -> None:
        """Open it."""
        self._path = path
        self._start()

    def _start(self) -> None:
        self.database = SqliteDatabase.open(
            self._path, LOG_TABLES, VIEWS, BOOKMARKS, threaded=False
        )
        self.log = Log(DISTRICT, SqlStore(self.database), small_district().founded.rid)
        self.views = Views(self.database, self.log, KINDS, PROJECTIONS)

    async def restart(self) -> None:
        """Close the file and open it again."""
        await self.database.close()
        self._start()
        await self.log.open()

    async def deliver(self, records: tuple[Record, ...], moves: list[str]) -> None:
        """Offer each record, again until nothing is new; between them do what ``moves`` says."""
        held = -1
        while held != (held := sum(state.count for state in self.log.feeds.values())):
            for number, one in enumerate(records):
                await self.log.accept([Run(one.header.feed, one.header.seq, (one,))], 7)
                await self._do(moves[number % len(moves)])
        assert held == len(records)
        await self.views.catch_up()

    async def _do(self, move: str) -> None:
        if move == "fold":
            await self.views.catch_up()
        elif move == "rebuild":
            await self.views.rebuild()
        elif move == "restart":
            await self.restart()

    async def rows(self) -> dict[str, list[str]]:
        """Return all view tables, as text, in an order that arrival cannot show."""

        def work(connection: Connection) -> dict[str, list[str]]:
            return {
                table.name: sorted(repr(tuple(row)) for row in connection.execute(select(table)))
                for table in VIEWS.sorted_tables
            }

        return await self.views.query(work)


async def rows_after(records: tuple[Record, ...], moves: list[str]) -> dict[str, list[str]]:
    """Return what the views show after ``records`` came in this order."""
    with TemporaryDirectory() as folder:
        box = Box(Path(folder) / "log.db")
        await box.log.open()
        await box.deliver(records, moves)
        rows = await box.rows()
        await box.database.close()
    return rows


@cache
def expected() -> dict[str, list[str]]:
    """Return what the views show when all came in the order of writing."""
    return asyncio.run(rows_after(world(), ["-"]))


def test_the_world_shows_something() -> None:
    """Every table has rows, and the usurper's word stands in none."""
    rows = expected()
    assert {name for name, found in rows.items() if not found} <= {"division_address"}
    assert sum("假" in row for row in rows["notice"]) == 0
    assert any("not_applied" in row for row in rows["step"])


def usurper_first() -> list[Record]:
    """Return the order in which the key that will not count is the only one at first."""
    return [*world()[:1], *world()[-4:], *world()[1:-4]]


@settings(max_examples=25)
@example(usurper_first(), ["fold"])
@example(usurper_first(), ["restart", "fold"])
@given(
    st.permutations(world()),
    st.lists(st.sampled_from(["-", "-", "fold", "restart", "rebuild"]), min_size=1, max_size=7),
)
def test_any_arrival_shows_the_same(order: list[Record], moves: list[str]) -> None:
    """Byte-equal rows, also with folds, restarts and rebuilds between."""
    assert asyncio.run(rows_after(tuple(order), moves)) == expected()
