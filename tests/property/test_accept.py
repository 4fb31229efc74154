"""A feed arrives whole and once, however it is cut, mixed, doubled and delayed (protocol 5.5)."""

import asyncio
from functools import cache
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.log.accept import Accepted, Duplicate, Gap
from shared.log.log import Log
from shared.log.memory import MemoryStore
from shared.record.feed import ROOT_EPOCH, Feed, Level
from shared.record.record import Record
from shared.record.run import Run
from shared.trust.kinds import CERTIFIED
from tests.support.records import feed_of, key_of, record_of
from tests.support.trust import (
    DISTRICT,
    TOWN,
    VILLAGE,
    certified_body,
    signed,
    small_district,
    trust_feed,
)

RECORDS = 7
NODE = "340602100202"


@cache
def world() -> dict[Feed, tuple[Record, ...]]:
    """Return all feeds there are: those of trust, and one or two of each node's."""
    small = small_district()
    district, town = trust_feed(DISTRICT, Level.DISTRICT), trust_feed(TOWN, Level.TOWN)
    body = certified_body(small.founded.rid, TOWN, NODE, Level.VILLAGE, key_of(3))
    late = signed(town, 2, small.village_certified.rid, CERTIFIED, body, key_of(1))
    feeds: dict[Feed, tuple[Record, ...]] = {
        Feed(DISTRICT, ROOT_EPOCH, "trust", f"{DISTRICT}*"): (small.founded,),
        district: (small.district_opened, small.town_certified),
        town: (small.town_opened, small.village_certified, late),
        trust_feed(VILLAGE, Level.VILLAGE): (small.village_opened,),
    }
    for number, feed, base in (
        (0, feed_of(), small.district_opened),
        (0, feed_of(lane="custody"), small.district_opened),
        (1, feed_of(TOWN, "urgent"), small.town_opened),
        (2, feed_of(VILLAGE, "ordinary", "^"), small.village_opened),
    ):
        records, prev = list[Record](), base.rid
        for seq in range(RECORDS):
            records.append(record_of(feed, seq, prev, text=str(seq), key=key_of(number)))
            prev = records[-1].rid
        feeds[feed] = tuple(records)
    return feeds


@st.composite
def pieces(draw: st.DrawFn, feed: Feed) -> list[Run]:
    """Draw a cutting of a whole feed into runs, and more pieces that lie across the cuts."""
    records = world()[feed]
    inside = range(1, len(records))
    cuts = sorted({0, len(records), *(at for at in inside if draw(st.booleans()))})
    spans = list(pairwise(cuts))
    for _ in range(draw(st.integers(0, 2))):
        start = draw(st.integers(0, len(records) - 1))
        spans.append((start, draw(st.integers(start + 1, len(records)))))
    return [Run(feed, start, records[start:end]) for start, end in spans]


@st.composite
def deliveries(draw: st.DrawFn) -> list[list[Run]]:
    """Draw chunks: all pieces in any order, some of them twice, any number in one chunk."""
    runs = list[Run]()
    for feed in world():
        runs += draw(pieces(feed))
    twice = [run for run in runs if draw(st.integers(0, 4)) == 0]
    mixed = draw(st.permutations(runs + twice))
    chunks: list[list[Run]] = [[]]
    for run in mixed:
        # No feed stands twice in a chunk: a frame that says so is refused (5.3).
        is_there = run.feed in {other.feed for other in chunks[-1]}
        if is_there or (draw(st.booleans()) and chunks[-1]):
            chunks.append([])
        chunks[-1].append(run)
    return chunks


async def check_held(log: Log) -> None:
    """Compare what is held with the world: beginnings of feeds, each on its base."""
    rids = {stored.record.rid for stored in await log.store.since(0, 10**6)}
    rids.add(bytes(32))  # what the anchor follows
    for feed, state in log.feeds.items():
        assert state == (await log.store.feeds())[feed]
        held = await log.store.read(feed, 0, 10**6, 10**9)
        assert tuple(held) == world()[feed][: state.count]
        assert not state.stopped
        assert {record.header.prev for record in held} <= rids


async def deliver(chunks: list[list[Run]]) -> Log:
    """Give ``chunks`` to an empty log, and what was a gap again until nothing is new."""
    log = Log(DISTRICT, MemoryStore(), small_district().founded.rid)
    await log.open()
    waiting, now = chunks, 0
    while waiting:
        missing, news = list[list[Run]](), False
        for chunk in waiting:
            now += 1
            outcomes = await log.accept(chunk, now, in_order=False)
            await check_held(log)
            assert all(isinstance(one, Accepted | Duplicate | Gap) for one in outcomes)
            news |= any(isinstance(one, Accepted) for one in outcomes)
            gaps = [
                run
                for run, outcome in zip(chunk, outcomes, strict=True)
                if isinstance(outcome, Gap)
            ]
            missing += [gaps] if gaps else []
        assert news or not missing, "what is missing never comes"
        waiting = missing
    return log


@given(deliveries())
@settings(deadline=None, max_examples=60)
def test_every_feed_arrives_whole_and_once(chunks: list[list[Run]]) -> None:
    """Cut, mixed, doubled and delayed at will, each feed is held exactly, once (3.2, 5.5)."""

    async def scenario() -> None:
        log = await deliver(chunks)
        total = sum(map(len, world().values()))
        stored = await log.store.since(0, 10**6)
        assert len(stored) == total == log.counters.accepted
        for feed, records in world().items():
            assert tuple(await log.store.read(feed, 0, 10**6, 10**9)) == records
        assert await log.store.aside() == []
        assert log.counters.forks == log.counters.refused == 0

    asyncio.run(scenario())


@given(deliveries(), st.data())
@settings(deadline=None, max_examples=30)
def test_never_a_record_without_its_predecessor(
    chunks: list[list[Run]], data: st.DataObject
) -> None:
    """When only some of the chunks arrive, what is held still stands on its base (4.3, 5.5)."""

    async def scenario() -> None:
        log = Log(DISTRICT, MemoryStore(), small_district().founded.rid)
        await log.open()
        for now, chunk in enumerate(chunks):
            if data.draw(st.integers(0, 3)):
                await log.accept(chunk, now, in_order=False)
                await check_held(log)
        again = Log(DISTRICT, log.store, small_district().founded.rid)
        await again.open()
        assert again.feeds == log.feeds
        assert again.roster.divisions() == log.roster.divisions()

    asyncio.run(scenario())
