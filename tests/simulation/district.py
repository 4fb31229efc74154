"""A whole district in memory: boxes, cables between them, and a watch over every frame."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

import zstandard

from broker.cable import Cable
from broker.faults import Direction, Fate, OnFrame
from broker.memory import MemoryHub
from shared.domain.custody.bypass import BypassTimes
from shared.log.log import Log
from shared.log.offload import inline
from shared.node.clock import SystemClock
from shared.node.founding import found, founding_record
from shared.node.home import Identity, Keys
from shared.node.joining import take_trust
from shared.node.node import Surroundings
from shared.record import cbor
from shared.trust.invitation import make_request
from shared.trust.keys import SigningKey
from tests.simulation.disks import Disk, FileDisk, MemoryDisk
from tests.simulation.host import Host, address_of
from tests.simulation.misfits import HEADS_FRAME

ROOT: Final = "340602"
TOWNS: Final = tuple(f"{ROOT}10{number}" for number in range(4))
VILLAGES: Final = tuple(f"{town}20{number}" for town in TOWNS for number in range(4))
START_MS: Final = 1_764_000_000_000
FRAMES_MAX: Final = 40_000
"""More in one history is a quarrel that never ends: a history has about 5,000."""

DAY: Final = 86_400.0
HOUR: Final = 3_600.0


@dataclass
class Totals:
    """What happened in a history; sums over several are made with ``add``.

    Attributes:
        seeds: Histories.
        failures: Those that failed.
        records: Records that were written on purpose.
        crossings: Records that went over a link, counted once a link and frame.
        extra: Those that went over a link again although nothing was lost.
        forks: Feeds that were stopped somewhere.
        epochs: Epochs opened.
        crashes: Processes that died.
        restores: Backups put back.
        bypasses: Links of villages to the district.
        quiet: Frames an hour on the busiest link when all was done; the worst.
    """

    seeds: int = 0
    failures: int = 0
    records: int = 0
    crossings: int = 0
    extra: int = 0
    forks: int = 0
    epochs: int = 0
    crashes: int = 0
    restores: int = 0
    bypasses: int = 0
    quiet: float = 0.0

    def add(self, other: "Totals") -> None:
        """Add ``other``."""
        for name, value in vars(other).items():
            mine = getattr(self, name)
            setattr(self, name, max(mine, value) if name == "quiet" else mine + value)

    def line(self) -> str:
        """Return all of it in one line."""
        return "  ".join(f"{name} {value:,.4g}" if name == "quiet" else f"{name} {value:,}"
                         for name, value in vars(self).items())  # fmt: skip


@dataclass
class Watch:
    """What went over the cables.

    Attributes:
        frames: Frames of each link since they were last cleared.
        crossed: How often each record (link, feed, seq) went over a link.
        digest: Of all frames in their order.
        total: Frames of all links, whatever became of them.
        on_endless: Called with a link when there are ``FRAMES_MAX``.
    """

    frames: Counter[str] = field(default_factory=Counter)
    crossed: Counter[tuple[str, tuple[Any, ...], int]] = field(default_factory=Counter)
    digest: Any = field(default_factory=hashlib.sha256)
    total: int = 0
    on_endless: Callable[[str], None] = lambda _link: None

    def observer(self, link: str) -> OnFrame:
        """Return who watches the cable of the node ``link`` to its parent."""

        def observe(direction: Direction, fate: Fate, frame: bytes) -> None:
            self.total += 1
            if self.total == FRAMES_MAX:
                self.on_endless(link)
            self.digest.update(f"{link} {direction} {fate}".encode())
            self.digest.update(frame)
            if fate is not Fate.PASSED:
                return
            self.frames[link] += 1
            if not frame.startswith(HEADS_FRAME):
                self.crossed.update((link, *place) for place in places_in(frame))

        return observe


def places_in(frame: bytes) -> Iterator[tuple[tuple[Any, ...], int]]:
    """Yield (feed, seq) of the records in a Chunk frame, without restoring them."""
    _, _, _, packed = cbor.decode_loose(frame)
    runs = cbor.decode_loose(zstandard.ZstdDecompressor().decompress(packed), max_depth=12)
    for feed, first_seq, records in runs:
        for seq in range(first_seq, first_seq + len(records)):
            yield tuple(feed), seq


class District:
    """All boxes of a district and all cables between them.

    Attributes:
        chance: Where everything that is left to chance comes from.
        hosts: By code; a village that has not joined is not there.
        cables: By the code of the node below.
        watch: What went over them.
        problems: What must never happen and did.
    """

    def __init__(
        self,
        chance: Random,
        folder: Path | None,
        *,
        broadcasting: bool,
        bypass: BypassTimes | None = None,
    ) -> None:
        """Prepare; ``found`` sets up the first box.

        Args:
            chance: See the class.
            folder: The logs are files there; None: they are in memory.
            broadcasting: Relays say to all below at once what is for all of them.
            bypass: How patient villages are; None: as patient as real ones.
        """
        self._bypass = bypass or BypassTimes()
        self._broadcasting = broadcasting
        self.chance = chance
        self.hosts: dict[str, Host] = {}
        self.cables: dict[str, Cable] = {}
        self.watch = Watch()
        self.problems: list[str] = []
        self._folder = folder
        self._hub = MemoryHub()

    async def found(self) -> None:
        """Set up the district's box."""
        keys, disk = self._keys(), self._disk(ROOT)
        recovery = SigningKey(self.chance.randbytes(32)).public
        record = founding_record(
            ROOT, "杜集区", keys, recovery, at_ms=START_MS, entropy=self.chance.randbytes
        )
        identity = await found(disk.open(), record, "杜集区", START_MS)
        await self._set_up(identity, keys, disk).boot()
        await asyncio.sleep(0.1)

    async def join(self, code: str) -> None:
        """Invite, certify and set up the box of ``code``, all in place."""
        parent = self.hosts[code[:-3]]
        assert parent.node is not None
        above = (parent.code, address_of(parent.code))
        addresses = (above, *parent.identity.ancestors)
        registrar = parent.node.registrar
        invitation = await registrar.invite(code, "第" + code[-6:], addresses)
        keys, disk = self._keys(), self._disk(code)
        request = make_request(
            invitation, keys.signing, keys.sealing_public, self.chance.randbytes(16)
        )
        frames = await registrar.redeem(request)
        identity = Identity(
            code, invitation.label, invitation.level, invitation.anchor, invitation.addresses
        )
        log = Log(code, disk.open(), invitation.anchor)
        await take_trust(log, frames, invitation, START_MS)
        await self._set_up(identity, keys, disk).boot()
        await asyncio.sleep(0.1)

    def report(self, problem: str) -> None:
        """Note what must not happen."""
        self.problems.append(problem)

    def running(self) -> list[Host]:
        """Return the boxes that are on."""
        return [host for host in self.hosts.values() if host.node is not None]

    async def end(self) -> None:
        """Switch everything off."""
        for host in self.hosts.values():
            await host.end()
        for cable in self.cables.values():
            cable.cut = True
        await asyncio.sleep(1)

    def _keys(self) -> Keys:
        return Keys(SigningKey(self.chance.randbytes(32)), self.chance.randbytes(32))

    def _disk(self, code: str) -> Disk:
        return MemoryDisk() if self._folder is None else FileDisk(self._folder, code)

    def _set_up(self, identity: Identity, keys: Keys, disk: Disk) -> Host:
        code = identity.division
        around = Surroundings(
            clock=SystemClock(START_MS),
            entropy=self.chance.randbytes,
            chance=Random(self.chance.random()),
            offload=inline,
            bypass=self._bypass,
        )
        cable = Cable(Random(self.chance.random()), on_frame=self.watch.observer(code))
        host = Host(identity, keys, disk, around, self._hub, cable, self.report,
                    broadcasting=self._broadcasting)  # fmt: skip
        self.hosts[code], self.cables[code] = host, cable
        return host
