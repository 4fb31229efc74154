"""A line to a RabbitMQ broker that knows which methods of AMQP go over it."""

import asyncio
import struct
from collections import Counter
from collections.abc import Iterator
from enum import Enum
from typing import Final
from weakref import WeakKeyDictionary

from tests.support.line import BreakError, Call, Line, Way

PREAMBLE: Final = b"AMQP\x00\x00\x09\x01"
METHOD_FRAME: Final = 1
_HEAD: Final = struct.Struct(">BHL")
_METHOD: Final = struct.Struct(">HH")


class Method(Enum):
    """Methods of AMQP 0-9-1: class and number."""

    OPEN = (10, 40)
    BLOCKED = (10, 60)
    UNBLOCKED = (10, 61)
    PUBLISH = (60, 40)
    DELIVER = (60, 60)
    ACK = (60, 80)
    NACK = (60, 120)


_BY_NUMBERS: Final = {method.value: method for method in Method}


class Frames:
    """Reads one direction of a connection."""

    def __init__(self) -> None:
        """Begin with the client's preamble, or without."""
        self._rest = bytearray()

    def methods(self, data: bytes) -> Iterator[Method]:
        """Yield the methods that ``data`` ends; those that nobody asks for are left out."""
        rest = self._rest
        rest += data
        if rest.startswith(PREAMBLE):
            del rest[: len(PREAMBLE)]
        start = 0
        while len(rest) >= start + _HEAD.size:
            kind, _, size = _HEAD.unpack_from(rest, start)
            end = start + _HEAD.size + size + 1
            if len(rest) < end:
                break
            if kind == METHOD_FRAME:
                numbers = _METHOD.unpack_from(rest, start + _HEAD.size)
                if numbers in _BY_NUMBERS:
                    yield _BY_NUMBERS[numbers]
            start = end
        del rest[:start]


class BrokerLine(Line):
    """Counts methods, and breaks where a client acknowledges.

    Attributes:
        seen: How often each method came, by where it went.
        cuts_at_ack: How many of the next acknowledgements break their connection, unheard.
    """

    def __init__(self, port: int) -> None:
        """Lead to the broker on ``port``."""
        super().__init__(port)
        self.seen: Counter[tuple[Way, Method]] = Counter()
        self.cuts_at_ack = 0
        self._frames: WeakKeyDictionary[Call, dict[Way, Frames]] = WeakKeyDictionary()
        self._saw = asyncio.Event()

    def treat(self, call: Call, way: Way, data: bytes) -> bytes:
        """Count; see ``cuts_at_ack``."""
        ways = self._frames.setdefault(call, {one: Frames() for one in Way})
        for method in ways[way].methods(data):
            self.seen[way, method] += 1
            self._saw.set()
            if (way, method) == (Way.TO_SERVER, Method.ACK) and self.cuts_at_ack:
                self.cuts_at_ack -= 1
                raise BreakError
        return data

    async def until_seen(self, way: Way, method: Method, count: int) -> None:
        """Wait until ``method`` came so often; the caller limits the time."""
        while self.seen[way, method] < count:
            self._saw.clear()
            await self._saw.wait()
