"""Sees whether somebody certifies a key in this division's name unasked, and says so (4.2)."""

import asyncio
from collections.abc import Collection, Sequence
from typing import Final

import structlog

from shared.errors import SanjiError
from shared.log.log import Log
from shared.node.author import Author, Draft
from shared.node.clock import Clock
from shared.record.feed import Feed
from shared.trust.certificate import Certificate
from shared.trust.kinds import DISOWNED
from shared.trust.roster import own_trust_feed

logger = structlog.get_logger(__name__)

RETRY_SECONDS: Final = 5.0
"""After an alarm could not be written (a full disk), it is tried again this late."""


class Guard:
    """Watches the certificates of this division."""

    def __init__(
        self, log: Log, author: Author, clock: Clock, signing_keys: Collection[bytes]
    ) -> None:
        """Watch ``log`` for keys other than ``signing_keys``, and write with ``author``."""
        self._log = log
        self._author = author
        self._clock = clock
        self._signing_keys = signing_keys
        self._woken = asyncio.Event()

    def unasked(self) -> tuple[Certificate, ...]:
        """Return the certificates made out to this division that its node did not ask for."""
        if self._log.roster.certificate_of(self._log.me) is None:
            return ()
        return self._log.roster.unasked(self._log.me, self._signing_keys)

    async def run(self) -> None:
        """Disown what was not asked for, each once, until cancelled."""
        self._woken.set()
        unsubscribe = self._log.subscribe(self._note)
        try:
            while True:
                await self._woken.wait()
                self._woken.clear()
                try:
                    await self._disown()
                except SanjiError as error:
                    logger.warning("no alarm written yet", why=str(error))
                    await self._clock.sleep(RETRY_SECONDS)
                    self._woken.set()
        finally:
            unsubscribe()

    def _note(self, feeds: Sequence[Feed]) -> None:
        if any(feed.lane == "trust" and feed.author != self._log.me for feed in feeds):
            self._woken.set()

    async def _disown(self) -> None:
        for one in self.unasked():
            if not self._log.roster.is_disowned(one):
                logger.warning("a key was certified unasked", by=one.issuer.author)
                mine = self._author.certificate
                audience = own_trust_feed(mine, self._log.epoch).audience
                body = {"certificate": one.rid.hex()}
                await self._author.submit(Draft(DISOWNED, audience, body, "trust"))
