"""The Carrier port: moves frames between two neighbours and promises nothing else.

A carrier may lose, repeat or delay frames and may break at any time (protocol 1.1); it only says
truly who is at the other end. Implementations: ``broker.websocket``, ``broker.rabbitmq``,
``broker.memory``, and ``broker.cable``, which wraps any of them with faults. All pass
``tests/contracts/test_carrier.py``.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

from shared.errors import UnavailableError


class LinkDownError(UnavailableError):
    """The link is down."""


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
