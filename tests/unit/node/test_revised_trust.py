"""Trust that is taken back: the roster, and the views that stand on it, forget it (1.5, 4.2)."""

from collections.abc import Iterable
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from shared.domain.catalogue import KINDS, PROJECTIONS
from shared.domain.notices.kinds import PUBLISHED
from shared.domain.notices.view import NOTICE
from shared.domain.tables import VIEWS
from shared.log.log import Log
from shared.log.memory import MemoryStore
from shared.log.sql import SqlStore
from shared.log.sqlite import SqliteDatabase
from shared.log.tables import LOG_TABLES
from shared.node.views import BOOKMARKS, Views
from shared.record.feed import Feed, Level
from shared.record.record import Record
from shared.record.run import Run
from shared.trust.kinds import CERTIFIED
from tests.support.records import key_of
from tests.support.replacing import confirmed, replacing
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

SMALL = small_district()
SECOND = (2).to_bytes(8, "big")
OTHER = "340602101"
TOP = trust_feed(DISTRICT, Level.DISTRICT)
FOR_THE_TOWN = (TOP, 2, SMALL.town_certified.rid)


def town_certified(code: str, seq: int, prev: bytes, number: int, feed: Feed = TOP) -> Record:
    """Return the district's certificate for town ``code`` with key ``number``."""
    body = certified_body(SMALL.founded.rid, DISTRICT, code, Level.TOWN, key_of(number))
    return signed(feed, seq, prev, CERTIFIED, body, key_of())


def notice(code: str, epoch: bytes, prev: bytes, number: int, audience: str = "") -> Record:
    """Return a notice of ``code``, if not told to whom, to its own people."""
    body = {"stream": "party", "category": "decision", "title": "题", "text": "文"}
    feed = Feed(code, epoch, "ordinary", audience or code + "*")
    return signed(feed, 0, prev, PUBLISHED, body, key_of(number))


async def take(log: Log, records: Iterable[Record]) -> None:
    """Accept ``records``, one chunk each."""
    for record in records:
        await log.accept([Run(record.header.feed, record.header.seq, (record,))], 0)


async def notices(views: Views) -> set[bytes]:
    """Return the rids of the notices that the view shows."""

    def work(connection: Connection) -> set[bytes]:
        return {row.subject for row in connection.execute(select(NOTICE.c.subject))}

    await views.catch_up()
    return await views.query(work)


@pytest.fixture
def database(tmp_path: Path) -> SqliteDatabase:
    """An empty database."""
    return SqliteDatabase.open(tmp_path / "log.db", LOG_TABLES, VIEWS, BOOKMARKS)


async def test_a_certificate_above_a_fork_is_forgotten() -> None:
    """The trunk of a trust feed ends below the fork; what stood above certified nobody (5.6)."""
    late = town_certified(OTHER, 2, SMALL.town_certified.rid, 5)
    twin = town_certified(OTHER, 2, SMALL.town_certified.rid, 6)
    for first, second in ((late, twin), (twin, late)):
        log = Log(VILLAGE, MemoryStore(), SMALL.founded.rid)
        await take(log, (*SMALL.records, first))
        assert log.roster.certificate_of(OTHER) is not None
        await take(log, (second,))
        assert log.state(TOP).stopped
        assert log.roster.certificate_of(OTHER) is None
        assert log.roster.certificate_of(TOWN) is not None
        assert log.revised == 1
        again = Log(VILLAGE, log.store, SMALL.founded.rid)
        await again.open()
        assert again.revised == 1
        assert again.roster.divisions() == log.roster.divisions()


@pytest.mark.parametrize("restarted", [False, True])
async def test_what_was_said_under_it_is_shown_no_longer(
    database: SqliteDatabase, restarted: bool
) -> None:
    """The views are folded anew, also if the process ended before it could (1.5)."""
    store = SqlStore(database)
    log = Log(DISTRICT, store, SMALL.founded.rid)
    late = town_certified(OTHER, 2, SMALL.town_certified.rid, 5)
    opening = opened(OTHER, Level.TOWN, late.rid, key_of(5))
    theirs = notice(OTHER, opening.header.feed.epoch, opening.rid, 5)
    ours = notice(TOWN, SMALL.town_opened.header.feed.epoch, SMALL.town_opened.rid, 1)
    await take(log, (*SMALL.records, late, opening, theirs, ours))
    views = Views(database, log, KINDS, PROJECTIONS)
    assert await notices(views) == {theirs.rid, ours.rid}
    await take(log, (town_certified(OTHER, 2, SMALL.town_certified.rid, 6),))
    if restarted:
        log = Log(DISTRICT, store, SMALL.founded.rid)
        await log.open()
        views = Views(database, log, KINDS, PROJECTIONS)
    assert await notices(views) == {ours.rid}
    await database.close()


async def test_the_voice_of_an_unconfirmed_key_is_kept_and_not_shown(
    database: SqliteDatabase,
) -> None:
    """It is stored for relaying; whoever comes first by rank counts, in any order (4.2)."""
    opening_first = SMALL.district_opened
    later = opened(DISTRICT, Level.DISTRICT, SMALL.founded.rid, key_of(), SECOND,
                   follows=opening_first.header.feed.epoch.hex())  # fmt: skip
    usurper = town_certified(TOWN, 1, later.rid, 7, trust_feed(DISTRICT, Level.DISTRICT, SECOND))
    epoch = (3).to_bytes(8, "big")
    opening = opened(TOWN, Level.TOWN, usurper.rid, key_of(7), epoch)
    false = notice(TOWN, epoch, opening.rid, 7)
    true = notice(TOWN, SMALL.town_opened.header.feed.epoch, SMALL.town_opened.rid, 1)
    log = Log(DISTRICT, SqlStore(database), SMALL.founded.rid)
    views = Views(database, log, KINDS, PROJECTIONS)
    await take(log, (SMALL.founded, later, usurper, opening, false))
    assert await notices(views) == {false.rid}
    await take(log, (*SMALL.records, true))
    assert await notices(views) == {true.rid}
    assert log.state(false.header.feed).count == 1
    await database.close()


async def test_a_replaced_key_is_heard_once_the_district_confirms(
    database: SqliteDatabase,
) -> None:
    """What was said under the new key waits, then is shown; the old key's words stay (4.2)."""
    new = replacing(SMALL.town_certified.rid, 7, None, code=TOWN, place=FOR_THE_TOWN, signer=0)
    lost = replacing(SMALL.village_certified.rid, 9, None)
    opening = opened(VILLAGE, Level.VILLAGE, lost.rid, key_of(9), SECOND)
    said = notice(VILLAGE, SECOND, opening.rid, 9, "^")
    before = notice(VILLAGE, EPOCH, SMALL.village_opened.rid, 2, "^")
    log = Log(DISTRICT, SqlStore(database), SMALL.founded.rid)
    views = Views(database, log, KINDS, PROJECTIONS)
    await take(log, (*SMALL.records, lost, opening, said, before))
    assert await notices(views) == {before.rid}
    assert log.revised == 0
    await take(log, (confirmed(lost.rid),))
    assert log.revised == 1
    assert await notices(views) == {before.rid, said.rid}
    await take(log, (new,))
    assert log.state(TOP).stopped  # it took the confirmation's number: the district forked
    assert await notices(views) == {before.rid}
    await database.close()
