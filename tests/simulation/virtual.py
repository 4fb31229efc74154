"""An event loop whose time jumps: hours of a district pass in a second, always in the same way.

When nothing is ready the loop goes on to the moment of the next timer. It never waits and never
looks at a socket; a coroutine that waits for either hangs, and the loop says so.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

ROUNDS_MAX: Final = 50_000
"""Rounds of the loop at one moment, after which nobody believes that it will pass."""


TURN_SECONDS: Final = 1e-9
"""What a round takes at least: the loop fires a timer this much too early, and whoever then waits
for the rest must see it pass."""


class StuckError(RuntimeError):
    """Time cannot go on: everything waits and no timer is set, or somebody is never done."""


class _NoWait(selectors.SelectSelector):
    """A selector that turns the time it should wait into time that has passed."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._rounds = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Let ``timeout`` seconds pass at once; no file is ever ready."""
        if timeout is None:
            raise StuckError("everything waits and no timer is set")
        self._rounds = 0 if timeout > 0 else self._rounds + 1
        if self._rounds > ROUNDS_MAX:
            self._rounds = 0
            raise StuckError(f"there is always something to do at second {self.now:.3f}")
        self.now += max(TURN_SECONDS, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time, from 0 on."""

    def __init__(self) -> None:
        """Start at second 0."""
        self._turned = _NoWait()
        super().__init__(self._turned)

    def time(self) -> float:
        """Return the virtual seconds that have passed."""
        return self._turned.now

    def _write_to_self(self) -> None:
        """Wake nobody: this loop never sleeps."""


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` to its end in a loop of its own and return its result.

    Raises:
        StuckError: everything waits and no timer is set.
    """
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """Return the result of ``work``, which must not wait for anything.

    Raises:
        RuntimeError: it waited.
    """
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    work.close()
    raise RuntimeError("this should have finished without waiting")
