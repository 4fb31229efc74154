"""Virtual time: it jumps, it is ordered, and it says when it cannot go on."""

import asyncio
import time

import pytest

from tests.simulation.virtual import StuckError, at_once, run


def test_a_day_passes_at_once() -> None:
    """Nobody waits for it."""

    async def day() -> float:
        await asyncio.sleep(86_400)
        return asyncio.get_running_loop().time()

    began = time.perf_counter()
    assert run(day()) == pytest.approx(86_400)
    assert time.perf_counter() - began < 1


def test_sleepers_wake_in_the_order_of_their_moments() -> None:
    """Whoever began first or last."""
    woken: list[int] = []

    async def sleeper(seconds: int) -> None:
        await asyncio.sleep(seconds)
        woken.append(seconds)

    async def all_of_them() -> None:
        await asyncio.gather(*(sleeper(seconds) for seconds in (30, 5, 600, 7)))

    run(all_of_them())
    assert woken == [5, 7, 30, 600]


def test_a_timeout_ends_in_virtual_time() -> None:
    """The machine's clock is not asked."""

    async def wait() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3_600):
                await asyncio.Event().wait()
        return asyncio.get_running_loop().time()

    assert run(wait()) == pytest.approx(3_600)


def test_waiting_for_nothing_is_an_error() -> None:
    """Rather than a test that hangs."""

    async def wait() -> None:
        await asyncio.Event().wait()

    with pytest.raises((StuckError, RuntimeError)):
        run(wait())


def test_a_moment_that_never_passes_is_an_error() -> None:
    """Somebody who is never done does not hang the test."""

    async def never() -> None:
        while True:  # noqa: ASYNC110 - somebody who asks again and again
            await asyncio.sleep(0)

    with pytest.raises(StuckError, match="always something to do"):
        run(never())


def test_at_once_refuses_what_waits() -> None:
    """It returns the result of what does not."""

    async def plain() -> int:
        return 7

    assert at_once(plain()) == 7
    with pytest.raises(RuntimeError, match="without waiting"):
        at_once(asyncio.sleep(0))
