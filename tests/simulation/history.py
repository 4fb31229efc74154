"""One history of a district: it joins, works on bad days, is healed, and is then looked at."""

import asyncio
import logging
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any, Final
from unittest.mock import patch

import structlog

from shared.domain.cases.kinds import FILED
from shared.domain.custody.bypass import BypassTimes
from shared.domain.notices.kinds import PUBLISHED
from shared.errors import SanjiError
from shared.node.author import Draft, Written
from shared.record.feed import UPWARD, Feed, Level
from shared.trust.keys import PublicKey
from tests.simulation.checks import Promises, find_unequal
from tests.simulation.district import HOUR, ROOT, TOWNS, VILLAGES, District, Totals
from tests.simulation.host import Host
from tests.simulation.virtual import StuckError, run

LOSSLESS_EVERY: Final = 4
"""One seed in so many loses nothing, and then no record may cross a link twice."""

FILES_EVERY: Final = 20
"""One seed in so many keeps its logs in SQLite files."""

IMPATIENT: Final = BypassTimes(*(int(hours * HOUR * 1000) for hours in (7, 1, 3, 12, 7)))
"""A history has some 20 h of work: villages by-pass their town after 7, and a trial is a beat."""

PAUSES: Final = (0.3, 2.0, 30.0, 600.0, 2 * HOUR)
QUIET_HOURS: Final = 6
HEALING_HOURS: Final = 12
QUIET_FRAMES_MAX: Final = 8.0
LATE_COMERS: Final = 2


@dataclass
class Outcome:
    """How a history ended.

    Attributes:
        seed: Its seed.
        problems: What was wrong; empty if nothing was.
        totals: What happened.
        digest: Of all frames that went over a cable.
        story: The operations, one a line.
    """

    seed: int
    problems: list[str]
    totals: Totals
    digest: str
    story: list[str] = field(default_factory=list)

    def told(self) -> str:
        """Return what was wrong, and how to see it again."""
        again = f"python -m tests.simulation --seed {self.seed} --count 1 --story"
        return "\n  ".join((f"seed {self.seed} failed; again: {again}", *self.problems))


class History:
    """The operations of one seed."""

    def __init__(self, seed: int, folder: Path | None) -> None:
        """Nothing happens before ``live``."""
        self.seed = seed
        source = Random(seed)
        # Each its own, so that what the nodes do does not change what is done to them.
        self.chance = Random(source.random())
        self.lossless = seed % LOSSLESS_EVERY == 0
        self.district = District(
            Random(source.random()), folder, broadcasting=seed // LOSSLESS_EVERY % 2 == 1,
            bypass=None if self.lossless else IMPATIENT,
        )  # fmt: skip
        self.promises = Promises(self.district)
        self.totals = Totals(seeds=1)
        self.story: list[str] = []
        self._backups: dict[str, tuple[object, tuple[bytes, int]]] = {}
        self._late = list(VILLAGES[-LATE_COMERS:])
        self._tasks: set[asyncio.Task[None]] = set()
        self._careless: set[str] = set()
        self._written = 0

    async def live(self) -> None:
        """Join, work, heal, rest, and look."""
        await self.district.found()
        for code in (*TOWNS, *VILLAGES[:-LATE_COMERS]):
            await self.district.join(code)
        await asyncio.sleep(60)
        if self.lossless:
            await self._work_calmly()
        else:
            await self._work()
        await self._heal()
        await self._rest()
        self._count()
        await self.district.end()

    # --- work ------------------------------------------------------------------------------------

    async def _work(self) -> None:
        operations = (
            self._write, self._write, self._write, self._write, self._burst, self._cut, self._mend,
            self._weather, self._partition, self._crash, self._crash_at_commit, self._back_up,
            self._back_up, self._restore, self._lie, self._sign_badly, self._fill, self._alter,
            self._join,
        )  # fmt: skip
        for _ in range(self.chance.randint(40, 60)):
            operation = self.chance.choice(operations)
            await operation(self._somebody())
            await asyncio.sleep(self.chance.choice(PAUSES))

    async def _work_calmly(self) -> None:
        for cable in self.district.cables.values():
            cable.delay_seconds = self.chance.choice((0.0, 0.05, 0.7, 3.0))
        for _ in range(self.chance.randint(30, 50)):
            operation = self.chance.choice((self._write, self._write, self._burst, self._join))
            await operation(self._somebody())
            await asyncio.sleep(self.chance.choice(PAUSES))

    def _somebody(self) -> Host:
        """Choose a box, relays more often than their number says."""
        hosts = list(self.district.hosts.values())
        return self.chance.choice(hosts[:5] if self.chance.random() < 0.5 else hosts)

    def _tell(self, what: str, host: Host | None = None, detail: object = "") -> None:
        now = asyncio.get_running_loop().time()
        name = host.code if host is not None else ""
        self.story.append(f"{now:10.1f} {what} {name} {detail}".rstrip())

    def _draft(self, host: Host) -> Draft:
        chance, level = self.chance, host.identity.level
        self._written += 1
        lane = chance.choice(("ordinary", "ordinary", "urgent"))
        if level is Level.VILLAGE or chance.random() < 0.2:
            if chance.random() < 0.5:
                return Draft(FILED, UPWARD, self._filing, numbered="receipt/26")
            if level is not Level.VILLAGE:
                return Draft(FILED, UPWARD, self._filing, numbered="receipt/26")
            return Draft(PUBLISHED, UPWARD, self._notice(), lane)
        below = [code for code in self.district.hosts if code.startswith(host.code)][1:]
        audiences = [host.code + "*", *below, *(code + "*" for code in below)]
        audience = chance.choice(audiences) if chance.random() < 0.6 else host.code + "*"
        return Draft(PUBLISHED, audience, self._notice(), lane)

    def _notice(self) -> dict[str, Any]:
        text = "公" * self.chance.choice((3, 30, 300))
        title = f"第{self._written}号"
        return {"stream": "government", "category": "decision", "title": title, "text": text}

    @staticmethod
    def _filing(number: int) -> dict[str, Any]:
        receipt = f"26-{number:04}-1"
        return {"receipt": receipt, "channel": "kiosk", "kind": "ask", "text": "路灯不亮",
                "receipt_key": "00" * 32}  # fmt: skip

    async def _write(self, host: Host) -> None:
        self._spawn(host, 1)

    async def _burst(self, host: Host) -> None:
        large = self.seed % 10 == 1 and self.chance.random() < 0.3
        self._spawn(host, 300 if large else self.chance.randint(5, 25))

    def _spawn(self, host: Host, count: int) -> None:
        if host.node is None:
            return
        draft = self._draft(host)
        self._tell("writes", host, f"{count} to {draft.audience} {draft.lane}")
        for _ in range(count):
            self._later(self._submit(host, draft))

    def _later(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _submit(self, host: Host, draft: Draft) -> None:
        if host.node is None:
            return
        try:
            written = await host.node.author.submit(draft)
        except SanjiError:
            return  # nothing was promised
        self._promise(written)
        if written.record.header.feed.epoch in host.distrusted:
            self.district.report(f"{host.code} goes on in an epoch of which a backup was put back")

    def _promise(self, written: Written) -> None:
        self.totals.records += 1
        self.promises.add(written.record)

    async def _sign_badly(self, host: Host) -> None:
        if host.node is None:
            return
        self._tell("signs badly", host)
        self._careless.add(host.code)
        audience = UPWARD if host.identity.level is Level.VILLAGE else host.code + "*"
        draft = Draft(PUBLISHED, audience, self._notice())
        self._later(self._bad_and_good(host, draft))

    async def _bad_and_good(self, host: Host, draft: Draft) -> None:
        try:
            bad = await host.submit_badly(draft)
            self.promises.bad.add(bad.record.rid)
            await asyncio.sleep(self.chance.choice((0.0, 1.0, 100.0)))
            if host.node is None:
                return
            good = await host.node.author.submit(draft)
        except SanjiError:
            return
        if good.record.header.feed == bad.record.header.feed:
            self._promise(bad)
        self._promise(good)

    # --- lines -----------------------------------------------------------------------------------

    async def _cut(self, host: Host) -> None:
        self._tell("is cut off", host)
        self.district.cables[host.code].cut = True

    async def _mend(self, host: Host) -> None:
        self._tell("all lines mended")
        for cable in self.district.cables.values():
            cable.cut = False

    async def _partition(self, host: Host) -> None:
        codes = [code for code in self.district.cables if code.startswith(host.code)]
        self._tell("all below are cut off", host)
        for code in codes:
            self.district.cables[code].cut = True

    async def _weather(self, host: Host) -> None:
        cable = self.district.cables[host.code]
        cable.loss = self.chance.choice((0.0, 0.05, 0.3, 1.0))
        cable.duplicate = self.chance.choice((0.0, 0.1))
        cable.reorder = self.chance.choice((0.0, 0.3))
        cable.delay_seconds = self.chance.choice((0.0, 0.2, 4.0))
        self._tell("has weather", host, f"loss {cable.loss}")

    async def _alter(self, host: Host) -> None:
        self._tell("gets altered frames", host)
        self.district.cables[host.code].alter += self.chance.choice((1, 2))

    # --- boxes -----------------------------------------------------------------------------------

    async def _crash(self, host: Host) -> None:
        self._tell("crashes", host)
        host.crash()
        self._boot_later(host)

    def _boot_later(self, host: Host) -> None:
        pause = self.chance.choice((0.0, 5.0, 600.0, 2 * HOUR))

        async def boot() -> None:
            await asyncio.sleep(pause)
            await host.boot()

        self._later(boot())

    async def _crash_at_commit(self, host: Host) -> None:
        durable = self.chance.random() < 0.5
        self._tell("crashes at its next commit", host, "durable" if durable else "not durable")
        host.crash_at_commit(durable=durable)
        self._spawn(host, self.chance.choice((1, 4)))
        await asyncio.sleep(1)
        if host.node is None:
            self._boot_later(host)

    async def _fill(self, host: Host) -> None:
        self._tell("has a full disk", host)
        host.fill()

        async def mend() -> None:
            await asyncio.sleep(self.chance.choice((30.0, 300.0)))
            host.mend()

        self._later(mend())

    async def _back_up(self, host: Host) -> None:
        self._tell("is backed up", host)
        self._backups[host.code] = host.backup()

    async def _restore(self, _host: Host) -> None:
        if not self._backups:
            return
        host = self.district.hosts[self.chance.choice(sorted(self._backups))]
        # A wrong signature at the very record where two branches part can be proven by nobody until
        # both have gone on: such a feed waits, visibly, and is no matter of this simulation.
        noticed = self.chance.random() < 0.5 or host.code in self._careless
        self._tell("is restored", host, "noticed" if noticed else "unnoticed")
        self.totals.restores += 1
        host.mend()
        host.restore(self._backups[host.code], noticed=noticed)
        self.promises.forget_lost()
        if self.chance.random() < 0.5:
            self.district.cables[host.code].cut = True
            await host.boot()
            self._spawn(host, self.chance.choice((1, 3)))
            await asyncio.sleep(5)
            self.district.cables[host.code].cut = False
        else:
            self._boot_later(host)

    async def _lie(self, host: Host) -> None:
        self._tell("lies", host)
        host.liar.lies = self.chance.randint(1, 5)

    async def _join(self, _host: Host) -> None:
        if not self._late or self.district.hosts[self._late[0][:-3]].node is None:
            return
        code = self._late[0]
        try:
            await self.district.join(code)
        except SanjiError:
            return  # the parent's disk is full or its power went
        self._late.pop(0)
        self._tell("joins", self.district.hosts[code])
        for above in (ROOT, code[:-3]):
            self._backups.pop(above, None)  # a certificate only the new box holds helps nobody

    # --- healing and looking ---------------------------------------------------------------------

    async def _heal(self) -> None:
        """Mend everything and wait until all hold the same."""
        self._tell("healing")
        for host in self.district.hosts.values():
            host.mend()
            host.liar.lies = 0
            await host.boot()
        for cable in self.district.cables.values():
            cable.loss = cable.duplicate = cable.reorder = cable.delay_seconds = 0.0
            cable.alter = 0
            cable.cut = False
        await asyncio.sleep(10)
        for code in tuple(self._late):
            await self._join(self.district.hosts[code[:-3]])
        await asyncio.sleep(2 * HOUR)
        while self._tasks:
            await asyncio.wait(self._tasks)
        for _ in range(HEALING_HOURS):
            if not find_unequal(self.district, self.promises.bad) and not self.promises.broken():
                break
            await asyncio.sleep(HOUR)
        await asyncio.sleep(2 * HOUR)

    async def _rest(self) -> None:
        """Count what a quiet district says, and look whether all is as it should be."""
        self._tell("rest")
        self.district.watch.frames.clear()
        await asyncio.sleep(QUIET_HOURS * HOUR)
        frames = self.district.watch.frames
        link, most = max(frames.items(), key=lambda item: item[1], default=("", 0))
        self.totals.quiet = most / QUIET_HOURS
        if self.totals.quiet > QUIET_FRAMES_MAX:
            self.district.report(f"{link} says {self.totals.quiet:.1f} frames an hour at rest")
        self.district.problems += find_unequal(self.district, self.promises.bad)
        self.district.problems += self.promises.broken()

    def _count(self) -> None:
        district, totals = self.district, self.totals
        crossed = district.watch.crossed
        totals.crossings = sum(crossed.values())
        if self.lossless:
            totals.extra = totals.crossings - len(crossed)
            again = [place for place, times in crossed.items() if times > 1]
            if again:
                district.report(f"{totals.extra} records crossed a link again, such as {again[0]}")
            for host in district.running():
                assert host.node is not None
                offered = host.node.log.counters.duplicates_offered
                if offered:
                    district.report(f"{host.code} was offered {offered} records it had")
        stopped: set[Feed] = set()
        epochs: set[tuple[str, bytes]] = set()
        for host in district.hosts.values():
            totals.crashes += host.crashes
            if host.identity.level is Level.VILLAGE:
                totals.bypasses += host.liar.dialled[ROOT]
            if host.node is not None:
                stopped.update(f for f, s in host.node.log.feeds.items() if s.stopped)
                epochs.update((feed.author, feed.epoch) for feed in host.node.log.feeds)
        totals.forks, totals.epochs = len(stopped), len(epochs)


def play(seed: int) -> Outcome:
    """Play the history of ``seed``."""
    with ExitStack() as stack:
        folder = None
        if seed % FILES_EVERY == FILES_EVERY - 1:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sanji-")))
        before = structlog.get_config()
        stack.callback(lambda: structlog.configure(**before))
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        # Every node checks the same signatures again: the answer is a function of its arguments.
        known = lru_cache(maxsize=None)(PublicKey.verifies_bytes)
        stack.enter_context(patch.object(PublicKey, "verifies_bytes", known))
        history = History(seed, folder)
        try:
            run(_guarded(history))
        except (StuckError, asyncio.CancelledError) as error:
            history.district.report(f"it was given up: {error}")
    problems = history.district.problems
    history.totals.failures = int(bool(problems))
    digest = history.district.watch.digest.hexdigest()
    return Outcome(seed, problems, history.totals, digest, history.story)


async def _guarded(history: History) -> None:
    """Live, and note what breaks where nobody listens."""

    def note(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        history.district.report(f"{context['message']}: {context.get('exception')!r}")

    living = asyncio.ensure_future(history.live())

    def give_up(link: str) -> None:
        history.district.report(f"{link} and its parent never come to rest")
        living.cancel()

    asyncio.get_running_loop().set_exception_handler(note)
    history.district.watch.on_endless = give_up
    await living
