"""Bundles: a link on a stick (protocol 5.9). Taking one in is ordinary acceptance."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from broker.bundle import bundle_name, read_bundle, write_bundle
from shared.errors import RefusedError, UnavailableError
from shared.link.frames import (
    RID16_BYTES,
    SESSION_BYTES,
    Chunk,
    Entry,
    Heads,
    Mode,
    State,
    decode_frame,
    encode_chunk,
    encode_entry,
    encode_heads,
    root_of,
)
from shared.log.accept import Accepted, Gap, Refused
from shared.node.node import Node
from shared.record.feed import Feed, is_holder, travel_order
from shared.record.limits import CHUNK_BYTES_MAX, CHUNK_RECORDS_MAX
from shared.record.run import Run

Progress = Callable[[int, int], None]


async def export(node: Node, to: str, folder: str, progress: Progress) -> dict[str, Any]:
    """Write what ``to`` lacks, as far as it has said what it holds, else all it is entitled to."""
    log = node.log
    if log.roster.certificate_of(to) is None or to == node.identity.division:
        raise RefusedError(f"{to} is no other certified division of this district.")
    feeds = {feed: s for feed, s in log.feeds.items() if is_holder(feed, to)}
    known = node.links.state(to).counts
    session = node.entropy(SESSION_BYTES)
    entries = [
        Entry(feed, state.count, state.rid[:RID16_BYTES],
              State.STOPPED if state.stopped else State.OK)
        for feed, state in sorted(feeds.items(), key=lambda item: item[0].key)
        if state.count or state.stopped
    ]  # fmt: skip
    heads = Heads(
        node.identity.division, to, session, 1, b"", 0, ask=False,
        root=root_of(encode_entry(entry) for entry in entries), mode=Mode.ALL,
        entries=tuple(entries),
        forks=tuple(proof for feed, proof in log.forks.items() if feed in feeds),
    )  # fmt: skip
    frames = [encode_heads(heads, node.keys.signing)]
    total = sum(max(0, s.count - known.get(feed, 0)) for feed, s in feeds.items())
    records = 0
    for feed in sorted(feeds, key=travel_order):
        first = known.get(feed, 0)
        while first < feeds[feed].count:
            run = await _run(node, feed, first)
            frames.append(encode_chunk(Chunk(session, len(frames) + 1, (run,))))
            records += len(run.records)
            first = run.end
            progress(records, total)
    made_at_ms = node.clock.wall_ms()
    path = Path(folder) / bundle_name(node.identity.division, to, made_at_ms)
    write_bundle(path, frames, sender=node.identity.division, receiver=to, made_at_ms=made_at_ms)
    return {"file": str(path), "records": records, "bytes": path.stat().st_size}


async def _run(node: Node, feed: Feed, first: int) -> Run:
    records = await node.log.store.read(feed, first, CHUNK_RECORDS_MAX, CHUNK_BYTES_MAX // 2)
    if not records:
        raise UnavailableError(f"record {first} of {feed} cannot be read")
    return Run(feed, records[0].header.seq, tuple(records))


async def take_in(node: Node, path: str, progress: Progress) -> dict[str, Any]:
    """Accept a bundle made for this node."""
    bundle = read_bundle(Path(path))
    me = node.identity.division
    if bundle.receiver != me:
        raise RefusedError(f"this bundle is for {bundle.receiver}, here is {me}.")
    told = {"records": 0, "accepted": 0, "gaps": 0, "refused": 0}
    late: list[bytes] = []
    for number, data in enumerate(bundle, 1):
        if number == 1 and not node.links.keys_of(bundle.sender):
            late.append(data)  # Heads, signed by a key whose certificate may be in this bundle
        else:
            await _take_frame(node, bundle.sender, data, told)
        progress(number, 0)
    for data in late:
        await _take_frame(node, bundle.sender, data, told)
    return {"from": bundle.sender, "made_at_ms": bundle.made_at_ms, **told}


async def _take_frame(node: Node, sender: str, data: bytes, told: dict[str, int]) -> None:
    match decode_frame(data, node.links.keys_of(sender)):
        case Chunk() as chunk:
            await _take_chunk(node, chunk, told)
        case Heads() as heads:
            await node.log.accept_forks(heads.forks, node.clock.wall_ms())


async def _take_chunk(node: Node, chunk: Chunk, told: dict[str, int]) -> None:
    outcomes = await node.log.accept(chunk.runs, node.clock.wall_ms())
    for run, outcome in zip(chunk.runs, outcomes, strict=True):
        told["records"] += len(run.records)
        if isinstance(outcome, Accepted):
            told["accepted"] += len(outcome.run.records)
        elif isinstance(outcome, Gap):
            told["gaps"] += 1
        elif isinstance(outcome, Refused):
            told["refused"] += 1
