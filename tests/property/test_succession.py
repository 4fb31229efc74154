"""Which key counts is a function of the set of records, not of their arrival (1.5, 4.2)."""

import asyncio
from collections.abc import Iterator
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.log.log import Log
from shared.log.memory import MemoryStore
from shared.record.feed import Feed, Level
from shared.record.record import Record
from shared.record.run import Run
from shared.trust.kinds import ADDRESSES, CERTIFIED
from shared.trust.roster import Roster
from tests.support.records import key_of
from tests.support.replacing import confirmed, replacing
from tests.support.trust import (
    DISTRICT,
    EPOCH,
    TOWN,
    VILLAGE,
    VILLAGE_2,
    certified_body,
    opened,
    signed,
    small_district,
    trust_feed,
)

SMALL = small_district()
TOP = trust_feed(DISTRICT, Level.DISTRICT)


def epoch(number: int) -> bytes:
    """Return an epoch; higher ones sort lower, so that refolding meets them first."""
    return (2**32 - number).to_bytes(8, "big")


@cache
def history() -> tuple[Record, ...]:
    """Return the life of the town's and the village's keys, with rivals at each step.

    The district gives the town another key with the old one's consent (7), which two rivals want
    as well (8 by consent, too late; 9 without). It confirms 9. Under each of them the town opened
    an epoch, certified the second village and replaced the first one's key. That village lost its
    key: the district confirms the next one (20), under which it says where it can be reached.
    """
    made = list(SMALL.records)

    def add(record: Record) -> Record:
        made.append(record)
        return record

    def here(seq: int, prev: bytes) -> tuple[Feed, int, bytes]:
        return TOP, seq, prev

    top, first = SMALL.town_certified, SMALL.town_certified.rid
    rivals: list[tuple[int, Record]] = []
    for seq, (number, by) in enumerate(((7, 1), (8, 1), (9, None)), 2):
        top = add(replacing(first, number, by, place=here(seq, top.rid), code=TOWN, signer=0))
        rivals.append((number, top))
    top = add(confirmed(rivals[2][1].rid, 5, top.rid))
    lost = add(replacing(SMALL.village_certified.rid, 20, None))
    add(confirmed(lost.rid, 6, top.rid))
    leaf = add(opened(VILLAGE, Level.VILLAGE, lost.rid, key_of(20), epoch(20)))
    said = {"links": ["ws://village/link"]}
    add(signed(leaf.header.feed, 1, leaf.rid, ADDRESSES, said, key_of(20)))
    for number, certificate in rivals:
        opening = add(
            opened(TOWN, Level.TOWN, certificate.rid, key_of(number), epoch(number),
                   follows=EPOCH.hex())
        )  # fmt: skip
        feed = opening.header.feed
        body = certified_body(
            SMALL.founded.rid, TOWN, VILLAGE_2, Level.VILLAGE, key_of(number + 20)
        )
        other = add(signed(feed, 1, opening.rid, CERTIFIED, body, key_of(number)))
        add(replacing(SMALL.village_certified.rid, number + 30, 2,
                      place=(feed, 2, other.rid), signer=number))  # fmt: skip
    return tuple(made)


def chunks(order: list[Record], records_max: int) -> Iterator[list[Run]]:
    """Yield ``order`` in chunks in which no feed stands twice."""
    runs: dict[Feed, Run] = {}
    for record in order:
        feed = record.header.feed
        if feed in runs or len(runs) == records_max:
            yield list(runs.values())
            runs = {}
        runs[feed] = Run(feed, record.header.seq, (record,))
    yield list(runs.values())


async def told(order: list[Record], records_max: int) -> Log:
    """Return a log that was offered ``order`` until it had all."""
    log = Log(DISTRICT, MemoryStore(), SMALL.founded.rid)
    while sum(state.count for state in log.feeds.values()) < len(order):
        for runs in chunks(order, records_max):
            await log.accept(runs, 0)
    return log


def facts(roster: Roster) -> object:
    """Return what a roster says of everybody."""
    return (
        roster.divisions(),
        roster.unconfirmed(),
        {code: roster.keys_of(code) for code in roster.divisions()},
        roster.addresses_of(VILLAGE),
    )


@settings(max_examples=40, deadline=None)
@given(st.permutations(history()), st.integers(1, 6))
def test_any_order_of_arrival_gives_the_same_roster(order: list[Record], chunk: int) -> None:
    """Rivals, consents and the district's word: what counts is the same, also after a restart."""
    log = asyncio.run(told(order, chunk))
    expected = asyncio.run(told(list(history()), 1))
    assert facts(log.roster) == facts(expected.roster)
    assert facts(asyncio.run(log._learned())) == facts(expected.roster)
    found = log.roster.certificate_of(TOWN)
    assert found is not None
    assert found.key == key_of(9).public
    village = log.roster.certificate_of(VILLAGE_2)
    assert village is not None
    assert village.key == key_of(29).public
    assert log.roster.keys_of(VILLAGE) == (key_of(20).public,)
    assert log.roster.addresses_of(VILLAGE) == ("ws://village/link",)
