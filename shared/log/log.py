"""The record log of one node: one way in for own records, one for others', one set of heads.

All writing goes through one lock and one ``Store.commit``; what stands in memory (heads, roster)
is changed only after the commit succeeded, so a failed write changes nothing.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from shared.errors import FaultError, InvalidError, NotFoundError
from shared.log.accept import Accepted, Duplicate, Fork, Gap, Held, Outcome, Refused, judge
from shared.log.offload import Offload, inline
from shared.log.recent import Recent
from shared.log.store import BadFrame, Batch, FeedState, ForkProof, Store, Stored
from shared.record.envelope import RECORD_AAD, unwrap
from shared.record.feed import Feed, is_holder, travel_order
from shared.record.header import Header, decode_header
from shared.record.record import Record
from shared.record.run import Run
from shared.trust.authority import read_as
from shared.trust.keys import PublicKey
from shared.trust.kinds import OPENED, Opened
from shared.trust.roster import Roster

EPOCH_NOTE = "epoch"
ANCHOR_NOTE = "anchor"
REVISED_NOTE = "trust/revised"
"""How often something learned of trust was taken back; whatever stands on it is folded anew."""

AT_ONCE_RECORDS_MAX: Final = 16
"""So few are verified in less time than a thread is worth."""

NOTHING_HELD = FeedState()


@dataclass
class Counters:
    """What came over the links, counted since the start of the process.

    Attributes:
        accepted: Records stored from neighbours.
        duplicates_offered: Records offered that were here already.
        gaps: Runs that did not connect.
        forks: Forks found or proven to us.
        refused: Runs and frames with bad bytes, hashes or signatures.
    """

    accepted: int = 0
    duplicates_offered: int = 0
    gaps: int = 0
    forks: int = 0
    refused: int = 0


@dataclass
class _Trial:
    """What a transaction would leave behind, if it commits."""

    roster: Roster
    batch: Batch
    feeds: dict[Feed, FeedState] = field(default_factory=dict)
    learned: bool = False
    doubt: bool = False

    def learn(self, run: Run) -> None:
        """Learn what own records say of trust."""
        if not self.learned:
            self.roster, self.learned = self.roster.copy(), True
        for record in run.records:
            self.roster.learn(record)


class Log:
    """A node's records and what follows from them at once: heads and roster.

    Attributes:
        me: Division code of this node.
        roster: Trust facts held.
        feeds: State of every feed held.
        forks: The proof of each stopped feed.
        counters: See ``Counters``.
        epoch: The node's current epoch; empty before the first.
        doubt: True once records show that another incarnation wrote in our epoch (4.3); the
            author then opens a new one.
        offload: Where long frames are decoded and many records verified.
        revised: How often something learned of trust was taken back, over all starts.
    """

    def __init__(self, me: str, store: Store, anchor: bytes, offload: Offload = inline) -> None:
        """Wrap ``store``; nothing is read before ``open``.

        Args:
            me: Division code of this node.
            store: Where the records are.
            anchor: rid of the district's founding record.
            offload: See the class.
        """
        self.me = me
        self.store = store
        self.offload = offload
        self.roster = Roster(anchor)
        self.feeds: dict[Feed, FeedState] = {}
        self.forks: dict[Feed, ForkProof] = {}
        self.counters = Counters()
        self.epoch = b""
        self.doubt = False
        self.revised = 0
        self.lock = asyncio.Lock()
        self._recent = Recent()
        self._listeners: list[Callable[[Sequence[Feed]], None]] = []

    async def open(self) -> None:
        """Read heads and trust records from the store.

        Raises:
            StorageError: the database cannot be read.
        """
        self.feeds = await self.store.feeds()
        self.forks = {proof.feed: proof for proof in reversed(await self.store.forks())}
        self.epoch = await self.store.note(EPOCH_NOTE) or b""
        self.roster = await self._learned()
        self.revised = int.from_bytes(await self.store.note(REVISED_NOTE) or b"", "big")

    async def _learned(self) -> Roster:
        """Return what all trust records held say; authors from the top down."""
        roster = Roster(self.roster.anchor)
        for record in sorted(await self.store.lane("trust"), key=_learning_order):
            roster.learn(record)
        roster.revised = False  # each was learned after all that it rests on
        return roster

    def subscribe(self, listener: Callable[[Sequence[Feed]], None]) -> Callable[[], None]:
        """Call ``listener`` with the changed feeds after each commit; returns how to stop it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def state(self, feed: Feed) -> FeedState:
        """Return what is held of ``feed``."""
        return self.feeds.get(feed, NOTHING_HELD)

    async def read(
        self, feed: Feed, first_seq: int, records_max: int, bytes_max: int
    ) -> Sequence[Record]:
        """Return consecutive trunk records from ``first_seq`` or the next one held.

        Args:
            feed: Of this feed.
            first_seq: From here on.
            records_max: So many at most.
            bytes_max: What they may have together (``record_bytes``); one always fits.

        Raises:
            StorageError: the database cannot be read.
        """
        recent = self._recent.read(feed, first_seq, records_max, bytes_max)
        return recent or await self.store.read(feed, first_seq, records_max, bytes_max)

    async def find(self, rid: bytes) -> Stored:
        """Return the trunk record ``rid``.

        Raises:
            NotFoundError: it is not here.
        """
        stored = await self.store.find(rid)
        if stored is None:
            raise NotFoundError(f"there is no record {rid.hex()[:16]}… here")
        return stored

    # --- own records -----------------------------------------------------------------------------

    async def append(self, batch: Batch) -> None:
        """Commit own records; the caller holds ``lock`` and has built them on ``feeds``.

        Raises:
            StorageError: nothing was written.
        """
        trial = _Trial(self.roster, batch)
        for run in batch.runs:
            self._grow(trial, run)
            if run.feed.lane == "trust":
                trial.learn(run)
        await self._commit(trial)

    # --- others' records -------------------------------------------------------------------------

    async def accept(
        self, runs: Sequence[Run], at_ms: int, *, in_order: bool = True
    ) -> list[Outcome]:
        """Judge and store runs that came from a neighbour, in one transaction.

        Args:
            runs: In the order of the chunk; no feed stands twice in it (protocol 5.3).
            at_ms: Time of storing, Unix ms UTC.
            in_order: See ``shared.log.accept.accept``.

        Returns:
            One outcome a run.

        Raises:
            StorageError: nothing was stored.
        """
        async with self.lock:
            usable = [self._below_stop(run) for run in runs]
            held = [await self._held(run) for run in usable]
            judging = partial(judge, usable, held, self.roster, in_order=in_order)
            is_long = sum(len(run.records) for run in runs) > AT_ONCE_RECORDS_MAX
            outcomes, roster = await (self.offload if is_long else inline)(judging)
            trial = _Trial(roster, Batch(at_ms), learned=roster is not self.roster)
            for run, outcome in zip(usable, outcomes, strict=True):
                await self._take(trial, run.feed, outcome)
            await self._commit(trial)
            self._count(runs, outcomes)
        return outcomes

    async def accept_forks(self, proofs: Iterable[ForkProof], at_ms: int) -> None:
        """Stop the feeds whose fork a neighbour proves (protocol 5.6).

        Raises:
            FaultError: a proof does not prove anything.
            StorageError: nothing was stored.
        """
        async with self.lock:
            trial = _Trial(self.roster, Batch(at_ms))
            for proof in proofs:
                known = self.forks.get(proof.feed)
                if known is not None and _stop_of(known) <= _stop_of(proof):
                    continue
                if not is_holder(proof.feed, self.me):
                    continue
                if self._check_proof(proof):
                    count = self.state(proof.feed).count
                    self._stop(trial, proof.feed, min(count, _stop_of(proof)))
                    trial.batch.forks.append(proof)
            await self._commit(trial)

    async def quarantine(self, frame: BadFrame) -> None:
        """Keep a frame that a link refused, for the operator, and count it."""
        self.counters.refused += 1
        async with self.lock:
            await self.store.commit(Batch(frame.at_ms, bad_frames=[frame]))

    def _below_stop(self, run: Run) -> Run:
        """Cut a run that fills a stopped trunk where the trunk ends (protocol 5.6).

        What lies below the lowest known difference is the same for all holders, so whoever heard
        of the fork before it had these records still takes them.
        """
        fork = self.forks.get(run.feed)
        if fork is None or not run.first_seq <= self.state(run.feed).count < _stop_of(fork):
            return run
        return Run(run.feed, run.first_seq, run.records[: _stop_of(fork) - run.first_seq])

    async def _held(self, run: Run) -> Held | None:
        """Return what is held of the run's feed; None if this node is not entitled to it."""
        if not is_holder(run.feed, self.me):
            return None
        state = self.state(run.feed)
        overlap: Sequence[bytes] = ()
        if run.first_seq < state.count:
            wanted = min(len(run.records), state.count - run.first_seq)
            overlap = await self.store.rids(run.feed, run.first_seq, wanted)
        fork = self.forks.get(run.feed)
        at_stop = state.stopped and not (fork is not None and state.count < _stop_of(fork))
        return Held(state.count, state.rid, overlap, at_stop)

    async def _take(self, trial: _Trial, feed: Feed, outcome: Outcome) -> None:
        match outcome:
            case Accepted(fresh):
                trial.batch.runs.append(fresh)
                trial.doubt |= self._casts_doubt(fresh)
                self._grow(trial, fresh)
            case Fork(seq, branch):
                await self._take_fork(trial, feed, seq, branch)
            case _:
                return

    def _grow(self, trial: _Trial, run: Run) -> None:
        """Let the transaction's trunk reach the end of ``run``."""
        stopped = self.state(run.feed).stopped
        state = FeedState(run.end, run.records[-1].rid, stopped, trial.batch.at_ms)
        trial.feeds[run.feed] = state

    async def _take_fork(
        self, trial: _Trial, feed: Feed, seq: int, branch: Sequence[Record]
    ) -> None:
        trial.batch.aside.extend(branch)
        state = self.state(feed)
        if state.stopped and state.count <= seq:
            return
        mine = await self.store.read(feed, seq, len(branch), 1 << 30)
        pair = self._pair(feed, mine, branch)
        if pair is None:
            return  # no two headers that prove it by themselves yet; kept aside (protocol 5.6)
        trial.batch.forks.append(pair)
        self._stop(trial, feed, seq)

    def _stop(self, trial: _Trial, feed: Feed, count: int) -> None:
        trial.batch.cuts.append((feed, count))
        trial.feeds[feed] = FeedState(count, b"", stopped=True, since_ms=trial.batch.at_ms)
        trial.doubt |= feed.author == self.me and feed.epoch == self.epoch

    def _pair(
        self, feed: Feed, mine: Sequence[Record], theirs: Sequence[Record]
    ) -> ForkProof | None:
        """Return the first two headers of one seq that both carry a good signature."""
        for a, b in zip(mine, theirs, strict=False):
            proof = ForkProof(feed, a.header.seq, *sorted((a.header_cose, b.header_cose)))
            try:
                if self._check_proof(proof):
                    return proof
            except FaultError:
                continue  # one of the two has a bad own signature; look at the next
        return None

    def _check_proof(self, proof: ForkProof) -> bool:
        """Tell whether ``proof`` holds; False while the author's key is not known here.

        Raises:
            FaultError: the two headers do not show a fork.
        """
        envelopes = [unwrap(proof.first), unwrap(proof.second)]
        headers = [decode_header(envelope.payload) for envelope in envelopes]
        if any((h.feed, h.seq) != (proof.feed, proof.seq) for h in headers):
            raise FaultError("a fork's headers stand elsewhere than it says")
        if envelopes[0].payload == envelopes[1].payload:
            raise FaultError("a fork's headers say the same")
        key = self._key_of(proof.feed, headers)
        if key is None:
            return False
        if not all(key.verifies(envelope, RECORD_AAD) for envelope in envelopes):
            raise FaultError("a fork's header is not signed by the author")
        return True

    def _key_of(self, feed: Feed, headers: Sequence[Header]) -> PublicKey | None:
        bases = (self.roster.base_of(feed, header) for header in headers)
        return next((base.certificate.key for base in bases if base is not None), None)

    def _casts_doubt(self, run: Run) -> bool:
        """Tell whether these accepted records mean that we are not the only one (4.3)."""
        if run.feed.author != self.me or not self.epoch:
            return False
        if run.feed.epoch == self.epoch:
            return True
        first = run.records[0]
        if first.header.kind != OPENED or first.body is None:
            return False
        try:
            return read_as(Opened, first.body).follows == self.epoch.hex()
        except InvalidError:
            return False

    # --- commit ----------------------------------------------------------------------------------

    async def _commit(self, trial: _Trial) -> None:
        if trial.batch.is_empty():
            return
        taken_back = self._takes_trust_back(trial)
        if taken_back:
            trial.batch.notes[REVISED_NOTE] = (self.revised + 1).to_bytes(8, "big")
        await self.store.commit(trial.batch)
        if taken_back:
            trial.roster = await self._learned()
            self.revised += 1
        for run in trial.batch.runs:
            self._recent.add(run)
        if trial.batch.cuts:
            self._recent.clear()
            held = await self.store.feeds()
            trial.feeds.update((feed, held[feed]) for feed, _ in trial.batch.cuts)
        self.feeds.update(trial.feeds)
        self.roster = trial.roster
        self.doubt |= trial.doubt
        self.counters.forks += len(trial.batch.forks)
        for proof in trial.batch.forks:
            self.forks[proof.feed] = proof
        for listener in tuple(self._listeners):
            listener(tuple(trial.feeds))

    def _takes_trust_back(self, trial: _Trial) -> bool:
        """Tell whether what was learned of trust must be learned anew, with all that rests on it.

        A feed was cut, or a certificate that was held came to count or counts no longer: else the
        roster would show the order of arrival (1.5).
        """
        cut = any(feed.lane == "trust" for feed, _ in trial.batch.cuts)
        return cut or (trial.learned and trial.roster.revised)

    def _count(self, runs: Sequence[Run], outcomes: Sequence[Outcome]) -> None:
        for run, outcome in zip(runs, outcomes, strict=True):
            match outcome:
                case Accepted(fresh):
                    self.counters.accepted += len(fresh.records)
                    self.counters.duplicates_offered += fresh.first_seq - run.first_seq
                case Duplicate(records):
                    self.counters.duplicates_offered += records
                case Gap():
                    self.counters.gaps += 1
                case Fork() | Refused():
                    continue  # counted where the proof and the bad frame are kept


def _stop_of(proof: ForkProof) -> int:
    """Return where the trunk of a forked feed ends.

    Where the two headers follow different records, the branches differ below them already: the
    record there has a bad signature of its own, so that it proves nothing by itself.
    """
    prevs = {decode_header(unwrap(header).payload).prev for header in (proof.first, proof.second)}
    return proof.seq - (len(prevs) - 1)


def _learning_order(record: Record) -> tuple[int, int, bytes]:
    return travel_order(record.header.feed)
