"""The cable: each fault does what it says, is counted, and leaves nothing behind."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from broker.cable import Cable
from broker.faults import FRAMES_WAITING_MAX, HELD_SECONDS_MAX, Direction, Fate
from shared.errors import InvalidError
from shared.link.carrier import Connection, LinkDownError
from shared.record.limits import FRAME_BYTES_MAX
from tests.support.cabled import ADDRESS, Setting, settle
from tests.support.carriers import CHILD, PARENT, soon, until_still
from tests.support.frames import chunk_frame, heads_frame, numbered


@pytest.fixture
async def setting() -> AsyncIterator[Setting]:
    """An open link through a cable that is still without faults."""
    made = Setting()
    await made.open()
    yield made
    await made.close()
    await settle()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_whole_cable_passes_and_counts(setting: Setting) -> None:
    """Frames and bytes of both directions are counted, nothing else happens."""
    await setting.child.send(b"12345")
    assert await soon(setting.parent.receive()) == b"12345"
    await setting.parent.send(b"123")
    assert await soon(setting.child.receive()) == b"123"
    assert setting.cable.counters == {Fate.PASSED: 2}
    assert setting.cable.bytes_passed == 8
    assert setting.seen == [(Direction.OUT, Fate.PASSED), (Direction.IN, Fate.PASSED)]


@pytest.mark.parametrize("direction", [Direction.OUT, Direction.IN])
async def test_loss_takes_its_fraction_each_way(setting: Setting, direction: Direction) -> None:
    """Wrapping one end is enough to lose in both directions, and only as much as told."""
    up = direction is Direction.OUT
    sender = setting.child if up else setting.parent
    setting.read(setting.parent if up else setting.child)
    setting.cable.loss = 0.5
    for number in range(400):
        await soon(sender.send(numbered(number)))
    await settle()
    lost = setting.cable.counters[Fate.LOST]
    assert 150 < lost < 250
    assert len(setting.got) == 400 - lost == setting.cable.counters[Fate.PASSED]
    assert setting.numbers == sorted(setting.numbers)
    assert set(setting.seen) == {(direction, Fate.LOST), (direction, Fate.PASSED)}


async def test_loss_of_all_and_none(setting: Setting) -> None:
    """The fractions at both ends of the scale are exact, and switchable while frames travel."""
    setting.read(setting.parent)
    for loss in (1.0, 0.0):
        setting.cable.loss = loss
        for number in range(50):
            await soon(setting.child.send(numbered(number)))
    await settle()
    assert setting.numbers == list(range(50))
    assert setting.cable.counters == {Fate.LOST: 50, Fate.PASSED: 50}


async def test_duplicates_arrive_twice(setting: Setting) -> None:
    """Each frame comes two times, one behind the other, and both are counted as passed."""
    setting.read(setting.parent)
    setting.cable.duplicate = 1.0
    for number in range(3):
        await soon(setting.child.send(numbered(number)))
    await settle()
    assert setting.numbers == [0, 0, 1, 1, 2, 2]
    assert setting.cable.counters == {Fate.DUPLICATED: 3, Fate.PASSED: 6}


async def test_reordered_frame_is_overtaken_by_the_next(setting: Setting) -> None:
    """Nothing is lost by it: with every frame chosen, pairs change places."""
    setting.read(setting.parent)
    setting.cable.reorder = 1.0
    for number in range(4):
        await soon(setting.child.send(numbered(number)))
    await settle()
    assert setting.numbers == [1, 0, 3, 2]
    assert setting.cable.counters == {Fate.REORDERED: 2, Fate.PASSED: 4}


async def test_frame_that_nothing_overtakes_goes_on_after_a_while(setting: Setting) -> None:
    """The last frame before a silence is late, not lost."""
    setting.read(setting.parent)
    setting.cable.reorder = 1.0
    await soon(setting.child.send(numbered(0)))
    await setting.clock.turn(HELD_SECONDS_MAX / 2)
    assert setting.numbers == []
    await setting.clock.turn(HELD_SECONDS_MAX / 2)
    assert setting.numbers == [0]


async def test_delay_keeps_order_and_lets_frames_travel_together(setting: Setting) -> None:
    """Three frames sent at once arrive after one delay, not after three."""
    setting.read(setting.parent)
    setting.cable.delay_seconds = 2.0
    for number in range(3):
        await soon(setting.child.send(numbered(number)))
    await setting.clock.turn(1.9)
    assert setting.numbers == []
    await setting.clock.turn(0.1)
    assert setting.numbers == [0, 1, 2]


async def test_delay_holds_both_ways_and_dialling_too(setting: Setting) -> None:
    """What comes back is late as well, and a call takes the way there and back."""
    setting.read(setting.child)
    setting.cable.delay_seconds = 2.0
    await setting.parent.send(numbered(0))
    await settle()
    await setting.clock.turn(1.9)
    assert setting.numbers == []
    await setting.clock.turn(0.1)
    assert setting.numbers == [0]
    dialling = asyncio.create_task(setting.carrier.dial(PARENT.code, ADDRESS))
    await settle()
    await setting.clock.turn(3.9)
    assert not dialling.done()
    await setting.clock.turn(0.1)
    await soon((await soon(dialling)).close())


async def test_delayed_frame_survives_a_cancelled_receive(setting: Setting) -> None:
    """It goes to the next one who asks."""
    setting.cable.delay_seconds = 1.0
    await setting.parent.send(b"kept")
    receiving = asyncio.create_task(setting.child.receive())
    await settle()
    receiving.cancel()
    await asyncio.wait({receiving})
    await setting.clock.turn(1.0)
    assert await soon(setting.child.receive()) == b"kept"


async def test_throttle_makes_the_sender_wait(setting: Setting) -> None:
    """Ten bytes a second: a frame of twenty takes two, and the next one waits behind it."""
    setting.read(setting.parent)
    setting.cable.throttle_bytes_per_second = 10
    sending = [asyncio.create_task(setting.child.send(numbered(n, 20))) for n in range(2)]
    await settle()
    await setting.clock.turn(1.9)
    assert (setting.numbers, sending[0].done()) == ([], False)
    await setting.clock.turn(0.1)
    assert (setting.numbers, sending[1].done()) == ([0], False)
    await setting.clock.turn(2.0)
    assert setting.numbers == [0, 1]
    await soon(asyncio.gather(*sending))


async def test_full_line_makes_the_sender_wait(setting: Setting) -> None:
    """A delay does not turn the cable into a store without bounds."""
    setting.cable.delay_seconds = 1.0
    sent = 0

    async def run() -> None:
        nonlocal sent
        for number in range(1000):
            await setting.child.send(numbered(number))
            sent += 1

    sending = asyncio.create_task(run())
    assert await soon(until_still(lambda: sent)) <= FRAMES_WAITING_MAX + 1
    sending.cancel()
    await asyncio.wait({sending})


async def test_cut_breaks_what_is_open_and_refuses_calls(setting: Setting) -> None:
    """Both ends hear of it at once; when the cable is mended, dialling works again."""
    receiving = asyncio.create_task(setting.child.receive())
    await settle()
    setting.cable.cut = True
    for attempt in (receiving, setting.child.send(b""), setting.parent.receive()):
        with pytest.raises(LinkDownError):
            await soon(attempt)
    with pytest.raises(LinkDownError, match="cut"):
        await soon(setting.carrier.dial(PARENT.code, ADDRESS))
    setting.cable.cut = False
    with pytest.raises(LinkDownError):
        await soon(setting.child.receive())
    await setting.open()
    await setting.child.send(b"again")
    assert await soon(setting.parent.receive()) == b"again"


async def test_cut_during_a_call_lets_no_link_through(setting: Setting) -> None:
    """Cut between the call and its answer."""
    setting.cable.delay_seconds = 1.0
    dialling = asyncio.create_task(setting.carrier.dial(PARENT.code, ADDRESS))
    await settle()
    setting.cable.cut = True
    await setting.clock.turn(2.0)
    with pytest.raises(LinkDownError, match="cut"):
        await soon(dialling)


async def test_link_wrapped_by_a_cut_cable_is_down(setting: Setting) -> None:
    """Wrapping an open link in a cable that is cut breaks it."""
    inner = await setting.hub.carrier(CHILD.code).dial(PARENT.code, ADDRESS)
    other = await soon(setting.answering.links.get())
    setting.cable.cut = True
    wrapped = setting.cable.wrap(inner)
    assert wrapped.peer == PARENT.code
    for attempt in (wrapped.receive(), other.receive()):
        with pytest.raises(LinkDownError):
            await soon(attempt)


@pytest.mark.parametrize(
    "slow",
    [
        lambda cable: setattr(cable, "throttle_bytes_per_second", 1),
        lambda cable: setattr(cable, "delay_seconds", 1000),
        lambda cable: setattr(cable, "reorder", 1),
    ],
    ids=["throttle", "delay", "reorder"],
)
@pytest.mark.parametrize("how", ["close", "cut", "other end"])
async def test_end_wakes_all_who_wait_and_leaves_no_task(
    setting: Setting, slow: Callable[[Cable], None], how: str
) -> None:
    """Frames under way are dropped, whoever sends or receives is told (see the fixture's end)."""
    slow(setting.cable)
    waiting = [asyncio.create_task(setting.child.receive())]
    waiting += [asyncio.create_task(sends(setting.child)) for _ in range(2)]
    await setting.parent.send(numbered(0))
    await settle()
    if how == "close":
        await soon(setting.child.close())
    elif how == "cut":
        setting.cable.cut = True
    else:
        setting.hub.stop(ADDRESS)
    await settle()
    await setting.clock.turn(2000)  # what had arrived before the other end broke may still come
    results = await soon(asyncio.gather(*waiting, return_exceptions=True))
    assert [type(each) for each in results[1:]] == [LinkDownError, LinkDownError]
    assert isinstance(results[0], LinkDownError | bytes)


async def sends(connection: Connection) -> bytes:
    """Send until the link breaks, as it must before long."""
    for number in range(1000):
        await connection.send(numbered(number))
    return b"it did not break"


async def test_larger_frame_is_refused_at_once(setting: Setting) -> None:
    """The sender hears of it, not a task in the background."""
    with pytest.raises(InvalidError):
        await setting.child.send(bytes(FRAME_BYTES_MAX + 1))


async def test_failing_carrier_is_not_silent(setting: Setting) -> None:
    """An error that no carrier may raise ends the link and comes out when it is closed."""

    class Broken:
        peer = PARENT.code
        hears_all = False

        async def send(self, frame: bytes) -> None:
            raise ZeroDivisionError

        def done(self) -> None:
            return

        async def receive(self) -> bytes:
            await asyncio.Event().wait()
            return b""

        async def close(self) -> None:
            return

    wrapped = setting.cable.wrap(Broken())
    await wrapped.send(b"x")
    with pytest.raises(LinkDownError, match="failed"):
        await soon(wrapped.receive())
    with pytest.raises(ZeroDivisionError):
        await soon(wrapped.close())


async def test_same_seed_same_faults() -> None:
    """A run can be repeated: chance comes from the seed alone."""

    async def run() -> list[tuple[Direction, Fate]]:
        setting = Setting()
        await setting.open()
        setting.read(setting.parent)
        cable = setting.cable
        cable.loss = cable.duplicate = cable.reorder = 0.3
        for number in range(60):
            await soon(setting.child.send(numbered(number)))
        await settle()
        await setting.close()
        return setting.seen

    assert await run() == await run()


async def test_cable_alters_as_many_chunks_as_told(setting: Setting) -> None:
    """Heads do not count; after the last one chunks pass as they are."""
    setting.read(setting.parent)
    setting.cable.alter = 2
    frames = [heads_frame(), *(chunk_frame(n=n) for n in (2, 3, 4))]
    for frame in frames:
        await soon(setting.child.send(frame))
    await settle()
    same = [got == sent for got, sent in zip(setting.got, frames, strict=True)]
    assert same == [True, False, False, True]
    assert setting.cable.alter == 0
    assert setting.cable.counters == {Fate.ALTERED: 2, Fate.PASSED: 4}
