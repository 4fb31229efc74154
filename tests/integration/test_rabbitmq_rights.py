"""The definitions that ``district broker-definitions`` writes, imported into a real broker."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import AMQPError, ChannelPreconditionFailed, DeliveryError
from aiormq.exceptions import ChannelAccessRefused

from broker.rabbitmq.definitions import definitions, password_hash
from broker.rabbitmq.topology import (
    DOWN_KEY,
    down_stream,
    exchange_of,
    key_of,
    reply_queue,
    up_queue,
)
from demo.servers.users import password_of
from shared.record.feed import Level
from tests.support.carriers import soon
from tests.support.rabbit import RabbitServer

VHOST = "rights"
DISTRICT, TOWN, VILLAGE, BESIDE = "340604", "340604100", "340604100201", "340604101"
LEVELS = {
    DISTRICT: Level.DISTRICT, TOWN: Level.TOWN, VILLAGE: Level.VILLAGE, BESIDE: Level.TOWN,
}  # fmt: skip
TOKEN = "0123456789abcdef" * 2


@pytest.fixture(scope="module")
def broker(broker_of_all: RabbitServer) -> RabbitServer:
    """A broker that took our definitions, queues included."""
    hashes = {code: password_hash(password_of(code), b"salt") for code in LEVELS}
    broker_of_all.import_definitions(definitions(LEVELS, hashes, VHOST))
    return broker_of_all


async def connect(broker: RabbitServer, code: str) -> AbstractConnection:
    """Log in as a division."""
    return await aio_pika.connect(
        host="127.0.0.1", port=broker.port, login=code, password=password_of(code),
        virtualhost=VHOST,
    )  # fmt: skip


@pytest.fixture
async def village(broker: RabbitServer) -> AsyncIterator[AbstractChannel]:
    """A channel of the village's user."""
    connection = await soon(connect(broker, VILLAGE))
    yield await soon(connection.channel(on_return_raises=True))
    await soon(connection.close())


async def write(
    channel: AbstractChannel, exchange: str, key: str, user: str | None = VILLAGE
) -> None:
    """Publish and wait for the confirm."""
    target = (
        await channel.get_exchange(exchange, ensure=False) if exchange else channel.default_exchange
    )
    await target.publish(aio_pika.Message(b"x", user_id=user), key, mandatory=True)


async def consume(channel: AbstractChannel, name: str) -> None:
    """Read from a queue."""
    queue = await channel.get_queue(name, ensure=False)
    await queue.consume(_ignore)


async def _ignore(_message: object) -> None:
    """Take a message and do nothing."""


async def declare(channel: AbstractChannel, code: str) -> None:
    """Declare a reply queue in the name of a division."""
    queue = reply_queue(code, TOKEN)
    await channel.declare_queue(queue.name, exclusive=True, arguments=dict(queue.arguments))


async def test_what_a_village_may(broker: RabbitServer, village: AbstractChannel) -> None:
    """Write to its ancestors with its own key, hear its replies, read their streams."""
    await soon(write(village, exchange_of(TOWN), key_of(VILLAGE)))
    await soon(write(village, exchange_of(DISTRICT), key_of(VILLAGE)))
    await soon(declare(village, VILLAGE))
    await soon(consume(village, reply_queue(VILLAGE, TOKEN).name))
    await soon(village.set_qos(prefetch_count=1))
    await soon(consume(village, down_stream(TOWN).name))
    await soon(consume(village, down_stream(DISTRICT).name))
    town = await soon(connect(broker, TOWN))
    came: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
    queue = await (await town.channel()).get_queue(up_queue(TOWN).name, ensure=False)
    await soon(queue.consume(came.put, no_ack=True))
    message = await soon(came.get())
    assert (message.body, message.user_id) == (b"x", VILLAGE)
    await soon(town.close())


REFUSED: list[tuple[str, Callable[[AbstractChannel], Awaitable[None]]]] = [
    ("amq.default", lambda c: write(c, "", up_queue(TOWN).name)),
    ("a reply through amq.default", lambda c: write(c, "", f"reply.{TOWN}.{TOKEN}")),
    ("another routing key", lambda c: write(c, exchange_of(TOWN), key_of("340604100202"))),
    ("the stream of its town", lambda c: write(c, exchange_of(TOWN), DOWN_KEY)),
    ("the stream of its district", lambda c: write(c, exchange_of(DISTRICT), DOWN_KEY)),
    ("an exchange that is not above it", lambda c: write(c, exchange_of(BESIDE), key_of(VILLAGE))),
    ("the queue of its relay", lambda c: consume(c, up_queue(TOWN).name)),
    ("the stream of another town", lambda c: consume(c, down_stream(BESIDE).name)),
    ("a reply queue of others", lambda c: declare(c, TOWN)),
]


@pytest.mark.parametrize("attempt", [one[1] for one in REFUSED], ids=[one[0] for one in REFUSED])
async def test_what_a_village_may_not(
    village: AbstractChannel, attempt: Callable[[AbstractChannel], Awaitable[None]]
) -> None:
    """The broker refuses, and the channel is closed."""
    with pytest.raises(ChannelAccessRefused):
        await soon(attempt(village))


async def test_a_false_user_id_is_refused(village: AbstractChannel) -> None:
    """Who sent a message stands in it as the broker checked it."""
    with pytest.raises(ChannelPreconditionFailed, match="user_id"):
        await soon(write(village, exchange_of(TOWN), key_of(VILLAGE), TOWN))


async def test_others_replies_cannot_be_read(
    broker: RabbitServer, village: AbstractChannel
) -> None:
    """Even with the name of the queue known: it belongs to one connection, and rights forbid it."""
    town = await soon(connect(broker, TOWN))
    await declare(await town.channel(), TOWN)
    with pytest.raises(AMQPError, match=r"refused|locked|ACCESS|RESOURCE"):
        await soon(consume(village, reply_queue(TOWN, TOKEN).name))
    await soon(town.close())


async def test_a_relay_reaches_its_children(broker: RabbitServer, village: AbstractChannel) -> None:
    """Over amq.default; where nobody hears, the message comes back."""
    await soon(declare(village, VILLAGE))
    town = await soon(connect(broker, TOWN))
    channel = await soon(town.channel(on_return_raises=True))
    await soon(write(channel, "", reply_queue(VILLAGE, TOKEN).name, TOWN))
    with pytest.raises(DeliveryError):
        await soon(write(channel, "", reply_queue(VILLAGE, "f" * 32).name, TOWN))
    with pytest.raises(ChannelAccessRefused):
        await soon(consume(channel, up_queue(BESIDE).name))
    await soon(town.close())


async def test_the_command_writes_what_a_broker_takes(broker: RabbitServer, tmp_path: Path) -> None:
    """Limits of connections arrive with the users."""
    limits = json.loads(broker.ctl("list_user_limits", "--user", VILLAGE).split("\t")[-1])
    assert limits["max-connections"] > 0
