"""A village listens to the district while its town is silent, and only then; in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Final

import pytest

from broker.memory import MemoryHub
from broker.pipe import Pipe
from broker.router import SchemeRouter
from shared.errors import StorageError
from shared.link.backoff import Backoff
from shared.link.carrier import Carrier, Connection, LinkDownError, ListeningCarrier
from shared.link.frames import TO_ALL, Chunk, encode_chunk
from shared.log.log import Log
from shared.log.memory import MemoryStore
from shared.log.store import Batch
from shared.node.clock import SystemClock
from shared.node.conversation import BAD_FRAMES_MAX
from shared.node.links import Links
from shared.node.listener import BACK_SECONDS_MAX, OVERLAP_SECONDS, Listener
from shared.record.feed import Feed
from shared.record.record import Record
from shared.record.run import Run
from tests.simulation.virtual import run
from tests.support.records import feed_of, key_of, record_of, run_of
from tests.support.trust import DISTRICT, TOWN, VILLAGE, small_district

START_MS: Final = 1_795_500_000_000
UNHEARD_SECONDS: Final = 600.0
YEAR_SECONDS: Final = 365 * 86_400.0
FEED: Final = feed_of(DISTRICT)
PREV: Final = small_district().district_opened.rid

STREAM: Final = "stream:district"


def notices(count: int, first_seq: int = 0) -> Run:
    """Return a run of the district's notices to all."""
    whole = run_of(FEED, first_seq + count, 0, PREV)
    return Run(FEED, first_seq, whole.records[first_seq:])


def frame(*runs: Run) -> bytes:
    """Return what the district says to all."""
    return encode_chunk(Chunk(TO_ALL, 0, runs))


class Listening:
    """One open listening of a ``Stream``."""

    def __init__(self) -> None:
        """Nothing has come."""
        self.pipe = Pipe[bytes](100)
        self.undone = 0

    async def receive(self) -> bytes:
        """See the port."""
        data = await self.pipe.get()
        self.undone += 1
        return data

    def done(self) -> None:
        """See the port."""
        self.undone -= 1

    async def close(self) -> None:
        """See the port."""
        self.pipe.end("closed", discard=True)


class Stream:
    """A carrier on which nobody can be dialled and one relay can be heard.

    Attributes:
        begun: Where each listening began, as it was asked for.
        is_down: It cannot be listened to.
        open: The last that was opened.
    """

    def __init__(self) -> None:
        """Nothing is said."""
        self.begun: list[float | None] = []
        self.is_down = False
        self.open = Listening()
        self._said: list[tuple[float, bytes]] = []

    async def dial(self, peer: str, address: str) -> Connection:
        """See the port."""
        raise LinkDownError("nobody answers")

    async def listen(self, source: str, address: str, back_seconds: float | None) -> Listening:
        """See the port; the stream keeps all that was said."""
        assert (source, address) == (DISTRICT, STREAM)
        if self.is_down:
            raise LinkDownError("the broker is away")
        self.begun.append(back_seconds)
        self.open = Listening()
        first = 0.0 if back_seconds is None else self._now() - back_seconds
        for at, data in self._said:
            if at >= first:
                self.open.pipe.push(data)
        return self.open

    def say(self, data: bytes) -> None:
        """Say something to all."""
        self._said.append((self._now(), data))
        self.open.pipe.push(data)

    @property
    def is_open(self) -> bool:
        """True while it is listened to."""
        return bool(self.begun) and not self.open.pipe.ended

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


class Deaf:
    """A carrier that cannot listen."""

    async def dial(self, peer: str, address: str) -> Connection:
        """See the port."""
        raise LinkDownError("nobody answers")


class Village:
    """A village's log and its listener.

    Attributes:
        stream: Over which the district can be heard.
        store: Where the log lies.
        is_heard: The town speaks.
    """

    def __init__(self) -> None:
        """The town is silent; ``play`` starts to listen."""
        self.stream = Stream()
        self.store = MemoryStore()
        self.log = Log(VILLAGE, self.store, small_district().founded.rid)
        self.is_heard = False
        self.listener = Listener(
            self.log, DISTRICT, lambda: ("deaf:district", STREAM), lambda: self.is_heard,
            clock=SystemClock(START_MS), backoff=Backoff(Random(1), 1.0, 60.0),
            unheard_seconds=UNHEARD_SECONDS,
        )  # fmt: skip

    async def accept(self, records: Sequence[Record], at_ms: int = START_MS) -> None:
        """Let the town bring something."""
        for one in records:
            await self.log.accept([Run(one.header.feed, one.header.seq, (one,))], at_ms)

    def held(self, feed: Feed = FEED) -> int:
        """Return how many records of ``feed`` are here."""
        return self.log.state(feed).count

    async def since_ms(self) -> int | None:
        """Return since when the district is listened to, once all that is ready has run."""
        await asyncio.sleep(0.001)
        return self.listener.since_ms

    async def quarantined(self) -> list[tuple[str, str]]:
        """Return from whom which frames were refused, and why."""
        return [(bad.peer, bad.reason) for bad in await self.store.quarantine()]


def play(scene: Callable[[Village], Awaitable[None]], at_ms: int = START_MS) -> None:
    """Play ``scene`` in virtual time, with a village that knows its district and listens.

    Args:
        scene: What happens.
        at_ms: When the village stored what it knows, by its own clock.
    """

    async def all_of_it() -> None:
        village = Village()
        await village.accept(small_district().records, at_ms)
        carriers: dict[str, Carrier] = {"deaf": Deaf(), "stream": village.stream}
        router: ListeningCarrier = SchemeRouter(carriers, {})
        listening = asyncio.create_task(village.listener.run(router))
        try:
            await scene(village)
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
        assert not village.stream.is_open

    run(all_of_it())


def test_who_hears_the_parent_listens_to_nobody_else() -> None:
    """Also if it says nothing new for a day."""

    async def scene(village: Village) -> None:
        village.is_heard = True
        await asyncio.sleep(86_400)
        assert village.stream.begun == []
        village.is_heard = False
        await asyncio.sleep(UNHEARD_SECONDS * 0.8)
        assert village.stream.begun == []
        await asyncio.sleep(UNHEARD_SECONDS * 0.4)
        assert village.stream.is_open

    play(scene)


def test_what_the_district_says_to_all_is_stored_until_the_parent_is_heard_again() -> None:
    """What was said before the village listened too; what it holds already is not offered again."""

    async def scene(village: Village) -> None:
        await village.accept(notices(2).records)
        village.stream.say(frame(notices(2)))
        village.stream.say(frame(notices(3, 1)))
        await asyncio.sleep(2 * UNHEARD_SECONDS)
        assert village.held() == 4
        assert await village.since_ms() == START_MS + int(UNHEARD_SECONDS * 1000)
        village.stream.say(frame(notices(1, 4)))
        await asyncio.sleep(1)
        assert (village.held(), village.listener.stored) == (5, 3)
        assert village.log.counters.duplicates_offered == 1  # of a run that brings news too
        assert village.stream.open.undone == 0
        village.is_heard = True
        await asyncio.sleep(UNHEARD_SECONDS)
        assert await village.since_ms() is None
        assert not village.stream.is_open
        assert len(village.stream.begun) == 1

    play(scene)


@pytest.mark.parametrize(
    ("stored_seconds", "back_seconds"),
    [
        (0.0, UNHEARD_SECONDS + OVERLAP_SECONDS),
        (UNHEARD_SECONDS, OVERLAP_SECONDS),
        (YEAR_SECONDS * 3, OVERLAP_SECONDS),
        (-YEAR_SECONDS * 3, BACK_SECONDS_MAX),
    ],
    ids=["ten minutes ago", "now", "by a clock ahead", "by a clock behind"],
)
def test_it_begins_an_hour_before_what_was_stored_last(
    stored_seconds: float, back_seconds: float
) -> None:
    """By how long ago that was, as far as it can be true."""

    async def scene(village: Village) -> None:
        await asyncio.sleep(2 * UNHEARD_SECONDS)
        assert village.stream.begun == [pytest.approx(back_seconds, abs=1.0)]

    play(scene, START_MS + int(stored_seconds * 1000))


def test_what_does_not_connect_is_looked_for_from_the_beginning_once() -> None:
    """In each silence; then it is left to the link: nothing can be asked for here."""
    urgent = run_of(feed_of(DISTRICT, "urgent"), 1, 0, PREV)
    later_seconds = 3 * OVERLAP_SECONDS

    async def scene(village: Village) -> None:
        village.is_heard = True
        village.stream.say(frame(notices(1)))
        await asyncio.sleep(later_seconds)
        await village.accept(urgent.records, START_MS + int(later_seconds * 1000))
        village.stream.say(frame(notices(1, 1)))
        village.stream.say(frame(notices(1, 5)))
        for silence in (1, 2):
            village.is_heard = False
            await asyncio.sleep(2 * UNHEARD_SECONDS)
            village.stream.open.pipe.end("the line broke", discard=True)
            await asyncio.sleep(UNHEARD_SECONDS)
            assert village.held() == 2
            assert village.stream.begun.count(None) == silence
            village.is_heard = True
            await asyncio.sleep(UNHEARD_SECONDS)

    play(scene)


def test_statements_of_custody_are_stored_only_in_order() -> None:
    """What lies between may be forgotten where they come from: no reason to begin anew."""
    whole = run_of(feed_of(DISTRICT, "custody"), 4, 0, PREV)

    async def scene(village: Village) -> None:
        await asyncio.sleep(2 * UNHEARD_SECONDS)
        village.stream.say(frame(Run(whole.feed, 2, whole.records[2:])))
        await asyncio.sleep(1)
        assert village.held(whole.feed) == 0
        assert len(village.stream.begun) == 1
        village.stream.say(frame(whole))
        await asyncio.sleep(1)
        assert village.held(whole.feed) == 4

    play(scene)


def test_what_is_not_for_all_is_kept_for_the_operator() -> None:
    """Nor is what nobody may say so: none of it is stored, and at noise the listening ends."""
    town = run_of(feed_of(TOWN), 1, 0, PREV)
    forged = Run(FEED, 0, (record_of(FEED, 0, PREV, key=key_of(9)),))

    async def scene(village: Village) -> None:
        await asyncio.sleep(2 * UNHEARD_SECONDS)
        noise = [frame(town), encode_chunk(Chunk(b"a link's", 1, (notices(1),))), frame(forged)]
        assert len(noise) == BAD_FRAMES_MAX
        for one in noise:
            assert village.stream.is_open
            village.stream.say(one)
            await asyncio.sleep(0.001)
        assert not village.stream.is_open
        peers, reasons = zip(*await village.quarantined(), strict=True)
        assert set(peers) == {DISTRICT}
        assert sum("is not for all" in reason for reason in reasons) == 1
        assert sum("another key" in reason for reason in reasons) == 1
        assert (village.held(), village.held(town.feed)) == (0, 0)
        await asyncio.sleep(120)
        assert len(village.stream.begun) > 1  # it is tried again

    play(scene)


def test_a_full_disk_ends_the_listening_for_a_while() -> None:
    """What could not be stored is said again when it begins anew."""

    def full(_batch: Batch) -> None:
        raise StorageError("The disk is full.")

    async def scene(village: Village) -> None:
        await asyncio.sleep(2 * UNHEARD_SECONDS)
        village.store.before_commit = full
        village.stream.say(frame(notices(1)))
        await asyncio.sleep(60)
        assert village.held() == 0
        assert "The disk is full." in village.listener.trouble
        village.store.before_commit = None
        await asyncio.sleep(120)
        assert (village.held(), village.stream.is_open) == (1, True)
        assert village.listener.trouble == ""

    play(scene)


@pytest.mark.parametrize("why", ["at first", "later"])
def test_a_broker_that_is_away_is_tried_again(why: str) -> None:
    """Ever more seldom, and the reason is told."""

    async def scene(village: Village) -> None:
        village.stream.is_down = why == "at first"
        await asyncio.sleep(2 * UNHEARD_SECONDS)
        village.stream.is_down = True
        village.stream.open.pipe.end("the line broke", discard=True)
        await asyncio.sleep(60)
        assert village.listener.trouble == "the broker is away"
        assert village.listener.since_ms is None
        village.stream.is_down = False
        await asyncio.sleep(120)
        assert village.stream.is_open

    play(scene)


@pytest.mark.parametrize("speaks", [True, False])
def test_an_open_link_counts_only_if_the_parent_speaks_on_it(speaks: bool) -> None:
    """One that takes frames and says nothing is as silent as one that is away."""

    async def links_of(code: str, number: int) -> Links:
        log = Log(code, MemoryStore(), small_district().founded.rid)
        for one in small_district().records:
            await log.accept([Run(one.header.feed, one.header.seq, (one,))], START_MS)
        chance = Random(number)
        return Links(log, key_of(number), clock=SystemClock(START_MS), entropy=chance.randbytes,
                     chance=chance)  # fmt: skip

    async def mute(_: Connection) -> None:
        await asyncio.Event().wait()

    async def scene() -> None:
        town, village, hub = await links_of(TOWN, 1), await links_of(VILLAGE, 2), MemoryHub()
        hub.listen(TOWN, "memory:town", town.serve if speaks else mute)
        keeping = asyncio.create_task(
            village.keep(TOWN, lambda: ["memory:town"], hub.carrier(VILLAGE))
        )
        await asyncio.sleep(1)
        assert village.state(TOWN).connected_since_ms is not None
        assert village.hears(TOWN) == speaks
        hub.stop("memory:town")
        await asyncio.sleep(1)
        assert not village.hears(TOWN)
        keeping.cancel()

    run(scene())
