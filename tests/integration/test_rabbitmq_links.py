"""Links over a real broker against strangers, slow neighbours, full queues and dead ends."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aio_pika
import pytest

from broker.introduction import Identity
from broker.rabbitmq.carrier import DialledConnection, RabbitMqCarrier
from broker.rabbitmq.consumer import OnParcel
from broker.rabbitmq.flow import WINDOW
from broker.rabbitmq.login import Login
from broker.rabbitmq.parcel import Kind, Parcel, message_of
from broker.rabbitmq.relay import RabbitMqRelay
from broker.rabbitmq.timing import Timing
from broker.rabbitmq.topology import (
    exchange_of,
    key_of,
    reply_queue,
    up_queue,
)
from broker.rabbitmq.wire import NoAnswerError, Wire
from demo.servers.rabbitmq import VHOST
from demo.servers.users import ADMIN, password_of
from shared.link.carrier import Connection, LinkDownError
from tests.support.carriers import (
    CHILD,
    OTHER,
    PARENT,
    RABBIT_TIMING,
    Answering,
    answering_relay,
    keys_of,
    soon,
    until_still,
    wire_of,
)
from tests.support.frames import number_of, numbered
from tests.support.rabbit import RabbitServer, login
from tests.support.records import key_of as signing_key

LIVELY = Timing(beat_seconds=0.05, retry_seconds=(0.05, 0.2))


class Pair:
    """A relay and its child, and the links between them."""

    def __init__(self, server: RabbitServer, relay: RabbitMqRelay, answering: Answering) -> None:
        """Start without a link."""
        self.server = server
        self.relay = relay
        self._answering = answering

    async def link(self, timing: Timing = RABBIT_TIMING) -> tuple[DialledConnection, Connection]:
        """Return both ends of a new link."""
        carrier = RabbitMqCarrier(CHILD, keys_of, login(self.server, CHILD.code), timing=timing)
        child = await soon(carrier.dial(PARENT.code, self.server.address))
        return child, await soon(self._answering.links.get())


@asynccontextmanager
async def pair_of(server: RabbitServer, timing: Timing = RABBIT_TIMING) -> AsyncIterator[Pair]:
    """A relay that answers while the block runs."""
    answering = Answering()
    async with answering_relay(server, answering, timing) as relay:
        yield Pair(server, relay, answering)


@pytest.fixture
async def pair(rabbit: RabbitServer) -> AsyncIterator[Pair]:
    """A relay with the usual times."""
    async with pair_of(rabbit) as made:
        yield made


async def heard(link: Connection) -> bytes:
    """Return the next frame."""
    return await soon(link.receive())


async def test_strangers_on_a_link_are_dropped_and_counted(
    pair: Pair, rabbit: RabbitServer
) -> None:
    """Who knows a link's name is not taken for who opened it; the link goes on."""
    child, parent = await pair.link()
    other = reply_queue(CHILD.code, "0" * 32).name
    good = Parcel(Kind.FRAME, child.id, 2, b"false", CHILD.code, child._route.reply_to)
    async with wire_of(rabbit, CHILD.code) as wire, wire_of(rabbit, ADMIN) as admin:
        to = (exchange_of(PARENT.code), key_of(CHILD.code))
        await soon(wire.publish(Parcel(Kind.FRAME, child.id, 2, b"false", CHILD.code, other), *to))
        await soon(wire.publish(Parcel(Kind.FRAME, "0" * 32, 2, b"false", CHILD.code, other), *to))
        await soon(admin.publish(Parcel(good.kind, good.link, 2, b"", ADMIN, good.reply_to), *to))
        await soon(admin.publish(good.__class__(good.kind, good.link, 2, b"", "", ""), *to))
    await child.send(b"true")
    assert await heard(parent) == b"true"
    assert (pair.relay.dropped.stranger, pair.relay.dropped.unknown) == (3, 1)
    await soon(child.close())


async def test_strangers_on_a_reply_queue_are_dropped_and_counted(
    pair: Pair, rabbit: RabbitServer
) -> None:
    """A child hears only the relay that it greeted, on the link that it opened."""
    child, parent = await pair.link()
    async with wire_of(rabbit, ADMIN) as admin:
        queue = child._route.reply_to
        await soon(admin.publish(Parcel(Kind.FRAME, child.id, 2, b"false", ADMIN), "", queue))
        await soon(admin.publish(Parcel(Kind.FRAME, "0" * 32, 2, b"false", ADMIN), "", queue))
        exchange = admin._publishing.default_exchange
        await soon(exchange.publish(aio_pika.Message(b"noise"), queue))
    await parent.send(b"true")
    assert await heard(child) == b"true"
    assert (child.dropped, child._wire.foreign) == (2, 1)
    await soon(child.close())


@pytest.mark.parametrize(
    ("who", "peer"),
    [
        (Identity(CHILD.code, signing_key(9)), PARENT.code),
        (Identity("340699", signing_key(9)), PARENT.code),
        (CHILD, OTHER.code),
    ],
    ids=["another key", "not known", "another relay"],
)
async def test_who_cannot_prove_a_key_gets_no_link(
    rabbit: RabbitServer, who: Identity, peer: str
) -> None:
    """A login at the broker is no proof to a relay, nor is one's own word."""
    user = CHILD.code
    timing = Timing(handshake_seconds=1.0)
    async with pair_of(rabbit) as pair:
        carrier = RabbitMqCarrier(who, keys_of, Login(user, password_of(user)), timing=timing)
        with pytest.raises(LinkDownError):
            await soon(carrier.dial(peer, rabbit.address))
        assert pair._answering.links.empty()


async def test_a_wrong_password_is_said_and_not_shown(rabbit: RabbitServer) -> None:
    """The broker refuses; the error names the address and neither user's secret."""
    carrier = RabbitMqCarrier(CHILD, keys_of, Login(CHILD.code, "hushhush"))
    with pytest.raises(LinkDownError, match=f"refuses user {CHILD.code}") as caught:
        await soon(carrier.dial(PARENT.code, rabbit.address))
    assert rabbit.address in str(caught.value)
    assert "hushhush" not in f"{caught.value} {carrier.state}"
    assert (carrier.state.trouble, carrier.state.reconnects) == (str(caught.value), 0)


async def test_a_slow_link_does_not_hold_up_the_others(pair: Pair) -> None:
    """What nobody takes waits in its own window, behind which its sender waits."""
    slow, untaken = await pair.link()
    sent = 0

    async def fill() -> None:
        nonlocal sent
        for number in range(100):
            await slow.send(numbered(number))
            sent += 1

    filling = asyncio.create_task(fill())
    await soon(until_still(lambda: sent))
    assert sent <= WINDOW
    quick, taken = await pair.link()
    for number in range(50):
        await soon(quick.send(numbered(number)))
        assert number_of(await heard(taken)) == number
    assert [number_of(await heard(untaken)) for _ in range(100)] == list(range(100))
    await soon(filling)
    await soon(asyncio.gather(slow.close(), quick.close()))


async def test_who_answers_says_with_it_what_was_taken(pair: Pair) -> None:
    """Where frames go both ways, no message of its own opens the window."""
    child, parent = await pair.link()
    kinds, take = list[Kind](), child.take

    def watched(parcel: Parcel, done: Callable[[], None]) -> None:
        kinds.append(parcel.kind)
        take(parcel, done)

    child.take = watched  # type: ignore[method-assign]
    for number in range(3 * WINDOW):
        await soon(child.send(numbered(number)))
        assert number_of(await heard(parent)) == number
        await soon(parent.send(numbered(number)))
        assert number_of(await heard(child)) == number
    assert kinds == [Kind.FRAME] * 3 * WINDOW
    await soon(child.close())


async def test_a_full_queue_slows_its_sender_and_loses_nothing(rabbit: RabbitServer) -> None:
    """The broker refuses, the sender tries again until there is room."""
    async with pair_of(rabbit):
        pass  # the queue is there, and nobody takes from it now
    queue = up_queue(PARENT.code).name
    rabbit.ctl("set_policy", "-p", VHOST, "--apply-to", "queues", "few", f"^{queue}$",
               '{"max-length": 2}')  # fmt: skip
    try:
        async with wire_of(rabbit, CHILD.code) as wire, wire_of(rabbit, ADMIN) as admin:
            to = (exchange_of(PARENT.code), key_of(CHILD.code))
            publishing: list[asyncio.Task[None]] = []
            while len(publishing) < 100:  # a quorum queue refuses a few messages late
                parcel = Parcel(Kind.TAKEN, "f" * 32, len(publishing))
                publishing.append(asyncio.create_task(wire.publish(parcel, *to)))
                _, waiting = await asyncio.wait(publishing[-1:], timeout=0.5)
                if waiting:
                    break
            assert 2 < len(publishing) < 100
            got: asyncio.Queue[int] = asyncio.Queue()

            def take(parcel: Parcel, done: Callable[[], None]) -> None:
                got.put_nowait(parcel.n)
                done()

            await soon(admin.consume(queue, take))
            await soon(asyncio.gather(*publishing))
            came = [await soon(got.get()) for _ in publishing]
            assert sorted(came) == list(range(len(publishing)))
    finally:
        rabbit.ctl("clear_policy", "-p", VHOST, "few")


async def test_an_idle_link_stays_open(rabbit: RabbitServer) -> None:
    """Either side says now and then that it lives, so the silence never grows too long."""
    timing = Timing(beat_seconds=0.05, silence_seconds=0.5)
    async with pair_of(rabbit, timing) as pair:
        child, parent = await pair.link(timing)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.2):
                await child.receive()
        await child.send(b"still here")
        assert await heard(parent) == b"still here"
        await soon(child.close())


async def test_a_child_that_died_is_noticed(rabbit: RabbitServer) -> None:
    """Its queue went with its connection: the next word to it comes back."""
    async with pair_of(rabbit, LIVELY) as pair:
        child, parent = await pair.link()
        await soon(child._wire.close())  # no word of farewell on the link
        with pytest.raises(LinkDownError, match="nobody takes"):
            await heard(parent)
        with pytest.raises(LinkDownError):
            await heard(child)
        await soon(child.close())


async def test_a_relay_that_forgot_a_link_says_so(rabbit: RabbitServer) -> None:
    """As after a crash: the child's next word is answered, and it dials again."""
    async with pair_of(rabbit) as pair:
        child, _ = await pair.link(LIVELY)
        pair.relay._links.clear()
        with pytest.raises(LinkDownError, match="no such link"):
            await heard(child)
        assert pair.relay.dropped.unknown >= 1
        await soon(child.close())


async def test_a_silent_neighbour_is_given_up(rabbit: RabbitServer) -> None:
    """One that neither speaks nor goes away."""
    async with pair_of(rabbit) as pair:
        child, _ = await pair.link(Timing(silence_seconds=0.2))
        with pytest.raises(LinkDownError, match="said nothing"):
            await heard(child)
        await soon(child.close())


async def test_a_lost_frame_ends_the_link(rabbit: RabbitServer) -> None:
    """What comes after a hole is not handed on; the session starts anew over another link."""
    async with pair_of(rabbit, Timing(send_seconds=0.2)) as pair:
        child, parent = await pair.link()
        child._sent += 1  # as if an operator had purged one frame
        await child.send(b"after the hole")
        with pytest.raises(LinkDownError, match="lost"):
            await heard(parent)
        await soon(child.close())


async def test_links_of_a_lost_relay_are_told_when_it_is_back(rabbit: RabbitServer) -> None:
    """A relay that lost its connection, not its memory, tells its children at once."""
    async with pair_of(rabbit) as pair:
        child, parent = await pair.link()
        wire = pair.relay._wire
        assert wire is not None
        wire.fail("cut by the test")
        with pytest.raises(LinkDownError, match="cut by the test"):
            await heard(parent)
        with pytest.raises(LinkDownError, match="no such link"):
            await heard(child)
        await soon(child.close())
        again, end = await pair.link()
        await again.send(b"works")
        assert await heard(end) == b"works"
        assert (pair.relay.state.reconnects, pair.relay.state.trouble) == (1, "cut by the test")
        await soon(again.close())


async def test_a_connection_without_channels_is_none(
    rabbit: RabbitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that lets one in and then no further: not connected, and the state says why."""

    async def refused(wire: Wire) -> None:
        raise LinkDownError("no more channels")

    monkeypatch.setattr(Wire, "_channel", refused)
    carrier = RabbitMqCarrier(CHILD, keys_of, login(rabbit, CHILD.code))
    with pytest.raises(LinkDownError, match="no more channels"):
        await soon(carrier.dial(PARENT.code, rabbit.address))
    assert carrier.state.connected_since_ms is None
    assert "no more channels" in carrier.state.trouble


async def test_a_relay_declares_what_it_needs(rabbit: RabbitServer) -> None:
    """On a broker that knows nothing but its user."""
    async with wire_of(rabbit, ADMIN) as admin:
        await soon(admin.delete(up_queue(PARENT.code).name))
        await soon(admin._consuming.exchange_delete(exchange_of(PARENT.code)))
    async with pair_of(rabbit) as pair:
        child, parent = await pair.link()
        await child.send(b"works")
        assert await heard(parent) == b"works"
        await soon(child.close())


async def test_a_dead_queue_is_made_anew(
    rabbit: RabbitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is declared but gives no answer to its consumer, with whatever it held."""
    async with pair_of(rabbit):
        pass  # the queue is there
    async with wire_of(rabbit, CHILD.code) as wire:
        stray = Parcel(Kind.TAKEN, "2" * 32, 1, b"", CHILD.code)
        await soon(wire.publish(stray, exchange_of(PARENT.code), key_of(CHILD.code)))
    consume, attempts = Wire.consume, 0

    async def dead_at_first(wire: Wire, queue: str, on_parcel: OnParcel) -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise NoAnswerError
        await consume(wire, queue, on_parcel)

    monkeypatch.setattr(Wire, "consume", dead_at_first)
    async with pair_of(rabbit) as pair:
        child, _ = await pair.link()
        assert pair.relay.dropped.unknown == 0
        assert attempts >= 2
        await soon(child.close())


async def test_only_a_reply_queue_of_the_caller_is_answered(
    pair: Pair, rabbit: RabbitServer
) -> None:
    """Else a village could let its relay, which may write everywhere, write where it may not."""
    to = (exchange_of(PARENT.code), key_of(CHILD.code))
    async with wire_of(rabbit, CHILD.code) as wire:
        for reply_to in (up_queue(PARENT.code).name, reply_queue(OTHER.code, "0" * 32).name, ""):
            parcel = Parcel(Kind.FRAME, "1" * 32, 0, b"\x00", CHILD.code, reply_to)
            await soon(wire.publish(parcel, *to))
    child, _ = await pair.link()  # comes after them in the queue
    assert pair.relay.dropped.unknown == 3
    assert pair.relay._links.keys() == {child.id}
    await soon(child.close())


def test_a_parcel_says_who_sent_it() -> None:
    """The broker compares the property with who is logged in."""
    assert message_of(Parcel(Kind.TAKEN, "f" * 32, 1, user="me")).user_id == "me"
