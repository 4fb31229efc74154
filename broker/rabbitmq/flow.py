"""How frames of a link keep their order and how many may be under way; no I/O.

A sender may be at most ``WINDOW`` frames ahead of what the receiver has taken. So whatever a slow
neighbour leaves untaken is bounded, link by link, and never stands in front of another's frames.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from shared.errors import FaultError

WINDOW: Final = 8
"""Frames sent and not yet taken: a session has four chunks under way and speaks between them."""

GRANT_AFTER: Final = WINDOW // 2
"""Frames taken after which the sender is told."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A frame.

    Attributes:
        frame: Its bytes.
        done: Lets the broker's delivery be acknowledged.
        is_counted: It has a number on this link, and takes a place in its window.
    """

    frame: bytes
    done: Callable[[], None]
    is_counted: bool = True


class Incoming:
    """The frames of one direction, put in order, each once.

    A frame that the broker refused is sent again behind later ones (``reject-publish``), so order
    is made here.

    Attributes:
        taken: How many were handed on.
        repeated: How many came a second time.
    """

    def __init__(self) -> None:
        """Start with frame 0."""
        self.taken = 0
        self.repeated = 0
        self._ready = 0
        self._told = 0
        self._early: dict[int, Arrived] = {}

    def offer(self, n: int, item: Arrived) -> list[Arrived]:
        """Take in frame ``n``; returns what can be handed on now, in order.

        Raises:
            FaultError: it is further ahead than the sender may be.
        """
        if n >= self.taken + WINDOW:
            raise FaultError("the neighbour sends more than it may")
        if n < self._ready or n in self._early:
            self.repeated += 1
            return []
        self._early[n] = item
        ready = []
        while self._ready in self._early:
            ready.append(self._early.pop(self._ready))
            self._ready += 1
        return ready

    def took(self) -> bool:
        """Count one frame as handed on; returns whether the sender should be told."""
        self.taken += 1
        return self.taken - self._told >= GRANT_AFTER

    def tell(self) -> int:
        """Return how many were taken, which the sender is told now."""
        self._told = self.taken
        return self.taken

    def drop(self) -> list[Arrived]:
        """Forget the frames that came before an earlier one, and return them."""
        early, self._early = list(self._early.values()), {}
        return early

    @property
    def has_gap(self) -> bool:
        """True while a frame is missing before one that is here."""
        return bool(self._early)


class Ledger:
    """Which deliveries of a channel may be acknowledged: up to the first that is still needed.

    A delivery is needed until what its frame held is committed or refused. If slow links leave more
    than ``waiting_max`` waiting, the oldest count as done: their frames stand in the bounded
    queues of their links, and a frame that is delivered again after a crash is of no use, because
    its link is gone too. So no slow link can use up the prefetch window of the others.
    """

    def __init__(self, waiting_max: int) -> None:
        """Start with nothing delivered."""
        self._waiting_max = waiting_max
        self._waiting: dict[int, None] = {}
        self._last = 0
        self._acknowledged = 0

    def came(self, tag: int) -> None:
        """Note delivery ``tag``; tags grow."""
        self._last = tag
        self._waiting[tag] = None
        if len(self._waiting) > self._waiting_max:
            del self._waiting[next(iter(self._waiting))]

    def done(self, tag: int) -> None:
        """Note that ``tag`` is not needed any more."""
        self._waiting.pop(tag, None)

    def take(self) -> int | None:
        """Return the delivery up to which all can be acknowledged now; None if there is none."""
        first = next(iter(self._waiting), self._last + 1)
        if first - 1 <= self._acknowledged:
            return None
        self._acknowledged = first - 1
        return self._acknowledged
