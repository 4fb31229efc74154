"""The Clock port: wall time for people, monotonic time for timers, and waiting.

``SystemClock`` is real; ``HandClock`` is the twin that tests turn. Both pass
``tests/contracts/test_clock.py``.
"""

import asyncio
import heapq
import itertools
import time
from collections.abc import Coroutine
from typing import Any, Protocol


class Clock(Protocol):
    """What a node knows of time."""

    def wall_ms(self) -> int:
        """Return Unix time in ms UTC: shown to people, never decisive (protocol 1.4)."""

    def monotonic(self) -> float:
        """Return seconds that only ever grow."""

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds``; at once for 0 or less."""


async def wait_for(woken: asyncio.Event, seconds: float, clock: Clock) -> None:
    """Wait until ``woken`` is set, at most ``seconds`` of ``clock``, and clear it."""
    timer = asyncio.create_task(clock.sleep(seconds))
    event = asyncio.create_task(woken.wait())
    try:
        await asyncio.wait((timer, event), return_when=asyncio.FIRST_COMPLETED)
    finally:
        timer.cancel()
        event.cancel()
        await asyncio.gather(timer, event, return_exceptions=True)
    woken.clear()


async def within(work: Coroutine[Any, Any, None], seconds: float, clock: Clock) -> None:
    """Await ``work``, at most ``seconds`` of ``clock``.

    Raises:
        TimeoutError: it took longer, and was cancelled.
    """
    task, timer = asyncio.create_task(work), asyncio.create_task(clock.sleep(seconds))
    try:
        await asyncio.wait((task, timer), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise TimeoutError
        task.result()
    finally:
        timer.cancel()
        task.cancel()
        await asyncio.gather(task, timer, return_exceptions=True)


class SystemClock:
    """The machine's clock; ``monotonic`` is the event loop's, so that virtual time works too."""

    def __init__(self, offset_ms: int | None = None) -> None:
        """Use the machine's wall clock, or loop time plus ``offset_ms`` where that is virtual."""
        self._offset_ms = offset_ms

    def wall_ms(self) -> int:
        """See ``Clock``."""
        if self._offset_ms is None:
            return time.time_ns() // 1_000_000
        return self._offset_ms + int(self.monotonic() * 1000)

    def monotonic(self) -> float:
        """See ``Clock``."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """See ``Clock``."""
        await asyncio.sleep(max(0.0, seconds))


class HandClock:
    """A clock that stands still until ``advance`` is called."""

    def __init__(self, wall_ms: int = 1_764_000_000_000) -> None:
        """Start at ``wall_ms``, monotonic 0."""
        self._wall_ms = wall_ms
        self._now = 0.0
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def wall_ms(self) -> int:
        """See ``Clock``."""
        return self._wall_ms + int(self._now * 1000)

    def monotonic(self) -> float:
        """See ``Clock``."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """See ``Clock``."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        waiter = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), waiter))
        await waiter

    async def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass, waking each sleeper at its moment and letting it act.

        Whoever is ready begins its sleep first, as a loop would let it.
        """
        await self.settle()
        end = self._now + seconds
        while self._sleepers and self._sleepers[0][0] <= end:
            self._now, _, waiter = heapq.heappop(self._sleepers)
            if not waiter.done():
                waiter.set_result(None)
            await self.settle()
        self._now = end
        await self.settle()

    async def settle(self) -> None:
        """Let whatever is ready run."""
        for _ in range(10):
            await asyncio.sleep(0)
