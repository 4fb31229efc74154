"""Hears what the ancestor above the parent says to all below, while the parent is silent.

A village whose town is dead so still gets what the district says to everybody (protocol 5.8), if
the carrier can listen. Nothing is answered and nothing is asked for: records that do not connect
are left to the link to the parent, and what the village itself says waits for it.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from shared.errors import FaultError, StorageError
from shared.link.backoff import Backoff
from shared.link.carrier import LinkDownError, Listening, ListeningCarrier
from shared.link.frames import TO_ALL, Chunk
from shared.log.accept import Accepted, Gap, Refused
from shared.log.log import Log
from shared.log.store import BadFrame
from shared.node.clock import Clock
from shared.node.conversation import BAD_FRAMES_MAX, decoded
from shared.record.feed import Feed, is_for_all_below
from shared.record.run import Run

LOOKS: Final = 10
"""How often the link to the parent is looked at before it counts as silent."""

OVERLAP_SECONDS: Final = 3600.0
"""So much earlier than what was stored last is begun: the parent may have been slow to hand it on,
and what one lane brought may have overtaken another."""

BACK_SECONDS_MAX: Final = 366 * 86_400.0
"""If what was stored last seems older, this box's clock was wrong."""

logger = structlog.get_logger(__name__)


class Listener:
    """Listens to one ancestor whenever the parent is silent.

    Attributes:
        source: Code of the ancestor.
        since_ms: Since when it is listened to, Unix ms; None while it is not.
        stored: Records that came so, since the start of the process.
        trouble: Why it could not be listened to, or not any longer.
    """

    def __init__(
        self,
        log: Log,
        source: str,
        addresses: Callable[[], Sequence[str]],
        hears_parent: Callable[[], bool],
        *,
        clock: Clock,
        backoff: Backoff,
        unheard_seconds: float,
    ) -> None:
        """Listen to nobody yet; ``run`` does it.

        Args:
            log: Takes the records.
            source: Code of the ancestor.
            addresses: Where it can be reached.
            hears_parent: Tells whether there is no need.
            clock: Time.
            backoff: Pauses after failures.
            unheard_seconds: The parent is silent after so long.
        """
        self.source = source
        self.since_ms: int | None = None
        self.stored = 0
        self.trouble = ""
        self._log = log
        self._addresses = addresses
        self._hears_parent = hears_parent
        self._clock = clock
        self._backoff = backoff
        self._unheard_seconds = unheard_seconds
        self._is_read_whole = False
        self._bad_in_row = 0

    async def run(self, carrier: ListeningCarrier) -> None:
        """Listen whenever the parent is silent, until cancelled."""
        heard_at = self._clock.monotonic()
        while True:
            pause = self._unheard_seconds / LOOKS
            now = self._clock.monotonic()
            if self._hears_parent():
                heard_at, self._is_read_whole, self.trouble = now, False, ""
                self._backoff.reset()
            elif now >= heard_at + self._unheard_seconds:
                await self._try(carrier)
                pause = self._backoff.pause()
            await self._clock.sleep(pause)

    async def _try(self, carrier: ListeningCarrier) -> None:
        """Listen until the parent is heard or something fails."""
        stored = self.stored
        try:
            await self._listen(carrier)
        except (LinkDownError, FaultError, StorageError) as error:
            self.trouble = str(error)
        if self.since_ms is not None:
            self.since_ms = None
            logger.info("listened", to=self.source, records=self.stored - stored, why=self.trouble)
        if self.stored != stored or self._hears_parent():
            self._backoff.reset()

    async def _listen(self, carrier: ListeningCarrier) -> None:
        """Listen from about where we stand and, if that is too late, once from the beginning."""
        back_seconds: float | None = self._back_seconds()
        while True:
            listening = await self._open(carrier, back_seconds)
            may_go_back = back_seconds is not None and not self._is_read_whole
            try:
                if await self._hear(listening, until_gap=may_go_back):
                    return
            finally:
                await listening.close()
            back_seconds, self._is_read_whole = None, True

    def _back_seconds(self) -> float:
        feeds = self._log.feeds.items()
        stored_ms = [state.since_ms for feed, state in feeds if self._is_said(feed)]
        now_ms = self._clock.wall_ms()
        age_seconds = (now_ms - max(stored_ms, default=now_ms)) / 1000
        return min(max(0.0, age_seconds) + OVERLAP_SECONDS, BACK_SECONDS_MAX)

    async def _open(self, carrier: ListeningCarrier, back_seconds: float | None) -> Listening:
        why = "no address of it is known"
        for address in self._addresses():
            try:
                listening = await carrier.listen(self.source, address, back_seconds)
            except LinkDownError as error:
                why = str(error)
            else:
                self.trouble = ""
                if self.since_ms is None:
                    self.since_ms = self._clock.wall_ms()
                    logger.info("listening", to=self.source, at=address)
                return listening
        raise LinkDownError(why)

    async def _hear(self, listening: Listening, *, until_gap: bool) -> bool:
        """Take what comes; returns True once the parent is heard, False at a gap.

        Raises:
            LinkDownError: nothing more will come.
            FaultError: it is noise.
            StorageError: it cannot be stored.
        """
        taking = asyncio.create_task(self._take_all(listening, until_gap=until_gap))
        looking = asyncio.create_task(self._until_parent_is_heard())
        try:
            await asyncio.wait((taking, looking), return_when=asyncio.FIRST_COMPLETED)
            if looking.done():
                looking.result()
                return True
            taking.result()
            return False
        finally:
            taking.cancel()
            looking.cancel()
            await asyncio.gather(taking, looking, return_exceptions=True)

    async def _until_parent_is_heard(self) -> None:
        while not self._hears_parent():
            await self._clock.sleep(self._unheard_seconds / LOOKS)

    async def _take_all(self, listening: Listening, *, until_gap: bool) -> None:
        while True:
            data = await listening.receive()
            connects = await self._take(data)
            listening.done()
            if until_gap and not connects:
                return

    async def _take(self, data: bytes) -> bool:
        """Store what a frame holds; returns whether nothing was missing before it."""
        at_ms = self._clock.wall_ms()
        try:
            connects = await self._store(await self._runs(data), at_ms)
        except FaultError as error:
            await self._log.quarantine(BadFrame(at_ms, self.source, str(error), data))
            self._bad_in_row += 1
            if self._bad_in_row >= BAD_FRAMES_MAX:
                self._bad_in_row = 0
                raise
            return True
        self._bad_in_row = 0
        return connects

    async def _store(self, runs: Sequence[Run], at_ms: int) -> bool:
        """Store ``runs`` as far as they connect; returns whether all do.

        Raises:
            FaultError: one was refused.
        """
        outcomes = await self._log.accept(runs, at_ms, in_order=False)
        accepted = [outcome.run for outcome in outcomes if isinstance(outcome, Accepted)]
        self.stored += sum(len(run.records) for run in accepted)
        for outcome in outcomes:
            if isinstance(outcome, Refused):
                raise FaultError(outcome.reason)
        # A statement of custody may well follow others that are forgotten (protocol 4.7).
        return not any(
            isinstance(outcome, Gap) and run.feed.lane != "custody"
            for run, outcome in zip(runs, outcomes, strict=True)
        )

    async def _runs(self, data: bytes) -> list[Run]:
        """Return what a frame says that is not here yet.

        Raises:
            FaultError: it is not what an ancestor says to all below.
        """
        frame = await decoded(data, (), self._log.offload)
        if not isinstance(frame, Chunk) or frame.session != TO_ALL:
            raise FaultError("not what is said to all below")
        for run in frame.runs:
            if not self._is_said(run.feed):
                raise FaultError(f"{run.feed} is not for all below {self.source}")
        return [run for run in frame.runs if run.end > self._log.state(run.feed).count]

    def _is_said(self, feed: Feed) -> bool:
        return is_for_all_below(feed, self.source)
