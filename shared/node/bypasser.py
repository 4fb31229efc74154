"""Links to the ancestor above the parent while the by-pass is open (protocol 4.8).

``custody.bypass`` says when. The running time that it counts is kept with its state in the log's
notes: a village box that runs eight hours a day would else never have waited for 26.
"""

import asyncio
import json
import random
from typing import Final

import structlog

from shared.domain.custody.bypass import Bypass, BypassTimes
from shared.domain.custody.lacks import Lack, Lacks
from shared.errors import StorageError
from shared.link.carrier import Carrier
from shared.log.log import Log
from shared.log.store import Batch
from shared.node.clock import Clock
from shared.node.links import Addresses, Links

NOTE: Final = "bypass"

SAVES: Final = 24
"""The state is written so often in the time after which it opens, also without a change: once in
65 min of 26 h. A restart loses less than that."""

RETRY_SECONDS: Final = 1.0
"""While state and log are not read, it is tried again this late."""

logger = structlog.get_logger(__name__)


class Bypasser:
    """Carries out the by-pass of one node.

    Attributes:
        target: Code of the ancestor to which it leads.
        since_ms: Since when it is open, Unix ms; None while it is not.
        lacks: What the node lacks; fed by the custodian, who reads all statements.
    """

    def __init__(
        self,
        log: Log,
        links: Links,
        target: str,
        addresses: Addresses,
        lacks: Lacks,
        *,
        clock: Clock,
        chance: random.Random,
        times: BypassTimes,
    ) -> None:
        """Open nothing yet; ``run`` does it.

        Args:
            log: Keeps the state.
            links: Keep the link.
            target: Code of the ancestor above the parent.
            addresses: Where it can be reached.
            lacks: See the class.
            clock: Time.
            chance: For the jitter.
            times: How patient the node is.
        """
        self.target = target
        self.since_ms: int | None = None
        self.lacks = lacks
        self._log = log
        self._links = links
        self._addresses = addresses
        self._clock = clock
        self._times = times
        self._bypass = Bypass(times, lambda most: chance.randint(0, most))
        self._ran_ms = 0
        self._saved_ms = 0

    @property
    def because(self) -> Lack | None:
        """Why it opened last; None while the tree carries."""
        return self._bypass.because

    async def run(self, carrier: Carrier) -> None:
        """Look whether the tree carries, and link to ``target`` while it does not."""
        # What was not read yet would look as if it came only now.
        while not (self.lacks.is_complete and await self._read()):
            await self._clock.sleep(RETRY_SECONDS)
        started_ms = self._running_ms()
        link: asyncio.Task[None] | None = None
        async with asyncio.TaskGroup() as tasks:
            while True:
                phase = self._bypass.phase
                now_ms = self._ran_ms + self._running_ms() - started_ms
                pause_ms = self._bypass.look(now_ms, self.lacks.now())
                await self._save(now_ms, is_changed=phase is not self._bypass.phase)
                if self._bypass.is_open and link is None:
                    link = tasks.create_task(self._keep(carrier))
                elif not self._bypass.is_open and link is not None:
                    link.cancel()
                    await asyncio.gather(link, return_exceptions=True)
                    link = None
                await self._clock.sleep(pause_ms / 1000)

    async def _keep(self, carrier: Carrier) -> None:
        because = self._bypass.because
        logger.warning("by-pass open", to=self.target, because=because and because.reason)
        self.since_ms = self._clock.wall_ms()
        try:
            await self._links.keep(self.target, self._addresses, carrier)
        finally:
            self.since_ms = None
            logger.info("by-pass closed", to=self.target)

    async def _read(self) -> bool:
        """Go on where the last process was; returns whether the database let it."""
        try:
            note = await self._log.store.note(NOTE)
        except StorageError as error:
            logger.warning("the by-pass waits for the database", why=str(error))
            return False
        if note is not None:
            value = json.loads(note)
            self._ran_ms = self._saved_ms = value["ran_ms"]
            self._bypass.restore(value["bypass"])
        return True

    async def _save(self, now_ms: int, *, is_changed: bool) -> None:
        if not is_changed and now_ms - self._saved_ms < self._times.after_ms // SAVES:
            return
        value = {"ran_ms": now_ms, "bypass": self._bypass.encode()}
        batch = Batch(self._clock.wall_ms(), notes={NOTE: json.dumps(value).encode()})
        try:
            async with self._log.lock:
                await self._log.store.commit(batch)
        except StorageError as error:
            logger.warning("the by-pass's state is not kept", why=str(error))
        else:
            self._saved_ms = now_ms

    def _running_ms(self) -> int:
        return int(self._clock.monotonic() * 1000)
