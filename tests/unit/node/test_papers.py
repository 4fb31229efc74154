"""A village whose town never told the district of it brings its certificates along (4.8)."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from broker.introduction import Identity
from broker.websocket import LinkRoute, WebSocketCarrier
from broker.websocket_connection import Timing
from shared.errors import FaultError, RefusedError, StorageError
from shared.link.carrier import LinkDownError
from shared.link.frames import Chunk, Heads, Mode, encode_chunk, encode_heads
from shared.log.log import Log
from shared.log.memory import MemoryStore
from shared.log.store import Batch
from shared.node.clock import HandClock
from shared.node.papers import NodePapers
from shared.record.record import Record
from shared.record.run import Run
from shared.trust.keys import PublicKey
from tests.support.carriers import Answering, serving, soon
from tests.support.records import key_of
from tests.support.trust import (
    DISTRICT,
    TOWN,
    VILLAGE,
    VILLAGE_2,
    further_divisions,
    small_district,
)

TIMING = Timing(close_seconds=0.05)
SMALL = small_district()
OF_DISTRICT = (SMALL.founded, SMALL.district_opened, SMALL.town_certified)
OF_PATH = (SMALL.town_opened, SMALL.village_certified, SMALL.village_opened)


async def log_of(code: str, *records: Record) -> Log:
    """Return the log of a division that holds ``records``."""
    log = Log(code, MemoryStore(), SMALL.founded.rid)
    await log.open()
    for one in records:
        await log.accept([Run(one.header.feed, one.header.seq, (one,))], 0)
    return log


def papers_of(log: Log) -> NodePapers:
    """Return what shows and takes certificates for a log."""
    return NodePapers(log, HandClock())


@asynccontextmanager
async def district(log: Log) -> AsyncIterator[tuple[Answering, str]]:
    """A district that answers on this machine; yields its end of links, and the address."""
    answering = Answering()
    me = Identity(DISTRICT, key_of(0), papers_of(log))

    def keys_of(code: str) -> Sequence[PublicKey]:
        return log.roster.keys_of(code)  # another roster after each commit that adds trust

    route = LinkRoute(me, keys_of, answering, timing=TIMING)
    async with serving(route.handle, route.close) as address:
        yield answering, address
        answering.release.set()


@asynccontextmanager
async def dialling(log: Log, key: int = 2) -> AsyncIterator[WebSocketCarrier]:
    """The carrier of a village."""
    me = Identity(VILLAGE, key_of(key), papers_of(log))
    carrier = WebSocketCarrier(me, log.roster.keys_of, timing=TIMING)
    yield carrier
    await carrier.close()


async def test_an_unknown_village_brings_what_certifies_it() -> None:
    """The district takes the town's and the village's trust records and opens the link; once it
    knows the village, nothing is asked for.
    """
    above, below = await log_of(DISTRICT, *OF_DISTRICT), await log_of(VILLAGE, *SMALL.records)
    async with district(above) as (answering, address), dialling(below) as carrier:
        for _ in range(2):
            link = await soon(carrier.dial(DISTRICT, address))
            assert (await soon(answering.links.get())).peer == VILLAGE
            await link.close()
    assert above.roster.certificate_of(VILLAGE) == below.roster.certificate_of(VILLAGE)
    assert all(above.state(one.header.feed).count for one in OF_PATH)
    assert not above.counters.duplicates_offered


async def test_who_holds_another_key_is_refused_all_the_same() -> None:
    """Certificates are no secret: whoever shows them proves nothing yet."""
    above, below = await log_of(DISTRICT, *OF_DISTRICT), await log_of(VILLAGE, *SMALL.records)
    async with district(above) as (_, address), dialling(below, key=9) as carrier:
        with pytest.raises(LinkDownError, match="holds no key of"):
            await soon(carrier.dial(DISTRICT, address))


async def test_who_has_no_certificate_stays_unknown() -> None:
    """A village that shows nothing that leads to it."""
    above, below = await log_of(DISTRICT, *OF_DISTRICT), await log_of(VILLAGE, *OF_DISTRICT)
    async with district(above) as (_, address), dialling(below) as carrier:
        with pytest.raises(LinkDownError, match=f"no key of {VILLAGE} is known here"):
            await soon(carrier.dial(DISTRICT, address))


def _chunk(*records: Record) -> bytes:
    return encode_chunk(
        Chunk(bytes(8), 1, tuple(Run(one.header.feed, one.header.seq, (one,)) for one in records))
    )


def _heads() -> bytes:
    heads = Heads(VILLAGE, DISTRICT, bytes(8), 1, b"", 0, ask=False, root=bytes(32), mode=Mode.NONE)
    return encode_heads(heads, key_of(2))


@pytest.mark.parametrize(
    "show",
    [
        lambda: [_heads()],
        lambda: [b"noise"],
        lambda: [_chunk(SMALL.founded)],
        lambda: [_chunk(further_divisions()[1])],
    ],
    ids=["heads", "noise", "the district's own", "another village's"],
)
async def test_what_leads_elsewhere_is_not_taken(show: Callable[[], Sequence[bytes]]) -> None:
    """Nothing but trust records between the two."""
    above = await log_of(DISTRICT, *OF_DISTRICT, *OF_PATH[:2], further_divisions()[0])
    assert above.roster.certificate_of(VILLAGE_2)
    with pytest.raises(FaultError):
        await papers_of(above).take(VILLAGE, show())
    assert not any(feed.author == VILLAGE_2 for feed in above.feeds)


async def test_forged_certificates_change_nothing() -> None:
    """They are judged like all records: what the town did not sign is not stored."""
    above = await log_of(DISTRICT, *OF_DISTRICT)
    good = SMALL.town_opened
    bent = good.header_cose[:-1] + bytes([good.header_cose[-1] ^ 1])
    forged = Record(bent, good.salt, good.body)
    await papers_of(above).take(VILLAGE, [_chunk(forged)])
    assert not any(feed.author == TOWN for feed in above.feeds)


async def test_a_full_disk_is_said() -> None:
    """To who brings certificates, and to who cannot read its own."""
    store = MemoryStore()
    above = Log(DISTRICT, store, SMALL.founded.rid)
    await above.open()
    for one in OF_DISTRICT:
        await above.accept([Run(one.header.feed, one.header.seq, (one,))], 0)

    def refuse(_batch: Batch) -> None:
        raise StorageError("The disk is full.")

    store.before_commit = refuse
    with pytest.raises(RefusedError, match="nothing can be stored"):
        await papers_of(above).take(VILLAGE, [_chunk(SMALL.town_opened)])
    below = await log_of(VILLAGE, *SMALL.records)
    await below.store.close()
    with pytest.raises(LinkDownError):
        await papers_of(below).show(DISTRICT)
