"""Acceptance of a run: records in, one outcome out; no I/O (protocol 5.5, 5.6).

The expected outcomes are values. ``FaultError`` never leaves this module: bytes, hashes or
signatures that are wrong become ``Refused``, which is a fault of the link that brought them and
says nothing about the feed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.errors import FaultError
from shared.record.envelope import RECORD_AAD
from shared.record.feed import ROOT_EPOCH
from shared.record.record import Record
from shared.record.run import Run, check_run
from shared.trust.keys import PublicKey
from shared.trust.roster import Base, Roster


@dataclass(frozen=True)
class Accepted:
    """The records of ``run`` continue the trunk and may be stored."""

    run: Run


@dataclass(frozen=True)
class Duplicate:
    """Nothing new; all ``records`` records are here already."""

    records: int


@dataclass(frozen=True)
class Gap:
    """Something before these records is missing here; ask for it."""

    reason: str


@dataclass(frozen=True)
class Fork:
    """The author signed two different records at ``seq`` (protocol 5.6).

    Attributes:
        seq: The lowest difference this run shows; the trunk ends there.
        branch: The run's valid records from ``seq`` on, to be kept aside.
    """

    seq: int
    branch: tuple[Record, ...]


@dataclass(frozen=True)
class Refused:
    """A fault of the link: bad bytes, hash or signature."""

    reason: str


Outcome = Accepted | Duplicate | Gap | Fork | Refused


@dataclass(frozen=True)
class Held:
    """What this node holds of a feed.

    Attributes:
        count: Records in the trunk.
        rid: rid of record ``count - 1``; empty when ``count`` is 0.
        overlap: rids held of the run's own range, from ``run.first_seq`` on; shorter than the
            run where the trunk ends earlier.
        stopped: True if the feed stops here because of a fork.
    """

    count: int
    rid: bytes
    overlap: Sequence[bytes] = ()
    stopped: bool = False


NOTHING = Held(0, b"")


def judge(
    runs: Sequence[Run], held: Sequence[Held | None], roster: Roster, *, in_order: bool = True
) -> tuple[list[Outcome], Roster]:
    """Judge the runs of a chunk, each knowing what those before it said of trust.

    Args:
        runs: As they came, each of a feed of its own.
        held: The state of each run's feed here; None where this node is not entitled to it.
        roster: The trust facts held.
        in_order: See ``accept``.

    Returns:
        An outcome a run, and the roster that knows also what the accepted ones say: ``roster``
        itself if that is nothing.
    """
    outcomes, learned = list[Outcome](), roster
    for run, one in zip(runs, held, strict=True):
        if one is None:
            outcomes.append(Refused(f"this node is not entitled to {run.feed}"))
            continue
        outcome = accept(run, one, learned, in_order=in_order)
        outcomes.append(outcome)
        if isinstance(outcome, Accepted) and run.feed.lane == "trust":
            learned = learned.copy() if learned is roster else learned
            for record in outcome.run.records:
                learned.learn(record)
    return outcomes, learned


def accept(  # noqa: PLR0911 - a list of judgements, each with its own end
    run: Run, held: Held, roster: Roster, *, in_order: bool = True
) -> Outcome:
    """Judge one run against what is held.

    Args:
        run: As it came off the link.
        held: The state of its feed here.
        roster: The trust facts held.
        in_order: True if no frame of the sender is missing before this one. Only then may a run
            of the custody lane begin beyond the head, because its sender has forgotten what lies
            between (protocol 4.7), and not because a frame was lost.
    """
    try:
        check_run(run)
    except FaultError as error:
        return Refused(str(error))
    base = _base(run, roster)
    if base is None:
        return Gap("certificate or epoch.opened is not here yet")
    key = base.certificate.key
    if run.records[0].envelope.kid != key.kid:
        return Refused("signed by another key than the author's")
    if run.feed.epoch == ROOT_EPOCH and run.first_seq:
        return Gap("the founding record is all that this version knows of the root feed")
    usable = _until_missing_body(run)
    if usable is None:
        return Gap("the body is missing")
    difference = _difference(usable, held.overlap)
    if difference is not None:
        return _forked(usable, difference, key)
    if usable.end <= held.count:
        return Duplicate(len(usable.records))
    if held.stopped:
        return _beyond_stop(usable, held, key)
    return _continue(usable, held, base, in_order=in_order)


def vouch(run: Run, roster: Roster) -> Base:
    """Return what ``run`` stands on, if it is good by itself: as evidence, with nothing before it.

    Args:
        run: Its last record must be signed by the author, in the trust lane each; bodies may be
            missing.
        roster: The trust facts that came with it.

    Raises:
        FaultError: bytes, hashes, base, chain or signature are wrong.
    """
    check_run(run)
    base = _base(run, roster)
    if base is None or (run.feed.epoch == ROOT_EPOCH and run.first_seq):
        raise FaultError(f"nothing here says whose {run.feed} is")
    if run.records[0].envelope.kid != base.certificate.key.kid:
        raise FaultError("signed by another key than the author's")
    if run.first_seq == 0 and run.records[0].header.prev != base.first_prev:
        raise FaultError("the feed begins on another base")
    each = run.feed.lane == "trust"
    if _vouched(run.records, base.certificate.key, each=each) < len(run.records):
        raise FaultError("a signature is not the author's")
    return base


def _base(run: Run, roster: Roster) -> Base | None:
    first = run.records[0]
    if run.feed.epoch == ROOT_EPOCH and run.first_seq == 0:
        founding = roster.founding(first)
        return None if founding is None else Base(founding, first.header.prev)
    return roster.base_of(run.feed, first.header)


def _until_missing_body(run: Run) -> Run | None:
    """Cut the run before the first record whose body is missing (protocol 5.3).

    Of the root feed only the founding record: what follows it is signed by the recovery key
    (protocol 4.1), which this version does not read yet.
    """
    if run.feed.epoch == ROOT_EPOCH:
        run = Run(run.feed, run.first_seq, run.records[:1])
    for index, record in enumerate(run.records):
        if record.body is None:
            return Run(run.feed, run.first_seq, run.records[:index]) if index else None
    return run


def _difference(run: Run, overlap: Sequence[bytes]) -> int | None:
    """Return the first seq at which the run is not what we hold."""
    last = min(len(overlap), len(run.records)) - 1
    # Records are chained: if the last common one is the same, so are all before it.
    if last < 0 or run.records[last].rid == overlap[last]:
        return None
    pairs = zip(run.records, overlap, strict=False)
    return next(seq for seq, (a, rid) in enumerate(pairs, run.first_seq) if a.rid != rid)


def _continue(run: Run, held: Held, base: Base, *, in_order: bool) -> Outcome:
    key = base.certificate.key
    if run.first_seq > held.count:
        late_start = run.feed.lane == "custody" and in_order
        if not (late_start and _signed(run.records[0], key)):
            return Gap(f"expected number {held.count}, got {run.first_seq}")
        fresh = run
    else:
        fresh = run.tail(held.count)
        expected = held.rid if held.count else base.first_prev
        if fresh.records[0].header.prev != expected:
            return Gap("continues another branch") if held.count else Refused("wrong base")
    good = _vouched(fresh.records, key, each=run.feed.lane == "trust")
    if good == 0:
        return Refused("no signature of the run verifies")
    return Accepted(Run(fresh.feed, fresh.first_seq, fresh.records[:good]))


def _forked(run: Run, seq: int, key: PublicKey) -> Outcome:
    branch = run.tail(seq).records
    good = _vouched(branch, key)
    if good == 0:
        return Refused("no signature of the run verifies")
    return Fork(seq, branch[:good])


def _beyond_stop(run: Run, held: Held, key: PublicKey) -> Outcome:
    """Take a witness: valid records past the stop of a forked feed, on any branch."""
    if run.first_seq > held.count:
        return Gap("the feed is stopped by a fork")
    return _forked(run, held.count, key)


def _vouched(records: Sequence[Record], key: PublicKey, *, each: bool = False) -> int:
    """Return how many records, from the first, are valid (protocol 5.5).

    Valid is one whose own signature verifies or that is the prev-ancestor of such a one; so the
    check goes from the end, and normally one is enough. With ``each`` (the trust lane) every
    record must verify itself.
    """
    if each:
        bad = (index for index, record in enumerate(records) if not _signed(record, key))
        return next(bad, len(records))
    for count in range(len(records), 0, -1):
        if _signed(records[count - 1], key):
            return count
    return 0


def _signed(record: Record, key: PublicKey) -> bool:
    return key.verifies(record.envelope, RECORD_AAD)
