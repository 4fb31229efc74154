"""Custody waits out a database that cannot be read, and goes on by itself."""

import asyncio
from pathlib import Path

import pytest

from shared.errors import StorageError
from shared.log.sql import SqlStore
from shared.node.custodian import RETRY_SECONDS
from shared.record.feed import Feed
from shared.record.record import Record
from tests.support.served import served, stated
from tests.support.trust import VILLAGE


async def test_a_database_that_cannot_be_read_does_not_end_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came meanwhile is learned once it can be read."""
    async with served(tmp_path, VILLAGE) as made:
        tries: asyncio.Queue[Feed] = asyncio.Queue()

        async def fails(_: SqlStore, feed: Feed, *_more: int) -> list[Record]:
            tries.put_nowait(feed)
            raise StorageError("The disk reported an error.")

        await stated(made, "^")
        custodian = made.node.custodian
        (custody,) = (feed for feed in made.node.log.feeds if feed.lane == "custody")
        with monkeypatch.context() as patch:
            patch.setattr(SqlStore, "read", fails)
            custodian._note([custody])  # as the log does when a neighbour's statement came
            async with asyncio.timeout(20):
                assert await tries.get() == custody
                for _ in range(3):
                    await made.clock.advance(RETRY_SECONDS)
                    assert await tries.get() == custody
        async with asyncio.timeout(20):
            while custodian._taken.get(custody) != made.node.log.state(custody).count:
                await made.clock.advance(RETRY_SECONDS)
