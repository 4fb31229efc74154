"""One open link as a state machine without I/O (protocol 5.2 to 5.4).

Theory of operation. Each side keeps three pictures of the feeds that both hold: its *own* entries,
the *view* (what the peer said it holds), and what it has *told* the peer. Whatever happens only
moves these pictures; two questions then have an answer at any moment:

* ``take_heads``: is there a Heads to send, and with which entries?
* ``ranges``: which records does the peer lack that are not already on their way?

The caller moves the bytes, reads and stores the records, and turns the clock. It feeds each frame
in the order in which it came. A Chunk is answered with Heads, always; a Heads is answered only
where the table says so:

    Heads came with            | roots equal | rest pair | else
    ---------------------------+-------------+-----------+--------------------------
    no entries                 | rest        | rest      | all entries
    no entries, ask            | none        | all       | all entries
    changed or all entries     | rest        | rest      | what the peer lacks; and a question
                               |             |           | for all if the view's root differs
    entries, ask               | none        | all       | all entries

Losing a frame costs time and nothing else: an unanswered question or chunk is followed by a Heads
that asks, whose answer shows what arrived.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from shared.errors import FaultError
from shared.link.branches import Branches, Range
from shared.link.broadcasts import Broadcasts
from shared.link.frames import (
    RID16_BYTES,
    TO_ALL,
    Chunk,
    Entry,
    Heads,
    Mode,
    State,
)
from shared.link.holdings import Holdings
from shared.link.stalls import Stalls
from shared.link.timing import Timing
from shared.link.unanswered import Unanswered
from shared.log.store import ForkProof
from shared.record.feed import Feed, is_holder, travel_order
from shared.record.run import Run

FLIGHTS_MAX = 4
"""Chunks under way at once: enough to fill a line of 4 MiB per round trip."""

QUESTIONS_MAX = 3
"""Unanswered questions after which the link is given up and opened anew."""


NextToAll = Callable[[Feed], int | None]
"""From which seq on a feed will be said to all below; None if this neighbour does not hear it."""


@dataclass
class _Owed:
    """What the next Heads must contain."""

    mode: Mode | None = None
    ask: bool = False
    named: set[Feed] = field(default_factory=set)

    def want(self, mode: Mode, *, ask: bool = False) -> None:
        self.mode = mode if self.mode is None else max(self.mode, mode)
        self.ask = self.ask or ask

    def name(self, feeds: Iterable[Feed]) -> None:
        """Let the entries of ``feeds`` stand in it, if there are any."""
        before = len(self.named)
        self.named.update(feeds)
        if len(self.named) > before:
            self.want(Mode.CHANGED)


class Session:
    """The life of one open link, seen from one of its ends.

    Attributes:
        me: Code of this node.
        peer: Code of the neighbour.
        rest: The pair of roots at which the last exchange ended with nothing to send; None
            until then. The caller hands it to the next session of the same link.
    """

    def __init__(
        self,
        me: str,
        peer: str,
        session: bytes,
        *,
        now: float,
        timing: Timing | None = None,
        rest: tuple[bytes, bytes] | None = None,
        next_to_all: NextToAll = lambda _feed: None,
    ) -> None:
        """Start with an empty log; ``own_changed`` fills it before ``open``."""
        self.me, self.peer = me, peer
        self.rest = rest
        self._session = session
        self._timing = timing or Timing()
        self._n = 0
        self._peer_session = b""
        self._seen = 0
        self._own = Holdings()
        self._view = Holdings()
        self._view_sound = False
        self._told: dict[Feed, Entry] = {}
        self._untold: set[Feed] = set()
        self._forks: dict[Feed, ForkProof] = {}
        self._behind: set[Feed] = set()
        self._branches = Branches()
        self._stalls = Stalls()
        self._unanswered = Unanswered(self._timing)
        self._next_to_all = next_to_all
        self._broadcasts = Broadcasts()
        self._owed = _Owed()
        self._spoken_at = now
        self._lively_until = now
        self._full: set[Feed] = set()
        self._full_until: float | None = None
        self.given_up = False

    # --- what the caller reports -----------------------------------------------------------------

    def open(self) -> None:
        """Ask the peer for its state: called once, by the side that dialled (protocol 5.4 a)."""
        root = self._own.root
        settled = self.rest is not None and self.rest == (root, root)
        self._owed.want(Mode.NONE if settled else Mode.ALL, ask=True)

    def own_changed(self, entry: Entry, fork: ForkProof | None = None) -> None:
        """Take in that this node now holds ``entry``; ``fork`` proves why it is stopped."""
        feed = entry.feed
        if not self._is_carried(feed):
            return
        before = self._own.get(feed)
        if before == entry:
            return
        self._own[feed] = entry
        if fork is not None:
            self._forks[feed] = fork
        self._untold.add(feed)
        self._behind.add(feed)
        if self._peer_session and self._must_be_told(entry, before):
            # A feed that went back or was stopped sends no run that would tell it.
            self._owed.want(Mode.CHANGED)
        elif self._peer_session and not self._view_sound and not self._unanswered.is_asking:
            self._owed.want(Mode.ALL, ask=True)

    @staticmethod
    def _must_be_told(entry: Entry, before: Entry | None) -> bool:
        return entry.state is not State.OK or (before is not None and entry.count < before.count)

    def rids_wanted(self, heads: Heads) -> list[tuple[Feed, int]]:
        """Return (feed, seq) of own records whose rids ``heads_received`` needs for comparison."""
        wanted = []
        for entry in heads.entries:
            own = self._own.get(entry.feed)
            known = self._view.get(entry.feed)
            if own is not None and 0 < entry.count < own.count and known != entry:
                wanted.append((entry.feed, entry.count - 1))
        return wanted

    def heads_received(
        self, heads: Heads, own_rids: Mapping[tuple[Feed, int], bytes], now: float
    ) -> None:
        """Take in a Heads.

        Args:
            heads: Signed by the peer (the frame's decoder checked that).
            own_rids: Answers to ``rids_wanted``.
            now: Monotonic seconds.

        Raises:
            FaultError: it is from or for somebody else, or names a feed that is not shared.
        """
        if (heads.sender, heads.receiver) != (self.peer, self.me):
            raise FaultError("Heads of another link")
        if not self._is_new(heads.session, heads.n):
            return
        self.check_carried(entry.feed for entry in heads.entries)
        if heads.mode is Mode.ALL:
            gone = self._view.keys() - {entry.feed for entry in heads.entries}
            self._take_entries([Entry(feed, 0, b"") for feed in gone], own_rids)
        self._take_entries(heads.entries, own_rids)
        self._broadcasts.heard(heads.entries, now)
        answered = self._take_answer(heads, now)
        self._decide(heads, answered=answered)

    def check_carried(self, feeds: Iterable[Feed]) -> None:
        """Refuse what one of the two is no holder of (protocol 3.7).

        Raises:
            FaultError: a frame speaks of such a feed.
        """
        for feed in feeds:
            if not self._is_carried(feed):
                raise FaultError(f"this link does not carry {feed}")

    def _is_carried(self, feed: Feed) -> bool:
        return is_holder(feed, self.me) and is_holder(feed, self.peer)

    def chunk_received(self, chunk: Chunk, taken: Iterable[Run], now: float) -> None:
        """Take in a chunk that the log has judged.

        Args:
            chunk: The chunk.
            taken: Its runs that were valid here (accepted or duplicate), as far as they were.
            now: Monotonic seconds.
        """
        if chunk.session == TO_ALL:
            self._take_runs(taken, now)
            self._owed.name(self._broadcasts.to_answer(chunk.runs, self._own, now))
            return
        self._is_new(chunk.session, chunk.n)
        self._take_runs(taken, now)
        self._owed.want(Mode.CHANGED)
        self._owed.named.update(run.feed for run in chunk.runs)

    def said_to_all(self, runs: Iterable[Run], now: float) -> None:
        """Note that ``runs`` were said to all below, this peer among them."""
        for run in runs:
            entry = self._view.get(run.feed) or Entry(run.feed, 0, b"")
            known = max(entry.count, self._under_way(run.feed))
            takes = self._view_sound and entry.state is State.OK
            if takes and run.first_seq <= known < run.end:
                self._broadcasts.said(run, entry.count, now)

    def _take_runs(self, taken: Iterable[Run], now: float) -> None:
        for run in taken:
            # A valid run counts as the peer's entry: nothing of it is sent back.
            known = self._view.get(run.feed)
            if known is None or known.count < run.end:
                rid16 = run.records[-1].rid[:RID16_BYTES]
                self._set_view(Entry(run.feed, run.end, rid16))
            if run.feed.lane != "custody":
                self._lively_until = now + self._timing.lively_span_seconds

    def is_next(self, session: bytes, n: int) -> bool:
        """Tell whether no frame of the peer is missing before frame ``n``."""
        return session == self._peer_session and n == self._seen + 1

    def full(self, feeds: Iterable[Feed], now: float) -> None:
        """Report that these feeds could not be stored for want of space."""
        for feed in feeds:
            own = self._own.get(feed, Entry(feed, 0, b""))
            self._full.add(feed)
            self.own_changed(replace(own, state=State.FULL))
        self._full_until = now + self._timing.full_retry_seconds

    def tick(self, now: float) -> None:
        """Let time pass: ask again, give up, or send the Heads of a quiet link."""
        if self._full_until is not None and now >= self._full_until:
            self._full_until = None
            for feed in self._full:
                self.own_changed(replace(self._own[feed], state=State.OK))
            self._full.clear()
            self._owed.want(Mode.CHANGED)
        self._stalls.tick(now)
        self._broadcasts.tick(now)
        missed = self._unanswered.missed_at()
        if missed is not None and now >= missed:
            self._unanswered.questions += 1
            if self._unanswered.questions > QUESTIONS_MAX:
                self.given_up = True
                return
            self._owed.want(Mode.NONE, ask=True)
        elif missed is None and now >= self._quiet_at(now):
            self._owed.want(Mode.NONE)

    # --- what the caller asks --------------------------------------------------------------------

    def take_heads(self, now: float) -> Heads | None:
        """Return the Heads to send now, if one is owed; it counts as sent."""
        owed = self._owed
        if owed.mode is None:
            return None
        self._owed = _Owed()
        forks = self._forks_to_send()
        mode = Mode.CHANGED if forks and owed.mode is Mode.NONE else owed.mode
        entries = self._entries(mode, owed.named)
        self._told.update((entry.feed, entry) for entry in entries)
        self._n += 1
        self._spoken_at = now
        # Without a sound view nothing can be sent: whatever is said then is also a question.
        ask = owed.ask or not self._view_sound
        if ask:
            self._unanswered.asked(now)
        return Heads(
            self.me, self.peer, self._session, self._n, self._peer_session, self._seen,
            ask, self._own.root, mode, tuple(entries), tuple(forks),
        )  # fmt: skip

    def ranges(self) -> list[Range]:
        """Return what the peer lacks and is not under way, in the order of travel."""
        if self._unanswered.chunks >= FLIGHTS_MAX or not self._view_sound:
            return []
        found = [self._range(feed) for feed in sorted(self._behind, key=travel_order)]
        return [item for item in found if item is not None]

    def chunk_sent(self, runs: tuple[Run, ...], now: float) -> Chunk:
        """Return the chunk of ``runs``, which the caller is about to send."""
        self._n += 1
        self._spoken_at = now
        for run in runs:
            self._told[run.feed] = Entry(run.feed, run.end, run.records[-1].rid[:RID16_BYTES])
            self._branches.sent(run.feed)
            if run.feed.lane != "custody":
                self._lively_until = now + self._timing.lively_span_seconds
        self._unanswered.sent(self._n, runs, now)
        return Chunk(self._session, self._n, runs)

    def next_at(self, now: float) -> float:
        """Return when ``tick`` has something to do next, monotonic seconds."""
        missed = self._unanswered.missed_at()
        times = [self._quiet_at(now) if missed is None else missed, *self._stalls.moments()]
        times += [at for at in (self._full_until, self._broadcasts.late_at()) if at is not None]
        return min(times)

    @property
    def room_bytes(self) -> int:
        """Bytes of records that the next chunk may hold; a single record may be larger."""
        return self._unanswered.pace.room_bytes

    @property
    def in_flight(self) -> int:
        """Records sent and not yet covered by Heads of the peer."""
        return self._unanswered.records + self._broadcasts.records

    @property
    def sound(self) -> bool:
        """True if the view is what the peer holds, as far as heard."""
        return self._view_sound

    def view_counts(self) -> dict[Feed, int]:
        """Return what the peer said it holds."""
        return {feed: entry.count for feed, entry in self._view.items()}

    @property
    def settled(self) -> bool:
        """True if both sides hold the same, or nothing more can be sent now."""
        return self._view_sound and not self.in_flight and not self.ranges()

    # --- Heads: what they change -----------------------------------------------------------------

    def _is_new(self, session: bytes, n: int) -> bool:
        """Note a frame of the peer; False if it is older than one already seen (5.2)."""
        if session != self._peer_session:
            self._peer_session, self._seen = session, 0
            self._view_sound = False
            self._view.clear()
            self._told.clear()
            self._unanswered.forget()
            self._broadcasts.clear()
            self._branches.clear()
            self._stalls.clear()
            self._untold = set(self._own)
            self._behind = set(self._own)
        if n <= self._seen:
            return False
        self._seen = n
        return True

    def _take_entries(
        self, entries: Iterable[Entry], own_rids: Mapping[tuple[Feed, int], bytes]
    ) -> None:
        for entry in entries:
            own, known = self._own.get(entry.feed), self._view.get(entry.feed)
            self._branches.weigh(entry, own, known, own_rids)
            self._set_view(entry)

    def _set_view(self, entry: Entry) -> None:
        self._view[entry.feed] = entry
        own = self._own.get(entry.feed)
        if own is not None and (own.count > entry.count or own.state is State.STOPPED):
            self._behind.add(entry.feed)
        elif entry.feed not in self._branches:
            self._behind.discard(entry.feed)
        if entry.feed in self._branches:
            self._behind.add(entry.feed)

    def _take_answer(self, heads: Heads, now: float) -> bool:
        """Drop the flights and the question that ``heads`` answer; tell if it answered one."""
        if heads.peer_session != self._session:
            return False
        named = {entry.feed for entry in heads.entries} if heads.mode is Mode.CHANGED else set()
        answered = self._unanswered.answered(heads.seen, now)
        for feed in {feed for flight in answered for feed in flight.ends}:
            ends = [flight.ends[feed] for flight in answered if feed in flight.ends]
            alone = len(ends) == 1 and not self._unanswered.under_way(feed)
            self._stalls.weigh(
                feed, ends, self._view.get(feed), self._own.get(feed),
                proves=feed in named and alone, now=now,
            )  # fmt: skip
        return bool(answered)

    def _decide(self, heads: Heads, *, answered: bool) -> None:
        """Answer ``heads`` by the table on top of this module."""
        root = self._own.root
        if heads.root == root:
            self._view = self._own.covered()
            self._behind.clear()
            self._branches.clear()
            self._broadcasts.clear()
            self._view_sound = True
            self.rest = (root, root)
            if heads.ask:
                self._owed.want(Mode.NONE)
            return
        if heads.mode is not Mode.NONE or self._view_sound:
            sound = self._view.root == heads.root
        else:
            sound = False
        asked_all = heads.mode is Mode.ALL
        self._view_sound = sound or asked_all
        if heads.ask:
            self._owed.want(Mode.ALL)
        if not self._view_sound:
            at_rest = self.rest == (root, heads.root) and not (answered or self._unanswered.chunks)
            if not (at_rest and not heads.ask):
                self._owed.want(Mode.ALL if heads.mode is Mode.NONE else Mode.NONE, ask=True)
        elif not self.ranges() and not self._unanswered.chunks and not self._broadcasts.records:
            self.rest = (root, heads.root)
        if any(self._told.get(fork.feed) != self._own[fork.feed] for fork in self._forks_to_send()):
            self._owed.want(Mode.CHANGED)

    # --- what stands in the next frame -----------------------------------------------------------

    def _entries(self, mode: Mode, named: set[Feed]) -> list[Entry]:
        if mode is Mode.NONE:
            return []
        if mode is Mode.ALL:
            chosen = self._own.listed()
            self._untold.clear()
        else:
            chosen = [self._own.get(feed, Entry(feed, 0, b"")) for feed in self._untold | named]
            chosen = [e for e in chosen if e.feed in named or self._told.get(e.feed) != e]
            self._untold.clear()
        return sorted(chosen, key=lambda entry: entry.feed.key)

    def _forks_to_send(self) -> list[ForkProof]:
        """Proofs that the peer lacks: it still holds what lies above the difference as sound."""
        known = {
            feed
            for feed, fork in self._forks.items()
            if (entry := self._view.get(feed)) is not None
            and entry.state is State.STOPPED
            and entry.count <= fork.seq
        }
        return [fork for feed, fork in self._forks.items() if feed not in known]

    def _range(self, feed: Feed) -> Range | None:
        own, entry = self._own.get(feed), self._view.get(feed)
        if own is None or (entry is not None and entry.state is State.FULL):
            return None
        if feed in self._stalls and (self._under_way(feed) or self._stalls.rests(feed, entry, own)):
            return None
        if feed in self._branches:
            return None if self._under_way(feed) else self._branches[feed]
        here, there = own.state, entry.state if entry else State.OK
        if (here is State.STOPPED) != (there is State.STOPPED):
            return None  # the proof goes first; then what lies below the fork
        first = max(self._view.count(feed), self._under_way(feed))
        to_all = self._next_to_all(feed)
        if first >= own.count or (to_all is not None and to_all <= first):
            return None  # the peer has it, or will hear it with all others
        return Range(feed, first, own.count)

    def _under_way(self, feed: Feed) -> int:
        return max(self._unanswered.under_way(feed), self._broadcasts.under_way(feed))

    def _quiet_at(self, now: float) -> float:
        lively = now < self._lively_until
        pause = self._timing.lively_seconds if lively else self._timing.quiet_seconds
        return self._spoken_at + pause
