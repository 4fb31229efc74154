"""What can be done from the control page: to lines, to a town's process, and as its people do."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from random import Random
from typing import Any, Final

from demo.content import Talk
from demo.control.board import WHOLE, Line, Seen
from demo.control.broker import RESTART_SECONDS, Broker
from demo.control.delivery import Delivery
from demo.control.journal import Journal
from demo.control.staged import Staged
from demo.district import Division
from shared.errors import InvalidError, SanjiError
from shared.record.feed import Level
from shared.web.i18n import later

FLOOD_RECORDS: Final = 10_000
LOSS: Final = 0.5
SLOW_MS: Final = 5000
"""What has not arrived everywhere by then waits for a line, and that is told."""

DELIVERIES_MAX: Final = 50


class Switchboard:
    """Carries out what the page asks for.

    Attributes:
        lines: What was done to lines, by code of the lower end.
        off: Codes of the nodes whose process is gone and not yet back.
    """

    def __init__(
        self, stage: Staged, journal: Journal, talk: Talk, chance: Random,
        broker: Broker | None = None,
    ) -> None:  # fmt: skip
        """Act on ``stage`` and ``broker``, tell ``journal``, let people say what ``talk`` holds."""
        self._stage = stage
        self._journal = journal
        self._talk = talk
        self._chance = chance
        self._by_code = {one.code: one for one in stage.district.everybody}
        self._tasks: set[asyncio.Task[None]] = set()
        self._deliveries: deque[Delivery] = deque(maxlen=DELIVERIES_MAX)
        self._slow: set[Delivery] = set()
        self.lines: dict[str, Line] = {}
        self.off: set[str] = set()
        self._acts: dict[str, Callable[[Division], Awaitable[None]]] = {
            "cut": self.cut,
            "heal": self.heal,
            "cut-town": self.cut_town,
            "kill": self.kill,
            "lose": self.lose,
            "alter": self.alter,
            "flood": self.flood,
            "urgent": self.urgent,
            "voice": self.voice,
            "heal-all": self.heal_all,
        }
        if broker is not None:
            self._acts["kill-broker"] = lambda _: broker.kill()
            self._acts["wipe-broker"] = lambda _: broker.wipe()

    async def do(self, act: str, code: str) -> None:
        """Do ``act`` with the link whose lower end is ``code``; empty means any.

        Raises:
            InvalidError: there is no such act or link.
            SanjiError: it cannot be done now; one line.
        """
        below = self._by_code.get(code) if code else self._stage.district.villages[0]
        if act not in self._acts or below is None or below.level == Level.DISTRICT:
            raise InvalidError("there is no such switch.")
        await self._acts[act](below)

    async def close(self) -> None:
        """End what still runs."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def settled(self) -> None:
        """Wait until nothing runs any more."""
        await asyncio.gather(*self._tasks)

    # --- lines -----------------------------------------------------------------------------------

    async def cut(self, below: Division) -> None:
        """Cut a line."""
        if not self._line(below).cut:
            await self._cut(below)
            self._journal.note("late", later("您断开了 {place}"), place=below.label)

    async def _cut(self, below: Division) -> None:
        now_ms = self._journal.now_ms()
        await self._set(below, replace(self._line(below), cut=True, cut_ms=now_ms))

    async def heal(self, below: Division) -> None:
        """Mend a line."""
        if self._line(below) != WHOLE:
            await self._set(below, WHOLE)
            self._journal.note("doing", later("您接通了 {place}"), place=below.label)

    async def heal_all(self, _: Division) -> None:
        """Mend all lines."""
        broken = [self._by_code[code] for code, line in self.lines.items() if line != WHOLE]
        await asyncio.gather(*(self._set(one, WHOLE) for one in broken))
        self._journal.note("doing", later("全部接通，{count} 条线修好了"), count=len(broken))

    async def cut_town(self, below: Division) -> None:
        """Cut the lines of all villages of a town."""
        town = self._town(below)
        whole = [v for v in self._stage.district.villages_of(town) if not self._line(v).cut]
        await asyncio.gather(*(self._cut(village) for village in whole))
        self._journal.note(
            "late", later("您断开了{town}的 {count} 个村"), town=town.label, count=len(whole)
        )

    async def lose(self, below: Division) -> None:
        """Let a line lose half its frames, or no longer."""
        line = self._line(below)
        loss = 0.0 if line.loss else LOSS
        await self._set(below, replace(line, loss=loss))
        said = later("{place}的线不再丢包") if not loss else later("{place}的线丢一半包")
        self._journal.note("doing" if not loss else "wait", said, place=below.label)

    async def alter(self, below: Division) -> None:
        """Alter the next record on a line, and send one over it."""
        if not self._carries(below):
            self._journal.note("wait", later("{place}的线不通，先接通再试"), place=below.label)
            return
        await self._cable(below, alter=1)
        above = self._by_code[below.parent]
        title, text = self._chance.choice(self._talk.notices)
        await self._stage.ask(above, "publish", title=title, text=text, to=below.code)
        self._journal.note("wait", later("路上有人改了一条给{place}的通知"), place=below.label)

    def _line(self, below: Division) -> Line:
        return self.lines.get(below.code, WHOLE)

    async def _set(self, below: Division, line: Line) -> None:
        self.lines[below.code] = line
        await self._cable(below, cut=line.cut, loss=line.loss)

    async def _cable(self, below: Division, **faults: float) -> None:
        if below.code not in self.off:  # then the line gets what it misses when its town is back
            await self._stage.cable(below, **faults)

    def _carries(self, below: Division) -> bool:
        return not (self._line(below).cut or self.off & {below.code, below.parent})

    # --- a town's process ------------------------------------------------------------------------

    async def kill(self, below: Division) -> None:
        """Kill a town's process; some seconds later it comes back by itself."""
        town = self._town(below)
        if town.code in self.off:
            self._journal.note("wait", later("{town}还断着电"), town=town.label)
            return
        self._switch_off(town)
        await self._stage.kill(town)
        self._journal.note("late", later("{town}断电了，稍后自己回来"), town=town.label)

    def fell(self, division: Division) -> None:
        """Take note that the process of ``division`` has ended, and bring it back."""
        if division.code not in self.off:
            self._switch_off(division)
            self._journal.note(
                "late", later("{place}等 {count} 台的进程没了，稍后自己回来"),
                place=division.label, count=len(self._stage.beside(division)),
            )  # fmt: skip

    def _switch_off(self, division: Division) -> None:
        self.off.update(one.code for one in self._stage.beside(division))
        self._later(self._revive(division))

    async def _revive(self, division: Division) -> None:
        everybody = self._stage.beside(division)
        try:
            await asyncio.sleep(RESTART_SECONDS)
            await self._stage.revive(division)
        finally:  # if it is still gone, the next look brings it here again
            self.off.difference_update(one.code for one in everybody)
        for one in everybody:
            if (line := self._line(one)) != WHOLE:
                await self._set(one, line)
        self._journal.note("done", later("{place}回来了，接着传"), place=division.label)

    # --- people ----------------------------------------------------------------------------------

    async def flood(self, below: Division) -> None:
        """Let ten thousand voices come in at one village."""
        village = self._village(below)
        texts = [saying.text for saying in self._talk.voices]
        await self._stage.flood(village, texts, FLOOD_RECORDS)
        self._journal.note(
            "doing", later("{place}一下子来了 {count} 条民情"), place=village.label,
            count=FLOOD_RECORDS,
        )  # fmt: skip

    async def urgent(self, _: Division) -> None:
        """Let the district publish something urgent."""
        district = self._stage.district
        title, text = self._chance.choice(self._talk.urgent)
        told = await self._stage.ask(district.top, "publish", title=title, text=text, urgent=True)
        self._journal.note("doing", later("区里发急件“{title}”"), title=title)
        villages = frozenset(village.code for village in district.villages)
        self._expect(
            district.top, "urgent", told, villages,
            later("“{title}”：{count} 个村都收到了，用了 {seconds} 秒"), title=title,
        )  # fmt: skip

    async def voice(self, below: Division) -> None:
        """Let somebody in a village say something."""
        village = self._village(below)
        saying = self._chance.choice(self._talk.voices)
        told = await self._stage.ask(village, "file", **saying._asdict())
        self._journal.note("doing", later("新民情 {receipt}"), receipt=told["receipt"])
        self._expect(
            village, "ordinary", told, frozenset({self._stage.district.top.code}),
            later("{receipt} 到了区里，用了 {seconds} 秒"), receipt=told["receipt"],
        )  # fmt: skip

    def _expect(
        self, author: Division, lane: str, told: Mapping[str, Any], wanted: frozenset[str],
        arrived: str, **values: Any,
    ) -> None:  # fmt: skip
        feed = (author.code, lane, str(told["audience"]))
        self._deliveries.append(
            Delivery(self._journal.now_ms(), feed, int(told["seq"]), wanted, arrived, values)
        )

    def watch(self, seen: Seen) -> None:
        """Tell of what has arrived everywhere, and once of what waits somewhere."""
        for one in tuple(self._deliveries):
            held = one.holders(seen)
            took_ms = seen.at_ms - one.began_ms
            if held == one.wanted:
                seconds = max(1, round(took_ms / 1000))
                self._journal.note(
                    "done", one.arrived, seconds=seconds, count=len(held), **one.values
                )
                self._deliveries.remove(one)
                self._slow.discard(one)
            elif took_ms > SLOW_MS and one not in self._slow:
                self._slow.add(one)
                self._journal.note(
                    "wait", later("{what}：还有 {count} 处在等，线通了就到"),
                    what=next(iter(one.values.values())), count=len(one.wanted - held),
                )  # fmt: skip

    # --- who -------------------------------------------------------------------------------------

    def _town(self, below: Division) -> Division:
        return below if below.level == Level.TOWN else self._by_code[below.parent]

    def _village(self, below: Division) -> Division:
        if below.level == Level.VILLAGE:
            return below
        return (self._stage.district.villages_of(below) or self._stage.district.villages)[0]

    def _later(self, work: Awaitable[None]) -> None:
        async def careful() -> None:
            try:
                await work
            except SanjiError as error:
                self._journal.note("late", later("没做成：{why}"), why=str(error))

        task = asyncio.create_task(careful())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
