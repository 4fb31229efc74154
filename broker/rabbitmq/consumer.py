"""One channel from which a queue is heard, and what is acknowledged on it (protocol 5.8)."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from broker.rabbitmq.amqp import closing_words
from broker.rabbitmq.flow import Ledger
from broker.rabbitmq.parcel import Parcel, parcel_of
from shared.errors import FaultError
from shared.link.carrier import LinkDownError

T = TypeVar("T")

OnParcel = Callable[[Parcel, Callable[[], None]], None]
"""Called with each message of ours that came, and with what says that it was dealt with."""


class Ask(Protocol):
    """Waits for the broker's answer (see ``Wire.asked``)."""

    async def __call__(self, work: Awaitable[T]) -> T:
        """Return the answer.

        Raises:
            LinkDownError: it refuses, is gone, or does not answer in time.
        """


class Consumer:
    """Hears one queue, in order, and acknowledges what is done, as much at once as there is.

    Attributes:
        foreign: Messages that came and were none of ours.
    """

    def __init__(self, channel: AbstractChannel, ask: Ask, on_end: Callable[[str], None]) -> None:
        """Hear over ``channel``, which is this consumer's own.

        Args:
            channel: Open.
            ask: Asks the broker.
            on_end: Told why nothing more will come.
        """
        self.foreign = 0
        self._channel = channel
        self._ask = ask
        self._on_end = on_end
        self._ackable = asyncio.Event()
        self._acknowledging: asyncio.Task[None] | None = None

    async def hear(
        self, queue: str, on_parcel: OnParcel, prefetch: int, offset: Any = None
    ) -> None:
        """Let ``on_parcel`` have what comes on ``queue``.

        Args:
            queue: Its name.
            on_parcel: Gets each message.
            prefetch: Deliveries that may be unacknowledged.
            offset: Where to begin in a stream: a word, a number or a time; None for a queue.

        Raises:
            NoAnswerError: the queue is there and dead.
            LinkDownError: the broker refuses.
        """
        self._on_parcel = on_parcel
        # Of a stream there is one reader, which may well be waited for.
        self._ledger = Ledger(prefetch // 2 if offset is None else prefetch)
        await self._ask(self._channel.set_qos(prefetch_count=prefetch))
        inner = await self._channel.get_underlay_channel()
        inner.on_consumer_cancel_callbacks.add(self._was_cancelled)
        self._channel.close_callbacks.add(self._was_closed)
        self._acknowledging = asyncio.create_task(self._acknowledge())
        source = await self._ask(self._channel.get_queue(queue, ensure=False))
        arguments = None if offset is None else {"x-stream-offset": offset}
        await self._ask(source.consume(self._came, arguments=arguments))

    async def _came(self, message: AbstractIncomingMessage) -> None:
        tag = message.delivery_tag or 0
        self._ledger.came(tag)
        self._ackable.set()  # what it pushed out of the ledger may be acknowledged
        try:
            parcel = parcel_of(message)
        except FaultError:
            self.foreign += 1
            self._done(tag)
        else:
            self._on_parcel(parcel, lambda: self._done(tag))

    def _done(self, tag: int) -> None:
        self._ledger.done(tag)
        self._ackable.set()

    async def _acknowledge(self) -> None:
        """Acknowledge whatever is done; never requeue."""
        inner = await self._channel.get_underlay_channel()
        while True:
            await self._ackable.wait()
            self._ackable.clear()
            upto = self._ledger.take()
            if upto is None:
                continue
            try:
                await self._ask(inner.basic_ack(upto, multiple=True))
            except LinkDownError as error:
                self._on_end(str(error))
                return

    async def _was_cancelled(self, _frame: Any) -> None:
        self._on_end("the broker ended the queue from which we hear")

    async def _was_closed(self, _sender: Any, error: BaseException | None) -> None:
        self._on_end(closing_words(error))

    async def close(self) -> None:
        """Hear no more, and give the channel back if the broker has not ended it."""
        await self.stop()
        with suppress(LinkDownError):
            await self._ask(self._channel.close())

    async def stop(self) -> None:
        """Acknowledge nothing more; the channel is closed by its owner."""
        self._channel.close_callbacks.discard(self._was_closed)
        if self._acknowledging is not None:
            self._acknowledging.cancel()
            await asyncio.gather(self._acknowledging, return_exceptions=True)
