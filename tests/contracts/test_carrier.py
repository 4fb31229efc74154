"""What every carrier promises: one suite for all three, and for each of them behind a cable."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack

import pytest

from shared.errors import InvalidError
from shared.link.carrier import Connection, LinkDownError
from shared.record.limits import FRAME_BYTES_MAX
from tests.support.carriers import (
    CHILD,
    OTHER,
    PARENT,
    Rig,
    cabled,
    memory_rig,
    rabbitmq_rig,
    soon,
    until_still,
    websocket_rig,
)
from tests.support.frames import number_of, numbered

MIB = 1024 * 1024


def rig_of(kind: str, request: pytest.FixtureRequest) -> AbstractAsyncContextManager[Rig]:
    """Return the rig of a carrier; a broker is started only for who needs it."""
    if kind == "rabbitmq":
        return rabbitmq_rig(request.getfixturevalue("rabbit"))
    return memory_rig() if kind == "memory" else websocket_rig()


@pytest.fixture(
    params=[kind + more for more in ("", " cabled") for kind in ("memory", "websocket", "rabbitmq")]
)
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    """Each carrier between a child and its parent."""
    kind, *wrapped = request.param.split()
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(rig_of(kind, request))
        yield await stack.enter_async_context(cabled(made)) if wrapped else made


@pytest.fixture
async def ends(rig: Rig) -> AsyncIterator[tuple[Connection, Connection]]:
    """An open link: the child's end and the parent's."""
    child, parent = await rig.link()
    yield child, parent
    await soon(asyncio.gather(child.close(), parent.close()))


@pytest.fixture(params=["up", "down"])
def way(
    request: pytest.FixtureRequest, ends: tuple[Connection, Connection]
) -> tuple[Connection, Connection]:
    """The two ends as sender and receiver, once each way."""
    child, parent = ends
    return (child, parent) if request.param == "up" else (parent, child)


class Sending:
    """A task that sends numbered frames, and how far it has come."""

    def __init__(self, sender: Connection, count: int, size: int) -> None:
        """Start sending ``count`` frames of ``size`` bytes."""
        self.sent = 0
        self.task = asyncio.create_task(self._run(sender, count, size))

    async def _run(self, sender: Connection, count: int, size: int) -> None:
        for number in range(count):
            await sender.send(numbered(number, size))
            self.sent += 1


async def test_both_ends_know_their_neighbour(ends: tuple[Connection, Connection]) -> None:
    """Each end names the division at the other one."""
    child, parent = ends
    assert (child.peer, parent.peer) == (PARENT.code, CHILD.code)


async def test_order_is_kept(way: tuple[Connection, Connection]) -> None:
    """Frames arrive as they were sent, and each once."""
    sender, receiver = way
    sending = Sending(sender, 200, 64)
    got = [number_of(await soon(receiver.receive())) for _ in range(200)]
    await soon(sending.task)
    assert got == list(range(200))


async def test_both_directions_at_once(ends: tuple[Connection, Connection]) -> None:
    """Neither direction waits for the other."""
    child, parent = ends
    tasks = [Sending(child, 50, 1000).task, Sending(parent, 50, 1000).task]
    for number in range(50):
        assert number_of(await soon(parent.receive())) == number
        assert number_of(await soon(child.receive())) == number
    await soon(asyncio.gather(*tasks))


@pytest.mark.parametrize("size", [1, 125, 126, 65_535, 65_536, FRAME_BYTES_MAX])
async def test_frames_up_to_the_limit_arrive_whole(
    way: tuple[Connection, Connection], size: int
) -> None:
    """Any bytes, of any allowed size."""
    sender, receiver = way
    frame = (bytes(range(256)) * (size // 256 + 1))[:size]
    task = asyncio.create_task(sender.send(frame))
    assert await soon(receiver.receive()) == frame
    await soon(task)


async def test_larger_frame_is_refused_and_harms_nothing(
    way: tuple[Connection, Connection],
) -> None:
    """One byte more is an error of the sender; the link goes on."""
    sender, receiver = way
    with pytest.raises(InvalidError, match="limit"):
        await sender.send(bytes(FRAME_BYTES_MAX + 1))
    await sender.send(b"fits")
    assert await soon(receiver.receive()) == b"fits"


async def test_slow_receiver_stops_a_fast_sender(way: tuple[Connection, Connection]) -> None:
    """What waits between them is bounded, and all of it arrives in the end."""
    sender, receiver = way
    sending = Sending(sender, 96, MIB)
    assert await soon(until_still(lambda: sending.sent)) < 96
    got = [number_of(await soon(receiver.receive())) for _ in range(96)]
    await soon(sending.task)
    assert got == list(range(96))


async def test_close_ends_the_other_side(way: tuple[Connection, Connection]) -> None:
    """Whoever closes, the waiting neighbour hears of it."""
    closer, other = way
    waiting = asyncio.create_task(other.receive())
    await asyncio.sleep(0)
    await soon(closer.close())
    with pytest.raises(LinkDownError):
        await soon(waiting)
    with pytest.raises(LinkDownError):
        await soon(other.receive())


async def test_close_ends_the_own_side(way: tuple[Connection, Connection]) -> None:
    """A pending receive ends, nothing more is taken, and closing again does nothing."""
    closer, other = way
    waiting = asyncio.create_task(closer.receive())
    listening = asyncio.create_task(other.receive())
    await asyncio.sleep(0)
    await soon(closer.close())
    for attempt in (waiting, closer.receive(), closer.send(b"late"), listening):
        with pytest.raises(LinkDownError):
            await soon(attempt)
    await soon(closer.close())


async def test_sending_to_who_has_closed_fails(way: tuple[Connection, Connection]) -> None:
    """At the latest when the close has arrived, a send says so."""
    sender, closer = way
    closing = asyncio.create_task(closer.close())
    with pytest.raises(LinkDownError):
        await soon(sender.receive())
    with pytest.raises(LinkDownError):
        await soon(sender.send(b"late"))
    await soon(closing)


async def test_link_lives_until_its_owner_returns(rig: Rig) -> None:
    """When the parent's ``on_connection`` returns, the child's end goes down."""
    child, _ = await rig.link()
    rig.answering.release.set()
    with pytest.raises(LinkDownError):
        await soon(child.receive())
    await soon(child.close())


async def test_links_are_independent(rig: Rig) -> None:
    """A second link of the same child works, and outlives the first one."""
    first, first_end = await rig.link()
    second, second_end = await rig.link()
    closing = asyncio.create_task(first.close())
    with pytest.raises(LinkDownError):
        await soon(first_end.receive())
    await soon(closing)
    await second.send(b"still here")
    assert await soon(second_end.receive()) == b"still here"
    closing = asyncio.create_task(second.close())
    with pytest.raises(LinkDownError):
        await soon(second_end.receive())
    await soon(closing)


async def test_dialling_where_nobody_answers(rig: Rig) -> None:
    """The error is the one that every link knows."""
    with pytest.raises(LinkDownError):
        await soon(rig.carrier.dial(PARENT.code, rig.nowhere))


async def test_dialling_somebody_else(rig: Rig) -> None:
    """Who answers is not who was asked for: no link."""
    with pytest.raises(LinkDownError, match=PARENT.code):
        await soon(rig.carrier.dial(OTHER.code, rig.address))
    assert rig.answering.links.empty()


async def test_cancelled_receive_takes_no_frame(way: tuple[Connection, Connection]) -> None:
    """The next receive gets what the cancelled one waited for."""
    sender, receiver = way
    waiting = asyncio.create_task(receiver.receive())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    await sender.send(b"kept")
    assert await soon(receiver.receive()) == b"kept"


async def test_cancelled_send_leaves_the_link_whole(way: tuple[Connection, Connection]) -> None:
    """A sender that gives up waiting may or may not have sent; all others' frames arrive."""
    sender, receiver = way
    sending = Sending(sender, 96, MIB)
    await soon(until_still(lambda: sending.sent))
    sending.task.cancel()
    await asyncio.wait({sending.task})
    for number in range(2000, 2005):  # giving up again and again does not fill what is full
        attempt = asyncio.create_task(sender.send(numbered(number, MIB)))
        await asyncio.sleep(0)
        attempt.cancel()
        await asyncio.wait({attempt})
    last = asyncio.create_task(sender.send(numbered(1000)))
    got: list[int] = []
    while not got or got[-1] != 1000:
        got.append(number_of(await soon(receiver.receive())))
    await soon(last)
    regular = [number for number in got[:-1] if number < 2000]
    given_up = got[len(regular) : -1]  # where a busy carrier had paused before it was full
    assert regular in (list(range(sending.sent)), list(range(sending.sent + 1)))
    assert given_up == sorted(set(given_up))
    assert set(given_up) <= set(range(2000, 2005))


@pytest.fixture(params=["websocket", "rabbitmq"])
async def telling(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    """Each carrier that tells how it stands."""
    async with rig_of(request.param, request) as made:
        yield made


async def test_a_carrier_tells_since_when_it_is_connected(telling: Rig) -> None:
    """Who dials while a link is open, who answers as long as it can be reached."""
    dials, answers = telling.states
    assert (dials.answers, dials.address, dials.connected_since_ms) == (False, "", None)
    assert (answers.answers, answers.address) == (True, telling.address)
    reached_ms = answers.connected_since_ms
    assert reached_ms is not None
    for reconnects in range(2):
        child, parent = await telling.link()
        assert (dials.address, dials.reconnects) == (telling.address, reconnects)
        assert (dials.connected_since_ms or 0) >= reached_ms
        assert dials.scheme == answers.scheme == telling.address.partition("://")[0]
        await soon(asyncio.gather(child.close(), parent.close()))
        assert (dials.connected_since_ms, dials.trouble) == (None, "the link was closed")
    assert (answers.connected_since_ms, answers.reconnects) == (reached_ms, 0)
    assert {(one.unconfirmed, one.alarm) for one in telling.states} == {(0, "")}


async def test_a_link_beside_another_is_no_reconnect(telling: Rig) -> None:
    """Connected is who has one link or more; the first of them says since when."""
    dials = telling.states[0]
    first, first_end = await telling.link()
    since_ms = dials.connected_since_ms
    second, second_end = await telling.link()
    await soon(asyncio.gather(second.close(), second_end.close()))
    assert (dials.connected_since_ms, dials.reconnects) == (since_ms, 0)
    await soon(asyncio.gather(first.close(), first_end.close()))
    assert dials.connected_since_ms is None


async def test_a_carrier_tells_why_it_is_not_connected(telling: Rig) -> None:
    """The error of the last attempt, and where it went."""
    dials = telling.states[0]
    for peer, address in ((PARENT.code, telling.nowhere), (OTHER.code, telling.address)):
        with pytest.raises(LinkDownError) as error:
            await soon(telling.carrier.dial(peer, address))
        assert (dials.trouble, dials.address) == (str(error.value), address)
        assert dials.connected_since_ms is None
