"""A district's node with a web server, and how it says something."""

import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from shared.domain.catalogue import KINDS, PROJECTIONS
from shared.domain.notices.kinds import CORRECTED, PUBLISHED, WITHDRAWN
from shared.domain.tables import VIEWS
from shared.log.log import Log
from shared.log.sql import SqlStore
from shared.log.sqlite import SqliteDatabase
from shared.log.tables import LOG_TABLES
from shared.node.author import Draft
from shared.node.clock import HandClock
from shared.node.founding import found, founding_record
from shared.node.home import Identity, Keys
from shared.node.node import Node, Surroundings
from shared.node.views import BOOKMARKS, Views
from shared.web.server import make_app
from tests.support.records import key_of

DISTRICT = "340602"


def numbered_entropy() -> Callable[[int], bytes]:
    """Return bytes that are never the same and always the same sequence."""
    numbers = count(1)
    return lambda length: next(numbers).to_bytes(length, "big")


@dataclass
class Desk:
    """A node at work, and the browser before it.

    Attributes:
        node: The district's, or what a test makes of it.
        clock: Its clock.
        client: Talks to its web server.
    """

    node: Node
    clock: HandClock
    client: TestClient[web.Request, web.Application]

    async def publish(self, title: str, text: str = "", **fields: Any) -> bytes:
        """Publish a notice, one second later than the last; returns its rid."""
        await self.clock.advance(1)
        body = {"stream": "government", "category": "decision", "title": title, "text": text}
        return await self._write(Draft(PUBLISHED, DISTRICT + "*", body | fields, "ordinary"))

    async def correct(self, rid: bytes, title: str, reason: str) -> bytes:
        """Correct a notice."""
        body = {"stream": "government", "category": "decision", "title": title, "text": "新的"}
        body["reason"] = reason
        return await self._write(
            Draft(CORRECTED, DISTRICT + "*", body, "ordinary", refs=(rid, rid))
        )

    async def withdraw(self, rid: bytes, reason: str) -> bytes:
        """Withdraw a notice."""
        body = {"reason": reason}
        return await self._write(
            Draft(WITHDRAWN, DISTRICT + "*", body, "ordinary", refs=(rid, rid))
        )

    async def _write(self, draft: Draft) -> bytes:
        written = await self.node.author.submit(draft)
        assert self.node.views is not None
        await self.node.views.catch_up()
        return written.record.rid

    async def page(self, path: str = "/") -> str:
        """Return the page at ``path``."""
        async with self.client.get(path) as response:
            assert response.status == 200
            return await response.text()

    def move_to(self, identity: Identity) -> None:
        """Let the pages stand in another place of the district."""
        self.node.identity = identity


async def _no_link(_: web.Request) -> web.StreamResponse:
    return web.Response(text="link")


async def founded(path: Path, clock: HandClock) -> tuple[Node, SqliteDatabase]:
    """Return the node of a new district whose database is ``path``."""
    database = SqliteDatabase.open(path, LOG_TABLES, VIEWS, BOOKMARKS)
    store = SqlStore(database)
    keys, entropy = Keys(key_of(1), bytes(range(32))), numbered_entropy()
    record = founding_record(
        DISTRICT, "杜集", keys, key_of(2).public, at_ms=clock.wall_ms(), entropy=entropy
    )
    identity = await found(store, record, "杜集", clock.wall_ms())

    def views(log: Log) -> Views:
        return Views(database, log, KINDS, PROJECTIONS)

    around = Surroundings(clock, entropy, random.Random(1))
    return Node(identity, keys, store, KINDS, around=around, views=views), database


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """A founded district with its server."""
    clock = HandClock()
    node, database = await founded(tmp_path / "log.db", clock)
    await node.open()
    async with node.working(), TestClient(TestServer(make_app(node, link=_no_link))) as client:
        yield Desk(node, clock, client)
    await database.close()
