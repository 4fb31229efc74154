"""When a node also links to the ancestor above its parent, and when it stops (protocol 4.8). Pure.

::

    tree ── something lacked for 26 h, then 0-6 h ──▶ open ── 24 h ──▶ trial
     ▲                                                 ▲                 │
     │                                                 └── 12 h ─────────┤  open twice as long
     └──────── all is there by the tree alone ───────────────────────────┘

While the by-pass is open everything comes by it, so that its end cannot be observed: it closes on
trial. All times are running time, which stands while the program does not run.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from shared.domain.custody.lacks import Lack, Reason

_LOOKS: Final = 96
"""Looks in the time after which it opens: each 16 min of 26 h."""


@dataclass(frozen=True)
class BypassTimes:
    """How patient a node is with the tree, in ms of running time.

    Attributes:
        after_ms: For how long something is lacked before it opens. 26 h: four beats were lost,
            and a village that is named late had a day and two hours for its proof.
        jitter_ms: It opens at most so much later: the villages of a dead town come one by one.
        open_ms: It stays open for so long before the first trial.
        open_ms_max: And after each trial that failed twice as long, at most so long: the villages
            of a town that is gone for good ask once in eight days whether it is back.
        trial_ms: So long the tree has to show that it carries. 12 h: two beats.
    """

    after_ms: int = 93_600_000
    jitter_ms: int = 21_600_000
    open_ms: int = 86_400_000
    open_ms_max: int = 691_200_000
    trial_ms: int = 43_200_000

    @property
    def look_ms(self) -> int:
        """Between looks, at most."""
        return max(1, self.after_ms // _LOOKS)


class Phase(StrEnum):
    """Where it stands."""

    TREE = "tree"
    OPEN = "open"
    TRIAL = "trial"


@dataclass
class Bypass:
    """The by-pass of one node. ``look`` moves it on; ``encode`` is what a restart begins with.

    Attributes:
        phase: Where it stands.
        because: Why it opened last; None while the tree carries.
    """

    times: BypassTimes
    jitter: Callable[[int], int]
    """Returns a number of ms from 0 to the given one."""
    phase: Phase = Phase.TREE
    because: Lack | None = None
    _entered_ms: int = 0
    _opens_ms: int | None = None
    _open_ms: int = 0
    _since_ms: dict[Lack, int] = field(default_factory=dict)
    _beats: frozenset[Lack] = frozenset()

    @property
    def is_open(self) -> bool:
        """Whether the node is to be linked to the next ancestor."""
        return self.phase is Phase.OPEN

    def look(self, now_ms: int, lacks: Collection[Lack]) -> int:
        """Move on.

        Args:
            now_ms: Running time.
            lacks: What is lacked now.

        Returns:
            In how many ms to look again, if nothing else is a reason to.
        """
        self._since_ms = {lack: self._since_ms.get(lack, now_ms) for lack in lacks}
        steps = {
            Phase.TREE: self._wait_for_need,
            Phase.OPEN: self._wait_for_trial,
            Phase.TRIAL: self._try_tree,
        }
        due_ms = steps[self.phase](now_ms)
        return max(1, min(due_ms - now_ms, self.times.look_ms))

    def _wait_for_need(self, now_ms: int) -> int:
        ends_ms = {lack: since + self.times.after_ms for lack, since in self._since_ms.items()}
        overdue = [lack for lack, end in ends_ms.items() if end <= now_ms]
        if not overdue:
            self._opens_ms = None
            return min(ends_ms.values(), default=now_ms + self.times.look_ms)
        if self._opens_ms is None:
            self._opens_ms = now_ms + self.jitter(self.times.jitter_ms)
        if now_ms < self._opens_ms:
            return self._opens_ms
        self._open_ms = self.times.open_ms
        self.because = min(overdue, key=lambda lack: (self._since_ms[lack], lack))
        return self._open(now_ms)

    def _open(self, now_ms: int) -> int:
        self._enter(Phase.OPEN, now_ms)
        return now_ms + self._open_ms

    def _wait_for_trial(self, now_ms: int) -> int:
        ends_ms = self._entered_ms + self._open_ms
        if now_ms < ends_ms:
            return ends_ms
        self._beats = frozenset(filter(_is_beat, self._since_ms))
        self._enter(Phase.TRIAL, now_ms)
        return now_ms + self.times.trial_ms

    def _try_tree(self, now_ms: int) -> int:
        # A beat that came since is a lack of its own: the next one has not come yet.
        if all(_is_beat(lack) and lack not in self._beats for lack in self._since_ms):
            self._enter(Phase.TREE, now_ms)
            self.because = None
            return now_ms + self.times.look_ms
        ends_ms = self._entered_ms + self.times.trial_ms
        if now_ms < ends_ms:
            return ends_ms
        self._open_ms = min(2 * self._open_ms, self.times.open_ms_max)
        return self._open(now_ms)

    def _enter(self, phase: Phase, now_ms: int) -> None:
        self.phase, self._entered_ms, self._opens_ms = phase, now_ms, None

    # --- over a restart --------------------------------------------------------------------------

    def encode(self) -> dict[str, Any]:
        """Return the state as JSON, to be restored by ``restore``."""
        return {
            "phase": self.phase, "because": self.because, "entered_ms": self._entered_ms,
            "opens_ms": self._opens_ms, "open_ms": self._open_ms,
            "since": [[*lack, since] for lack, since in sorted(self._since_ms.items())],
            "beats": sorted(self._beats),
        }  # fmt: skip

    def restore(self, value: Mapping[str, Any]) -> None:
        """Go on where ``encode`` was called."""
        self.phase = Phase(value["phase"])
        self.because = _lack(value["because"]) if value["because"] else None
        self._entered_ms, self._opens_ms = value["entered_ms"], value["opens_ms"]
        self._open_ms = value["open_ms"]
        self._since_ms = {_lack(one[:-1]): one[-1] for one in value["since"]}
        self._beats = frozenset(map(_lack, value["beats"]))


def _is_beat(lack: Lack) -> bool:
    return lack.reason is Reason.NO_BEAT


def _lack(value: Sequence[Any]) -> Lack:
    ancestor, reason, what, progress = value
    return Lack(ancestor, Reason(reason), what, progress)
