"""The control room: looks at all nodes once a second and tells the open pages."""

import asyncio
import time
from collections.abc import Callable
from random import Random
from typing import Any, Final

from demo.content import Talk
from demo.control.board import Board, Glance, Seen, Status
from demo.control.broker import Broker, Server
from demo.control.journal import Journal
from demo.control.staged import Watched
from demo.control.switchboard import Switchboard
from demo.control.telling import told_of
from demo.control.traffic import Traffic
from demo.district import District, Division
from shared.errors import SanjiError
from shared.web.i18n import Words, later

GLANCE_SECONDS: Final = 1.0
ANSWER_SECONDS_MAX: Final = 3.0
"""A node that is busy for longer is shown as it was."""

EVENTS_TOLD: Final = 100


def wall_ms() -> int:
    """Return the time, Unix ms."""
    return time.time_ns() // 1_000_000


class Room:
    """All that the page shows and does.

    Attributes:
        district: All divisions.
        switchboard: What can be done.
        traffic: What goes on in the background.
        journal: What happened.
        broker: Between the nodes; None where they link directly.
        seen: How it was at the last glance; None before the first.
    """

    def __init__(
        self, stage: Watched, talk: Talk, chance: Random, now_ms: Callable[[], int] = wall_ms,
        *, broker: Server | None = None,
    ) -> None:  # fmt: skip
        """Watch ``stage``, and the broker between its nodes if there is one."""
        self._stage = stage
        self._now_ms = now_ms
        self._pages: set[asyncio.Event] = set()
        self.district: District = stage.district
        self._board = Board(self.district)
        self.journal = Journal(now_ms)
        self.broker = Broker(broker, self.journal) if broker else None
        self.switchboard = Switchboard(stage, self.journal, talk, chance, self.broker)
        self.traffic = Traffic(stage, talk, chance)
        self.seen: Seen | None = None

    async def glance(self) -> Seen:
        """Ask all nodes, and the broker, how they are; tell the pages."""
        if self.broker is not None:
            await self.broker.look(closely=bool(self._pages))
        for division in self._stage.gone():
            self.switchboard.fell(division)
        everybody = self.district.everybody
        answers = await asyncio.gather(*(self._status(one) for one in everybody))
        statuses = {
            one.code: status
            for one, status in zip(everybody, answers, strict=True)
            if status is not None
        }
        glance = Glance(
            self._now_ms(), statuses, dict(self.switchboard.lines),
            frozenset(self.switchboard.off), await self._stage.carried(),
        )  # fmt: skip
        before, self.seen = self.seen, self._board.take(glance)
        self.switchboard.watch(self.seen)
        if before is not None:
            self._note_refused(before, self.seen)
        for page in self._pages:
            page.set()
        return self.seen

    async def _status(self, division: Division) -> Status | None:
        if division.code in self.switchboard.off:
            return None
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                return await self._stage.ask(division, "status")
        except (SanjiError, TimeoutError, OSError):
            return None

    def _note_refused(self, before: Seen, now: Seen) -> None:
        for one in self.district.everybody:
            more = now.refused.get(one.code, 0) - before.refused.get(one.code, 0)
            if more > 0:
                self.journal.note(
                    "late", later("{place}扣下 {count} 包被改过的，等原件再来"),
                    place=one.label, count=more,
                )  # fmt: skip

    async def path_of(self, division: Division, account: str) -> str:
        """Return where a node's desk opens for ``account``: by a link that is good once.

        Raises:
            SanjiError: the node is away.
        """
        return str((await self._stage.ask(division, "login_link", who=account))["path"])

    async def work(self) -> None:
        """Look once a second and let people act, until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.traffic.run())
                tasks.create_task(self._look())
        finally:
            await self.switchboard.close()
            if self.broker is not None:
                await self.broker.close()

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            await self.glance()
            await asyncio.sleep(max(GLANCE_SECONDS / 4, began + GLANCE_SECONDS - loop.time()))

    # --- pages -----------------------------------------------------------------------------------

    def open_page(self) -> asyncio.Event:
        """Return what is set whenever there is something new; while one is open, people act."""
        page = asyncio.Event()
        self._pages.add(page)
        self.traffic.set(watched=True)
        return page

    def close_page(self, page: asyncio.Event) -> None:
        """Forget a page."""
        self._pages.discard(page)
        self.traffic.set(watched=bool(self._pages))

    @property
    def pages(self) -> int:
        """How many are open."""
        return len(self._pages)

    def told(self, words: Words) -> dict[str, Any]:
        """Return everything that changes on the page; empty before the first glance."""
        if self.seen is None:
            return {}
        return told_of(
            self.district, self.seen, self.journal.last(EVENTS_TOLD), words,
            rate=self.traffic.rate, paused=self.traffic.paused,
            broker=self.broker.seen if self.broker else None,
        )  # fmt: skip
