"""A cable with faults around any carrier (protocol 5.10), switchable while frames travel.

One wrapper serves the simulation, the story and the demo: what is shown there is what is tested.
It stands at one end of a link and treats both directions (``broker.faults``):

    send → faults → throttle → delay → the carrier's send
    the carrier's receive → faults → throttle → delay → receive
"""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final

from broker.bounds import check_frame
from broker.faults import Direction, Faults, Line, OnFrame, Sleep
from shared.link.carrier import Carrier, Connection, LinkDownError

_CUT: Final = "the cable is cut"


class Cable(Faults):
    """The line of one link, with its faults."""

    def __init__(
        self, chance: Random, *, sleep: Sleep = asyncio.sleep, on_frame: OnFrame | None = None
    ) -> None:
        """Start whole and without a fault; see ``Faults``."""
        super().__init__(chance, sleep=sleep, on_frame=on_frame)
        self._cut = False
        self._live: set[_CableConnection] = set()

    @property
    def cut(self) -> bool:
        """True while nothing goes through; set inside the running loop, it breaks what is open."""
        return self._cut

    @cut.setter
    def cut(self, value: bool) -> None:
        self._cut = value
        if value:
            for connection in tuple(self._live):
                connection.tear(_CUT)

    def wrap(self, connection: Connection) -> Connection:
        """Return ``connection`` behind this cable; close what is returned, not the inner one."""
        wrapped = _CableConnection(self, connection, self._live)
        if self._cut:
            wrapped.tear(_CUT)
        return wrapped

    def carrier(self, inner: Carrier) -> Carrier:
        """Return a carrier whose links go through this cable."""
        return _CableCarrier(self, inner)


class _CableCarrier:
    """Dials through a cable."""

    def __init__(self, cable: Cable, inner: Carrier) -> None:
        self._cable = cable
        self._inner = inner

    async def dial(self, peer: str, address: str) -> Connection:
        """Open a link to division ``peer`` at ``address``; see the port."""
        if self._cable.delay_seconds > 0:
            await self._cable.sleep(2 * self._cable.delay_seconds)  # a call goes there and back
        if self._cable.cut:
            raise LinkDownError(_CUT)
        connection = await self._inner.dial(peer, address)
        return self._cable.wrap(connection)


class _CableConnection:
    """One end of a link, with a line of faults each way.

    Two tasks carry frames between the lines and the inner connection; a third ends them.
    """

    def __init__(self, cable: Cable, inner: Connection, live: "set[_CableConnection]") -> None:
        self.peer = inner.peer
        self._inner = inner
        self._live = live
        self._out = Line(cable, Direction.OUT)
        self._in = Line(cable, Direction.IN)
        self._carrying = {
            asyncio.create_task(self._carry(self._out.get, inner.send)),
            asyncio.create_task(self._carry(self._received, self._in.put)),
        }
        self._ending: asyncio.Task[None] | None = None
        live.add(self)

    async def send(self, frame: bytes) -> None:
        """Hand over one frame; see the port."""
        await self._out.put(check_frame(frame))

    async def receive(self) -> bytes:
        """Return the next frame; see the port."""
        return await self._in.get()

    @property
    def hears_all(self) -> bool:
        """As the inner connection; see the port."""
        return self._inner.hears_all

    def done(self) -> None:
        """What went into the cable was acknowledged; see the port."""

    async def _received(self) -> bytes:
        frame = await self._inner.receive()
        self._inner.done()
        return frame

    async def close(self) -> None:
        """Close both ends and end every task of this link; see the port."""
        await asyncio.shield(self.tear("the link was closed"))

    def tear(self, why: str) -> asyncio.Task[None]:
        """Break the link at once; what travels is lost.

        Returns:
            What still ends in the background.
        """
        if self._ending is None:
            self._out.end(why, discard=True)
            self._in.end(why, discard=True)
            for task in self._carrying:
                task.cancel()
            self._ending = asyncio.create_task(self._end())
        return self._ending

    async def _carry(
        self, take: Callable[[], Awaitable[bytes]], give: Callable[[bytes], Awaitable[None]]
    ) -> None:
        """Carry frames until the inner link breaks; what has arrived can still be received."""
        why = "the carrier failed"
        try:
            while True:
                await give(await take())
        except LinkDownError as error:
            why = str(error)
        finally:
            self._out.end(why, discard=True)
            self._in.end(why, discard=False)

    async def _end(self) -> None:
        done, _ = await asyncio.wait(self._carrying)
        await self._out.settled()
        await self._in.settled()
        await self._inner.close()
        self._live.discard(self)
        for task in done:
            error = None if task.cancelled() else task.exception()
            if error is not None:
                raise error
