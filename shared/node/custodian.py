"""States what this node holds; ``custody.rules`` says when and to whom (protocol 4.7)."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import structlog

from shared.domain.custody.kinds import STATED, Stated
from shared.domain.custody.lacks import Lacks
from shared.domain.custody.rules import Book, Intervals
from shared.errors import InvalidError, SanjiError, StorageError
from shared.log.log import Log
from shared.node.author import Author, Draft
from shared.node.clock import Clock, wait_for
from shared.record.feed import Feed, Level
from shared.trust.authority import read_as

logger = structlog.get_logger(__name__)

RETRY_SECONDS: Final = 5.0
"""After a statement could not be written (a full disk), it is tried again this late."""

READ_RECORDS_MAX: Final = 256
READ_BYTES_MAX: Final = 1 << 20


class Custodian:
    """Keeps the node's book of statements and writes what is due."""

    def __init__(
        self,
        log: Log,
        author: Author,
        clock: Clock,
        intervals: Intervals,
        lacks: Lacks | None = None,
    ) -> None:
        """Watch ``log`` and write with ``author``; ``open`` reads what was stated before.

        Args:
            log: The records.
            author: Writes the statements.
            clock: Time.
            intervals: How often what is stated.
            lacks: Told what the book is told; None where nobody asks what is lacked.
        """
        self._log = log
        self._lacks = lacks
        self._author = author
        self._clock = clock
        self._intervals = intervals
        self._book: Book | None = None
        self._taken: dict[Feed, int] = {}
        self._changed: set[Feed] = set()
        self._sights: dict[str, tuple[int, bool]] = {}
        self._woken = asyncio.Event()

    async def run(self) -> None:
        """State whatever is due until cancelled; a database that fails is waited for."""
        self._changed.update(self._log.feeds)
        unsubscribe = self._log.subscribe(self._note)
        try:
            while True:
                try:
                    await self._take_changes()
                    pause = await self._state_due()
                except StorageError as error:
                    logger.warning("custody waits for the database", why=str(error))
                    await self._clock.sleep(RETRY_SECONDS)
                    continue
                # At least a moment: what is due and cannot be written must not spin.
                await wait_for(self._woken, max(pause, 0.001), self._clock)
        finally:
            unsubscribe()

    def note_shown(self, rid: str, *, urgent: bool) -> None:
        """Note that a notice stands on a screen for everybody, now or already before.

        Args:
            rid: Of the notice, hex.
            urgent: Those above shall hear of it soon.
        """
        if rid not in self._sights:
            self._sights[rid] = (self._clock.wall_ms(), urgent)
            self._woken.set()

    def _note(self, feeds: Sequence[Feed]) -> None:
        self._changed.update(feeds)
        self._woken.set()

    async def _take_changes(self) -> None:
        """Tell the book what moved: heads, divisions, and the statements of everybody."""
        certificate = self._log.roster.certificate_of(self._log.me)
        if certificate is None:
            return
        if self._book is None:
            is_relay = certificate.level != Level.VILLAGE
            self._book = Book(self._log.me, self._intervals, is_relay=is_relay)
        now_ms = self._running_ms()
        changed, self._changed = self._changed, set()
        if any(feed.lane == "trust" for feed in changed):
            self._book.note_divisions(self._log.roster.divisions(), now_ms)
        for feed in changed:
            if feed.lane != "custody":
                self._book.note_change(feed, self._log.state(feed), now_ms)
                if self._lacks is not None:
                    self._lacks.note_change(feed, self._log.state(feed))
        told = [feed for feed in changed if feed.lane == "custody"]
        learned = 0
        try:
            for feed in told:
                await self._learn(self._book, feed)
                learned += 1
        finally:
            self._changed.update(told[learned:])  # what could not be read is read later
        if self._lacks is not None:
            self._lacks.is_complete = True
        sights, self._sights = self._sights, {}
        for rid, (since_ms, urgent) in sights.items():
            self._book.note_shown(rid, since_ms, urgent=urgent)

    async def _learn(self, book: Book, feed: Feed) -> None:
        first = self._taken.get(feed, 0)
        while records := await self._log.store.read(feed, first, READ_RECORDS_MAX, READ_BYTES_MAX):
            for record in records:
                first = record.header.seq + 1
                if record.header.kind != STATED or record.body is None:
                    continue
                try:
                    stated = read_as(Stated, record.body)
                except InvalidError as error:
                    logger.info("statement not read", feed=str(feed), why=str(error))
                    continue
                book.learn(feed, record.header.claimed_at_ms, stated)
                if self._lacks is not None:
                    self._lacks.learn(feed, stated)
        self._taken[feed] = first

    async def _state_due(self) -> float:
        """Write what is due; returns the seconds until something is due again."""
        if self._book is None or not self._log.epoch:
            return RETRY_SECONDS
        due = self._book.due(self._clock.wall_ms(), self._running_ms())
        drafts = [Draft(STATED, one.audience, _short(one.body), "custody") for one in due]
        try:
            if drafts:
                await asyncio.gather(*(self._author.submit(draft) for draft in drafts))
                await self._take_changes()
        except SanjiError as error:
            logger.warning("custody not stated", why=str(error))
            return RETRY_SECONDS
        due_ms = self._book.next_due_ms(self._clock.wall_ms())
        return self._intervals.beat_ms / 1000 if due_ms is None else due_ms / 1000

    def _running_ms(self) -> int:
        return int(self._clock.monotonic() * 1000)


def _short(body: Stated) -> dict[str, Any]:
    """Return a body without its empty lists: statements are the most numerous records of all."""
    return body.model_dump(mode="json", exclude_defaults=True)
