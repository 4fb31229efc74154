"""Two ends of a link agree, whatever the line does to their frames (protocol 5.4)."""

from collections import Counter, deque
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.link.frames import RID16_BYTES, Chunk, Entry, Heads
from shared.link.session import Session
from shared.record.feed import Feed
from shared.record.run import Run
from tests.support.records import feed_of, run_of

TOWN, VILLAGE = "340602100", "340602100201"
RECORDS_MAX = 6
DOWN = feed_of(TOWN)
URGENT = feed_of("340602", "urgent", "340602*")
UP = feed_of(VILLAGE, "ordinary", "^")
ROUNDS_MAX = 300
SOON = 300.0
"""Whoever is at rest says nothing for so long."""
CHAINS = {feed: run_of(feed, RECORDS_MAX).records for feed in (DOWN, URGENT, UP)}
WRITERS = {DOWN: TOWN, URGENT: TOWN, UP: VILLAGE}
"""At which end new records of a feed appear; those of the district come to the town from above."""

Frame = Heads | Chunk


@dataclass
class End:
    """One end: what it holds, its session, and the frames on their way from it."""

    me: str
    peer: str
    held: Counter[Feed] = field(default_factory=Counter)
    line: deque[Frame] = field(default_factory=deque)
    heard: list[Frame] = field(default_factory=list)
    sent: Counter[tuple[Feed, int]] = field(default_factory=Counter)
    opened: int = 0

    def open(self, now: float) -> None:
        """Begin a new session; the village dials."""
        self.opened += 1
        name = b"%-8d" % (self.opened * 2 + (self.me == TOWN))
        self.session = Session(self.me, self.peer, name, now=now)
        self.line.clear()
        for feed in self.held:
            self._tell(feed)
        if self.me == VILLAGE:
            self.session.open()
        self.speak(now)

    def _tell(self, feed: Feed) -> None:
        count = self.held[feed]
        self.session.own_changed(Entry(feed, count, CHAINS[feed][count - 1].rid[:RID16_BYTES]))

    def write(self, feed: Feed, now: float) -> None:
        """Hold one record more."""
        if self.held[feed] < RECORDS_MAX:
            self.held[feed] += 1
            self._tell(feed)
        self.speak(now)

    def speak(self, now: float) -> None:
        """Put on the line what the session wants to say."""
        while heads := self.session.take_heads(now):
            self.line.append(heads)
        while ranges := self.session.ranges():
            runs = tuple(
                Run(one.feed, one.first_seq, CHAINS[one.feed][one.first_seq : one.end])
                for one in ranges
            )
            self.line.append(self.session.chunk_sent(runs, now))
            self.sent.update((run.feed, seq) for run in runs for seq in range(*_span(run)))

    def hear(self, frame: Frame, now: float) -> None:
        """Take a frame, and answer."""
        self.heard.append(frame)
        if isinstance(frame, Heads):
            rids = {
                (feed, seq): CHAINS[feed][seq].rid for feed, seq in self.session.rids_wanted(frame)
            }
            self.session.heads_received(frame, rids, now)
        else:
            taken = [run for run in frame.runs if run.first_seq <= self.held[run.feed]]
            for run in taken:
                if run.end > self.held[run.feed]:
                    self.held[run.feed] = run.end
                    self._tell(run.feed)
            self.session.chunk_received(frame, taken, now)
        self.speak(now)


def _span(run: Run) -> tuple[int, int]:
    return run.first_seq, run.end


class Line:
    """Both ends, and the time."""

    def __init__(self) -> None:
        """Open the link for the first time."""
        self.now = 0.0
        self.town, self.village = End(TOWN, VILLAGE), End(VILLAGE, TOWN)
        self.ends = {TOWN: self.town, VILLAGE: self.village}
        self.reopen()

    def reopen(self) -> None:
        """Cut the link and open it anew: what was on its way is gone."""
        for end in self.ends.values():
            end.open(self.now)

    def restart(self, code: str) -> None:
        """Begin anew at one end only, as behind a carrier that keeps the line (protocol 5.2)."""
        self.ends[code].open(self.now)

    def carry(self, sender: End, fate: str) -> None:
        """Do to the sender's oldest frame what ``fate`` says."""
        if not sender.line:
            return
        frame = sender.line.popleft()
        if fate == "late":
            sender.line.append(frame)
        if fate in ("once", "twice"):
            self.ends[sender.peer].hear(frame, self.now)
        if fate == "twice":
            self.ends[sender.peer].hear(frame, self.now)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        for end in self.ends.values():
            end.session.tick(self.now)
            end.speak(self.now)
        if any(end.session.given_up for end in self.ends.values()):
            self.reopen()

    def heal(self) -> int:
        """Carry all frames once and in order until both ends agree; returns the rounds."""
        for rounds in range(ROUNDS_MAX):
            if any(end.line for end in self.ends.values()):
                for end in self.ends.values():
                    self.carry(end, "once")
            elif self.agree():
                return rounds
            else:
                moment = min(end.session.next_at(self.now) for end in self.ends.values())
                self.wait(max(0.001, moment - self.now))
        raise AssertionError(f"they do not agree: {self.town.held} {self.village.held}")

    def ask_once_more(self) -> None:
        """Let pass the moment at which an open question is asked again, and carry the answer."""
        moment = min(end.session.next_at(self.now) for end in self.ends.values())
        if moment < self.now + SOON:
            self.wait(moment - self.now)
            self.heal()

    def agree(self) -> bool:
        """Tell whether both hold the same and know it."""
        same = +self.town.held == +self.village.held
        return same and all(end.session.settled for end in self.ends.values())


moves = st.one_of(
    st.tuples(st.just("write"), st.sampled_from(list(CHAINS))),
    st.tuples(st.sampled_from(["once", "lost", "twice", "late"]), st.sampled_from([TOWN, VILLAGE])),
    st.tuples(st.just("wait"), st.sampled_from([0.1, 2.5, 30.0, 700.0])),
    st.tuples(st.sampled_from(["reopen", "restart"]), st.sampled_from([TOWN, VILLAGE])),
)


@given(st.lists(moves, max_size=60))
@example([("once", VILLAGE), ("restart", VILLAGE), ("lost", VILLAGE)])
@example([("write", UP), ("lost", VILLAGE), ("wait", 2.5), ("write", UP), ("late", TOWN)])
def test_they_agree_whatever_the_line_did(story: list[tuple[str, object]]) -> None:
    """Loss, doubling, reordering and cuts cost time and nothing else."""
    line = Line()
    for move, what in story:
        if isinstance(what, Feed):
            line.ends[WRITERS[what]].write(what, line.now)
        elif move == "reopen":
            line.reopen()
        elif isinstance(what, float):
            line.wait(what)
        elif move == "restart":
            line.restart(str(what))
        else:
            line.carry(line.ends[str(what)], move)
    line.heal()
    for end in line.ends.values():
        assert end.session.in_flight == 0
        assert end.session.view_counts().items() >= (+end.held).items()
    # An end that began anew asks; that both agree may show before that question is answered.
    line.ask_once_more()
    quiet = line.now + SOON
    assert all(end.session.next_at(line.now) >= quiet for end in line.ends.values())


@given(st.lists(st.sampled_from([*CHAINS, TOWN, VILLAGE]), max_size=60))
def test_each_record_crosses_once_when_nothing_is_lost(story: list[Feed | str]) -> None:
    """No record is sent twice, and none goes back to where it came from."""
    line = Line()
    for one in story:
        if isinstance(one, Feed):
            line.ends[WRITERS[one]].write(one, line.now)
        else:
            line.carry(line.ends[one], "once")
    line.heal()
    for feed, writer in WRITERS.items():
        other = line.ends[writer].peer
        count = line.ends[writer].held[feed]
        assert set(line.ends[writer].sent.values()) <= {1}
        assert sum(n for (one, _), n in line.ends[writer].sent.items() if one == feed) == count
        assert not any(one == feed for one, _ in line.ends[other].sent)


def filled() -> Line:
    """Return a line whose ends have written, and not said a word yet."""
    line = Line()
    for feed in (DOWN, DOWN, URGENT, UP, UP, UP):
        line.ends[WRITERS[feed]].write(feed, line.now)
    return line


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("sender", [TOWN, VILLAGE])
def test_one_lost_frame_is_asked_for(sender: str, number: int) -> None:
    """The link stays open: whoever misses an answer asks again (protocol 5.4 e)."""
    line, carried = filled(), 0
    while any(end.line for end in line.ends.values()):
        for code, end in line.ends.items():
            lost = code == sender and carried == number
            carried += bool(end.line) and code == sender
            line.carry(end, "lost" if lost else "once")
    line.heal()
    assert {end.opened for end in line.ends.values()} == {1}


def test_a_restarted_neighbour_is_noticed() -> None:
    """Its new session holds nothing of the old one's picture (protocol 5.2)."""
    line = filled()
    line.heal()
    line.village.held.clear()  # the box came back empty
    line.restart(VILLAGE)
    line.heal()
    assert line.village.held == line.town.held


def test_an_old_frame_changes_nothing() -> None:
    """Replayed Heads of a session are dropped; a replayed chunk is answered, and brings nothing."""
    line = filled()
    line.heal()
    held = [end.session.view_counts() for end in line.ends.values()]
    for end in line.ends.values():
        for frame in tuple(end.heard):
            end.hear(frame, line.now)
            if isinstance(frame, Heads):
                assert not end.line
            end.line.clear()
    assert [end.session.view_counts() for end in line.ends.values()] == held
    assert not any(end.session.ranges() for end in line.ends.values())
