"""What a relay says once to all below: only what is for all of them, each record once."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from broker.rabbitmq import relay
from broker.rabbitmq.parcel import Parcel
from broker.rabbitmq.topology import down_stream
from demo.servers.users import ADMIN
from shared.link.frames import TO_ALL, Chunk, decode_frame
from shared.record.feed import is_for_all_below
from tests.support.carriers import CHILD, PARENT, rabbitmq_rig, soon, wire_of
from tests.support.rabbit import RabbitServer
from tests.support.tiers import DISTRICT, TOWN, VILLAGE, VILLAGE_2, Tiers, only

ALL = {code: only("amqp") for code in (TOWN, VILLAGE, VILLAGE_2)}


async def delete_streams(rabbit: RabbitServer) -> None:
    """Delete the streams of district and town; no error if there are none."""
    async with wire_of(rabbit, ADMIN) as wire:
        for code in (DISTRICT, TOWN):
            await soon(wire.delete(down_stream(code).name))


async def read_stream(rabbit: RabbitServer, code: str, count: int) -> list[Chunk]:
    """Return the first ``count`` messages that lie in the stream of relay ``code``."""
    came: asyncio.Queue[bytes] = asyncio.Queue()

    def take(parcel: Parcel, done: Callable[[], None]) -> None:
        came.put_nowait(parcel.body)
        done()

    async with wire_of(rabbit, ADMIN) as wire:
        await soon(wire.consume_apart(down_stream(code).name, take, lambda _why: None, "first"))
        frames = [decode_frame(await soon(came.get()), ()) for _ in range(count)]
    return [frame for frame in frames if isinstance(frame, Chunk)]


async def test_what_is_for_all_goes_once_and_nothing_else(
    tmp_path: Path, rabbit: RabbitServer
) -> None:
    """A notice for one village stands in no message that the other could read."""
    await delete_streams(rabbit)  # those of tests before hold what is not ours
    async with Tiers(tmp_path, rabbit.address) as tiers:
        await tiers.start(ALL)
        town = tiers.nodes[TOWN]
        await tiers.act(DISTRICT, "publish", title="到时都连上了", text="正文")
        await tiers.settled()
        for number in range(5):
            await tiers.act(DISTRICT, "publish", title=f"大家的{number}", text="正文")
            await tiers.act(DISTRICT, "publish", title=f"一个村的{number}", text="正文", to=VILLAGE)
        await tiers.settled()
        links = [town.links._open[code][0] for code in (VILLAGE, VILLAGE_2)]
        assert [link.hears_all for link in links] == [True, True]
        said = town.links.broadcaster.said
        assert said >= 5
        chunks: list[Chunk] = []
        while sum(len(run.records) for chunk in chunks for run in chunk.runs) < said:
            chunks = await read_stream(rabbit, TOWN, len(chunks) + 1)
        assert all(chunk.session == TO_ALL for chunk in chunks)
        assert all(is_for_all_below(run.feed, TOWN) for chunk in chunks for run in chunk.runs)
        for code in (VILLAGE, VILLAGE_2):
            assert tiers.nodes[code].log.counters.refused == 0


async def test_a_stream_that_is_deleted_costs_no_record(
    tmp_path: Path, rabbit: RabbitServer
) -> None:
    """The links carry what the stream does not."""
    async with Tiers(tmp_path, rabbit.address) as tiers:
        await tiers.start(ALL)
        await tiers.act(DISTRICT, "publish", title="前", text="正文")
        await tiers.settled()
        await delete_streams(rabbit)
        for number in range(5):
            await tiers.act(DISTRICT, "publish", title=f"后{number}", text="正文")
        await tiers.settled()
        for code in tiers.nodes:
            assert (await tiers.act(code, "verify"))["problems"] == []


async def test_a_stream_that_comes_and_goes_uses_up_no_channels(rabbit: RabbitServer) -> None:
    """Each user has few: what is heard no more gives its channel back."""
    stream = down_stream(PARENT.code)
    async with wire_of(rabbit, CHILD.code) as wire, wire_of(rabbit, ADMIN) as admin:
        for _ in range(3):
            await soon(admin.delete(stream.name))
            await soon(admin.declare(stream))
            ended: asyncio.Queue[str] = asyncio.Queue()
            hearing = wire.consume_apart(
                stream.name, lambda _parcel, done: done(), ended.put_nowait, "next"
            )
            await soon(hearing)
            await soon(admin.delete(stream.name))
            await soon(ended.get())
        users = rabbit.ctl("list_channels", "user").split()
        assert users.count(CHILD.code) == 3  # to publish, to consume, the last apart


async def test_a_channel_that_the_broker_closes_ends_what_is_heard_on_it(
    rabbit: RabbitServer,
) -> None:
    """Not with a word about the consumer, but because something on the channel was wrong."""
    stream = down_stream(PARENT.code)
    async with wire_of(rabbit, CHILD.code) as wire, wire_of(rabbit, ADMIN) as admin:
        await soon(admin.declare(stream))
        ended: asyncio.Queue[str] = asyncio.Queue()
        hearing = wire.consume_apart(
            stream.name, lambda _parcel, done: done(), ended.put_nowait, "next"
        )
        await soon(hearing)
        assert wire._apart is not None
        inner = await wire._apart._channel.get_underlay_channel()
        await inner.basic_ack(4711)  # nothing of that number was ever delivered
        assert "unknown delivery tag 4711" in await soon(ended.get())
        assert wire.down == ""


async def test_a_bug_in_what_is_said_to_all_is_shown_and_costs_no_link(
    rabbit: RabbitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for it, so it would be silent else."""
    broke = asyncio.Event()

    def broken(*_: object) -> None:
        broke.set()
        raise ZeroDivisionError

    monkeypatch.setattr(relay, "_ToAll", broken)
    with capture_logs() as logs:
        async with rabbitmq_rig(rabbit) as rig:
            await soon(broke.wait())
            child, parent = await rig.link()
            await child.send(b"works")
            assert await soon(parent.receive()) == b"works"
            await soon(child.close())
    shown = [one["exc_info"] for one in logs if one["log_level"] == "error"]
    assert [type(one) for one in shown] == [ZeroDivisionError]
