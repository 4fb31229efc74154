"""The answering side: one connection to the broker for all children of a relay.

It keeps itself connected: after whatever ended the connection (the broker's restart, a deleted
queue, a wiped broker) it connects and declares anew; the links that went down with the connection
are dialled again by the children.
"""

import asyncio
import random
import secrets
from collections.abc import Callable, Collection, Coroutine
from typing import Any, Final

import structlog

from broker.bounds import check_frame
from broker.introduction import Identity, KeysOf, meet
from broker.rabbitmq.callers import AnsweredConnection, Dropped, is_hello, refuse
from broker.rabbitmq.login import Login, Place
from broker.rabbitmq.parcel import Kind, Parcel
from broker.rabbitmq.timing import Timing
from broker.rabbitmq.topology import (
    DOWN_KEY,
    UP_BINDING,
    child_of,
    down_stream,
    exchange_of,
    up_queue,
)
from broker.rabbitmq.wire import NoAnswerError, Wire, open_wire
from shared.link.backoff import Backoff
from shared.link.carrier import Broadcast, CarrierState, LinkDownError, OnBroadcast, OnConnection

HANDSHAKES_MAX: Final = 64
"""Callers that have not proven a key yet; more are not heard, and dial again."""

REFUSALS_MAX: Final = 1024
"""Unknown links that are remembered as refused, so that each is told once."""

logger = structlog.get_logger(__name__)


async def _say_nothing(_broadcast: Broadcast) -> None:
    await asyncio.Event().wait()


class _ToAll:
    """What a relay says on its stream (see ``shared.link.carrier.Broadcast``)."""

    def __init__(self, wire: Wire, exchange: str) -> None:
        self._wire = wire
        self._exchange = exchange
        self._id = secrets.token_hex(16)

    async def send(self, frame: bytes) -> None:
        parcel = Parcel(Kind.TO_ALL, self._id, 0, check_frame(frame), self._wire.user)
        await self._wire.publish(parcel, self._exchange, DOWN_KEY)


class RabbitMqRelay:
    """Takes the links that children open through the broker.

    Attributes:
        dropped: What was not taken.
        ready: Set while children are heard.
        state: How it stands with the connection to the broker.
    """

    def __init__(
        self,
        identity: Identity,
        keys_of: KeysOf,
        on_connection: OnConnection,
        place: Place,
        login: Login,
        *,
        addresses: Collection[str] = (),
        on_broadcast: OnBroadcast = _say_nothing,
        timing: Timing | None = None,
    ) -> None:
        """Answer as ``identity``; ``run`` does it.

        Args:
            identity: This node.
            keys_of: Whose keys are believed.
            on_connection: Called for each proven link, which lives until it returns.
            place: The broker.
            login: Who we are there.
            addresses: Where children may have dialled; none at all: anywhere.
            on_broadcast: Gets the means to speak to all below at once.
            timing: How long links wait.
        """
        self.dropped = Dropped()
        self.ready = asyncio.Event()
        self.state = CarrierState(answers=True, address=place.address)
        self._identity = identity
        self._keys_of = keys_of
        self._on_connection = on_connection
        self._on_broadcast = on_broadcast
        self._place = place
        self._login = login
        self._addresses = addresses
        self._timing = timing or Timing()
        self._wire: Wire | None = None
        self._links: dict[str, AnsweredConnection] = {}
        self._serving: set[asyncio.Task[None]] = set()
        self._refused: set[str] = set()
        self._orphans: dict[str, str] = {}
        self._unproven = 0
        self._is_queue_dead = False

    async def run(self) -> None:
        """Stay connected and answer until cancelled."""
        backoff = Backoff(random.SystemRandom(), *self._timing.retry_seconds)
        while True:
            try:
                await self._answer()
                backoff.reset()
            except LinkDownError as error:
                self.state.trouble = str(error)
                logger.info("broker lost", node=self._identity.code, why=str(error))
            await asyncio.sleep(backoff.pause())

    async def _answer(self) -> None:
        """Answer over one connection, until it ends."""
        code, timing = self._identity.code, self._timing
        name = f"relay {code}"
        self._wire = wire = await open_wire(self._place, self._login, timing, name, self.state)
        wire.when_down(self._all_down)
        speaking: asyncio.Task[None] | None = None
        try:
            await self._open_queue(wire)
            speaking = asyncio.create_task(self._say_to_all(wire))
            speaking.add_done_callback(_show_bug)
            logger.info("broker", node=code, at=self._place.address)
            self.ready.set()
            self._tell_orphans(wire)
            await wire.ended.wait()
            logger.info("broker lost", node=code, why=wire.down)
        finally:
            self.ready.clear()
            if speaking is not None:
                speaking.cancel()
                await asyncio.gather(speaking, return_exceptions=True)
            await self._settled()
            await wire.close()

    async def _open_queue(self, wire: Wire) -> None:
        """Declare the queue of the children and hear it.

        RabbitMQ 3.10.8 killed soon after a quorum queue was declared has it declared ever after,
        but gives no answer to who wants to consume from it. Such a queue is deleted and made anew:
        what it held, sessions send again.
        """
        queue = up_queue(self._identity.code)
        if self._is_queue_dead:
            logger.warning("dead queue made anew", queue=queue.name)
            await wire.delete(queue.name)
            self._is_queue_dead = False
        await wire.declare(queue, exchange_of(self._identity.code), UP_BINDING)
        try:
            await wire.consume(queue.name, self._came)
        except NoAnswerError:
            self._is_queue_dead = True
            raise

    async def _say_to_all(self, wire: Wire) -> None:
        """Keep the stream, on which all below are spoken to, as long as the connection lives.

        A broker that cannot (any more) costs no link: RabbitMQ 3.10.8 killed soon after a stream
        was declared never gets it back, "home node is down or inaccessible", until an operator
        deletes it. Nothing is in it that is not in logs.
        """
        stream = down_stream(self._identity.code)
        while True:
            try:
                exchange = exchange_of(self._identity.code)
                await wire.declare_apart(stream, exchange, DOWN_KEY)
                await self._on_broadcast(_ToAll(wire, exchange))
            except LinkDownError as error:
                if wire.down:
                    return
                logger.warning("no stream", queue=stream.name, why=str(error))
            await asyncio.sleep(self._timing.stream_seconds)

    async def close(self) -> None:
        """Close all links and tell the children; ``run`` is cancelled before or after."""
        await asyncio.gather(*(link.close() for link in tuple(self._links.values())))

    async def _settled(self) -> None:
        """Close all links and wait until their owners have let go of them."""
        await self.close()
        tasks = tuple(self._serving)
        if tasks:
            await asyncio.wait(tasks, timeout=self._timing.close_seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _all_down(self, why: str) -> None:
        """End all links with the connection; who was at their other ends hears of it later."""
        for link in tuple(self._links.values()):
            link.end(why)
            self._orphans[link.id] = link.sender[1]

    def _tell_orphans(self, wire: Wire) -> None:
        """Tell the children whose links went down with the last connection: they dial at once."""
        orphans, self._orphans = self._orphans, {}
        for link, reply_to in orphans.items():
            self._spawn(refuse(wire, link, reply_to))

    # --- what came -------------------------------------------------------------------------------

    def _came(self, parcel: Parcel, done: Callable[[], None]) -> None:
        wire = self._wire
        if wire is None:
            return
        link = self._links.get(parcel.link)
        if link is None:
            link = self._met(wire, parcel)
        if link is None:
            done()
        elif link.sender != (parcel.user, parcel.reply_to):
            self.dropped.stranger += 1
            done()
        else:
            link.take(parcel, done)

    def _met(self, wire: Wire, parcel: Parcel) -> AnsweredConnection | None:
        """Return a new link if ``parcel`` begins one."""
        if not is_hello(parcel):
            self.dropped.unknown += 1
            self._refuse(wire, parcel)
            return None
        if self._unproven >= HANDSHAKES_MAX:
            self.dropped.crowd += 1
            return None
        link = AnsweredConnection(wire, parcel, self._timing)
        self._links[link.id] = link
        self._spawn(self._serve(link))
        return link

    def _refuse(self, wire: Wire, parcel: Parcel) -> None:
        """Tell who talks on a link that is not open here (any more), once."""
        if (
            parcel.kind is Kind.CLOSE
            or parcel.link in self._refused
            or not child_of(parcel.reply_to)
        ):
            return
        if len(self._refused) >= REFUSALS_MAX:
            self._refused.clear()
        self._refused.add(parcel.link)
        self._spawn(refuse(wire, parcel.link, parcel.reply_to))

    # --- links -----------------------------------------------------------------------------------

    async def _serve(self, link: AnsweredConnection) -> None:
        why = ""
        try:
            why = await self._meet(link)
            if not why:
                await self._on_connection(link)
        except LinkDownError:
            pass  # that is how most links end
        finally:
            self._links.pop(link.id, None)
            await link.close(why)

    async def _meet(self, link: AnsweredConnection) -> str:
        """Let the caller prove who it is.

        Returns:
            Why it may not go on; empty if it may, then ``link.peer`` is who it is.
        """
        seconds = self._timing.handshake_seconds
        self._unproven += 1
        try:
            return await meet(link, self._identity, self._keys_of, self._addresses, seconds)
        finally:
            self._unproven -= 1

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)


def _show_bug(task: asyncio.Task[None]) -> None:
    """Log what ended a task on which nobody waits; the links carry what it does not."""
    if not task.cancelled() and (bug := task.exception()) is not None:
        logger.error("nothing is said to all any more", exc_info=bug)
