"""A town's node and a village that sends what it must not: refused, kept, and nothing is lost.

The village's end of the link is played by hand, with its real key, so that every byte can be
chosen. What only the carrier can see (a frame beyond its limit) stands in its own tests.
"""

import random
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from broker.memory import MemoryConnection, MemoryHub
from shared.domain.catalogue import KINDS
from shared.errors import StorageError
from shared.link.carrier import LinkDownError
from shared.link.frames import (
    Chunk,
    Entry,
    Heads,
    Mode,
    State,
    decode_frame,
    encode_chunk,
    encode_heads,
)
from shared.log.offload import inline
from shared.log.sql import SqlStore
from shared.log.sqlite import SqliteDatabase
from shared.log.tables import LOG_TABLES
from shared.node.author import Draft
from shared.node.clock import HandClock
from shared.node.home import Identity, Keys
from shared.node.node import Node, Surroundings
from shared.record.envelope import RECORD_AAD
from shared.record.feed import Feed, Level
from shared.record.header import encode_header
from shared.record.record import Record
from shared.record.run import Run
from tests.support.records import key_of, record_of, run_of
from tests.support.trust import DISTRICT, EPOCH, TOWN, VILLAGE, signed, small_district

SMALL = small_district()
UP = Feed(VILLAGE, EPOCH, "ordinary", "^")
SESSION = b"village1"
KEY = key_of(2)
NOTICE = {"stream": "party", "category": "decision", "title": "题"}
CENTURY_MS = 4_102_444_800_000


def chain(
    count: int, first: int = 0, prev: bytes = SMALL.village_opened.rid, text: str = ""
) -> Run:
    """Return a run of the village's own feed."""
    records = list[Record]()
    for seq in range(first, first + count):
        records.append(record_of(UP, seq, prev, text=f"{text}{seq}", key=KEY))
        prev = records[-1].rid
    return Run(UP, first, tuple(records))


GOOD = chain(6)


class Village:
    """The neighbour: sends whatever bytes, and reads what is answered."""

    def __init__(self, connection: MemoryConnection, clock: HandClock) -> None:
        """Begin a session."""
        self.connection = connection
        self.n = 0
        self._clock = clock
        self._peer = (b"", 0)

    async def send(self, *frames: bytes) -> None:
        """Send ``frames`` and let the town work."""
        for frame in frames:
            await self.connection.send(frame)
        await self._clock.advance(0.01)

    def chunk(self, *runs: Run, n: int = 0) -> bytes:
        """Return the next chunk."""
        self.n += 1
        return encode_chunk(Chunk(SESSION, n or self.n, runs))

    def heads(self, *entries: Entry, ask: bool = True) -> bytes:
        """Return the next Heads."""
        self.n += 1
        return encode_heads(
            Heads(VILLAGE, TOWN, SESSION, self.n, *self._peer, ask=ask, root=bytes(32),
                  mode=Mode.ALL, entries=entries), KEY,
        )  # fmt: skip

    async def heard(self) -> list[Heads | Chunk]:
        """Return the frames that came since the last time."""
        frames: list[Heads | Chunk] = []
        while self.connection._incoming._items:
            frames.append(decode_frame(await self.connection.receive(), (key_of(1).public,)))
        return frames


class Town:
    """The node under attack."""

    def __init__(self, path: Path, pages_max: int | None) -> None:
        """Open its database."""
        self.clock = HandClock()
        self.database = SqliteDatabase.open(path, LOG_TABLES, threaded=False, pages_max=pages_max)
        around = Surroundings(
            clock=self.clock, entropy=random.Random(1).randbytes, chance=random.Random(2),
            offload=inline,
        )  # fmt: skip
        identity = Identity(
            TOWN, "朔里镇", Level.TOWN, SMALL.founded.rid, ((DISTRICT, "memory:up"),)
        )
        store = SqlStore(self.database)
        self.node = Node(identity, Keys(key_of(1), bytes(32)), store, KINDS, around=around)
        self.hub = MemoryHub()

    async def open(self) -> None:
        """Take in the trust records."""
        await self.node.open()
        for record in SMALL.records:
            run = Run(record.header.feed, record.header.seq, (record,))
            await self.node.log.accept([run], self.clock.wall_ms())
        self.hub.listen(TOWN, "memory:town", self.node.links.serve)

    async def dial(self) -> Village:
        """Open a link as the village."""
        return Village(await self.hub.carrier(VILLAGE).dial(TOWN, "memory:town"), self.clock)

    def count(self, feed: Feed = UP) -> int:
        """Return how much of a feed is held."""
        return self.node.log.state(feed).count

    async def reasons(self) -> list[str]:
        """Return why frames lie in the quarantine."""
        return [bad.reason for bad in await self.node.log.store.quarantine()]


@pytest.fixture
async def town(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Town]:
    """A town's node at work; the parameter bounds its disk, in pages."""
    made = Town(tmp_path / "log.db", getattr(request, "param", None))
    await made.open()
    async with made.node.working():
        yield made
    await made.node.links.close()
    await made.database.close()


def altered(run: Run, seq: int, change: Callable[[bytes], bytes]) -> Run:
    """Return ``run`` with the header bytes of one record changed."""
    records = list(run.records)
    records[seq] = replace(records[seq], header_cose=change(records[seq].header_cose))
    return Run(run.feed, run.first_seq, tuple(records))


def flipped(at: int) -> Callable[[bytes], bytes]:
    """Return how to flip one bit of byte ``at``."""

    def change(data: bytes) -> bytes:
        changed = bytearray(data)
        changed[at] ^= 1
        return bytes(changed)

    return change


def by_another(run: Run) -> Run:
    """Return the same headers signed by a stranger who names the village's key."""
    key = key_of(7)
    records = []
    for one in run.records:
        cose = key.sign(encode_header(one.header), RECORD_AAD)
        records.append(replace(one, header_cose=cose.replace(key.public.kid, KEY.public.kid)))
    return Run(run.feed, run.first_seq, tuple(records))


def in_the_towns_name() -> Run:
    """Return a notice of the town that the village signed."""
    feed = Feed(TOWN, EPOCH, "ordinary", TOWN + "*")
    return Run(feed, 0, (record_of(feed, 0, SMALL.town_opened.rid, key=KEY),))


def for_others() -> Run:
    """Return a run of a feed that the town may not hold."""
    feed = Feed("340602101", EPOCH, "ordinary", "^")
    return run_of(feed, 1)


FLIP = 150
BAD: dict[str, tuple[Callable[[Village], bytes], str]] = {
    "no frame at all": (lambda _: b"\x00garbage" * 9, "not CBOR"),
    "nothing": (lambda _: b"", "not CBOR"),
    "truncated": (lambda v: v.chunk(GOOD)[:-7], ""),
    "bytes after the end": (lambda v: v.chunk(GOOD) + b"\x00", "left over"),
    "a flipped bit in a header": (
        lambda v: v.chunk(altered(GOOD, 0, flipped(FLIP))),
        "",
    ),
    "a flipped bit in the last signature": (
        lambda v: v.chunk(altered(chain(1), 0, flipped(-1))),
        "signature",
    ),
    "wrapped anew": (
        lambda v: v.chunk(altered(GOOD, 0, lambda c: b"\xd2\x84\x58\x0d" + c[3:])),
        "",
    ),
    "two records exchanged": (
        lambda v: v.chunk(Run(UP, 0, (GOOD.records[0], GOOD.records[2], GOOD.records[1]))),
        "",
    ),
    "signed by a stranger": (lambda v: v.chunk(by_another(GOOD)), "signature"),
    "in the name of the town": (lambda v: v.chunk(in_the_towns_name()), "another key"),
    "not for the town": (lambda v: v.chunk(for_others()), "does not carry"),
    "another body": (
        lambda v: v.chunk(Run(UP, 0, (replace(GOOD.records[0], body=b'{"text":"1"}'),))),
        "body",
    ),
    "Heads of a stranger": (
        lambda _: encode_heads(
            Heads(VILLAGE, TOWN, SESSION, 1, b"", 0, ask=True, root=bytes(32)), key_of(7)
        ),
        "not signed by the neighbour",
    ),
    "Heads of what is not shared": (
        lambda v: v.heads(Entry(for_others().feed, 1, bytes(16))),
        "does not carry",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
async def test_bad_bytes_are_refused_and_kept(town: Town, name: str) -> None:
    """Each is refused for its own reason; what stood there stays, and the link works on."""
    make, reason = BAD[name]
    village = await town.dial()
    await village.send(village.chunk(chain(2)))
    assert town.count() == 2
    held = dict(town.node.log.feeds)
    bad = make(village)
    await village.send(bad)
    assert town.node.log.feeds == held
    kept = await town.node.log.store.quarantine()
    assert [one.frame for one in kept] == [bad]
    assert kept[0].peer == VILLAGE
    assert reason in kept[0].reason
    assert town.node.log.counters.refused == 1
    await village.send(village.chunk(GOOD))
    assert town.count() == 6


async def test_a_carrier_of_noise_is_closed(town: Town) -> None:
    """After three bad frames in a row the link ends; the next one works (protocol 5.5)."""
    village = await town.dial()
    await village.send(b"one", b"two", b"three")
    await village.heard()
    with pytest.raises(LinkDownError):
        await village.connection.receive()
    assert len(await town.reasons()) == 3
    again = await town.dial()
    await again.send(again.chunk(GOOD))
    assert town.count() == 6


@pytest.mark.parametrize("cut", range(1, 6))
async def test_a_run_cut_anywhere(town: Town, cut: int) -> None:
    """Its beginning is taken, its rest later, also if they overlap."""
    village = await town.dial()
    await village.send(village.chunk(Run(UP, 0, GOOD.records[:cut])))
    assert town.count() == cut
    await village.send(village.chunk(GOOD.tail(cut - 1)))
    assert town.count() == 6
    assert await town.reasons() == []


async def test_out_of_order_is_a_gap(town: Town) -> None:
    """What comes too early is not stored and not blamed: the answer says what is held."""
    village = await town.dial()
    await village.send(village.heads(Entry(UP, 6, GOOD.records[5].rid[:16])))
    await village.heard()
    await village.send(village.chunk(GOOD.tail(3)))
    answer = [one for one in await village.heard() if isinstance(one, Heads)][-1]
    assert Entry(UP, 0, b"") in answer.entries
    assert (town.count(), await town.reasons()) == (0, [])
    await village.send(village.chunk(Run(UP, 0, GOOD.records[:3])), village.chunk(GOOD.tail(3)))
    assert town.count() == 6


async def test_a_replay_is_stored_once(town: Town) -> None:
    """The same chunk again, old or with a new number, adds nothing."""
    village = await town.dial()
    frame = village.chunk(GOOD)
    await village.send(frame, frame, village.chunk(GOOD))
    assert town.count() == 6
    assert len(await town.node.log.store.read(UP, 0, 100, 10**6)) == 6
    assert town.node.log.counters.duplicates_offered == 12
    assert await town.reasons() == []


async def test_what_time_says_decides_nothing(town: Town) -> None:
    """A record from the next century is stored like any other (protocol 1.4)."""
    header = GOOD.records[0].header._replace(claimed_at_ms=CENTURY_MS)
    one = GOOD.records[0]
    future = Record(KEY.sign(encode_header(header), RECORD_AAD), one.salt, one.body)
    village = await town.dial()
    await village.send(village.chunk(Run(UP, 0, (future,))))
    assert town.count() == 1
    assert await town.reasons() == []


@pytest.mark.parametrize("kind", ["robot.danced.v9", "node.certified.v1"])
async def test_no_authority_and_no_such_kind_stop_no_chain(town: Town, kind: str) -> None:
    """Stored and relayed all the same; it only changes nobody's rights (2.5, 4.5)."""
    first = signed(UP, 0, SMALL.village_opened.rid, kind, {"division": "34060210020101"}, KEY)
    second = record_of(UP, 1, first.rid, key=KEY)
    village = await town.dial()
    await village.send(village.chunk(Run(UP, 0, (first, second))))
    assert town.count() == 2
    assert len(town.node.log.roster.divisions()) == 3


async def test_who_never_answers_is_left(town: Town) -> None:
    """Questions and chunks that nobody answers end the link; others and the node go on (5.4 e)."""
    silent = await town.dial()
    await silent.send(silent.heads())
    first = await silent.heard()
    assert any(isinstance(one, Chunk) for one in first)
    for _ in range(5):
        await town.clock.advance(300)
        await silent.heard()
    with pytest.raises(LinkDownError):
        await silent.connection.receive()
    assert "does not answer" in town.node.links.state(VILLAGE).trouble
    again = await town.dial()
    await again.send(again.chunk(GOOD))
    assert town.count() == 6


async def test_who_takes_no_frames_is_left(town: Town) -> None:
    """A neighbour that reads nothing holds the town up for a minute at most."""
    stuck = await town.dial()
    for _ in range(20):
        await stuck.send(stuck.heads())
    await town.clock.advance(61)
    assert town.node.links.state(VILLAGE).connected_since_ms is None
    assert "takes no frames" in town.node.links.state(VILLAGE).trouble
    again = await town.dial()
    await again.send(again.chunk(GOOD))
    assert town.count() == 6


@pytest.mark.parametrize("town", [55], indirect=True)
async def test_a_full_disk_is_told_and_loses_nothing(town: Town) -> None:
    """The neighbour hears ``full``, waits, and is asked again once there is room (5.2, 5.4)."""
    whole = chain(200, text="长" * 200)
    village, sent = await town.dial(), 0
    while True:
        part = Run(UP, sent, whole.records[sent : sent + 10])
        await village.send(village.chunk(part))
        heard = await village.heard()
        if town.count() == sent:
            break
        sent += 10
    assert 0 < sent < 200
    states = [e.state for one in heard if isinstance(one, Heads)
              for e in one.entries if e.feed == UP]  # fmt: skip
    assert states[-1] is State.FULL
    with pytest.raises(StorageError):
        await town.node.author.submit(
            Draft("notice.published.v1", TOWN + "*", NOTICE | {"text": "长" * 9000})
        )
    assert await town.node.log.store.rids(UP, 0, 200) == [one.rid for one in whole.records[:sent]]
    await town.database.run(lambda c: c.execute(text("PRAGMA max_page_count = 100000")).all())
    await town.clock.advance(60)
    last = [e for one in await village.heard() if isinstance(one, Heads)
            for e in one.entries if e.feed == UP][-1]  # fmt: skip
    assert (last.count, last.state) == (sent, State.OK)
    await village.send(village.chunk(whole.tail(sent)))
    assert town.count() == 200
