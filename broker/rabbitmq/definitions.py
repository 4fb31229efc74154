"""From the divisions of a district to what a broker must know of them (protocol 5.8); pure.

The result is RabbitMQ's own format, for ``rabbitmqctl import_definitions`` or the setting
``load_definitions``. One user a division, named by its code, with these rights:

    right      | village                              | town, district: also
    -----------+--------------------------------------+----------------------------------------
    configure  | its own reply queues                 | its exchange, queue and stream
    write      | the exchanges of its ancestors       | its exchange, queue and stream (to bind
               |                                      | them), amq.default (replies to children)
    read       | its own reply queues,                | its exchange, queue and stream
               | the streams of its ancestors         |
    by topic   | to each ancestor: up.<own code>      | bind up.* and down, write down

Whoever binds and reads is not thereby believed: keys are proven over every link.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

from broker.rabbitmq.topology import (
    DEFAULT_EXCHANGE,
    DOWN_KEY,
    UP_BINDING,
    Queue,
    down_stream,
    exchange_of,
    key_of,
    up_queue,
)
from shared.record.feed import Level, is_above

SALT_BYTES: Final = 4
CONNECTIONS_MAX: Final = 8
"""Of one user at once: a relay has one to answer and one to dial; a broken one may linger."""
CHANNELS_MAX: Final = 4 * CONNECTIONS_MAX


def password_hash(password: str, salt: bytes) -> str:
    """Return ``password`` as RabbitMQ keeps it: base64 of salt4 ‖ SHA-256(salt4 ‖ password)."""
    digest = hashlib.sha256(salt + password.encode()).digest()
    return base64.b64encode(salt + digest).decode("ascii")


def definitions(
    divisions: Mapping[str, Level], hashes: Mapping[str, str], vhost: str
) -> dict[str, Any]:
    """Return the definitions for a broker that serves ``divisions``.

    Args:
        divisions: Level of each, by code.
        hashes: ``password_hash`` of each; who is missing cannot log in with a password.
        vhost: The virtual host they meet on.
    """
    relays = sorted(code for code, level in divisions.items() if level != Level.VILLAGE)
    above = {code: [relay for relay in relays if is_above(relay, code)] for code in divisions}
    codes = sorted(divisions)
    return {
        "vhosts": [{"name": vhost}],
        "users": [_user(code, hashes.get(code, "")) for code in codes],
        "permissions": [_rights(code, above[code], code in relays, vhost) for code in codes],
        "topic_permissions": [
            topic for code in codes for topic in _topics(code, above[code], code in relays, vhost)
        ],
        "exchanges": [_exchange(code, vhost) for code in relays],
        "queues": [
            _queue(queue, vhost) for code in relays for queue in (up_queue(code), down_stream(code))
        ],
        "bindings": [
            _binding(code, queue, key, vhost)
            for code in relays
            for queue, key in ((up_queue(code), UP_BINDING), (down_stream(code), DOWN_KEY))
        ],
    }


def _user(code: str, hashed: str) -> dict[str, Any]:
    return {
        "name": code,
        "password_hash": hashed,
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": "",
        "limits": {"max-connections": CONNECTIONS_MAX, "max-channels": CHANNELS_MAX},
    }


def _rights(code: str, above: list[str], is_relay: bool, vhost: str) -> dict[str, Any]:  # noqa: FBT001 - a row of the table
    replies = rf"reply\.{code}\.[0-9a-f]{{32}}"
    own = [rf"up\.{code}", rf"relay\.{code}", rf"down\.{code}"] if is_relay else []
    up = [re.escape(exchange_of(relay)) for relay in above]
    down = [re.escape(down_stream(relay).name) for relay in above]
    default = [re.escape(DEFAULT_EXCHANGE)] if is_relay else []
    return {
        "user": code,
        "vhost": vhost,
        "configure": _any_of([replies, *own]),
        "write": _any_of([*up, *own, *default]),
        "read": _any_of([replies, *own, *down]),
    }


def _topics(code: str, above: list[str], is_relay: bool, vhost: str) -> list[dict[str, Any]]:  # noqa: FBT001 - a row of the table
    written, nothing = re.escape(key_of(code)), _any_of([])
    rows = {exchange_of(relay): (_any_of([written]), nothing) for relay in above}
    if is_relay:
        rows[exchange_of(code)] = (_any_of([DOWN_KEY]), _any_of([re.escape(UP_BINDING), DOWN_KEY]))
    return [
        {"user": code, "vhost": vhost, "exchange": exchange, "write": write, "read": read}
        for exchange, (write, read) in rows.items()
    ]


def _any_of(patterns: list[str]) -> str:
    """Return the regular expression that matches just these; nothing at all if there are none."""
    return f"^({'|'.join(patterns)})$" if patterns else "^$"


def _exchange(code: str, vhost: str) -> dict[str, Any]:
    return {
        "name": exchange_of(code), "vhost": vhost, "type": "topic", "durable": True,
        "auto_delete": False, "internal": False, "arguments": {},
    }  # fmt: skip


def _queue(queue: Queue, vhost: str) -> dict[str, Any]:
    return {
        "name": queue.name, "vhost": vhost, "durable": queue.durable, "auto_delete": False,
        "arguments": dict(queue.arguments),
    }  # fmt: skip


def _binding(code: str, queue: Queue, key: str, vhost: str) -> dict[str, Any]:
    return {
        "source": exchange_of(code), "vhost": vhost, "destination": queue.name,
        "destination_type": "queue", "routing_key": key, "arguments": {},
    }  # fmt: skip
