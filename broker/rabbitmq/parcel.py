"""One AMQP message of ours and its properties (protocol 5.8); no I/O.

property          value
----------------- ------------------------------------------------------------------
type              frame | taken | close | to_all
correlation_id    the link: 32 random hex digits, chosen by who dialled; of what is said to all
                  below, the relay's connection
headers.n         frame: its number on the link; taken: how many the sender has taken; to_all: 0
headers.taken     of a frame: how many its sender has taken, unless none
headers.hears_all true from a child that hears its relay's stream
reply_to          from a child: the queue on which it hears the relay
user_id           the broker's user that sent it; the broker checks it
expiration        Heads 60 s, all else 10 min
body              the frame; of a close the reason
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeGuard

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractMessage, FieldValue

from broker.rabbitmq.topology import CHUNK_SECONDS, HEADS_SECONDS
from shared.errors import FaultError
from shared.link.frames import is_heads
from shared.record.limits import FRAME_BYTES_MAX, INTEGER_MAX

REASON_BYTES_MAX: Final = 200
_LINK: Final = re.compile(r"[0-9a-f]{32}")


class Kind(StrEnum):
    """What a message is."""

    FRAME = "frame"
    TAKEN = "taken"
    CLOSE = "close"
    TO_ALL = "to_all"


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message as the link sees it.

    Attributes:
        kind: What it is.
        link: Of which link.
        n: See the table above; 0 for a close.
        body: The frame, or the reason.
        user: Who sent it, says the broker; empty if it does not say.
        reply_to: Where a child hears us; empty from a relay.
        hears_all: A child hears what we say to all.
        taken: See the table above.
    """

    kind: Kind
    link: str
    n: int = 0
    body: bytes = b""
    user: str = ""
    reply_to: str = ""
    hears_all: bool = False
    taken: int = 0


def message_of(parcel: Parcel) -> Message:
    """Return ``parcel`` as a message to publish."""
    headers: dict[str, FieldValue] = {"n": parcel.n}
    if parcel.hears_all:
        headers["hears_all"] = True
    if parcel.taken:
        headers["taken"] = parcel.taken
    short = parcel.kind in (Kind.TAKEN, Kind.CLOSE) or is_heads(parcel.body)
    return Message(
        parcel.body,
        type=parcel.kind.value,
        correlation_id=parcel.link,
        headers=headers,
        reply_to=parcel.reply_to or None,
        user_id=parcel.user or None,
        expiration=HEADS_SECONDS if short else CHUNK_SECONDS,
        # A link does not survive the broker's restart, so neither need its frames.
        delivery_mode=DeliveryMode.NOT_PERSISTENT,
    )


def parcel_of(message: AbstractMessage) -> Parcel:
    """Return what a message that came says.

    Raises:
        FaultError: it is none of ours.
    """
    try:
        kind = Kind(message.type or "")
    except ValueError:
        raise FaultError("a message of no known type") from None
    n, taken = message.headers.get("n"), message.headers.get("taken", 0)
    link = message.correlation_id or ""
    size_max = FRAME_BYTES_MAX if kind in (Kind.FRAME, Kind.TO_ALL) else REASON_BYTES_MAX
    if not (_is_counter(n) and _is_counter(taken)):
        raise FaultError("a message without a number")
    if not _LINK.fullmatch(link) or len(message.body) > size_max:
        raise FaultError("a message of no link, or too large")
    return Parcel(
        kind, link, n, message.body, message.user_id or "", message.reply_to or "",
        message.headers.get("hears_all") is True, taken,
    )  # fmt: skip


def _is_counter(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= INTEGER_MAX
