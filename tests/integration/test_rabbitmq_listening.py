"""An ancestor's stream heard without a link to it, and what it is good for."""

from pathlib import Path
from typing import Any

import pytest

from broker.rabbitmq.carrier import RabbitMqCarrier
from broker.rabbitmq.parcel import Kind, Parcel
from broker.rabbitmq.topology import DOWN_KEY, down_stream, exchange_of
from broker.rabbitmq.wire import Wire
from demo.servers.programs import free_port
from demo.servers.users import ADMIN
from shared.link.carrier import LinkDownError
from tests.support.carriers import CHILD, PARENT, RABBIT_TIMING, keys_of, soon, wire_of
from tests.support.rabbit import RabbitServer, login
from tests.support.tiers import DISTRICT, TOWN, VILLAGE, VILLAGE_2, Tiers, Ways


async def test_what_a_relay_says_is_heard_without_a_link_to_it(rabbit: RabbitServer) -> None:
    """From as long ago as is asked for; what another user wrote there is dropped."""
    stream, exchange = down_stream(PARENT.code), exchange_of(PARENT.code)
    carrier = RabbitMqCarrier(CHILD, keys_of, login(rabbit, CHILD.code), timing=RABBIT_TIMING)
    async with wire_of(rabbit, ADMIN) as admin, wire_of(rabbit, PARENT.code) as parent:

        async def say(wire: Wire, body: bytes) -> None:
            parcel = Parcel(Kind.TO_ALL, "3" * 32, 0, body, wire.user)
            await soon(wire.publish(parcel, exchange, DOWN_KEY))

        await soon(admin.delete(stream.name))
        await soon(parent.declare_apart(stream, exchange, DOWN_KEY))
        await say(admin, b"a stranger's")
        await say(parent, b"0")
        for number, back_seconds in enumerate((60.0, None)):
            listening = await soon(carrier.listen(PARENT.code, rabbit.address, back_seconds))
            await say(parent, b"%d" % (number + 1))
            for expected in range(number + 2):
                assert await soon(listening.receive()) == b"%d" % expected
                listening.done()
            assert listening.dropped == 1
            await soon(listening.close())
            with pytest.raises(LinkDownError):
                await soon(listening.receive())


async def test_a_stream_that_is_gone_is_not_heard(rabbit: RabbitServer) -> None:
    """Who listens is told, and so is who wants to."""
    stream = down_stream(PARENT.code)
    carrier = RabbitMqCarrier(CHILD, keys_of, login(rabbit, CHILD.code), timing=RABBIT_TIMING)
    async with wire_of(rabbit, ADMIN) as admin:
        await soon(admin.delete(stream.name))
        await soon(admin.declare(stream))
        listening = await soon(carrier.listen(PARENT.code, rabbit.address, None))
        await soon(admin.delete(stream.name))
        with pytest.raises(LinkDownError, match="ended the queue"):
            await soon(listening.receive())
        await soon(listening.close())
        with pytest.raises(LinkDownError, match="no queue"):
            await soon(carrier.listen(PARENT.code, rabbit.address, None))


@pytest.mark.parametrize("scheme", ["amqp", "ws"])
async def test_a_village_listens_to_its_district_while_its_town_is_dead(
    tmp_path: Path, rabbit: RabbitServer, scheme: str
) -> None:
    """What is for all arrives; what is for one waits for the town, and so does its own word.

    The town may be on the broker, or answer by WebSocket alone.
    """
    own: dict[str, Any] = {} if scheme == "amqp" else {"broker_url": "", "listen_port": free_port()}
    ways: Ways = dict.fromkeys((TOWN, VILLAGE, VILLAGE_2), lambda carrier: carrier)
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
