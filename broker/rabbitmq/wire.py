"""One connection to a broker: a channel to publish on, one to consume from (protocol 5.8).

It does not reconnect: its owner hears that it went down and opens another. So nothing is restored
behind anybody's back, and what is declared at the start is declared each time.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import aio_pika
import structlog
from aio_pika.abc import (
    AbstractChannel,
    AbstractExchange,
    AbstractQueue,
)
from aio_pika.exceptions import (
    AuthenticationError,
    DeliveryError,
    ProbableAuthenticationError,
    PublishError,
)

from broker.rabbitmq.amqp import BROKEN, close_quietly, closing_words, hear_alarms, words
from broker.rabbitmq.consumer import Consumer, OnParcel
from broker.rabbitmq.login import Login, Place
from broker.rabbitmq.parcel import Parcel, message_of
from broker.rabbitmq.timing import Timing
from broker.rabbitmq.topology import Queue
from broker.wall import wall_ms
from shared.link.carrier import CarrierState, LinkDownError

CONFIRMS_MAX: Final = 64
"""Messages published and not yet confirmed, over all links of a connection."""

PREFETCH: Final = 512
"""Deliveries not yet acknowledged: the full windows of 64 links."""

STREAM_PREFETCH: Final = 16
"""The same of a stream: each may be a full chunk, and two or three are at work."""

HEARTBEAT_SECONDS: Final = 30

REFUSED_SECONDS: Final = (0.05, 1.0)
"""First and longest pause before a message is sent again that a full queue refused."""


T = TypeVar("T")

logger = structlog.get_logger(__name__)


class NoAnswerError(LinkDownError):
    """The broker did not answer in time."""


class Wire:
    """A connection at work.

    Attributes:
        user: The broker's user that we are.
        down: Why it ended; empty while it works.
        ended: Set then.
    """

    def __init__(
        self, connection: aio_pika.Connection, login: Login, timing: Timing, state: CarrierState
    ) -> None:
        """Take over an open connection, and keep ``state`` up; ``open_wire`` opens its channels."""
        self.user = login.user
        self.down = ""
        self.ended = asyncio.Event()
        self._connection = connection
        self._timing = timing
        self._state = state
        self._was_open = False
        self._window = asyncio.Semaphore(CONFIRMS_MAX)
        self._consumer: Consumer | None = None
        self._apart: Consumer | None = None
        self._on_down: Callable[[str], None] = lambda _why: None

    async def start(self) -> None:
        """Open the channels.

        Raises:
            LinkDownError: the broker does not let us.
        """
        self._was_open = True
        self._state.connected(wall_ms())
        self._connection.close_callbacks.add(self._went_down)
        hear_alarms(self._connection, self._note_alarm)
        self._publishing = await self._channel()
        self._consuming = await self._channel()

    async def _channel(self) -> AbstractChannel:
        channel = self._connection.channel(publisher_confirms=True, on_return_raises=True)
        await self._asked(channel.initialize())
        channel.close_callbacks.add(self._went_down)
        return channel

    async def declare(self, queue: Queue, exchange: str = "", binding: str = "") -> None:
        """Declare a queue and, if named, a topic exchange from which ``binding`` leads to it.

        Raises:
            LinkDownError: the broker refuses it; the connection is of no use any more.
        """
        declared = await self._asked(_declare(self._consuming, queue))
        if exchange:
            topic = aio_pika.ExchangeType.TOPIC
            await self._asked(self._consuming.declare_exchange(exchange, topic, durable=True))
            await self._asked(declared.bind(exchange, binding))

    async def declare_apart(self, queue: Queue, exchange: str, binding: str) -> None:
        """Declare and bind a queue without which the connection goes on.

        A refusal ends a channel of its own.

        Raises:
            LinkDownError: the broker refuses it.
        """
        channel = self._connection.channel()
        await self._asked(channel.initialize())
        declared = await self._asked(_declare(channel, queue))
        await self._asked(declared.bind(exchange, binding))
        await self._asked(channel.close())

    async def delete(self, queue: str) -> None:
        """Delete a queue with all that waits in it.

        Raises:
            LinkDownError: the broker refuses.
        """
        await self._asked(self._consuming.queue_delete(queue))

    async def consume(self, queue: str, on_parcel: OnParcel) -> None:
        """Let ``on_parcel`` have what comes on ``queue``, in the order in which it comes.

        Raises:
            NoAnswerError: the queue is there and dead.
            LinkDownError: the broker refuses.
        """
        self._consumer = Consumer(self._consuming, self._asked, self.fail)
        await self._consumer.hear(queue, on_parcel, PREFETCH)

    async def consume_apart(
        self, stream: str, on_parcel: OnParcel, on_end: Callable[[str], None], offset: Any
    ) -> None:
        """Hear a stream on a channel of its own, without which the connection goes on.

        Args:
            stream: Its name.
            on_parcel: Gets each message.
            on_end: Told why nothing more comes from it.
            offset: Where to begin: ``next``, or a time.

        Raises:
            LinkDownError: the broker refuses, or there is none.
        """
        if self._apart is not None:
            await self._apart.close()  # a user has few channels
        channel = self._connection.channel()
        await self._asked(channel.initialize())
        self._apart = Consumer(channel, self._asked, on_end)
        await self._apart.hear(stream, on_parcel, STREAM_PREFETCH, offset)

    async def publish(self, parcel: Parcel, exchange: str, key: str) -> None:
        """Publish ``parcel`` and wait until the broker has it; a full queue makes it wait longer.

        Args:
            parcel: What to send.
            exchange: Name of a topic exchange; empty: straight to the queue ``key``.
            key: Routing key.

        Raises:
            LinkDownError: nobody takes it there, the broker did not in time, or it is gone.
        """
        message, pause = message_of(parcel), REFUSED_SECONDS[0]
        seconds = self._timing.send_seconds
        try:
            async with asyncio.timeout(seconds), self._unconfirmed():
                target = await self._exchange(exchange)
                while not self.down:
                    try:
                        await target.publish(message, key, mandatory=True, timeout=seconds)
                    except PublishError:
                        raise LinkDownError("nobody takes messages at the other end") from None
                    except DeliveryError:  # reject-publish: the queue is full
                        await asyncio.sleep(pause)
                        pause = min(2 * pause, REFUSED_SECONDS[1])
                    else:
                        return
            raise LinkDownError(self.down)
        except TimeoutError:
            raise LinkDownError(f"the broker took nothing for {seconds:g} s") from None
        except BROKEN as error:
            raise LinkDownError(self.down or words(error)) from error

    @asynccontextmanager
    async def _unconfirmed(self) -> AsyncIterator[None]:
        """Hold a place in the window while a message is not confirmed."""
        async with self._window:
            self._state.unconfirmed += 1
            try:
                yield
            finally:
                self._state.unconfirmed -= 1

    async def _exchange(self, name: str) -> AbstractExchange:
        if not name:
            return self._publishing.default_exchange
        return await self._publishing.get_exchange(name, ensure=False)

    async def _asked(self, work: Awaitable[T]) -> T:
        """Return the broker's answer.

        Raises:
            LinkDownError: it refuses, is gone, or does not answer in time.
        """
        seconds = self._timing.answer_seconds
        try:
            async with asyncio.timeout(seconds):
                return await work
        except TimeoutError:
            raise NoAnswerError(f"the broker did not answer within {seconds:g} s") from None
        except BROKEN as error:
            raise LinkDownError(self.down or words(error)) from error
        except asyncio.CancelledError:
            # The library cancels what waits for a connection that it closes.
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise
            raise LinkDownError(self.down or "the connection to the broker ended") from None

    @property
    def foreign(self) -> int:
        """Messages that came and were none of ours."""
        return self._consumer.foreign if self._consumer else 0

    def when_down(self, act: Callable[[str], None]) -> None:
        """Call ``act`` with the reason once the connection has ended."""
        self._on_down = act
        if self.down:
            act(self.down)

    def fail(self, why: str) -> None:
        """Take the connection for ended; the first ``why`` stays."""
        if self.down:
            return
        self.down = why
        if self._was_open:
            self._state.lost(why)
        self.ended.set()
        self._on_down(why)

    def _note_alarm(self, alarm: str) -> None:
        self._state.alarm = alarm
        logger.warning(
            "broker alarm", user=self.user, at=self._state.address, alarm=alarm or "over"
        )

    async def _went_down(self, _sender: Any, error: BaseException | None) -> None:
        self.fail(closing_words(error))

    async def close(self) -> None:
        """Close the connection; whatever was published before was sent."""
        self.fail("the link was closed")
        for consumer in (self._consumer, self._apart):
            if consumer is not None:
                await consumer.stop()
        await close_quietly(self._connection, self._timing)


async def _declare(channel: AbstractChannel, queue: Queue) -> AbstractQueue:
    return await channel.declare_queue(
        queue.name, durable=queue.durable, exclusive=queue.exclusive,
        arguments=dict(queue.arguments),
    )  # fmt: skip


async def open_wire(
    place: Place, login: Login, timing: Timing, name: str, state: CarrierState | None = None
) -> Wire:
    """Connect to the broker at ``place``.

    Args:
        place: Where it is.
        login: Who we are there.
        timing: How long to wait.
        name: Shown by the broker's tools for this connection.
        state: Kept up as long as the connection lives; None: nobody asks.

    Raises:
        LinkDownError: it cannot be reached, or does not let us in.
    """
    connection = aio_pika.Connection(
        aio_pika.connection.make_url(
            host=place.host, port=place.port, login=login.user, password=login.password or "-",
            virtualhost=place.vhost, ssl=place.is_tls, heartbeat=HEARTBEAT_SECONDS,
            auth=login.mechanism,
        ),
        ssl_context=login.ssl,
        client_properties={"connection_name": name},
    )  # fmt: skip
    wire = Wire(connection, login, timing, state or CarrierState(answers=False))
    seconds, is_open = timing.connect_seconds, False
    try:
        async with asyncio.timeout(seconds):
            await connection.connect(timeout=seconds)
            await wire.start()
        is_open = True
    except TimeoutError:
        raise LinkDownError(f"{place.address} did not answer within {seconds:g} s") from None
    except (*BROKEN, LinkDownError) as error:
        raise LinkDownError(f"{place.address} {_why_not(login, error)}") from None
    finally:
        if not is_open:
            await wire.close()
    return wire


def _why_not(login: Login, error: BaseException) -> str:
    """Return why the broker lets ``login`` not in, as the end of a sentence about it."""
    match error:
        case AuthenticationError():
            return f"takes no login by {login.mechanism}; docs/reference/rabbitmq.md tells how"
        case ProbableAuthenticationError() if login.mechanism == "EXTERNAL":
            return f"knows no user of the name in broker_certificate: {words(error)}"
        case ProbableAuthenticationError():
            return f"refuses user {login.user} or its password: {words(error)}"
        case _:
            return f"cannot be reached: {words(error)}"
