"""The by-pass opens when something is lacked for long, and closes on trial (protocol 4.8)."""

import json
from collections.abc import Collection
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.custody.bypass import Bypass, BypassTimes, Phase
from shared.domain.custody.lacks import Lack, Reason
from tests.unit.domain.book import DAY, HOUR
from tests.unit.domain.facts import DISTRICT, TOWN

TIMES = BypassTimes(jitter_ms=0)
LATE = Lack(DISTRICT, Reason.LATE, "", 0)
KINDS = [LATE, Lack(TOWN, Reason.NO_RECEIPT, "ab", 1), Lack(DISTRICT, Reason.NOT_ARRIVED, "cd", 0)]


def beats(count: int) -> set[Lack]:
    """Return what is lacked while both ancestors were heard ``count`` times: the next one."""
    return {Lack(code, Reason.NO_BEAT, "", count) for code in (TOWN, DISTRICT)}


class Box:
    """A by-pass and its running time."""

    def __init__(self, times: BypassTimes = TIMES) -> None:
        """Begin while the tree carries."""
        self.bypass = Bypass(times, lambda most: most)
        self.at_ms = 0

    def passes(self, ms: int, lacks: Collection[Lack]) -> list[tuple[int, Phase]]:
        """Look as often as it asks for; return when it came into another phase."""
        ends_ms, turns = self.at_ms + ms, []
        while True:
            before = self.bypass.phase
            pause_ms = self.bypass.look(self.at_ms, lacks)
            if self.bypass.phase is not before:
                turns.append((self.at_ms, self.bypass.phase))
            if self.at_ms + pause_ms > ends_ms:
                self.at_ms = ends_ms
                return turns
            self.at_ms += pause_ms


def opened(because: Lack = LATE) -> Box:
    """Return a box whose by-pass has just opened."""
    box = Box()
    box.passes(26 * HOUR, beats(0) | {because})
    assert box.bypass.is_open
    return box


def test_while_beats_come_nothing_opens() -> None:
    """Each within 26 h of the one before, for a month."""
    box = Box()
    for count in range(28):
        assert not box.passes(25 * HOUR, beats(count))


def test_no_beat_for_26_hours_opens() -> None:
    """Also if one of two ancestors is heard; it says of whom nothing came."""
    box, turns = Box(), []
    for count in range(5):
        dead = Lack(TOWN, Reason.NO_BEAT, "", 0)
        heard = Lack(DISTRICT, Reason.NO_BEAT, "", count)
        turns += box.passes(6 * HOUR, {dead, heard})
    assert turns == [(26 * HOUR, Phase.OPEN)]
    assert box.bypass.because == Lack(TOWN, Reason.NO_BEAT, "", 0)


def test_what_gets_less_opens_nothing() -> None:
    """A village that writes all day always lacks some receipt, and never the same for long."""
    box = Box()
    for count in range(100):
        missing = Lack(DISTRICT, Reason.NO_RECEIPT, "ab", count)
        assert not box.passes(HOUR, beats(count // 6) | {missing})


def test_it_opens_later_by_chance_and_not_if_the_lack_ends() -> None:
    """The villages of one dead town come one after the other."""
    box = Box(BypassTimes())
    assert not box.passes(31 * HOUR, {LATE})
    assert not box.passes(30 * HOUR, set())
    assert box.passes(33 * HOUR, {LATE}) == [((61 + 32) * HOUR, Phase.OPEN)]


def test_trials_become_rarer_while_the_tree_does_not_carry() -> None:
    """A day, two, four, eight, eight: each followed by half a day without the by-pass."""
    box, lacks = opened(), beats(0) | {LATE}
    turns = box.passes(25 * DAY, lacks)
    opens = [at for at, phase in turns if phase is Phase.OPEN]
    closes = [at for at, phase in turns if phase is Phase.TRIAL]
    assert [close - begin for begin, close in zip([26 * HOUR, *opens], closes, strict=False)] == [
        DAY, 2 * DAY, 4 * DAY, 8 * DAY, 8 * DAY
    ]  # fmt: skip
    assert [begin - close for close, begin in zip(closes, opens, strict=False)] == 4 * [12 * HOUR]


def test_a_tree_that_carries_keeps_it_closed() -> None:
    """A fresh beat of each ancestor by the tree alone; those that came by the by-pass prove
    nothing.
    """
    box = opened()
    assert box.passes(DAY, beats(4)) == [((26 + 24) * HOUR, Phase.TRIAL)]
    one_of_two = {Lack(TOWN, Reason.NO_BEAT, "", 5), Lack(DISTRICT, Reason.NO_BEAT, "", 4)}
    assert not box.passes(3 * HOUR, beats(4))
    assert not box.passes(3 * HOUR, one_of_two)
    assert box.passes(1, beats(5)) == [((26 + 24 + 6) * HOUR, Phase.TREE)]
    assert box.bypass.because is None
    assert not box.passes(25 * HOUR, beats(6))


def test_a_trial_needs_receipts_too() -> None:
    """Beats alone do not close it for good, whatever else is lacked."""
    for lack in KINDS:
        box = opened(lack)
        box.passes(DAY, beats(4))
        turns = box.passes(12 * HOUR, beats(5) | {lack})
        assert turns == [((26 + 24 + 12) * HOUR, Phase.OPEN)]


@st.composite
def days(draw: st.DrawFn) -> list[tuple[int, frozenset[Lack]]]:
    """Return stretches of time and what is lacked in each."""
    stretches, count = [], 0
    for _ in range(draw(st.integers(1, 12))):
        count += draw(st.integers(0, 1))
        lacks = draw(st.sets(st.sampled_from(KINDS))) | beats(count)
        stretches.append((draw(st.integers(1, 40)) * HOUR, frozenset(lacks)))
    return stretches


@given(days())
def test_it_is_open_and_closed_as_long_as_it_says(
    stretches: list[tuple[int, frozenset[Lack]]],
) -> None:
    """Whatever comes: no opening before something was lacked for 26 h, none shorter than a day or
    longer than eight, no trial longer than half a day; a restart at any moment changes nothing.
    """
    box, twin = Box(), Box()
    turns = []
    for ms, lacks in stretches:
        turns += box.passes(ms, lacks)
        restarted = Box()
        restarted.bypass.restore(json.loads(json.dumps(twin.bypass.encode())))
        restarted.at_ms, twin = twin.at_ms, restarted
        twin.passes(ms, lacks)
        assert twin.bypass.encode() == box.bypass.encode()
    if turns:
        assert turns[0][1] is Phase.OPEN
        assert turns[0][0] >= TIMES.after_ms
    for (since, phase), (until, next_phase) in pairwise(turns):
        if phase is Phase.OPEN:
            assert next_phase is Phase.TRIAL
            assert TIMES.open_ms <= until - since <= TIMES.open_ms_max
        elif phase is Phase.TRIAL:
            assert until - since <= TIMES.trial_ms
        else:
            assert next_phase is Phase.OPEN
