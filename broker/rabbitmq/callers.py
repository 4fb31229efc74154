"""Who calls a relay through the broker: how a link begins, and how one is refused."""

from collections.abc import Callable
from dataclasses import dataclass

from broker.handshake import decode_hello
from broker.rabbitmq.link import RabbitMqConnection, Route
from broker.rabbitmq.parcel import Kind, Parcel
from broker.rabbitmq.timing import Timing
from broker.rabbitmq.topology import is_reply_queue
from broker.rabbitmq.wire import Wire
from shared.errors import FaultError
from shared.link.carrier import LinkDownError


@dataclass
class Dropped:
    """Messages that came and were not taken.

    Attributes:
        unknown: Of no link that is open here.
        stranger: Of an open link, by another sender than the one who opened it.
        crowd: The first of a link while too many had not proven a key yet.
    """

    unknown: int = 0
    stranger: int = 0
    crowd: int = 0


class AnsweredConnection(RabbitMqConnection):
    """A link that a child opened.

    Attributes:
        sender: The broker's user and the reply queue of who opened it: all its messages bear both.
    """

    def __init__(self, wire: Wire, first: Parcel, timing: Timing) -> None:
        """Answer who sent ``first``."""
        super().__init__(wire, first.link, Route("", first.reply_to), timing)
        self.sender = (first.user, first.reply_to)

    def take(self, parcel: Parcel, done: Callable[[], None]) -> None:
        """Take in a message of this link; each says whether the child hears all."""
        self.hears_all = parcel.hears_all
        super().take(parcel, done)


def is_hello(parcel: Parcel) -> bool:
    """Tell whether a link begins so, and its caller hears us where only it can."""
    if parcel.kind is not Kind.FRAME or parcel.n or not parcel.user:
        return False
    try:
        hello = decode_hello(parcel.body)
    except FaultError:
        return False
    return is_reply_queue(parcel.reply_to, hello.dialler)


async def refuse(wire: Wire, link: str, queue: str) -> None:
    """Tell who hears ``queue`` that there is no such link here, if it is still there."""
    try:
        await wire.publish(Parcel(Kind.CLOSE, link, 0, b"no such link here", wire.user), "", queue)
    except LinkDownError:
        return
