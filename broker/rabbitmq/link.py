"""One link over a broker, whichever side opened it (protocol 5.8).

send → a place in the window → publish, confirmed in the background → the neighbour's queue
a message came → put in order → waits, at most WINDOW of them → receive → taken → done, acknowledged
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from broker.bounds import check_frame
from broker.pipe import Pipe
from broker.rabbitmq.flow import WINDOW, Arrived, Incoming
from broker.rabbitmq.parcel import REASON_BYTES_MAX, Kind, Parcel
from broker.rabbitmq.timing import Timing
from broker.rabbitmq.wire import STREAM_PREFETCH, Wire
from shared.errors import FaultError
from shared.link.carrier import LinkDownError

_CLOSED: Final = "the link was closed"


@dataclass(frozen=True)
class Route:
    """Where the messages of a link go.

    Attributes:
        exchange: A relay's topic exchange; empty: straight to a queue.
        key: Routing key.
        reply_to: Where we hear the answers, for a child; empty for a relay.
    """

    exchange: str
    key: str
    reply_to: str = ""


class RabbitMqConnection:
    """One open link (see ``shared.link.carrier.Connection``).

    Attributes:
        peer: Empty until the handshake has proven it.
        id: The link's name on the broker.
        hears_all: See the port.
        hears_relay: A child hears its relay's stream, and says so with each message.
    """

    hears_all = False
    hears_relay = False

    def __init__(self, wire: Wire, link: str, route: Route, timing: Timing) -> None:
        """Talk over ``wire``, which the owner closes."""
        self.peer = ""
        self.id = link
        self._wire = wire
        self._route = route
        self._timing = timing
        self._incoming = Incoming()
        self._waiting = Pipe[Arrived](WINDOW + STREAM_PREFETCH)
        self._handed = deque[Arrived]()
        self._sent = 0
        self._taken_there = 0
        self._room = asyncio.Event()
        self._sending = asyncio.Lock()
        self._closing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_told = False  # a close was sent or came: nothing more to say
        loop = asyncio.get_running_loop()
        self._time = loop.time
        self._heard_at = self._spoken_at = loop.time()
        self._gap_since: float | None = None
        self._watching = self._spawn(self._watch())

    @property
    def down(self) -> str:
        """Why the link ended; empty while it is open."""
        return self._waiting.ended

    # --- the port --------------------------------------------------------------------------------

    async def send(self, frame: bytes) -> None:
        """Hand over one frame; see the port. Cancelled, it has not sent it."""
        check_frame(frame)
        try:
            async with asyncio.timeout(self._timing.send_seconds), self._sending:
                while not self.down and self._sent >= self._taken_there + WINDOW:
                    self._room.clear()
                    await self._room.wait()
        except TimeoutError:
            self.end(f"the neighbour took nothing for {self._timing.send_seconds:g} s")
        if self.down:
            raise LinkDownError(self.down)
        number, self._sent = self._sent, self._sent + 1
        self._spawn(self._publish(Kind.FRAME, number, frame))

    async def receive(self) -> bytes:
        """Return the next frame; see the port."""
        arrived = await self._waiting.get()
        self._handed.append(arrived)
        if arrived.is_counted and self._incoming.took() and not self.down:
            self._tell()
        return arrived.frame

    def done(self) -> None:
        """Let the oldest frame that was received be acknowledged; see the port."""
        self._handed.popleft().done()

    async def close(self, reason: str = "") -> None:
        """Close the link; see the port.

        Args:
            reason: What is told to the neighbour, if it did something wrong.
        """
        self.end(reason or _CLOSED, discard=True)
        while self._handed:
            self.done()
        async with self._closing:
            if not self._is_told and not self._wire.down:
                self._is_told = True
                said = reason.encode("utf-8", "replace")[:REASON_BYTES_MAX]
                closing = self._spawn(self._publish(Kind.CLOSE, 0, said))
                await asyncio.wait({closing}, timeout=self._timing.close_seconds)
            tasks = tuple(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # --- what came -------------------------------------------------------------------------------

    def take(self, parcel: Parcel, done: Callable[[], None]) -> None:
        """Take in a message of this link; its sender was checked."""
        self._heard_at = self._time()
        match parcel.kind:
            case Kind.FRAME:
                self._take_frame(parcel, done)
            case Kind.TAKEN:
                done()
                self._note_taken(parcel.n)
            case Kind.TO_ALL:
                done()  # only a relay says it, and not on a link
            case Kind.CLOSE:
                done()
                self._is_told = True
                said = parcel.body.decode("utf-8", "replace")
                plain = "".join(char for char in said if char.isprintable())
                self.end(plain or "the neighbour closed the link")

    def _note_taken(self, count: int) -> None:
        """Learn how many of our frames the neighbour has taken: so many more may be sent."""
        self._taken_there = max(self._taken_there, min(count, self._sent))
        self._room.set()

    def _take_frame(self, parcel: Parcel, done: Callable[[], None]) -> None:
        self._note_taken(parcel.taken)
        before = self._incoming.repeated
        try:
            ready = self._incoming.offer(parcel.n, Arrived(parcel.body, done))
        except FaultError as error:
            done()
            self.end(str(error))
            return
        if self._incoming.repeated != before:
            done()
        if not self._incoming.has_gap:
            self._gap_since = None
        elif self._gap_since is None:
            self._gap_since = self._time()
        for arrived in ready:
            self._let_wait(arrived)

    def _let_wait(self, arrived: Arrived) -> None:
        if not self._waiting.push(arrived):
            arrived.done()

    def end(self, why: str, *, discard: bool = False) -> None:
        """Take the link for ended; the first ``why`` stays.

        Args:
            why: What both sides of this end are told.
            discard: Drop also what came and was not received yet.
        """
        for arrived in self._incoming.drop() + (self._waiting.drain() if discard else []):
            arrived.done()
        self._waiting.end(why, discard=discard)
        self._room.set()

    # --- what goes -------------------------------------------------------------------------------

    def _tell(self) -> None:
        self._spawn(self._publish(Kind.TAKEN, self._incoming.tell()))

    async def _publish(self, kind: Kind, number: int, body: bytes = b"") -> None:
        route = self._route
        taken = self._incoming.tell() if kind is Kind.FRAME else 0
        parcel = Parcel(
            kind, self.id, number, body, self._wire.user, route.reply_to, self.hears_relay, taken
        )  # fmt: skip
        self._spoken_at = self._time()
        try:
            await self._wire.publish(parcel, route.exchange, route.key)
        except LinkDownError as error:
            self.end(str(error))
        except asyncio.CancelledError:
            # Ours, or the library's, which cancels what waits on a connection that it closes.
            self.end("the connection to the broker ended")
            raise

    async def _watch(self) -> None:
        """Speak when nothing was said for long, give up when nothing was heard."""
        timing = self._timing
        while not self.down:
            now = self._time()
            if now >= self._heard_at + timing.silence_seconds:
                self.end(f"the neighbour said nothing for {timing.silence_seconds:g} s")
                return
            if self._gap_since is not None and now >= self._gap_since + timing.send_seconds:
                self.end("a frame was lost on the way")
                return
            if now >= self._spoken_at + timing.beat_seconds:
                self._spoken_at = now
                self._tell()
            moments = [self._heard_at + timing.silence_seconds,
                       self._spoken_at + timing.beat_seconds]  # fmt: skip
            await asyncio.sleep(min(min(moments) - now, timing.send_seconds))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
