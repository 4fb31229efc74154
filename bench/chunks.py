"""Signed chunks of one feed of a district, as they come over a link."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import texts
from bench.network import DISTRICT, submit_all
from shared.app.compose import open_database, surroundings
from shared.app.membership import init_district
from shared.domain.catalogue import KINDS
from shared.domain.notices.kinds import PUBLISHED
from shared.link.frames import Chunk, encode_chunk
from shared.log.sql import SqlStore
from shared.node.author import Draft
from shared.node.home import Home
from shared.node.node import Node
from shared.node.settings import load_settings
from shared.record.feed import Feed, travel_order
from shared.record.run import Run

FRAME_RECORDS: Final = 250

_READ_BYTES_MAX: Final = 1 << 24


@dataclass(frozen=True)
class Chunks:
    """A feed in frames, and what a receiver needs to believe it.

    Attributes:
        anchor: rid of the district's founding record.
        key: The author's public signing key, 32 bytes.
        base: What record 0 of the feed follows.
        trust: The runs that lead from the anchor to that key.
        frames: Chunks of ``records_a_frame`` records each.
        records: In all of them.
        records_a_frame: In each.
    """

    anchor: bytes
    key: bytes
    base: bytes
    trust: tuple[Run, ...]
    frames: tuple[bytes, ...]
    records: int
    records_a_frame: int = FRAME_RECORDS


async def make_chunks(folder: Path, records: int) -> Chunks:
    """Found a district in ``folder`` and let it publish ``records`` notices."""
    home = Home(folder / DISTRICT)
    identity = await init_district(home, DISTRICT, "杜集区")
    store = SqlStore(await open_database(home))
    try:
        around = surroundings(home, load_settings(home.settings_file))
        node = Node(identity, home.keys(), store, KINDS, around=around)
        await node.open()
        async with node.working():
            await node.author.open_epoch()
            drafts = [Draft(PUBLISHED, DISTRICT + "*", body) for body in texts.notices(records)]
            await submit_all(node, drafts)
        trust = [await _whole(node, feed) for feed in node.log.feeds if feed.lane == "trust"]
        trust.sort(key=lambda run: travel_order(run.feed))
        (notices,) = [
            await _whole(node, feed) for feed in node.log.feeds if feed.lane == "ordinary"
        ]
    finally:
        await store.close()
    frames = tuple(
        encode_chunk(Chunk(bytes(8), number, (_part(notices, first),)))
        for number, first in enumerate(range(0, records, FRAME_RECORDS), 1)
    )
    key = home.keys().signing.public.raw
    base = notices.records[0].header.prev
    return Chunks(identity.anchor, key, base, tuple(trust), frames, records)


async def _whole(node: Node, feed: Feed) -> Run:
    count = node.log.state(feed).count
    return Run(feed, 0, tuple(await node.log.store.read(feed, 0, count, _READ_BYTES_MAX)))


def _part(run: Run, first: int) -> Run:
    return Run(run.feed, first, run.records[first : first + FRAME_RECORDS])
