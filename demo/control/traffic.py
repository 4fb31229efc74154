"""What people say and publish in the background, so that something moves."""

import asyncio
from collections import deque
from random import Random
from typing import Any, Final

from demo.content import Talk
from demo.control.staged import Staged
from demo.district import Division
from shared.errors import SanjiError

RATE: Final = 2.0
"""Records a second, where nobody chose another."""
RATE_MAX: Final = 20.0
AT_ONCE: Final = 40
"""Acts under way; beyond it the district is behind, and new ones wait their turn."""
OPEN_CASES_MAX: Final = 200

NOTICES: Final = 0.03
ANSWERS: Final = 0.17
RATINGS: Final = 0.1
"""Parts of all acts; the rest are voices."""


class Traffic:
    """Lets people act at a chosen rate while somebody watches.

    Attributes:
        paused: True while nobody says anything.
    """

    def __init__(self, stage: Staged, talk: Talk, chance: Random) -> None:
        """Act on ``stage``, in the words of ``talk``."""
        self._stage = stage
        self._talk = talk
        self._chance = chance
        self._rate = RATE
        self._watched = False
        self._open: deque[dict[str, Any]] = deque(maxlen=OPEN_CASES_MAX)
        self._answered: deque[dict[str, Any]] = deque(maxlen=OPEN_CASES_MAX)
        self._towns = {town.code: town for town in stage.district.towns}
        self._changed = asyncio.Event()
        self.paused = False

    @property
    def rate(self) -> float:
        """Records a second that are wanted."""
        return self._rate

    def set(
        self, *, rate: float | None = None, paused: bool | None = None, watched: bool | None = None
    ) -> None:
        """Change the pace; with nobody watching nothing is said, so that no disk fills at night."""
        self._rate = self._rate if rate is None else min(max(rate, 0.0), RATE_MAX)
        self.paused = self.paused if paused is None else paused
        self._watched = self._watched if watched is None else watched
        self._changed.set()

    @property
    def flows(self) -> bool:
        """True while people act."""
        return self._rate > 0 and self._watched and not self.paused

    async def run(self) -> None:
        """Act until cancelled."""
        turns = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._changed.clear()
                if not self.flows:
                    await self._changed.wait()
                    continue
                await turns.acquire()
                task = tasks.create_task(self._once())
                task.add_done_callback(lambda _: turns.release())
                await self._pause(1 / self._rate)

    async def _pause(self, seconds: float) -> None:
        """Wait; a change of pace counts at once."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _once(self) -> None:
        try:
            await self.act()
        except SanjiError:
            return  # a node is away, or has not got yet what it would answer: people come again

    async def act(self) -> None:
        """Let somebody do one thing.

        Raises:
            SanjiError: the node is away or refuses.
        """
        dice = self._chance.random()
        if dice < NOTICES:
            title, text = self._chance.choice(self._talk.notices)
            by = self._chance.choice((*self._stage.district.towns, *self._stage.district.villages))
            await self._stage.ask(by, "publish", title=title, text=text)
        elif dice < NOTICES + ANSWERS and self._open:
            case = self._open.popleft()
            text = self._chance.choice(self._talk.answers)
            await self._stage.ask(case["town"], "answer", receipt=case["receipt"], text=text)
            self._answered.append(case)
        elif dice < NOTICES + ANSWERS + RATINGS and self._answered:
            case = self._answered.popleft()
            score = self._chance.choice(("satisfied", "satisfied", "fair", "unsatisfied"))
            await self._stage.ask(case["village"], "rate", receipt=case["receipt"], score=score)
        else:
            await self._say(self._chance.choice(self._stage.district.villages))

    async def _say(self, village: Division) -> None:
        saying = self._chance.choice(self._talk.voices)
        told = await self._stage.ask(village, "file", **saying._asdict())
        town = self._towns[village.parent]
        self._open.append({"village": village, "town": town, "receipt": told["receipt"]})
