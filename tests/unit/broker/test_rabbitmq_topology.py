"""What is declared: only what RabbitMQ 3.10 to 4.x document; who may do what with it."""

import base64
import hashlib
import re
from typing import Any

import pytest

from broker.rabbitmq.definitions import definitions, password_hash
from broker.rabbitmq.topology import (
    Queue,
    child_of,
    down_stream,
    is_reply_queue,
    reply_queue,
    up_queue,
)
from shared.record.feed import Level

TOKEN = "0123456789abcdef" * 2
DISTRICT, TOWN, VILLAGE, OTHER = "340602", "340602100", "340602100201", "340602101"
OWN_REPLY = f"reply.{VILLAGE}.{TOKEN}"
LEVELS = {
    DISTRICT: Level.DISTRICT, TOWN: Level.TOWN, VILLAGE: Level.VILLAGE, OTHER: Level.TOWN,
}  # fmt: skip

# By type of queue: rabbitmq.com/docs/{quorum-queues,streams,maxlength}, versions 3.10 to 4.2.
DOCUMENTED = {
    "quorum": {
        "x-queue-type", "x-single-active-consumer", "x-overflow", "x-max-length-bytes",
        "x-delivery-limit",
    },
    "stream": {"x-queue-type", "x-max-length-bytes", "x-stream-max-segment-size-bytes"},
    "classic": {"x-overflow", "x-max-length-bytes"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("queue", "kind"),
    [
        (up_queue(TOWN), "quorum"),
        (down_stream(TOWN), "stream"),
        (reply_queue(TOWN, TOKEN), "classic"),
    ],
    ids=["up", "down", "reply"],
)  # fmt: skip
def test_only_documented_arguments_are_declared(queue: Queue, kind: str) -> None:
    """No argument of one type of queue stands at another, and every queue has a bound in bytes."""
    assert set(queue.arguments) <= DOCUMENTED[kind]
    assert queue.arguments.get("x-queue-type", "classic") == kind
    assert queue.arguments["x-max-length-bytes"] > 0  # type: ignore[operator]


def test_no_queue_is_transient_and_shared() -> None:
    """What RabbitMQ 4 deprecates: a queue that neither survives a restart nor has one owner."""
    for queue in (up_queue(TOWN), down_stream(TOWN), reply_queue(TOWN, TOKEN)):
        assert queue.durable != queue.exclusive


@pytest.mark.parametrize(
    "name",
    [
        f"reply.{TOWN}.{TOKEN[:-1]}", f"reply.{TOWN}.{TOKEN}0", f"reply.{TOWN}.{TOKEN[:-1]}X",
        f"reply.{VILLAGE}.{TOKEN}", f"up.{TOWN}", f"reply.{TOWN}.", "", f"reply.{TOWN}\n.{TOKEN}",
    ],
)  # fmt: skip
def test_only_a_reply_queue_of_the_division_is_one(name: str) -> None:
    """Relays write nowhere else, whatever a message says."""
    assert not is_reply_queue(name, TOWN)
    assert is_reply_queue(reply_queue(TOWN, TOKEN).name, TOWN)


def test_a_reply_queue_names_its_division() -> None:
    """And nothing else does."""
    assert child_of(reply_queue(TOWN, TOKEN).name) == TOWN
    assert child_of(f"up.{TOWN}") == child_of("") == child_of(f"reply.x.{TOKEN}") == ""


def rights(code: str, kind: str = "permissions") -> list[dict[str, Any]]:
    """Return the rows of one division."""
    made = definitions(LEVELS, {}, "v")
    return [row for row in made[kind] if row["user"] == code]


@pytest.mark.parametrize(
    ("code", "right", "allowed", "refused"),
    [
        (VILLAGE, "configure", [OWN_REPLY], [f"reply.{TOWN}.{TOKEN}", f"up.{TOWN}"]),
        (VILLAGE, "write", [f"relay.{TOWN}", f"relay.{DISTRICT}"],
         ["amq.default", f"relay.{OTHER}", f"up.{TOWN}", f"relay.{TOWN}0", OWN_REPLY]),
        (VILLAGE, "read", [OWN_REPLY, f"down.{TOWN}", f"down.{DISTRICT}"],
         [f"up.{TOWN}", f"down.{OTHER}", f"reply.{TOWN}.{TOKEN}", f"relay.{TOWN}"]),
        (TOWN, "configure", [f"relay.{TOWN}", f"up.{TOWN}", f"down.{TOWN}"], [f"up.{OTHER}"]),
        (TOWN, "write", ["amq.default", f"up.{TOWN}", f"relay.{TOWN}", f"relay.{DISTRICT}"],
         [f"relay.{OTHER}", f"up.{DISTRICT}", "amqXdefault"]),
        (TOWN, "read", [f"up.{TOWN}", f"relay.{TOWN}"], [f"up.{DISTRICT}", f"relay.{DISTRICT}"]),
        (DISTRICT, "write", ["amq.default", f"relay.{DISTRICT}"], [f"relay.{TOWN}"]),
    ],
)  # fmt: skip
def test_rights_are_the_protocols(
    code: str, right: str, allowed: list[str], refused: list[str]
) -> None:
    """Each row of the table, as the regular expression that the broker applies."""
    (row,) = rights(code)
    pattern = re.compile(row[right])
    assert [name for name in allowed if not pattern.search(name)] == []
    assert [name for name in refused if pattern.search(name)] == []


def test_each_writes_with_its_own_key_only() -> None:
    """To every ancestor's exchange, and to no other."""
    topics = {row["exchange"]: row for row in rights(VILLAGE, "topic_permissions")}
    assert set(topics) == {f"relay.{TOWN}", f"relay.{DISTRICT}"}
    for row in topics.values():
        assert re.search(row["write"], f"up.{VILLAGE}")
        assert not re.search(row["write"], f"up.{OTHER}")
        assert not re.search(row["write"], f"up.{VILLAGE}.x")


def test_who_has_no_password_cannot_log_in_with_one() -> None:
    """RabbitMQ refuses every password for an empty hash; others are salted SHA-256."""
    made = definitions(LEVELS, {TOWN: password_hash("geheim", b"salt")}, "v")
    hashes = {user["name"]: user["password_hash"] for user in made["users"]}
    assert hashes.pop(TOWN) == base64.b64encode(
        b"salt" + hashlib.sha256(b"saltgeheim").digest()
    ).decode()  # fmt: skip
    assert set(hashes.values()) == {""}
