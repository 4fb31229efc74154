"""Acceptance of a run: one outcome for everything that can be said about it."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from shared.log.accept import (
    NOTHING,
    Accepted,
    Duplicate,
    Fork,
    Gap,
    Held,
    Outcome,
    Refused,
    accept,
)
from shared.record.feed import ROOT_EPOCH, Feed, Level
from shared.record.header import NO_PREV
from shared.record.record import Record
from shared.record.run import Run
from shared.trust.kinds import OPENED
from tests.support.records import feed_of, key_of, record_of, run_of
from tests.support.trust import DISTRICT, EPOCH, TOWN, VILLAGE, opened, signed, small_district
from tests.support.trust import trust_feed as own_feed

SMALL = small_district()
ROSTER = SMALL.roster()
FEED = feed_of()
BASE = SMALL.district_opened.rid
RUN = run_of(FEED, 6, 0, BASE)
CUSTODY = feed_of(lane="custody")
CUSTODY_RUN = run_of(CUSTODY, 6, 0, BASE)
TRUST = own_feed(DISTRICT, Level.DISTRICT)


def holding(run: Run, count: int, offered: Run | None = None, *, stopped: bool = False) -> Held:
    """Return the state of a node that holds ``count`` records of ``run`` and is offered another."""
    first = offered.first_seq if offered else 0
    overlap = [record.rid for record in run.records[first:count]]
    rid = run.records[count - 1].rid if count else b""
    return Held(count, rid, overlap[: len(offered.records)] if offered else overlap, stopped)


def judge(run: Run, count: int, *, in_order: bool = True, stopped: bool = False) -> Outcome:
    """Judge ``run`` where ``count`` records of ``RUN`` (or of the custody's) are held."""
    trunk = CUSTODY_RUN if run.feed == CUSTODY else RUN
    held = holding(trunk, count, run, stopped=stopped)
    return accept(run, held, ROSTER, in_order=in_order)


def flipped(record: Record, at: int = -1) -> Record:
    """Return ``record`` with one bit of its signed header's bytes changed."""
    data = bytearray(record.header_cose)
    data[at] ^= 1
    return replace(record, header_cose=bytes(data))


def chained(good: Sequence[bool], feed: Feed = FEED, first_seq: int = 0, prev: bytes = BASE) -> Run:
    """Return a run in which each record follows the one before; some have a bad own signature."""
    records = list[Record]()
    for seq, is_good in enumerate(good, first_seq):
        record = record_of(feed, seq, prev, text=str(seq))
        records.append(record if is_good else flipped(record))
        prev = records[-1].rid
    return Run(feed, first_seq, tuple(records))


# --- continuing the trunk ------------------------------------------------------------------------


@pytest.mark.parametrize("count", range(6))
def test_run_continues_the_trunk(count: int) -> None:
    """A run that begins at or below the head adds exactly what lies beyond it (5.5)."""
    for first in range(count + 1):
        assert judge(RUN.tail(first), count) == Accepted(RUN.tail(count))


def test_earlier_is_a_duplicate() -> None:
    """Records that are all here are ignored, as often as they come (protocol 5.5)."""
    assert judge(RUN, 6) == Duplicate(6)
    assert judge(Run(FEED, 1, RUN.records[1:3]), 6) == Duplicate(2)
    assert judge(Run(FEED, 1, RUN.records[1:3]), 3) == Duplicate(2)


def test_later_is_a_gap() -> None:
    """A run beyond the head waits until what lies between has come (protocol 5.5)."""
    for first in range(1, 6):
        assert isinstance(judge(RUN.tail(first), first - 1), Gap)
        assert judge(RUN.tail(first), first) == Accepted(RUN.tail(first))


def test_nothing_held_of_any_feed() -> None:
    """The first records of a feed follow the epoch's opening (protocol 2.2)."""
    assert accept(RUN, NOTHING, ROSTER) == Accepted(RUN)
    village = feed_of(VILLAGE, "ordinary", "^")
    record = record_of(village, 0, SMALL.village_opened.rid, key=key_of(2))
    run = Run(village, 0, (record,))
    assert accept(run, NOTHING, ROSTER) == Accepted(run)


# --- bases ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("prev", [NO_PREV, SMALL.founded.rid, SMALL.town_opened.rid])
def test_wrong_base(prev: bytes) -> None:
    """A first record that follows anything but its epoch's opening is refused (2.2, 4.3)."""
    assert accept(run_of(FEED, 2, 0, prev), NOTHING, ROSTER) == Refused("wrong base")


def test_base_not_held_is_a_gap() -> None:
    """Without the certificate or the opening nobody stores or relays the run (protocol 4.3)."""
    assert isinstance(accept(RUN, NOTHING, SMALL.roster(1)), Gap)
    assert isinstance(accept(RUN, NOTHING, SMALL.roster(0)), Gap)
    assert isinstance(accept(run_of(feed_of(epoch=2), 1, 0, BASE), NOTHING, ROSTER), Gap)
    assert accept(RUN, NOTHING, SMALL.roster(2)) == Accepted(RUN)


def test_trust_records_from_the_top_down() -> None:
    """Each trust record is accepted once those before it are known, and not before (4.1–4.3)."""
    for known, record in enumerate(SMALL.records):
        feed, seq = record.header.feed, record.header.seq
        run = Run(feed, seq, (record,))
        held = NOTHING if seq == 0 else Held(1, record.header.prev)
        assert accept(run, held, SMALL.roster(known)) == Accepted(run)
        if known:
            assert isinstance(accept(run, held, SMALL.roster(0)), Gap)


def test_anchor() -> None:
    """A founding record with another rid than the pinned one is not taken (protocol 4.1)."""
    feed = Feed(DISTRICT, ROOT_EPOCH, "trust", DISTRICT + "*")
    forged = Run(feed, 0, (record_of(feed, 0, kind="district.founded.v1"),))
    assert isinstance(accept(forged, NOTHING, SMALL.roster(0)), Gap)
    assert isinstance(accept(forged, NOTHING, ROSTER), Gap)
    broken = Run(feed, 0, (flipped(SMALL.founded),))
    assert isinstance(accept(broken, NOTHING, SMALL.roster(0)), Gap)
    good = Run(feed, 0, (SMALL.founded,))
    assert accept(good, holding(good, 1, good), ROSTER) == Duplicate(1)


def test_root_feed_is_more_than_this_version_reads() -> None:
    """What follows the founding is signed by the recovery key, not read yet: a gap (4.1)."""
    feed = Feed(DISTRICT, ROOT_EPOCH, "trust", DISTRICT + "*")
    second = signed(feed, 1, SMALL.founded.rid, "district.rekeyed.v1", {}, key_of())
    whole, rest = Run(feed, 0, (SMALL.founded, second)), Run(feed, 1, (second,))
    founding = Run(feed, 0, (SMALL.founded,))
    assert accept(whole, NOTHING, SMALL.roster(0)) == Accepted(founding)
    assert accept(whole, holding(founding, 1, whole), ROSTER) == Duplicate(1)
    assert isinstance(accept(rest, holding(founding, 1), ROSTER), Gap)


def test_opening_in_the_wrong_feed_or_under_a_strange_certificate() -> None:
    """An opening stands in the node's own trust feed, under its own certificate (4.3)."""
    second, town = (2).to_bytes(8, "big"), SMALL.town_certified.rid
    good = opened(TOWN, Level.TOWN, town, key_of(1), second)
    run = Run(good.header.feed, 0, (good,))
    assert accept(run, NOTHING, ROSTER) == Accepted(run)
    forged = opened(TOWN, Level.TOWN, town, key_of(2), second)
    outcome = accept(Run(forged.header.feed, 0, (forged,)), NOTHING, ROSTER)
    assert isinstance(outcome, Refused)
    for feed, prev in (
        (Feed(TOWN, second, "ordinary", TOWN + "*"), town),
        (Feed(TOWN, second, "trust", "^"), town),
        (Feed(TOWN, second, "trust", TOWN + "*"), SMALL.village_certified.rid),
    ):
        record = signed(feed, 0, prev, OPENED, {"certificate": prev.hex()}, key_of(1))
        assert isinstance(accept(Run(feed, 0, (record,)), NOTHING, ROSTER), Gap)


# --- keys and signatures -------------------------------------------------------------------------


def test_wrong_key() -> None:
    """A run signed by anybody but the author is refused, with whatever kid (2.3, 5.5)."""
    record = record_of(FEED, 0, BASE, key=key_of(1))
    assert isinstance(accept(Run(FEED, 0, (record,)), NOTHING, ROSTER), Refused)
    later = Run(FEED, 5, (record_of(FEED, 5, BASE, key=key_of(1)),))
    assert isinstance(accept(later, NOTHING, ROSTER), Refused)
    kid = key_of().public.kid
    dressed = replace(record, header_cose=record.header_cose.replace(record.envelope.kid, kid, 1))
    assert dressed.envelope.kid == kid
    assert isinstance(accept(Run(FEED, 0, (dressed,)), NOTHING, ROSTER), Refused)


@pytest.mark.parametrize(
    ("good", "accepted"),
    [
        ([True, True, True], 3),
        ([False, False, True], 3),
        ([True, False, True], 3),
        ([True, True, False], 2),
        ([True, False, False], 1),
        ([False, True, False, False], 2),
        ([False, False, False], 0),
    ],
)
def test_signatures_are_checked_from_the_end(good: list[bool], accepted: int) -> None:
    """Valid is what verifies or is the ancestor of such a one; the rest is a gap (5.5)."""
    run = chained(good)
    outcome = accept(run, NOTHING, ROSTER)
    if accepted:
        assert outcome == Accepted(Run(FEED, 0, run.records[:accepted]))
    else:
        assert isinstance(outcome, Refused)


def test_good_signature_below_the_head_helps_nobody() -> None:
    """Only what is new is vouched for, and by something new (protocol 5.5)."""
    run = chained([True, True, False])
    held = holding(run, 2, run)
    assert isinstance(accept(run, held, ROSTER), Refused)


@pytest.mark.parametrize(
    ("good", "accepted"),
    [([True, True, True], 3), ([True, False, True], 1), ([False, True, True], 0),
     ([True, True, False], 2)],
)  # fmt: skip
def test_trust_lane_checks_each(good: list[bool], accepted: int) -> None:
    """In the trust lane every record's own signature counts (protocol 5.5)."""
    run = chained(good, TRUST, 1, BASE)
    outcome = accept(run, Held(1, BASE), ROSTER)
    if accepted:
        assert outcome == Accepted(Run(TRUST, 1, run.records[:accepted]))
    else:
        assert isinstance(outcome, Refused)


def test_flipped_byte_in_each_part() -> None:
    """Whatever byte of header, salt or body a relay changes, nothing of it is stored (5.5)."""
    record = RUN.records[0]
    assert record.salt is not None
    assert record.body is not None
    for at in range(len(record.header_cose)):
        outcome = accept(Run(FEED, 0, (flipped(record, at),)), NOTHING, ROSTER)
        assert isinstance(outcome, Refused), f"byte {at}"
    salt, body = bytearray(record.salt), bytearray(record.body)
    for part in (salt, body):
        for at in range(len(part)):
            part[at] ^= 1
            changed = Record(record.header_cose, bytes(salt), bytes(body))
            assert isinstance(accept(Run(FEED, 0, (changed,)), NOTHING, ROSTER), Refused)
            part[at] ^= 1


@pytest.mark.parametrize("place", range(6))
def test_flipped_byte_at_each_place(place: int) -> None:
    """A changed record is refused wherever it stands, with the records behind it (5.5)."""
    for at in (20, 100, -70, -1):
        records = list(RUN.records)
        records[place] = flipped(records[place], at)
        outcome = accept(Run(FEED, 0, tuple(records)), NOTHING, ROSTER)
        if place == 5 and not isinstance(outcome, Refused):
            # The chain is whole, only the last own signature is bad: what is below is good.
            assert outcome == Accepted(Run(FEED, 0, RUN.records[:5]))
        else:
            assert isinstance(outcome, Refused)
            assert (place, at) != (5, -1)


@pytest.mark.parametrize(
    "run",
    [
        Run(FEED, 0, ()),
        Run(FEED, 1, RUN.records),
        Run(feed_of(lane="urgent"), 0, RUN.records),
        Run(FEED, 0, (RUN.records[0], RUN.records[2])),
        Run(FEED, 0, (Record(b"", None, None),)),
        Run(FEED, 0, (Record(RUN.records[0].header_cose + b"\x00", None, None),)),
    ],
    ids=["empty", "number", "lane", "hole", "no bytes", "a byte more"],
)
def test_run_that_lies_is_refused(run: Run) -> None:
    """What is not the run it claims to be is a fault of the link, said as a value (5.5)."""
    assert isinstance(accept(run, NOTHING, ROSTER), Refused)


# --- bodies --------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", range(6))
def test_missing_body_stops_the_run(place: int) -> None:
    """Without a body a record is not taken, nor what follows it (protocol 5.3)."""
    records = list(RUN.records)
    records[place] = replace(records[place], salt=None, body=None)
    outcome = accept(Run(FEED, 0, tuple(records)), NOTHING, ROSTER)
    if place:
        assert outcome == Accepted(Run(FEED, 0, RUN.records[:place]))
    else:
        assert outcome == Gap("the body is missing")


def test_no_vouching_by_a_record_without_body() -> None:
    """What stands behind the missing body vouches for nothing that is taken (5.3, 5.5)."""
    run = chained([True, False, True])
    last = replace(run.records[2], salt=None, body=None)
    outcome = accept(Run(FEED, 0, (*run.records[:2], last)), NOTHING, ROSTER)
    assert outcome == Accepted(Run(FEED, 0, run.records[:1]))


# --- custody -------------------------------------------------------------------------------------


def test_custody_may_begin_late() -> None:
    """A custody run may begin at any record that verifies: the rest is forgotten (4.7)."""
    late = CUSTODY_RUN.tail(3)
    assert judge(late, 0) == Accepted(late)
    assert judge(late, 2) == Accepted(late)
    assert judge(CUSTODY_RUN, 0) == Accepted(CUSTODY_RUN)


def test_custody_late_start_only_in_order() -> None:
    """While a frame of the sender is missing, a late start is a gap like any other (4.7)."""
    assert isinstance(judge(CUSTODY_RUN.tail(3), 0, in_order=False), Gap)
    assert isinstance(judge(CUSTODY_RUN.tail(3), 2, in_order=False), Gap)
    assert judge(CUSTODY_RUN.tail(3), 3, in_order=False) == Accepted(CUSTODY_RUN.tail(3))


def test_custody_late_start_needs_its_own_signature() -> None:
    """The first record of a late start must verify by itself (protocol 4.7)."""
    assert isinstance(accept(chained([False, True], CUSTODY, 3), NOTHING, ROSTER), Gap)
    run = chained([True, False, True], CUSTODY, 3)
    assert accept(run, NOTHING, ROSTER) == Accepted(run)


def test_only_custody_may_begin_late() -> None:
    """In every other lane the gap is the same whether or not a frame is missing (3.2, 5.5)."""
    for lane in ("urgent", "ordinary", "trust"):
        feed = feed_of(lane=lane)
        run = run_of(feed, 2, 3, bytes(32))
        assert isinstance(accept(run, NOTHING, ROSTER), Gap)


# --- forks ---------------------------------------------------------------------------------------


def branch(seq: int, count: int = 2) -> Run:
    """Return another run of the author that leaves ``RUN`` at ``seq``."""
    prev = RUN.records[seq - 1].rid if seq else BASE
    return run_of(FEED, count, seq, prev, text="other ")


@pytest.mark.parametrize("seq", range(6))
def test_fork(seq: int) -> None:
    """Two signed records of one number are a fork at the lowest difference (5.6)."""
    other = branch(seq)
    assert judge(other, 6) == Fork(seq, other.records)
    whole = Run(FEED, 0, (*RUN.records[:seq], *other.records))
    assert judge(whole, 6) == Fork(seq, other.records)


def test_fork_needs_a_signature() -> None:
    """A difference that nobody signed is a fault of the link, not of the feed (5.5, 5.6)."""
    other = branch(3, 1)
    unsigned = Run(FEED, 3, (flipped(other.records[0]),))
    assert isinstance(judge(unsigned, 6), Refused)
    resigned = Run(FEED, 5, (flipped(RUN.records[5]),))
    assert isinstance(judge(resigned, 6), Refused)


def test_fork_keeps_up_to_the_last_good_signature() -> None:
    """Of a branch what is vouched for is kept, on to a good signature (protocol 5.6)."""
    run = chained([False, True, False], FEED, 3, RUN.records[2].rid)
    other = Run(FEED, 3, run.records)
    outcome = judge(other, 6)
    assert outcome == Fork(3, other.records[:2])


def test_other_branch_beyond_the_head_is_a_gap() -> None:
    """A run that begins at the head and follows another branch asks for what is before (5.6)."""
    other = branch(2, 3)
    assert isinstance(judge(Run(FEED, 4, other.records[2:]), 4), Gap)


def test_stopped_feed() -> None:
    """Past a stop nothing joins the trunk: what is valid is a witness, kept aside (5.6)."""
    assert judge(RUN.tail(3), 3, stopped=True) == Fork(3, RUN.records[3:])
    assert judge(RUN, 3, stopped=True) == Fork(3, RUN.records[3:])
    assert judge(branch(3), 3, stopped=True) == Fork(3, branch(3).records)
    assert judge(Run(FEED, 0, RUN.records[:3]), 3, stopped=True) == Duplicate(3)
    assert isinstance(judge(RUN.tail(4), 3, stopped=True), Gap)
    unsigned = Run(FEED, 3, (flipped(RUN.records[3]),))
    assert isinstance(judge(unsigned, 3, stopped=True), Refused)


def test_fork_below_the_stop() -> None:
    """A lower difference than the known one moves the stop down (protocol 5.6)."""
    assert judge(branch(1), 3, stopped=True) == Fork(1, branch(1).records)


def test_custody_of_any_epoch_needs_its_base() -> None:
    """A custody run may begin late, yet not before its epoch is known (4.3, 4.7)."""
    run = run_of(feed_of(lane="custody", epoch=3), 1, 4)
    assert isinstance(accept(run, NOTHING, ROSTER), Gap)
    assert Feed(DISTRICT, EPOCH, "custody", DISTRICT + "*") == CUSTODY
