"""The in-memory network: how processes die in it."""

import asyncio

import pytest

from broker.memory import MemoryHub
from shared.link.carrier import Connection, LinkDownError
from tests.support.carriers import CHILD, PARENT, Answering, soon
from tests.support.frames import number_of, numbered

ADDRESS = "memory:parent"


async def test_stopped_process_loses_its_links_and_its_address() -> None:
    """What was on its way is lost, both ends break, and nobody answers any more."""
    hub, answering = MemoryHub(), Answering()
    hub.listen(PARENT.code, ADDRESS, answering)
    carrier = hub.carrier(CHILD.code)
    child = await carrier.dial(PARENT.code, ADDRESS)
    parent = await soon(answering.links.get())
    await child.send(b"lost")
    await parent.send(b"lost")
    hub.stop(ADDRESS)
    for attempt in (child.receive(), parent.receive(), child.send(b""), parent.send(b"")):
        with pytest.raises(LinkDownError, match="stopped"):
            await soon(attempt)
    with pytest.raises(LinkDownError, match="nobody"):
        await carrier.dial(PARENT.code, ADDRESS)


async def test_stopped_process_no_longer_runs() -> None:
    """What answered there is cancelled."""
    hub, ended = MemoryHub(), asyncio.Event()

    async def on_connection(_: Connection) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    hub.listen(PARENT.code, ADDRESS, on_connection)
    await hub.carrier(CHILD.code).dial(PARENT.code, ADDRESS)
    await asyncio.sleep(0)
    hub.stop(ADDRESS)
    await soon(ended.wait())


async def test_stopped_carrier_breaks_what_it_dialled() -> None:
    """A leaf listens nowhere; its death is its carrier's, and others' links stay."""
    hub, answering = MemoryHub(), Answering()
    hub.listen(PARENT.code, ADDRESS, answering)
    dying, living = hub.carrier(CHILD.code), hub.carrier("340603")
    await dying.dial(PARENT.code, ADDRESS)
    other = await living.dial(PARENT.code, ADDRESS)
    broken, whole = await soon(answering.links.get()), await soon(answering.links.get())
    dying.stop()
    with pytest.raises(LinkDownError):
        await soon(broken.receive())
    await other.send(b"here")
    assert await soon(whole.receive()) == b"here"
    hub.stop(ADDRESS)


async def test_restarted_process_answers_again() -> None:
    """The same address can be listened at anew; listening twice replaces the first."""
    hub, first, second = MemoryHub(), Answering(), Answering()
    hub.listen(PARENT.code, ADDRESS, first)
    hub.listen(PARENT.code, ADDRESS, second)
    await hub.carrier(CHILD.code).dial(PARENT.code, ADDRESS)
    assert (await soon(second.links.get())).peer == CHILD.code
    assert first.links.empty()
    hub.stop(ADDRESS)


async def test_orderly_close_leaves_what_was_sent() -> None:
    """The neighbour still gets the frames that were under way, then hears of the close."""
    hub, answering = MemoryHub(), Answering()
    hub.listen(PARENT.code, ADDRESS, answering)
    child = await hub.carrier(CHILD.code).dial(PARENT.code, ADDRESS)
    parent = await soon(answering.links.get())
    await child.send(numbered(7))
    await child.close()
    assert number_of(await soon(parent.receive())) == 7
    with pytest.raises(LinkDownError):
        await soon(parent.receive())
    hub.stop(ADDRESS)


async def test_full_pipe_holds_as_many_frames_as_told() -> None:
    """The bound is exact: one more send waits."""
    hub, answering = MemoryHub(frames_waiting_max=2), Answering()
    hub.listen(PARENT.code, ADDRESS, answering)
    child = await hub.carrier(CHILD.code).dial(PARENT.code, ADDRESS)
    parent = await soon(answering.links.get())
    await soon(child.send(b"1"))
    await soon(child.send(b"2"))
    third = asyncio.create_task(child.send(b"3"))
    await asyncio.sleep(0)
    assert not third.done()
    assert await soon(parent.receive()) == b"1"
    await soon(third)
    hub.stop(ADDRESS)
