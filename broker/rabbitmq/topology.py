"""What is declared on the broker, and under which names (protocol 5.8); pure.

Only arguments that RabbitMQ documents from 3.10 to 4.x; ``docs/reference/rabbitmq.md`` draws it.
"""

import re
from dataclasses import dataclass, field
from typing import Final

MIB: Final = 1024 * 1024

UP_BYTES_MAX: Final = 256 * MIB
"""What waits for one relay. A full window of all 300 children (8 frames of 64 KiB each on average)
is 150 MiB; what does not fit is refused, and the sender tries again."""

DELIVERIES_MAX: Final = 5
"""How often a frame is delivered anew after its consumer died with it; then the broker drops it.
Its link died too, so nobody misses it."""

REPLY_BYTES_MAX: Final = 64 * MIB
"""More than a full window of the largest frames, 8 × 4 MiB, to one child."""

STREAM_BYTES_MAX: Final = 1024 * MIB
SEGMENT_BYTES_MAX: Final = 64 * MIB

HEADS_SECONDS: Final = 60
"""A Heads that waited so long is older than the question for the next one."""

CHUNK_SECONDS: Final = 600
"""A chunk that waited so long was asked for again and sent again (protocol 5.4 e)."""

DEFAULT_EXCHANGE: Final = "amq.default"
"""The name by which rights speak of the exchange without a name."""

_TOKEN: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Queue:
    """A queue as it is declared.

    Attributes:
        name: Its name.
        durable: It survives a restart of the broker.
        exclusive: It belongs to one connection and ends with it.
        arguments: The ``x-`` arguments.
    """

    name: str
    durable: bool = True
    exclusive: bool = False
    arguments: dict[str, str | int | bool] = field(default_factory=dict)


def exchange_of(code: str) -> str:
    """Return the name of the topic exchange of relay ``code``."""
    return f"relay.{code}"


def key_of(child: str) -> str:
    """Return the routing key by which division ``child`` writes to a relay."""
    return f"up.{child}"


UP_BINDING: Final = "up.*"
"""Binds ``up.<code>`` to ``relay.<code>``: whatever children write."""

DOWN_KEY: Final = "down"
"""By which a relay writes to its own stream, and its binding."""


def up_queue(code: str) -> Queue:
    """Return the queue from which relay ``code`` takes what its children send."""
    return Queue(
        f"up.{code}",
        arguments={
            "x-queue-type": "quorum",
            "x-single-active-consumer": True,
            "x-overflow": "reject-publish",
            "x-max-length-bytes": UP_BYTES_MAX,
            "x-delivery-limit": DELIVERIES_MAX,
        },
    )


def down_stream(code: str) -> Queue:
    """Return the stream on which relay ``code`` says what all below it are to hold."""
    return Queue(
        f"down.{code}",
        arguments={
            "x-queue-type": "stream",
            "x-max-length-bytes": STREAM_BYTES_MAX,
            "x-stream-max-segment-size-bytes": SEGMENT_BYTES_MAX,
        },
    )


def reply_queue(code: str, token: str) -> Queue:
    """Return the queue on which division ``code`` hears a relay, for one connection.

    Args:
        code: The child.
        token: 32 random hex digits.
    """
    return Queue(
        f"reply.{code}.{token}",
        durable=False,
        exclusive=True,
        arguments={"x-overflow": "reject-publish", "x-max-length-bytes": REPLY_BYTES_MAX},
    )


def is_reply_queue(name: str, code: str) -> bool:
    """Tell whether ``name`` is a reply queue of division ``code``."""
    prefix = f"reply.{code}."
    return name.startswith(prefix) and _TOKEN.fullmatch(name.removeprefix(prefix)) is not None


def child_of(reply_to: str) -> str:
    """Return the division whose reply queue ``reply_to`` is; empty if it is no reply queue."""
    code = reply_to.removeprefix("reply.").partition(".")[0]
    return code if code.isdigit() and is_reply_queue(reply_to, code) else ""
