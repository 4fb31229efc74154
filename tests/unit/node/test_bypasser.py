"""The by-pass of a node that is switched off at night, or whose disk fails; in virtual time."""

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Final

from shared.domain.custody.bypass import BypassTimes
from shared.domain.custody.kinds import Stated
from shared.domain.custody.lacks import Lacks, Reason
from shared.errors import StorageError
from shared.link.carrier import Connection, LinkDownError
from shared.log.log import Log
from shared.log.memory import MemoryStore
from shared.log.store import Batch
from shared.node.bypasser import Bypasser
from shared.node.clock import SystemClock
from shared.node.links import Links
from shared.record.feed import Feed
from tests.simulation.virtual import run
from tests.support.records import key_of
from tests.support.trust import DISTRICT, EPOCH, TOWN, VILLAGE, small_district

START_MS: Final = 1_795_500_000_000
HOUR: Final = 3_600.0
TIMES: Final = BypassTimes(jitter_ms=0)


class Nobody:
    """A carrier on which nobody answers.

    Attributes:
        dialled: Who was dialled, each time.
    """

    def __init__(self) -> None:
        """Nobody was dialled."""
        self.dialled: list[tuple[str, str]] = []

    async def dial(self, peer: str, address: str) -> Connection:
        """See the port."""
        self.dialled.append((peer, address))
        raise LinkDownError("nobody answers")


class Box:
    """A village's box whose disk outlives its process."""

    def __init__(self) -> None:
        """Begin with an empty disk."""
        self.store = MemoryStore()
        self.carrier = Nobody()

    def bypasser(self) -> Bypasser:
        """Return what a new process makes of the disk."""
        clock, chance = SystemClock(START_MS), Random(1)
        log = Log(VILLAGE, self.store, small_district().founded.rid)
        links = Links(log, key_of(2), clock=clock, entropy=chance.randbytes, chance=chance)
        return Bypasser(
            log, links, DISTRICT, addresses, Lacks(VILLAGE, (TOWN, DISTRICT)),
            clock=clock, chance=chance, times=TIMES,
        )  # fmt: skip

    async def runs(self, hours: float, beats: int = 0) -> Bypasser:
        """Let a process live for so long; return it as it was at its end.

        Args:
            hours: How long.
            beats: How many of each ancestor its log holds; reading it takes a while.
        """
        bypasser = self.bypasser()
        life = asyncio.create_task(bypasser.run(self.carrier))
        await asyncio.sleep(10)
        for code in beats * (TOWN, DISTRICT):
            audience = code + "*"
            bypasser.lacks.learn(Feed(code, EPOCH, "custody", audience), Stated(use="beat"))
        bypasser.lacks.is_complete = True
        await asyncio.sleep(hours * HOUR)
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)
        return bypasser


def addresses() -> Sequence[str]:
    """Return where the district is."""
    return ("memory:district",)


def test_a_box_that_is_off_at_night_waits_for_26_hours_too() -> None:
    """Eight hours a day: it opens on the fourth day, and an open one is open again the next."""

    async def days() -> None:
        box = Box()
        for _ in range(3):
            assert (await box.runs(8)).because is None
            await asyncio.sleep(16 * HOUR)
        assert not box.carrier.dialled
        fourth = await box.runs(8)
        assert fourth.because is not None
        assert fourth.because.reason is Reason.NO_BEAT
        assert set(box.carrier.dialled) == {(DISTRICT, "memory:district")}
        box.carrier.dialled.clear()
        await asyncio.sleep(16 * HOUR)
        await box.runs(0.1)
        assert box.carrier.dialled
        assert fourth.since_ms is None

    run(days())


def test_beats_that_are_read_again_are_no_news() -> None:
    """What the log held before neither begins the 26 h anew nor ends a trial."""

    async def days() -> None:
        box = Box()
        await box.runs(20, beats=4)
        assert (await box.runs(8, beats=4)).because is not None
        await box.runs(25, beats=5)
        box.carrier.dialled.clear()
        assert (await box.runs(2, beats=5)).because is not None
        assert not box.carrier.dialled
        assert (await box.runs(1, beats=6)).because is None

    run(days())


def test_a_trial_dials_nobody() -> None:
    """26 h until it opens, 24 h until the trial, 12 h of trial."""

    async def trial() -> None:
        box = Box()
        await box.runs(26 + 24 + 1)
        box.carrier.dialled.clear()
        await box.runs(8)
        assert not box.carrier.dialled
        await box.runs(5)
        assert box.carrier.dialled

    run(trial())


def test_a_disk_that_fails_is_waited_for() -> None:
    """One that cannot be read, and one that is full: the by-pass opens all the same."""

    async def fails() -> None:
        box, failures = Box(), [StorageError("gone"), StorageError("gone")]
        note = box.store.note

        async def broken(name: str) -> bytes | None:
            if failures:
                raise failures.pop()
            return await note(name)

        def full(_batch: Batch) -> None:
            raise StorageError("The disk is full.")

        box.store.note = broken  # type: ignore[method-assign]
        box.store.before_commit = full
        assert (await box.runs(27)).because is not None
        assert not failures
        assert box.carrier.dialled

    run(fails())
