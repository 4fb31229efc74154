"""A child behind a cable, with a clock that only the test turns."""

import asyncio
from random import Random

from broker.cable import Cable
from broker.faults import Direction, Fate
from broker.memory import MemoryHub
from shared.link.carrier import Connection
from tests.support.carriers import CHILD, PARENT, Answering, soon
from tests.support.frames import number_of

ADDRESS = "memory:parent"


class TurnedClock:
    """Time that only the test turns."""

    def __init__(self) -> None:
        """Stand at zero."""
        self.now = 0.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    async def sleep(self, seconds: float) -> None:
        """Wait until the test has turned the clock so far."""
        woken = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now + seconds, woken))
        await woken

    async def turn(self, seconds: float) -> None:
        """Let ``seconds`` pass, and all that follows from it happen."""
        self.now += seconds
        for due, woken in tuple(self._sleepers):
            if due <= self.now + 1e-9:
                self._sleepers.remove((due, woken))
                if not woken.done():
                    woken.set_result(None)
        await settle()


async def settle() -> None:
    """Let everything run that can run."""
    for _ in range(30):
        await asyncio.sleep(0)


class Setting:
    """A child behind a cable, its parent, and what the parent has received."""

    def __init__(self) -> None:
        """Prepare; ``open`` makes the link."""
        self.clock = TurnedClock()
        self.seen: list[tuple[Direction, Fate]] = []
        self.cable = Cable(
            Random(7), sleep=self.clock.sleep, on_frame=lambda way, fate, _: self._note(way, fate)
        )
        self.hub, self.answering = MemoryHub(), Answering()
        self.hub.listen(PARENT.code, ADDRESS, self.answering)
        self.carrier = self.cable.carrier(self.hub.carrier(CHILD.code))
        self.child: Connection
        self.parent: Connection
        self.got: list[bytes] = []
        self._reading: asyncio.Task[None] | None = None

    def _note(self, way: Direction, fate: Fate) -> None:
        self.seen.append((way, fate))

    async def open(self) -> None:
        """Open the link."""
        self.child = await soon(self.carrier.dial(PARENT.code, ADDRESS))
        self.parent = await soon(self.answering.links.get())

    def read(self, end: Connection) -> None:
        """Collect what ``end`` receives."""

        async def run() -> None:
            while True:
                self.got.append(await end.receive())

        self._reading = asyncio.create_task(run())

    @property
    def numbers(self) -> list[int]:
        """The numbers of what was received."""
        return [number_of(frame) for frame in self.got]

    async def close(self) -> None:
        """End the link."""
        await soon(self.child.close())
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})
        self.hub.stop(ADDRESS)
