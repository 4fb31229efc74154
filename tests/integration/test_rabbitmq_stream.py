"""What a relay says once to all below: only what is for all of them, each record once."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from broker.rabbitmq.login import place_of
from broker.rabbitmq.parcel import Parcel
from broker.rabbitmq.timing import Timing
from broker.rabbitmq.topology import down_stream
from broker.rabbitmq.wire import open_wire
from demo.servers.programs import free_port
from shared.link.frames import TO_ALL, Chunk, decode_frame
from shared.record.feed import is_for_all_below
from tests.support.carriers import soon
from tests.support.rabbit import ADMIN, RabbitServer, login
from tests.support.tiers import DISTRICT, TOWN, VILLAGE, VILLAGE_2, Tiers, Ways, only

ALL = {code: only("amqp") for code in (TOWN, VILLAGE, VILLAGE_2)}


async def delete_streams(rabbit: RabbitServer) -> None:
    """Delete the streams of district and town; no error if there are none."""
    wire = await soon(
        open_wire(place_of(rabbit.address), login(rabbit, ADMIN), Timing(), "deleter")
    )
    for code in (DISTRICT, TOWN):
        await soon(wire.delete(down_stream(code).name))
    await soon(wire.close())


async def read_stream(rabbit: RabbitServer, code: str, count: int) -> list[Chunk]:
    """Return the first ``count`` messages that lie in the stream of relay ``code``."""
    wire = await soon(open_wire(place_of(rabbit.address), login(rabbit, ADMIN), Timing(), "t"))
    came: asyncio.Queue[bytes] = asyncio.Queue()

    def take(parcel: Parcel, done: Callable[[], None]) -> None:
        came.put_nowait(parcel.body)
        done()

    await soon(wire.consume_apart(down_stream(code).name, take, lambda _why: None, "first"))
    frames = [decode_frame(await soon(came.get()), ()) for _ in range(count)]
    await soon(wire.close())
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


@pytest.mark.parametrize("scheme", ["amqp", "ws"])
async def test_a_village_listens_to_its_district_while_its_town_is_dead(
    tmp_path: Path, rabbit: RabbitServer, scheme: str
) -> None:
    """What is for all arrives; what is for one waits for the town, and so does its own word.

    The town may be on the broker, or answer by WebSocket alone.
    """
    own: dict[str, Any] = {} if scheme == "amqp" else {"broker_url": "", "listen_port": free_port()}
    ways: Ways = dict.fromkeys(ALL, lambda carrier: carrier)
    async with Tiers(tmp_path, rabbit.address) as tiers:
        await tiers.start(ways, {TOWN: own, VILLAGE: {"unheard_seconds": 0.5}})
        assert await tiers.linked_by(VILLAGE, TOWN) == scheme
        district, village, patient = (tiers.nodes[one] for one in (DISTRICT, VILLAGE, VILLAGE_2))

        def lacking(for_whom: str) -> int:
            feeds = village.log.feeds | district.log.feeds
            return sum(
                district.log.state(feed).count - village.log.state(feed).count
                for feed in feeds
                if (feed.lane, feed.audience) == ("ordinary", for_whom)
            )

        await tiers.act(DISTRICT, "publish", title="前", text="正文")
        await tiers.settled()
        await tiers.stop(TOWN)
        for number in range(5):
            await tiers.act(DISTRICT, "publish", title=f"大家的{number}", text="正文")
        await tiers.act(DISTRICT, "publish", title="一个村的", text="正文", to=VILLAGE)
        await tiers.act(VILLAGE, "file", kind="help", text="镇里没有人。")
        await tiers.when(lambda: lacking(f"{DISTRICT}*") == 0)
        assert (await tiers.act(VILLAGE, "status"))["listening"]["since_ms"] is not None
        assert village.listener is not None
        assert village.listener.stored >= 5
        assert lacking(VILLAGE) == 1
        assert patient.listener is not None
        assert patient.listener.stored == 0
        assert (DISTRICT, VILLAGE) in {(at, feed.author) for at, feed in tiers.lacking()}
        await tiers.serve(TOWN, ways[TOWN], **own)
        await tiers.settled()
        while (await tiers.act(VILLAGE, "status"))["listening"]["since_ms"] is not None:
            pass
        await tiers.act(DISTRICT, "publish", title="后", text="正文")
        await tiers.settled()
        for code, node in tiers.nodes.items():
            assert (await tiers.act(code, "verify"))["problems"] == []
            assert node.log.counters.refused == 0
        if scheme == "ws":  # on a stream, what the other village lacked passes once more
            assert village.log.counters.duplicates_offered == 0
