"""What a bad line does to the frames of one direction (protocol 5.10)."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from enum import StrEnum
from random import Random
from typing import Any, Final, NamedTuple

from broker.alter import altered
from broker.pipe import Pipe
from shared.link.carrier import LinkDownError

FRAMES_WAITING_MAX: Final = 8
"""Each way on one link; then its sender waits."""

HELD_SECONDS_MAX: Final = 1.0
"""A frame that shall be overtaken waits so long for another one: reordering loses nothing."""

Sleep = Callable[[float], Awaitable[None]]


class Direction(StrEnum):
    """Seen from the end at which the cable was put."""

    OUT = "out"
    IN = "in"


class Fate(StrEnum):
    """What the cable did to a frame."""

    PASSED = "passed"
    LOST = "lost"
    DUPLICATED = "duplicated"
    REORDERED = "reordered"
    ALTERED = "altered"


OnFrame = Callable[[Direction, Fate, bytes], None]
"""Called for each thing that happens to a frame; one frame can meet several."""


class Faults:
    """Which faults a line has now; all may be changed at any time.

    Attributes:
        loss: Fraction of frames that are lost, 0 to 1, each way.
        duplicate: Fraction that arrive twice.
        reorder: Fraction that are overtaken by the next one.
        delay_seconds: Each frame takes so long, each way; the order stays.
        throttle_bytes_per_second: What the line carries each way; 0 = no bound.
        alter: So many record-bearing frames are still to be altered (see ``broker.alter``).
        counters: How often each fate befell a frame, both directions together.
        bytes_passed: Bytes of the frames that were handed on, copies included.
    """

    def __init__(
        self, chance: Random, *, sleep: Sleep = asyncio.sleep, on_frame: OnFrame | None = None
    ) -> None:
        """Start without a fault.

        Args:
            chance: Seeded, so that a run can be repeated.
            sleep: How time passes.
            on_frame: Watches.
        """
        self.loss = 0.0
        self.duplicate = 0.0
        self.reorder = 0.0
        self.delay_seconds = 0.0
        self.throttle_bytes_per_second = 0.0
        self.alter = 0
        self.counters: Counter[Fate] = Counter()
        self.bytes_passed = 0
        self.chance = chance
        self.sleep = sleep
        self._on_frame = on_frame

    def note(self, direction: Direction, fate: Fate, frame: bytes) -> None:
        """Count what happened to ``frame`` and tell who watches."""
        self.counters[fate] += 1
        if fate is Fate.PASSED:
            self.bytes_passed += len(frame)
        if self._on_frame is not None:
            self._on_frame(direction, fate, frame)

    def happens(self, fraction: float) -> bool:
        """Throw the dice; none for a fault that is off, so that the others keep their luck."""
        return fraction > 0 and self.chance.random() < fraction


class _Travelling(NamedTuple):
    """A frame on the line.

    Attributes:
        frame: The frame.
        delay: Ends when it arrives; None = at once.
    """

    frame: bytes
    delay: asyncio.Task[None] | None


class Line:
    """One direction of a wrapped link: frames go in, meet their fate, and come out."""

    def __init__(self, faults: Faults, direction: Direction) -> None:
        """Start empty; ``faults`` are looked at anew for each frame."""
        self._faults = faults
        self._direction = direction
        self._pipe = Pipe[_Travelling](FRAMES_WAITING_MAX)
        self._arriving: _Travelling | None = None
        self._held: bytes | None = None
        self._entering = asyncio.Lock()
        self._timers: set[asyncio.Task[None]] = set()

    async def put(self, frame: bytes) -> None:
        """Let ``frame`` meet its faults and travel; waits while the line is full.

        Raises:
            LinkDownError: the line has ended.
        """
        async with self._entering:
            self._check_whole()
            for each in self._through_faults(frame):
                await self._travel(each)

    async def get(self) -> bytes:
        """Return the next frame that arrives; cancelled, it takes none.

        Raises:
            LinkDownError: the line has ended and nothing is left on it.
        """
        if self._arriving is None:
            self._arriving = await self._pipe.get()
        frame, delay = self._arriving
        if delay is not None:
            await asyncio.wait({delay})
            if delay.cancelled():
                raise LinkDownError(self._pipe.ended)
        self._arriving = None
        return frame

    def end(self, why: str, *, discard: bool) -> None:
        """Let nothing in any more; with ``discard`` what travels is lost."""
        self._pipe.end(why, discard=discard)
        if discard:
            self._arriving = None
            for timer in self._timers:
                timer.cancel()

    def _check_whole(self) -> None:
        if self._pipe.ended:
            raise LinkDownError(self._pipe.ended)

    async def settled(self) -> None:
        """Wait until no task of this line is left."""
        if self._timers:
            await asyncio.wait(self._timers)

    def _through_faults(self, frame: bytes) -> list[bytes]:
        """Return what goes on to travel now, in this order."""
        faults = self._faults
        if faults.alter > 0:
            changed = altered(frame, faults.chance)
            if changed is not None:
                faults.alter -= 1
                frame = changed
                faults.note(self._direction, Fate.ALTERED, frame)
        if faults.happens(faults.loss):
            faults.note(self._direction, Fate.LOST, frame)
            return []
        if self._held is None and faults.happens(faults.reorder):
            faults.note(self._direction, Fate.REORDERED, frame)
            self._held = frame
            self._later(self._let_go(frame))
            return []
        frames = [frame]
        if faults.happens(faults.duplicate):
            faults.note(self._direction, Fate.DUPLICATED, frame)
            frames.append(frame)
        if self._held is not None:
            frames.append(self._held)
            self._held = None
        return frames

    async def _let_go(self, frame: bytes) -> None:
        """Send a held frame on if nothing came to overtake it."""
        await self._faults.sleep(HELD_SECONDS_MAX)
        with contextlib.suppress(LinkDownError):  # then it is lost, like all that was under way
            async with self._entering:
                if self._held is frame:
                    self._held = None
                    await self._travel(frame)

    async def _travel(self, frame: bytes) -> None:
        faults = self._faults
        if faults.throttle_bytes_per_second > 0:
            seconds = len(frame) / faults.throttle_bytes_per_second
            # A task, so that the end of the line wakes who waits for it.
            await asyncio.wait({self._later(self._pause(seconds))})
            self._check_whole()
        delay = None
        if faults.delay_seconds > 0:
            delay = self._later(self._pause(faults.delay_seconds))
        await self._pipe.put(_Travelling(frame, delay))
        faults.note(self._direction, Fate.PASSED, frame)

    async def _pause(self, seconds: float) -> None:
        await self._faults.sleep(seconds)

    def _later(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        timer = asyncio.get_running_loop().create_task(work)
        self._timers.add(timer)
        timer.add_done_callback(self._timers.discard)
        return timer
