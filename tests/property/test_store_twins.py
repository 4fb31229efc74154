"""The store in memory and the one in SQL give the same answers to the same history."""

import asyncio
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import InvalidError
from shared.log.memory import MemoryStore
from shared.log.store import BadFrame, Batch, ForkProof, Store
from shared.record.feed import Feed
from shared.record.record import Record
from shared.record.run import Run
from tests.support.records import feed_of, record_of
from tests.support.stores import answers, open_sql

FEEDS = (feed_of(), feed_of("340602100", "trust"), feed_of(lane="custody"))
NUMBERS = 9
NOTES = ("a", "b")

# Few records, made once: histories shall meet the same ones again and again. Two branches a feed;
# their chains play no part, a store does not look at prev.
RECORDS = {
    (feed, branch, seq): record_of(feed, seq, text=f"{branch}{seq}")
    for feed in FEEDS
    for branch in range(2)
    for seq in range(NUMBERS + 4)
}

ASKED_FOR = [record for (_, _, seq), record in RECORDS.items() if seq in {0, 2, 5}]

feeds = st.sampled_from(FEEDS)
branches = st.integers(0, 1)
numbers = st.integers(0, NUMBERS)
one_record = st.builds(lambda *place: RECORDS[place], feeds, branches, numbers)


@dataclass(frozen=True)
class Plan:
    """A run whose start follows from where the trunk ends: mostly right, sometimes not."""

    feed: Feed
    branch: int
    offset: int
    size: int

    def run_from(self, ends: dict[Feed, int]) -> Run:
        """Return the run and remember where it ends."""
        first = min(max(0, ends.get(self.feed, 0) + self.offset), NUMBERS)
        seqs = range(first, first + self.size)
        ends[self.feed] = first + self.size
        return Run(self.feed, first, tuple(RECORDS[self.feed, self.branch, seq] for seq in seqs))


@dataclass
class BatchPlan:
    """A batch, still without numbers."""

    runs: list[Plan]
    cuts: list[tuple[Feed, int]]
    aside: list[Record] = field(default_factory=list)
    forks: list[ForkProof] = field(default_factory=list)
    notes: dict[str, bytes | None] = field(default_factory=dict)
    bad_frames: list[BadFrame] = field(default_factory=list)


offsets = st.sampled_from([0, 0, 0, 0, 0, 0, 3, -1])
plans = st.builds(Plan, feeds, branches, offsets, st.integers(1, 4))
batches = st.builds(
    BatchPlan,
    st.lists(plans, min_size=1, max_size=3) | st.just([]),
    st.just([]) | st.lists(st.tuples(feeds, numbers), min_size=1, max_size=2),
    st.lists(one_record, max_size=2),
    st.lists(st.builds(ForkProof, feeds, numbers, st.binary(max_size=2), st.just(b"")), max_size=1),
    st.dictionaries(st.sampled_from(NOTES), st.none() | st.binary(max_size=2)),
    st.lists(st.builds(BadFrame, numbers, st.just("34"), st.just(""), st.binary()), max_size=1),
)


# No deadline: each example flushes a dozen transactions to a disk that others use as well.
@settings(deadline=None, max_examples=50)
@given(st.lists(batches, min_size=4, max_size=12))
def test_twins_give_the_same_answers(history: list[BatchPlan]) -> None:
    """Any history of batches, valid or not, leaves both stores with equal answers."""
    asyncio.run(live(history))


async def live(history: list[BatchPlan]) -> None:
    """Give both stores the same batches and compare after each, and after reopening."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "log.sqlite")
        memory, sql = MemoryStore(), open_sql(path)
        for at_ms, plan in enumerate(history):
            batch = await as_batch(plan, memory, at_ms)
            assert await refused(memory, batch) == await refused(sql, batch)
            assert await answers(memory) == await answers(sql)
        assert await all_answers(memory) == await all_answers(sql)
        await sql.close()
        sql = open_sql(path)
        assert await all_answers(MemoryStore(memory.snapshot())) == await all_answers(sql)
        await sql.close()


async def as_batch(plan: BatchPlan, store: Store, at_ms: int) -> Batch:
    """Return the plan's batch with its runs where the trunks end."""
    ends = {feed: state.count for feed, state in (await store.feeds()).items()}
    for feed, count in plan.cuts:
        ends[feed] = min(count, ends.get(feed, 0))
    runs = [run.run_from(ends) for run in plan.runs]
    return Batch(at_ms, runs, plan.cuts, plan.aside, plan.forks, plan.notes, plan.bad_frames)


async def refused(store: Store, batch: Batch) -> str | None:
    """Commit and return what the store objects to."""
    try:
        await store.commit(batch)
    except InvalidError as error:
        return str(error)
    return None


async def all_answers(store: Store) -> dict[str, object]:
    """Return every answer, those to questions about single records included."""
    found = {record.rid: await store.find(record.rid) for record in ASKED_FOR}
    named = {rid: await store.find_prefix(rid[:6]) for rid in found}
    return {
        **await answers(store),
        "find": found,
        "prefix": named,
        "notes": [await store.note(name) for name in NOTES],
        "later": [await store.read(feed, 4, 3, 900) for feed in FEEDS],
        "rids from": [await store.rids(feed, 3, 4) for feed in FEEDS],
        "since": await store.since(5, 3),
    }
