"""A box in a village, a town or the district: disk, marker, and the node that runs on it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Final, cast

from broker.cable import Cable
from broker.memory import MemoryHub
from shared.app.compose import is_trusted
from shared.domain.catalogue import KINDS
from shared.errors import StorageError
from shared.log.store import Batch, FeedState
from shared.node.author import Draft, Written
from shared.node.home import Home, Identity, Keys, Marker, machine_id
from shared.node.node import Node, Surroundings
from shared.record.feed import Feed, is_holder
from shared.trust.keys import SigningKey
from tests.simulation.disks import Disk
from tests.simulation.misfits import CarelessKey, LyingCarrier

Report = Callable[[str], None]

NO_MARKER: Final = (b"", 0)


def address_of(code: str) -> str:
    """Return where division ``code`` answers."""
    return "memory:" + code


@dataclass(frozen=True)
class _Beside:
    """As much of a home as has to do with the marker."""

    kept: tuple[bytes, int]

    def marker(self) -> Marker:
        return Marker(self.kept[0].hex(), self.kept[1], machine_id())


class Host:
    """One box and whoever looks after it.

    Attributes:
        identity: Who lives here.
        keys: Its keys.
        disk: What survives.
        node: The running node; None while the box is off.
        marker: Epoch and number of own records as they stand beside the database.
        liar: Its carrier, which can be made to lie.
        heads: The highest head seen of each feed since the last restore.
        distrusted: Epochs in which it must not write again, since a backup of them was put back.
        crashes: How often it died.
    """

    def __init__(
        self,
        identity: Identity,
        keys: Keys,
        disk: Disk,
        around: Surroundings,
        hub: MemoryHub,
        cable: Cable,
        report: Report,
        *,
        broadcasting: bool,
    ) -> None:
        """Set the box up; ``boot`` switches it on."""
        self._broadcasting = broadcasting
        self.identity = identity
        self.keys = keys
        self.disk = disk
        self.node: Node | None = None
        self.marker = NO_MARKER
        self.heads: dict[Feed, FeedState] = {}
        self.distrusted: set[bytes] = set()
        self.crashes = 0
        self.changes = 0
        self._around = replace(around, on_commit=self._mark)
        self._hub = hub
        self._carrier = hub.carrier(identity.division)
        self.liar = LyingCarrier(
            cable.carrier(self._carrier), keys.signing, Random(around.chance.random())
        )
        self._report = report
        self._life: asyncio.Task[None] | None = None
        self._dying: list[asyncio.Task[None]] = []

    @property
    def code(self) -> str:
        """Its division."""
        return self.identity.division

    def make(self) -> Node:
        """Return a node on what the disk holds; nothing of it runs."""
        return Node(self.identity, self.keys, self.disk.open(), KINDS, around=self._around)

    async def boot(self, *, linked: bool = True) -> None:
        """Switch the box on."""
        if self.node is not None:
            return
        node = self.make()
        await node.open(self._is_trusted)
        self.node = node
        self._note(node, tuple(node.log.feeds))
        node.log.subscribe(lambda feeds: self._note(node, feeds))
        self._life = asyncio.create_task(self._live(node, linked=linked), name=self.code)
        self._life.add_done_callback(lambda life: self._ended(node, life))

    def crash(self) -> None:
        """Pull the plug, now: nothing more is written and nothing more is sent."""
        if self.node is None:
            return
        self.crashes += 1
        self.node = None
        self.disk.kill()
        self._hub.stop(address_of(self.code))
        self._carrier.stop()
        if self._life is not None:
            self._life.cancel()
            self._dying.append(self._life)

    def crash_at_commit(self, *, durable: bool) -> None:
        """Pull the plug at the next commit, just before or just after it is durable."""

        def cut(_batch: Batch) -> None:
            self.mend()
            self.crash()
            raise StorageError("The power went.")

        if durable:
            self.disk.after = cut
        else:
            self.disk.before = cut

    def fill(self) -> None:
        """Let the disk be full until ``mend``."""

        def refuse(_batch: Batch) -> None:
            raise StorageError("The disk is full.")

        self.disk.before = refuse

    def mend(self) -> None:
        """Let the disk work again."""
        self.disk.before = self.disk.after = lambda _batch: None

    def restore(self, backup: tuple[object, tuple[bytes, int]], *, noticed: bool) -> None:
        """Put a backup back; unnoticed if the marker is put back with it."""
        self.crash()
        self.disk.restore(backup[0])
        self.heads.clear()
        if not noticed:
            self.marker = backup[1]
            self.distrusted.discard(backup[1][0])  # nobody can know
        elif backup[1] != self.marker:
            self.distrusted.add(backup[1][0])

    def backup(self) -> tuple[object, tuple[bytes, int]]:
        """Return a copy of disk and marker."""
        return self.disk.snapshot(), self.marker

    async def submit_badly(self, draft: Draft) -> Written:
        """Write a record whose signature is wrong, without noticing."""
        assert self.node is not None
        author = self.node.author
        author._key = cast("SigningKey", CarelessKey(self.keys.signing))
        try:
            return await author.submit(draft)
        finally:
            author._key = self.keys.signing

    async def end(self) -> None:
        """Switch off for good and wait until nothing of it is left."""
        self.crash()
        await asyncio.gather(*self._dying, return_exceptions=True)

    async def _live(self, node: Node, *, linked: bool) -> None:
        async with node.working():
            if linked:
                on_broadcast = node.links.broadcast if self._broadcasting else None
                self._hub.listen(self.code, address_of(self.code), node.links.serve, on_broadcast)
                await node.linked(self.liar)
            await asyncio.Event().wait()

    def _ended(self, node: Node, life: asyncio.Task[None]) -> None:
        broke = not life.cancelled() and life.exception() is not None
        if broke and self.node is node:  # else the power went before
            self._report(f"{self.code} broke: {life.exception()!r}")

    def _is_trusted(self, node: Node) -> bool:
        """Compare the marker as a real box does."""
        return is_trusted(cast("Home", _Beside(self.marker)), node)

    def _mark(self, epoch: bytes, records: int) -> None:
        self.marker = epoch, records

    def _note(self, node: Node, feeds: Sequence[Feed]) -> None:
        """Look at every change of a head: to whom it may come, and that it never goes back."""
        self.changes += 1
        for feed in feeds:
            held = node.log.state(feed)
            if not is_holder(feed, self.code):
                self._report(f"{self.code} holds {feed}, which it is not entitled to")
            before = self.heads.get(feed, held)
            if held.count < before.count and not held.stopped:
                self._report(f"{feed} went back from {before.count} to {held.count} at {self.code}")
            self.heads[feed] = held
