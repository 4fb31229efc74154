"""The dialling side: one connection to the broker a link, so nothing of it outlives the link.

A child has one link, to its parent, in practice. When the link or the connection breaks, whoever
dialled dials again (``shared.node.links``), and everything is declared anew.
"""

import asyncio
import secrets
from collections.abc import Callable

import structlog

from broker.introduction import Identity, KeysOf, introduce
from broker.rabbitmq.flow import Arrived
from broker.rabbitmq.link import RabbitMqConnection, Route
from broker.rabbitmq.listening import StreamListening, offset_of
from broker.rabbitmq.login import Login, Place, place_of
from broker.rabbitmq.parcel import Kind, Parcel
from broker.rabbitmq.timing import Timing
from broker.rabbitmq.topology import down_stream, exchange_of, key_of, reply_queue
from broker.rabbitmq.wire import Wire, open_wire
from shared.errors import FaultError, InvalidError, RefusedError
from shared.link.carrier import CarrierState, LinkDownError

logger = structlog.get_logger(__name__)


class RabbitMqCarrier:
    """Reaches relays through brokers (see ``shared.link.carrier.ListeningCarrier``).

    Attributes:
        state: How it stands with the connection to the broker that was dialled last.
    """

    def __init__(
        self, identity: Identity, keys_of: KeysOf, login: Login, *, timing: Timing | None = None
    ) -> None:
        """Dial as ``identity``.

        Args:
            identity: This node.
            keys_of: Whose keys are believed.
            login: Who we are at the broker; any broker, as addresses name them.
            timing: How long links wait.
        """
        self.state = CarrierState(answers=False)
        self._identity = identity
        self._keys_of = keys_of
        self._login = login
        self._timing = timing or Timing()

    async def dial(self, peer: str, address: str) -> "DialledConnection":
        """Open a link to division ``peer`` at ``address``; see the port."""
        try:
            return await self._dial(peer, address)
        except LinkDownError as error:
            self.state.trouble = str(error)
            raise

    async def _dial(self, peer: str, address: str) -> "DialledConnection":
        if not self._keys_of(peer):
            raise LinkDownError(f"no key of {peer} is known here")
        place = _place_of(address, self._login)
        self.state.address = place.address
        name = f"{self._identity.code} to {peer}"
        wire = await open_wire(place, self._login, self._timing, name, self.state)
        link: DialledConnection | None = None
        seconds = self._timing.handshake_seconds
        try:
            async with asyncio.timeout(seconds):
                link = await self._opened(wire, peer)
                await introduce(link, self._identity, self._keys_of, peer, place.address)
            link.peer = peer
            await link.hear_all()
        except BaseException as error:
            await (wire if link is None else link).close()
            match error:
                case TimeoutError():
                    why = f"{peer} did not answer at {place.address} within {seconds:g} s"
                    raise LinkDownError(why) from error
                case FaultError() | RefusedError():
                    raise LinkDownError(f"{place.address} is not {peer}: {error}") from error
                case LinkDownError():
                    why = f"{peer} did not take the link at {place.address}: {error}"
                    raise LinkDownError(why) from error
                case _:
                    raise
        return link

    async def listen(
        self, source: str, address: str, back_seconds: float | None
    ) -> StreamListening:
        """Listen to what division ``source`` says to all below; see the port."""
        name = f"{self._identity.code} listening to {source}"
        place = _place_of(address, self._login)
        wire = await open_wire(place, self._login, self._timing, name)
        listening = StreamListening(wire, source)
        wire.when_down(listening.end)
        stream, offset = down_stream(source).name, offset_of(back_seconds)
        try:
            await wire.consume_apart(stream, listening.came, listening.end, offset)
        except BaseException:
            await listening.close()
            raise
        return listening

    async def _opened(self, wire: Wire, peer: str) -> "DialledConnection":
        queue = reply_queue(self._identity.code, secrets.token_hex(16))
        await wire.declare(queue)
        route = Route(exchange_of(peer), key_of(self._identity.code), queue.name)
        link = DialledConnection(wire, secrets.token_hex(16), route, self._timing)
        wire.when_down(link.end)
        try:
            await wire.consume(queue.name, link.came)
        except BaseException:
            await link.close()
            raise
        return link


class DialledConnection(RabbitMqConnection):
    """A link that owns its connection to the broker.

    Attributes:
        dropped: Messages on our reply queue that were not of this link or not of the relay.
    """

    dropped = 0
    _relay = ""
    _is_seeking = False

    def came(self, parcel: Parcel, done: Callable[[], None]) -> None:
        """Take in a message of our reply queue, if it is of this link and of who answered first.

        Who guesses the link, 128 random bits, is still no relay: the handshake proves it.
        """
        if parcel.link == self.id:
            self._relay = self._relay or parcel.user
        if parcel.link != self.id or not parcel.user or parcel.user != self._relay:
            self.dropped += 1
            done()
        else:
            self.take(parcel, done)

    async def hear_all(self) -> None:
        """Hear also what the relay says to all below, from now on; without it the link goes on.

        Tried again while the link lives: the stream may be made later, or anew.
        """
        stream = down_stream(self.peer).name
        try:
            await self._wire.consume_apart(stream, self._said_to_all, self._hears_no_more, "next")
        except LinkDownError as error:
            self._hears_no_more(str(error))
        else:
            self.hears_relay = True

    def _said_to_all(self, parcel: Parcel, done: Callable[[], None]) -> None:
        if parcel.kind is Kind.TO_ALL and parcel.user == self._relay:
            self._let_wait(Arrived(parcel.body, done, is_counted=False))
        else:
            self.dropped += 1
            done()

    def _hears_no_more(self, why: str) -> None:
        self.hears_relay = False
        if self.down or self._wire.down or self._is_seeking:
            return
        self._is_seeking = True
        logger.info("not heard", stream=down_stream(self.peer).name, why=why)
        self._spawn(self._hear_again())

    async def _hear_again(self) -> None:
        self._tell()
        await asyncio.sleep(self._timing.stream_seconds)
        self._is_seeking = False
        await self.hear_all()
        self._tell()

    async def close(self, reason: str = "") -> None:
        """Close the link and the connection; see the port."""
        try:
            await super().close(reason)
        finally:
            await self._wire.close()


def _place_of(address: str, login: Login) -> Place:
    """Return where ``address`` is, if one can log in there."""
    try:
        place = place_of(address)
        login.check(place)
    except InvalidError as error:
        raise LinkDownError(str(error)) from error
    return place
