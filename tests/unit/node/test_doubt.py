"""A node that doubts its epoch goes on, also when the new one cannot be written yet."""

import asyncio
import os
import random

from shared.domain.catalogue import KINDS
from shared.errors import StorageError
from shared.log.memory import MemoryStore
from shared.log.offload import inline
from shared.log.store import Batch
from shared.node.clock import HandClock
from shared.node.founding import found, founding_record
from shared.node.home import Keys
from shared.node.node import DOUBT_RETRY_SECONDS, Node, Surroundings
from shared.trust.keys import SigningKey


def full(_batch: Batch) -> None:
    """Refuse a commit as a full disk does."""
    raise StorageError("The disk is full.")


async def test_a_full_disk_at_the_moment_of_doubt_does_not_end_the_node() -> None:
    """The new epoch is tried again after some seconds, and the node works on (4.3)."""
    keys = Keys(SigningKey(bytes(31) + b"1"), bytes(31) + b"2")
    store, clock = MemoryStore(), HandClock()
    recovery = SigningKey(bytes(31) + b"3").public
    record = founding_record("340602", "杜集区", keys, recovery, at_ms=1, entropy=os.urandom)
    identity = await found(store, record, "杜集区", 1)
    around = Surroundings(clock=clock, entropy=os.urandom, chance=random.Random(1), offload=inline)
    node = Node(identity, keys, store, KINDS, around=around)
    await node.open()
    store.before_commit = full
    async with asyncio.timeout(20), node.working():
        await clock.advance(DOUBT_RETRY_SECONDS * 3)
        assert node.log.epoch == b""
        store.before_commit = None
        await clock.advance(DOUBT_RETRY_SECONDS * 2)
        assert node.log.epoch != b""
