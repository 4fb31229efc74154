"""What every Clock promises: time grows, wakes in order, and does not hang on who gave up.

All run in virtual time, where the loop's seconds pass at once; ``HandClock`` is turned by hand.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from shared.node.clock import Clock, HandClock, SystemClock, wait_for, within
from tests.simulation.virtual import run

START_MS = 1_764_000_000_000


@dataclass
class Turned:
    """A clock, and how its time is made to pass."""

    clock: Clock
    advance: Callable[[float], Awaitable[None]]


def by_loop() -> Turned:
    """Return the machine's clock in a loop whose time is virtual."""
    return Turned(SystemClock(START_MS), asyncio.sleep)


def by_hand() -> Turned:
    """Return the clock that tests turn."""
    clock = HandClock(START_MS)
    return Turned(clock, clock.advance)


each = pytest.mark.parametrize("make", [by_loop, by_hand])


@each
def test_both_times_pass_together(make: Callable[[], Turned]) -> None:
    """Seconds for timers and milliseconds for people, from where they stand (1.4)."""

    async def scenario() -> None:
        turned = make()
        began, shown = turned.clock.monotonic(), turned.clock.wall_ms()
        for seconds in (0.5, 3600.0, 86_400.0):
            await turned.advance(seconds)
        assert turned.clock.monotonic() - began == pytest.approx(90_000.5)
        assert turned.clock.wall_ms() - shown == pytest.approx(90_000_500, abs=1)
        assert shown == pytest.approx(START_MS, abs=1)

    run(scenario())


@each
def test_sleepers_wake_at_their_moments(make: Callable[[], Turned]) -> None:
    """In their order, whoever began first, and none too early."""

    async def scenario() -> None:
        turned, woken = make(), list[tuple[float, float]]()
        began = turned.clock.monotonic()

        async def sleeper(seconds: float) -> None:
            await turned.clock.sleep(seconds)
            woken.append((seconds, turned.clock.monotonic() - began))

        tasks = [asyncio.create_task(sleeper(s)) for s in (30.0, 5.0, 600.0, 7.0)]
        await asyncio.sleep(0)
        await turned.advance(29.0)
        assert [seconds for seconds, _ in woken] == [5.0, 7.0]
        await turned.advance(600.0)
        await asyncio.gather(*tasks)
        assert [seconds for seconds, _ in woken] == [5.0, 7.0, 30.0, 600.0]
        assert all(at == pytest.approx(seconds) for seconds, at in woken)

    run(scenario())


@each
@pytest.mark.parametrize("seconds", [0.0, -5.0])
def test_no_time_is_no_wait(make: Callable[[], Turned], seconds: float) -> None:
    """Zero and less return at once, and let others run."""

    async def scenario() -> None:
        turned, ran = make(), list[str]()
        began = turned.clock.monotonic()
        other = asyncio.create_task(_note(ran))
        await turned.clock.sleep(seconds)
        await other
        assert ran == ["other"]
        assert turned.clock.monotonic() == pytest.approx(began, abs=1e-6)

    run(scenario())


async def _note(ran: list[str]) -> None:
    ran.append("other")


@each
def test_who_gives_up_is_not_waited_for(make: Callable[[], Turned]) -> None:
    """A cancelled sleeper wakes nobody and hinders nobody."""

    async def scenario() -> None:
        turned = make()
        gone = asyncio.create_task(turned.clock.sleep(10))
        stays = asyncio.create_task(turned.clock.sleep(20))
        await asyncio.sleep(0)
        gone.cancel()
        await turned.advance(15)
        assert gone.cancelled()
        assert not stays.done()
        await turned.advance(6)
        assert stays.done()

    run(scenario())


@each
def test_waiting_for_an_event_or_a_moment(make: Callable[[], Turned]) -> None:
    """Whichever comes first; the event is cleared for the next time."""

    async def scenario() -> None:
        turned, woken = make(), asyncio.Event()
        waiting = asyncio.create_task(wait_for(woken, 60, turned.clock))
        await turned.advance(59)
        assert not waiting.done()
        woken.set()
        await turned.advance(0.5)
        assert waiting.done()
        assert not woken.is_set()
        waiting = asyncio.create_task(wait_for(woken, 60, turned.clock))
        await turned.advance(59)
        assert not waiting.done()
        await turned.advance(2)
        assert waiting.done()

    run(scenario())


@each
def test_work_within_a_time(make: Callable[[], Turned]) -> None:
    """Its result or its error if it is in time, else a timeout, and it goes on no more."""

    async def scenario() -> None:
        turned, ended = make(), list[str]()

        async def work(seconds: float, error: Exception | None = None) -> None:
            await turned.clock.sleep(seconds)
            if error is not None:
                raise error
            ended.append(str(seconds))

        tasks = [
            asyncio.create_task(within(work(seconds, error), 60, turned.clock))
            for seconds, error in ((59.0, None), (61.0, None), (1.0, KeyError("x")))
        ]
        await turned.advance(200)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(one) for one in results] == [type(None), TimeoutError, KeyError]
        assert ended == ["59.0"]

    run(scenario())


def test_the_machine_s_clock_shows_the_machine_s_time() -> None:
    """Unix milliseconds."""
    before = time.time() * 1000
    assert before - 1 <= SystemClock().wall_ms() <= time.time() * 1000 + 1
