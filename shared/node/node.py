"""A node: log, author, links, views and custody statements under one TaskGroup."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import structlog

from shared.domain.custody.bypass import BypassTimes
from shared.domain.custody.lacks import Lacks
from shared.domain.custody.rules import Intervals
from shared.errors import StorageError, UnavailableError
from shared.link.backoff import Backoff
from shared.link.carrier import Carrier, ListeningCarrier
from shared.link.timing import Timing
from shared.log.log import Log
from shared.log.offload import Offload, in_thread
from shared.log.store import Store
from shared.node.author import Author, Draft, Entropy
from shared.node.bypasser import Bypasser
from shared.node.clock import Clock
from shared.node.custodian import Custodian
from shared.node.guard import Guard
from shared.node.home import Identity, Keys
from shared.node.joining import Registrar
from shared.node.links import Links
from shared.node.listener import Listener
from shared.node.papers import NodePapers
from shared.node.views import Views
from shared.record.feed import UPWARD, Level
from shared.trust.authority import KindTable
from shared.trust.kinds import ADDRESSES

logger = structlog.get_logger(__name__)

DOUBT_RETRY_SECONDS: Final = 5.0
"""After a new epoch could not be written (a full disk), it is tried again this late."""


@dataclass(frozen=True)
class Surroundings:
    """What a node takes from outside: real in a process, virtual in a simulation.

    Attributes:
        clock: Time.
        entropy: Random bytes for epochs, salts, sessions and secrets.
        chance: Randomness that protects nothing, for jitter.
        offload: Where signatures are made and long frames verified.
        timing: The links' clock.
        intervals: The custody statements' clock.
        bypass: The by-pass's clock.
        backoff_seconds: First and longest pause between dialling.
        on_commit: Told the epoch and the number of own records in it after each own commit.
    """

    clock: Clock
    entropy: Entropy
    chance: random.Random
    offload: Offload = in_thread
    timing: Timing = field(default_factory=Timing)
    intervals: Intervals = field(default_factory=Intervals)
    bypass: BypassTimes = field(default_factory=BypassTimes)
    backoff_seconds: tuple[float, float] = (1.0, 900.0)
    on_commit: Callable[[bytes, int], None] = lambda _epoch, _records: None


class Node:
    """One of the three tiers' nodes; what differs between them is in ``Level`` and their pages.

    Attributes:
        identity: Who it is.
        kinds: The kinds it knows.
        log: Its records.
        author: Writes its own.
        links: Exchanges them.
        listener: Hears the ancestor above the parent while the parent is silent; None without one.
        bypasser: Links to that ancestor while the parent does not bring everything; likewise.
        registrar: Invites nodes below.
        papers: Its certificates, shown and taken where a link begins.
        custodian: States what is held.
        guard: Sees keys that were certified in this node's name unasked.
        views: Its view tables; None where nobody looks at them (most simulated nodes).
    """

    def __init__(
        self,
        identity: Identity,
        keys: Keys,
        store: Store,
        kinds: KindTable,
        *,
        around: Surroundings,
        views: Callable[[Log], Views] | None = None,
    ) -> None:
        """Put the parts together; nothing runs before ``working``."""
        self.identity = identity
        self.keys = keys
        self.kinds = kinds
        self.entropy = around.entropy
        self.clock = around.clock
        self.log = Log(identity.division, store, identity.anchor, around.offload)
        self.author = Author(
            self.log, keys.signing, kinds,
            clock=around.clock, entropy=around.entropy, offload=around.offload,
            on_commit=around.on_commit,
        )  # fmt: skip
        self.links = Links(
            self.log, keys.signing,
            clock=around.clock, entropy=around.entropy, chance=around.chance,
            timing=around.timing, backoff_seconds=around.backoff_seconds,
        )  # fmt: skip
        self.listener = self._listener(around)
        self.papers = NodePapers(self.log, around.clock)
        self.registrar = Registrar(
            self.log, self.author, keys.signing, clock=around.clock, entropy=around.entropy
        )
        self.bypasser = self._bypasser(around)
        self.custodian = Custodian(
            self.log, self.author, around.clock, around.intervals,
            self.bypasser.lacks if self.bypasser else None,
        )  # fmt: skip
        own = tuple(filter(None, (keys.signing.public.raw, keys.next_public)))
        self.guard = Guard(self.log, self.author, around.clock, own)
        self.views = views(self.log) if views is not None else None

    async def open(self, trusted: Callable[["Node"], bool] = lambda _node: True) -> None:
        """Read the log.

        Args:
            trusted: Tells, once the log is read, whether this box wrote its last own records. If
                not (a restore, a copy), a new epoch is opened before anything is written.

        Raises:
            StorageError: the database cannot be used.
        """
        await self.log.open()
        if self.log.epoch and not trusted(self):
            logger.warning("the marker differs: a new epoch is opened", node=self.identity.division)
            self.log.doubt = True

    @asynccontextmanager
    async def working(self) -> AsyncIterator["Node"]:
        """Run the parts that need no link while the block runs."""
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(part)
                for part in (
                    self.author.run(), self._watch_doubt(), self.custodian.run(), self.guard.run(),
                )
            ]  # fmt: skip
            if self.views is not None:
                running.append(tasks.create_task(self.views.run(self.clock)))
            try:
                yield self
            finally:
                for task in running:
                    task.cancel()

    async def linked(self, carrier: Carrier) -> None:
        """Keep the link to the parent until cancelled; returns at once at the root.

        While the parent is silent, the ancestor above it is listened to, if ``carrier`` can; while
        the parent does not bring everything, that ancestor is linked to.
        """
        parent = self.identity.parent
        if parent is None:
            return
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.links.keep(parent, partial(self.addresses_of, parent), carrier))
            if self.listener is not None and isinstance(carrier, ListeningCarrier):
                tasks.create_task(self.listener.run(carrier))
            if self.bypasser is not None:
                tasks.create_task(self.bypasser.run(carrier))

    def addresses_of(self, ancestor: str) -> Sequence[str]:
        """Return where ``ancestor`` can be reached: what it last said, then the invitation's."""
        invited = [address for code, address in self.identity.ancestors if code == ancestor]
        told = self.log.roster.addresses_of(ancestor)
        return list(dict.fromkeys((*told, *invited)))

    def _beyond(self) -> str | None:
        """Return the code of the ancestor above the parent, None without one."""
        parent = self.identity.parent
        return next((code for code, _ in self.identity.ancestors if code != parent), None)

    def _bypasser(self, around: Surroundings) -> Bypasser | None:
        target = self._beyond()
        if target is None:
            return None
        ancestors = list(dict.fromkeys(code for code, _ in self.identity.ancestors))
        return Bypasser(
            self.log, self.links, target, partial(self.addresses_of, target),
            Lacks(self.identity.division, ancestors),
            clock=around.clock, chance=around.chance, times=around.bypass,
        )  # fmt: skip

    def _listener(self, around: Surroundings) -> Listener | None:
        parent, source = self.identity.parent, self._beyond()
        if parent is None or source is None:
            return None
        return Listener(
            self.log, source, partial(self.addresses_of, source),
            partial(self.links.hears, parent), clock=around.clock,
            backoff=Backoff(around.chance, *around.backoff_seconds),
            unheard_seconds=around.timing.unheard_seconds,
        )  # fmt: skip

    async def state_addresses(self, addresses: Sequence[str]) -> None:
        """Write ``node.addresses.v1`` if they are not what this node said last."""
        me = self.identity.division
        if tuple(addresses) != self.log.roster.addresses_of(me):
            audience = UPWARD if self.identity.level == Level.VILLAGE else me + "*"
            body = {"links": list(addresses)}
            await self.author.submit(Draft(ADDRESSES, audience, body, "trust"))

    async def _watch_doubt(self) -> None:
        """Open a new epoch as soon as there is doubt, also offline (protocol 4.3)."""
        woken = asyncio.Event()
        unsubscribe = self.log.subscribe(lambda _feeds: woken.set())
        try:
            while True:
                if self.author.epoch_is_due and self._is_certified():
                    try:
                        await self.author.open_epoch()
                    except StorageError as error:
                        logger.warning("no new epoch yet", why=str(error))
                        await self.clock.sleep(DOUBT_RETRY_SECONDS)
                        continue
                await woken.wait()
                woken.clear()
        finally:
            unsubscribe()

    def _is_certified(self) -> bool:
        try:
            return bool(self.author.certificate)
        except UnavailableError:
            return False
