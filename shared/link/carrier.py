"""The Carrier port: moves frames between two neighbours and promises nothing else.

A carrier may lose, repeat or delay frames and may break at any time (protocol 1.1); it only says
truly who is at the other end. Implementations: ``broker.websocket``, ``broker.rabbitmq``,
``broker.memory``, and ``broker.cable``, which wraps any of them with faults. All pass
``tests/contracts/test_carrier.py``.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from shared.errors import UnavailableError


class LinkDownError(UnavailableError):
    """The link is down."""


@dataclass
class CarrierState:
    """How it stands with a carrier, as it tells itself; made and kept up by each real one.

    Attributes:
        answers: It takes links that neighbours below open; else it dials.
        address: Where its broker or its neighbour is, or where it answers; empty before it was
            used. It never holds a user or a password.
        connected_since_ms: Unix ms; None while it is not connected. A carrier over a broker is
            connected while the broker lets it in, one that dials by itself while a link is open,
            one that answers by itself while it listens.
        unconfirmed: Messages that were given to the broker and are not confirmed; 0 without one.
        alarm: Why the broker takes nothing more from us, in its words, as far as it said over the
            last connection; empty while it does.
        trouble: Why it was last not connected.
    """

    answers: bool
    address: str = ""
    connected_since_ms: int | None = None
    unconfirmed: int = 0
    alarm: str = ""
    trouble: str = ""
    _times: int = field(default=0, init=False, repr=False)
    _open: int = field(default=0, init=False, repr=False)

    @property
    def scheme(self) -> str:
        """How its address begins, such as ``amqps``."""
        return self.address.partition("://")[0]

    @property
    def reconnects(self) -> int:
        """How often it was connected again, since the process began."""
        return max(0, self._times - 1)

    def connected(self, at_ms: int) -> None:
        """Note that a connection is open; one beside another that is open begins nothing new."""
        self._open += 1
        if self._open == 1:
            self._times += 1
            self.connected_since_ms, self.alarm = at_ms, ""

    def lost(self, why: str) -> None:
        """Note that one of the connections ended."""
        self._open -= 1
        self.trouble = why
        if not self._open:
            self.connected_since_ms = None


class Connection(Protocol):
    """One open link to one neighbour.

    Attributes:
        peer: Division code of the neighbour, proven by the carrier before the first frame.
        hears_all: True while what this node sends by ``Broadcast`` reaches the neighbour too.
    """

    peer: str

    @property
    def hears_all(self) -> bool:
        """See the class."""

    async def send(self, frame: bytes) -> None:
        """Hand over one frame; waits while the neighbour is slow (back-pressure).

        Raises:
            LinkDownError: the link broke; whether the frame arrived is not known.
        """

    async def receive(self) -> bytes:
        """Return the next frame, at most ``FRAME_BYTES_MAX`` bytes.

        Raises:
            LinkDownError: the link broke or was closed by either side.
        """

    def done(self) -> None:
        """Say that the oldest frame received and not yet done was dealt with.

        What it held is committed or refused: a carrier may only now acknowledge it.
        """

    async def close(self) -> None:
        """Close the link; pending ``receive`` calls end with LinkDownError. Idempotent."""


OnConnection = Callable[[Connection], Awaitable[None]]
"""Called by a carrier for each link that a neighbour opened; the link lives until it returns."""


class Broadcast(Protocol):
    """Reaches at once all neighbours below whose connection ``hears_all`` (protocol 5.8)."""

    async def send(self, frame: bytes) -> None:
        """Hand over one frame, a Chunk of no session.

        Raises:
            LinkDownError: it reaches nobody any more.
        """


OnBroadcast = Callable[[Broadcast], Awaitable[None]]
"""Called by a carrier while all below can be reached at once, which lasts until it is cancelled."""


class Carrier(Protocol):
    """Opens links towards an ancestor."""

    async def dial(self, peer: str, address: str) -> Connection:
        """Open a link to division ``peer`` at ``address``.

        Raises:
            LinkDownError: nobody answers there, or who answers is not ``peer``.
        """


class Listening(Protocol):
    """What an ancestor says to all below, heard without a link to it (protocol 5.8)."""

    async def receive(self) -> bytes:
        """Return the next frame, a Chunk of no session.

        Raises:
            LinkDownError: nothing more will come.
        """

    def done(self) -> None:
        """Say that the oldest frame received and not yet done was dealt with."""

    async def close(self) -> None:
        """Hear no more; pending ``receive`` calls end with LinkDownError. Idempotent."""


@runtime_checkable
class ListeningCarrier(Carrier, Protocol):
    """A carrier that can also listen."""

    async def listen(self, source: str, address: str, back_seconds: float | None) -> Listening:
        """Listen to what division ``source`` says to all below at ``address``.

        Args:
            source: An ancestor.
            address: Where it can be reached.
            back_seconds: Begin so long ago, by the carrier's own clock; None: with the oldest that
                is still there.

        Raises:
            LinkDownError: it cannot be heard there.
        """
