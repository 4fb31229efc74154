"""The in-memory carrier: a network of named addresses inside one process.

The twin of the real carriers for tests and for the simulation of a whole district. It uses no
threads, no sockets and no wall clock, and it proves nothing: who asks for the carrier of a code
is believed.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

from broker.bounds import check_frame
from broker.pipe import Pipe
from shared.link.carrier import LinkDownError, OnBroadcast, OnConnection

FRAMES_WAITING_MAX: Final = 8
"""Each way on one link. A session keeps four chunks in flight and speaks between them."""

_CLOSED: Final = "the link was closed"
_STOPPED: Final = "the process at the other end stopped"


class MemoryConnection:
    """One end of a link (see ``shared.link.carrier.Connection``).

    Attributes:
        hears_all: See the port; the hub's listener says it.
    """

    def __init__(
        self, peer: str, outgoing: Pipe[bytes], incoming: Pipe[bytes], *, hears_all: bool = False
    ) -> None:
        """Join two pipes to an end whose neighbour is ``peer``."""
        self.peer = peer
        self.hears_all = hears_all
        self._outgoing = outgoing
        self._incoming = incoming

    async def send(self, frame: bytes) -> None:
        """Hand over one frame; see the port."""
        await self._outgoing.put(check_frame(frame))

    async def receive(self) -> bytes:
        """Return the next frame; see the port."""
        return await self._incoming.get()

    def done(self) -> None:
        """Nothing is acknowledged in memory; see the port."""

    def push(self, frame: bytes) -> None:
        """Send a frame that is lost if the neighbour is slow."""
        self._outgoing.push(check_frame(frame))

    async def close(self) -> None:
        """Close both ends; what was sent before can still be received at the other one."""
        self._outgoing.end(_CLOSED, discard=False)
        self._incoming.end(_CLOSED, discard=True)

    def tear(self, why: str) -> None:
        """Break both directions at once; what was on its way is lost."""
        self._outgoing.end(why, discard=True)
        self._incoming.end(why, discard=True)

    @property
    def is_down(self) -> bool:
        """True once either end closed or tore the link."""
        return bool(self._outgoing.ended and self._incoming.ended)


@dataclass(frozen=True)
class _Listener:
    code: str
    on_connection: OnConnection
    hears_all: bool
    answering: set[asyncio.Task[None]] = field(default_factory=set)
    accepted: list[MemoryConnection] = field(default_factory=list)

    async def send(self, frame: bytes) -> None:
        """Say to all whose links are open; whoever is slow misses it (see ``Broadcast``)."""
        for connection in self.accepted:
            connection.push(frame)

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run ``work`` until it ends or nobody listens here any more."""
        task = asyncio.get_running_loop().create_task(work)
        self.answering.add(task)
        task.add_done_callback(self.answering.discard)


class MemoryHub:
    """The network: who listens where."""

    def __init__(self, *, frames_waiting_max: int = FRAMES_WAITING_MAX) -> None:
        """Start with nobody listening.

        Args:
            frames_waiting_max: Frames that wait each way on a link before ``send`` does.
        """
        self._frames_waiting_max = frames_waiting_max
        self._listeners: dict[str, _Listener] = {}

    def listen(
        self,
        code: str,
        address: str,
        on_connection: OnConnection,
        on_broadcast: OnBroadcast | None = None,
    ) -> None:
        """Let division ``code`` answer at ``address``; who listened there before is replaced.

        Args:
            code: Who listens.
            address: Where.
            on_connection: Gets each link.
            on_broadcast: Gets the means to say something to all links at once.
        """
        self.stop(address)
        listener = _Listener(code, on_connection, on_broadcast is not None)
        self._listeners[address] = listener
        if on_broadcast is not None:
            listener.run(_broadcast(on_broadcast, listener))

    def carrier(self, code: str) -> "MemoryCarrier":
        """Return the carrier by which division ``code`` dials."""
        return MemoryCarrier(self, code)

    def stop(self, address: str) -> None:
        """Let the process at ``address`` die: what answers there and all its links.

        The links that this process itself had dialled are its carrier's; see
        ``MemoryCarrier.stop``. Nothing happens if nobody listens there.
        """
        listener = self._listeners.pop(address, None)
        if listener is None:
            return
        for connection in listener.accepted:
            connection.tear(_STOPPED)
        for task in listener.answering:
            task.cancel()

    def join(self, dialler: str, peer: str, address: str) -> MemoryConnection:
        """Return the dialling end of a new link; the other end goes to who listens.

        Raises:
            LinkDownError: nobody answers there, or another division does.
        """
        listener = self._listeners.get(address)
        if listener is None:
            raise LinkDownError(f"nobody answers at {address}")
        if listener.code != peer:
            raise LinkDownError(f"at {address} answers {listener.code}, not {peer}")
        up, down = Pipe[bytes](self._frames_waiting_max), Pipe[bytes](self._frames_waiting_max)
        answering = MemoryConnection(dialler, down, up, hears_all=listener.hears_all)
        listener.accepted[:] = [each for each in listener.accepted if not each.is_down]
        listener.accepted.append(answering)
        listener.run(_answer(listener.on_connection, answering))
        return MemoryConnection(peer, up, down)


class MemoryCarrier:
    """Dials on a hub in the name of one division (see ``shared.link.carrier.Carrier``)."""

    def __init__(self, hub: MemoryHub, code: str) -> None:
        """Dial on ``hub`` as division ``code``."""
        self._hub = hub
        self._code = code
        self._dialled: list[MemoryConnection] = []

    async def dial(self, peer: str, address: str) -> MemoryConnection:
        """Open a link to division ``peer`` at ``address``; see the port."""
        connection = self._hub.join(self._code, peer, address)
        self._dialled[:] = [each for each in self._dialled if not each.is_down]
        self._dialled.append(connection)
        return connection

    def stop(self) -> None:
        """Break all links that were dialled here, as if this process died."""
        for connection in self._dialled:
            connection.tear(_STOPPED)
        self._dialled.clear()


async def _broadcast(on_broadcast: OnBroadcast, listener: _Listener) -> None:
    await on_broadcast(listener)


async def _answer(on_connection: OnConnection, connection: MemoryConnection) -> None:
    """Let a link live until its owner returns; that it broke is how most of them return."""
    try:
        await on_connection(connection)
    except LinkDownError:
        return
    finally:
        await connection.close()
