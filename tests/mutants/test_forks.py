"""What a log does with a fork (5.6): the same trunk for all, and no record thrown away."""

import pytest

from shared.log.log import Log
from shared.log.memory import MemoryStore
from shared.log.store import ForkProof
from shared.record.record import Record
from shared.record.run import Run
from tests.support.records import feed_of, record_of, run_of
from tests.support.trust import TOWN, small_district

SMALL = small_district()
FEED = feed_of()
RUN = run_of(FEED, 6, 0, SMALL.district_opened.rid)
OTHER = run_of(FEED, 2, 3, RUN.records[2].rid, text="other ")


async def log_with(count: int) -> Log:
    """Return a town's log that holds the trust records and ``count`` records of ``RUN``."""
    log = Log(TOWN, MemoryStore(), SMALL.founded.rid)
    for record in SMALL.records:
        await log.accept([Run(record.header.feed, record.header.seq, (record,))], 0)
    if count:
        await log.accept([Run(FEED, 0, RUN.records[:count])], 0)
    return log


def proof(one: Record, other: Record) -> ForkProof:
    """Return the proof that these two make."""
    first, second = sorted((one.header_cose, other.header_cose))
    return ForkProof(FEED, one.header.seq, first, second)


async def test_a_fork_cuts_the_trunk_and_keeps_both_branches() -> None:
    """The trunk is what lies below; all else stands aside."""
    log = await log_with(6)
    await log.accept([OTHER], 0)
    assert (log.state(FEED).count, log.state(FEED).stopped) == (3, True)
    aside = {record.rid for record in await log.store.aside()}
    assert aside == {record.rid for record in (*RUN.records[3:], *OTHER.records)}


@pytest.mark.parametrize("held", range(4))
@pytest.mark.parametrize("restarted", [False, True])
async def test_who_hears_of_a_fork_early_still_gets_what_lies_below(
    held: int, restarted: bool
) -> None:
    """Up to the difference and no further, from whoever holds it, also after a restart."""
    log = await log_with(held)
    await log.accept_forks([proof(RUN.records[3], OTHER.records[0])], 0)
    assert (log.state(FEED).count, log.state(FEED).stopped) == (held, True)
    if restarted:
        log = Log(TOWN, log.store, SMALL.founded.rid)
        await log.open()
    await log.accept([RUN], 0)
    state = log.state(FEED)
    assert (state.count, state.rid, state.stopped) == (3, RUN.records[2].rid, True)


async def test_a_proof_that_follows_two_records_ends_the_trunk_below_both() -> None:
    """The branches differ already there, where a bad signature proves nothing."""
    log = await log_with(6)
    await log.accept_forks([proof(RUN.records[4], OTHER.records[1])], 0)
    assert log.state(FEED).count == 3


async def test_the_lowest_difference_counts_whichever_is_heard_first() -> None:
    """A proof for a higher number changes nothing any more, one for a lower does."""
    lower = proof(RUN.records[1], record_of(FEED, 1, RUN.records[0].rid, text="third"))
    higher = proof(RUN.records[3], OTHER.records[0])
    for order in ((lower, higher), (higher, lower)):
        log = await log_with(6)
        for one in order:
            await log.accept_forks([one], 0)
        assert log.state(FEED).count == 1
