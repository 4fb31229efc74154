"""The stream of a relay heard without a link to it (protocol 5.8)."""

import math
from collections import deque
from collections.abc import Callable

from broker.pipe import Pipe
from broker.rabbitmq.flow import Arrived
from broker.rabbitmq.parcel import Kind, Parcel
from broker.rabbitmq.wire import STREAM_PREFETCH, Wire


class StreamListening:
    """What one relay says to all (see ``shared.link.carrier.Listening``).

    Attributes:
        dropped: Messages that were not the relay's. Only its user may write to its stream; where
            rights are not set up like that, the broker's word who sent a message still counts.
    """

    def __init__(self, wire: Wire, source: str) -> None:
        """Hear division ``source``, whose user bears its code, over ``wire``, which it owns."""
        self.dropped = 0
        self._wire = wire
        self._source = source
        self._waiting = Pipe[Arrived](STREAM_PREFETCH)
        self._handed = deque[Arrived]()

    def came(self, parcel: Parcel, done: Callable[[], None]) -> None:
        """Take in a message of the stream."""
        is_said = parcel.kind is Kind.TO_ALL and parcel.user == self._source
        self.dropped += not is_said
        if not is_said or not self._waiting.push(Arrived(parcel.body, done, is_counted=False)):
            done()

    def end(self, why: str) -> None:
        """Note that nothing more comes; what came is still handed on."""
        self._waiting.end(why, discard=False)

    async def receive(self) -> bytes:
        """Return the next frame; see the port."""
        arrived = await self._waiting.get()
        self._handed.append(arrived)
        return arrived.frame

    def done(self) -> None:
        """Let the oldest frame that was received be acknowledged; see the port."""
        self._handed.popleft().done()

    async def close(self) -> None:
        """Hear no more and close the connection; see the port."""
        self._waiting.end("it was closed", discard=True)
        await self._wire.close()


def offset_of(back_seconds: float | None) -> str:
    """Return where in a stream to begin, as RabbitMQ reads it.

    An interval, which the broker takes from its own clock: neither our clock nor an offset that a
    shortened stream has given out again can lead past its end.
    """
    return "first" if back_seconds is None else f"{math.ceil(back_seconds)}s"
