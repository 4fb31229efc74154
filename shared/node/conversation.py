"""One open link at work: moves frames between a connection, a session and the log.

The session decides (``shared.link.session``); this module carries out, in one loop, so that
nothing of a link happens at two places at once.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from shared.errors import FaultError, StorageError
from shared.link.carrier import Connection, LinkDownError
from shared.link.frames import (
    RID16_BYTES,
    SESSION_BYTES,
    Chunk,
    Entry,
    Heads,
    State,
    decode_frame,
    encode_chunk,
    encode_heads,
)
from shared.link.session import NextToAll, Session
from shared.link.timing import Timing
from shared.log.accept import Accepted, Duplicate, Outcome, Refused
from shared.log.log import Log
from shared.log.offload import Offload, inline
from shared.log.store import BadFrame
from shared.node.author import Entropy
from shared.node.clock import Clock, wait_for, within
from shared.node.packing import read_runs
from shared.record.feed import Feed
from shared.record.run import Run
from shared.trust.keys import PublicKey, SigningKey

INBOX_FRAMES_MAX: Final = 16
"""More than a peer may have under way unanswered, so that two busy sides never block each other."""

SEND_SECONDS_MAX: Final = 60.0
"""A neighbour that takes no frame for so long is as good as gone."""

AT_ONCE_BYTES_MAX: Final = 8 * 1024
"""So short a frame is decoded in less time than a thread is worth."""

BAD_FRAMES_MAX: Final = 3
"""Bad frames in a row after which the link is closed and backs off: it carries noise."""


@dataclass
class LinkState:
    """What a node knows of one neighbour.

    Attributes:
        peer: Its code.
        connected_since_ms: Unix ms; None while the link is down.
        heard_ms: When it was last heard; None if never in this process.
        opened: How often a link opened.
        in_flight_max: Most records that were sent and not yet covered by its Heads, in this
            process.
        bad_frames: Frames refused.
        trouble: Why the last attempt or link ended.
        by: Scheme of the address over which it is or was last linked, such as ``wss``.
        rest: Roots at which the last exchange ended.
        counts: What it said it holds, as far as heard.
    """

    peer: str
    connected_since_ms: int | None = None
    heard_ms: int | None = None
    opened: int = 0
    in_flight_max: int = 0
    bad_frames: int = 0
    trouble: str = ""
    by: str = ""
    rest: tuple[bytes, bytes] | None = None
    counts: dict[Feed, int] = field(default_factory=dict)

    @property
    def reconnects(self) -> int:
        """How often it opened again."""
        return max(0, self.opened - 1)


class Conversation:
    """The life of one connection.

    Attributes:
        session: The state machine that decides.
    """

    def __init__(
        self,
        log: Log,
        key: SigningKey,
        connection: Connection,
        state: LinkState,
        *,
        clock: Clock,
        entropy: Entropy,
        timing: Timing,
        next_to_all: NextToAll,
    ) -> None:
        """Prepare to talk over ``connection``.

        Args:
            log: The records.
            key: Signs Heads.
            connection: The open link.
            state: Where is noted what people ask of it.
            clock: Time.
            entropy: Names the session.
            timing: How long to wait.
            next_to_all: What is said to all below; asked only while the connection hears it.
        """
        self._log = log
        self._key = key
        self._connection = connection
        self._state = state
        self._keys = log.roster.keys_of(connection.peer)
        self._clock = clock
        self._woken = asyncio.Event()
        self._inbox: asyncio.Queue[bytes | LinkDownError] = asyncio.Queue(INBOX_FRAMES_MAX)
        self._bad_in_row = 0
        self.session = Session(
            log.me, connection.peer, entropy(SESSION_BYTES),
            now=clock.monotonic(), timing=timing, rest=state.rest,
            next_to_all=lambda feed: next_to_all(feed) if connection.hears_all else None,
        )  # fmt: skip

    async def run(self, *, dialled: bool) -> None:
        """Talk until the link ends.

        Raises:
            LinkDownError: it broke, was displaced or was given up.
            FaultError: it carries noise.
        """
        self._note_changes(tuple(self._log.feeds))
        unsubscribe = self._log.subscribe(self._note_changes)
        reader = asyncio.create_task(self._read())
        try:
            if dialled:
                self.session.open()
            while True:
                await self._speak()
                await self._wait()
                await self._hear()
                self.session.tick(self._clock.monotonic())
                if self.session.given_up:
                    raise LinkDownError("the neighbour does not answer")
        finally:
            unsubscribe()
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    def _note_changes(self, feeds: Sequence[Feed]) -> None:
        for feed in feeds:
            held = self._log.state(feed)
            state = State.STOPPED if held.stopped else State.OK
            entry = Entry(feed, held.count, held.rid[:RID16_BYTES], state)
            self.session.own_changed(entry, self._log.forks.get(feed))
        self._woken.set()

    async def _read(self) -> None:
        """Fill the inbox; the end of the link is its last item."""
        try:
            while True:
                await self._inbox.put(await self._connection.receive())
                self._woken.set()
        except LinkDownError as error:
            await self._inbox.put(error)
            self._woken.set()

    async def _wait(self) -> None:
        """Wait for a frame, a change of the log, or the session's next moment."""
        now = self._clock.monotonic()
        await wait_for(self._woken, self.session.next_at(now) - now, self._clock)

    # --- hearing ---------------------------------------------------------------------------------

    async def _hear(self) -> None:
        """Take whatever is there before answering: one answer for many chunks."""
        for _ in range(INBOX_FRAMES_MAX):
            if self._inbox.empty():
                return
            item = self._inbox.get_nowait()
            if isinstance(item, LinkDownError):
                raise item
            await self._take(item)
            self._connection.done()
        self._woken.set()

    def said_to_all(self, runs: Sequence[Run]) -> None:
        """Note that ``runs`` were said to all below; whatever else goes over the links."""
        if self._connection.hears_all:
            self.session.said_to_all(runs, self._clock.monotonic())
            self._woken.set()

    async def _take(self, data: bytes) -> None:
        now = self._clock.monotonic()
        self._state.heard_ms = self._clock.wall_ms()
        try:
            frame = await decoded(data, self._keys, self._log.offload)
            match frame:
                case Heads():
                    await self._take_heads(frame, now)
                case Chunk():
                    await self._take_chunk(frame, data, now)
        except FaultError as error:
            await self._refuse(data, str(error))
            self._bad_in_row += 1
            if self._bad_in_row >= BAD_FRAMES_MAX:
                raise
        else:
            self._bad_in_row = 0

    async def _take_heads(self, heads: Heads, now: float) -> None:
        self.session.check_carried(fork.feed for fork in heads.forks)
        rids: dict[tuple[Feed, int], bytes] = {}
        for feed, seq in self.session.rids_wanted(heads):
            found = await self._log.store.rids(feed, seq, 1)
            if found:
                rids[feed, seq] = found[0]
        self.session.heads_received(heads, rids, now)
        if heads.forks:
            await self._log.accept_forks(heads.forks, self._clock.wall_ms())

    async def _take_chunk(self, chunk: Chunk, data: bytes, now: float) -> None:
        self.session.check_carried(run.feed for run in chunk.runs)
        # What is said to all is never in order here: a run of the custody lane that begins beyond
        # our head may follow one that we have not heard.
        in_order = self.session.is_next(chunk.session, chunk.n)
        try:
            outcomes = await self._log.accept(chunk.runs, self._clock.wall_ms(), in_order=in_order)
        except StorageError as error:
            self._state.trouble = str(error)
            self.session.chunk_received(chunk, (), now)
            self.session.full([run.feed for run in chunk.runs], now)
            return
        self.session.chunk_received(chunk, _valid_parts(chunk.runs, outcomes), now)
        reasons = [outcome.reason for outcome in outcomes if isinstance(outcome, Refused)]
        if reasons:
            await self._refuse(data, reasons[0])

    async def _refuse(self, data: bytes, reason: str) -> None:
        self._state.bad_frames += 1
        frame = BadFrame(self._clock.wall_ms(), self._connection.peer, reason, data)
        await self._log.quarantine(frame)

    # --- speaking --------------------------------------------------------------------------------

    async def _speak(self) -> None:
        """Send what is owed: Heads first, then what the peer lacks."""
        while heads := self.session.take_heads(self._clock.monotonic()):
            await self._send(encode_heads(heads, self._key))
        while runs := await self._next_runs():
            chunk = self.session.chunk_sent(runs, self._clock.monotonic())
            self._state.in_flight_max = max(self._state.in_flight_max, self.session.in_flight)
            await self._send(encode_chunk(chunk))

    async def _next_runs(self) -> tuple[Run, ...]:
        return await read_runs(self._log, self.session.ranges(), self.session.room_bytes)

    async def _send(self, frame: bytes) -> None:
        try:
            await within(self._connection.send(frame), SEND_SECONDS_MAX, self._clock)
        except TimeoutError:
            raise LinkDownError("the neighbour takes no frames") from None


async def decoded(data: bytes, keys: Sequence[PublicKey], offload: Offload) -> Heads | Chunk:
    """Return the frame in ``data``, a long one decoded where ``offload`` says.

    Raises:
        FaultError: see ``decode_frame``.
    """
    decoding = offload if len(data) > AT_ONCE_BYTES_MAX else inline
    return await decoding(partial(decode_frame, data, keys))


def _valid_parts(runs: Sequence[Run], outcomes: Sequence[Outcome]) -> list[Run]:
    """Return the runs that the peer evidently holds, as far as they were valid."""
    valid = []
    for run, outcome in zip(runs, outcomes, strict=True):
        match outcome:
            case Accepted(fresh):
                valid.append(fresh)
            case Duplicate(records) if records:
                valid.append(Run(run.feed, run.first_seq, run.records[:records]))
            case _:
                continue
    return valid
