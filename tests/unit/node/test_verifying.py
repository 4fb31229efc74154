"""Long frames are decoded and judged where the node says, so that the event loop lives on."""

from collections.abc import Callable
from hashlib import sha256
from random import Random
from typing import TypeVar

from shared.link.carrier import LinkDownError
from shared.link.frames import Chunk, encode_chunk
from shared.log.log import AT_ONCE_RECORDS_MAX, Log
from shared.log.memory import MemoryStore
from shared.node.clock import SystemClock
from shared.node.conversation import AT_ONCE_BYTES_MAX
from shared.node.links import Links
from shared.record.feed import Feed
from shared.record.record import Record
from shared.record.run import Run
from tests.support.records import key_of, record_of
from tests.support.trust import DISTRICT, EPOCH, TOWN, small_district

T = TypeVar("T")
FEED = Feed(DISTRICT, EPOCH, "ordinary", DISTRICT + "*")


class Elsewhere:
    """An offload that notes that it was used."""

    used = 0

    async def __call__(self, work: Callable[[], T]) -> T:
        """Run ``work``."""
        self.used += 1
        return work()


class Once:
    """A link from the district that carries the given frames and ends."""

    peer = DISTRICT
    hears_all = False

    def __init__(self, *frames: bytes) -> None:
        """Carry ``frames``."""
        self._frames = list(frames)

    async def send(self, frame: bytes) -> None:
        """Let it be lost."""

    async def receive(self) -> bytes:
        """Return the next frame."""
        if not self._frames:
            raise LinkDownError("the end")
        return self._frames.pop(0)

    def done(self) -> None:
        """See the port."""

    async def close(self) -> None:
        """See the port."""


def notices(count: int, chars: int) -> Run:
    """Return a run of the district's notices, whose texts hardly pack."""
    records, prev = list[Record](), small_district().district_opened.rid
    for seq in range(count):
        text = "".join(sha256(b"%d %d" % (seq, part)).hexdigest() for part in range(chars // 64))
        records.append(record_of(FEED, seq, prev, text=text, key=key_of(0)))
        prev = records[-1].rid
    return Run(FEED, 0, tuple(records))


async def hear(run: Run) -> int:
    """Return how often something was done elsewhere when a town heard ``run``."""
    small, elsewhere = small_district(), Elsewhere()
    log = Log(TOWN, MemoryStore(), small.founded.rid, elsewhere)
    await log.open()
    for record in small.records:
        await log.accept([Run(record.header.feed, record.header.seq, (record,))], 0)
    assert elsewhere.used == 0
    links = Links(
        log, key_of(1), clock=SystemClock(), entropy=lambda size: b"e" * size, chance=Random(1)
    )
    await links._talk(Once(encode_chunk(Chunk(b"12345678", 1, (run,)))), "", dialled=False)
    assert log.state(FEED).count == len(run.records)
    return elsewhere.used


async def test_a_long_frame_is_decoded_and_judged_elsewhere() -> None:
    """Once each, however many records it holds (protocol 5.8: heartbeats live)."""
    run = notices(AT_ONCE_RECORDS_MAX + 1, 1024)
    assert await hear(run) == 2


async def test_few_long_records_are_only_decoded_elsewhere() -> None:
    """Their bytes are many, their signatures are not."""
    run = notices(2, AT_ONCE_BYTES_MAX)
    assert await hear(run) == 1


async def test_a_short_frame_is_worth_no_thread() -> None:
    """A notice is there as soon as it came."""
    assert await hear(notices(1, 64)) == 0
