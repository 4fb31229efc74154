"""Nodes of the small district that serve on loopback, by a clock that tests turn.

Nothing links them: what one holds, another hears when a test says so.
"""

import random
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from demo.trace import until
from shared.app.acts import perform_for_page
from shared.app.api.remembered import ANSWERS
from shared.domain.catalogue import KINDS, PROJECTIONS
from shared.domain.custody.rules import Intervals
from shared.domain.tables import VIEWS
from shared.log.offload import inline
from shared.log.sql import SqlStore
from shared.log.sqlite import SqliteDatabase
from shared.log.tables import LOG_TABLES
from shared.node.accounts import Accounts
from shared.node.clock import HandClock
from shared.node.home import Identity, Keys
from shared.node.node import Node, Surroundings
from shared.node.views import BOOKMARKS, Views
from shared.record.feed import Feed, Level, travel_order
from shared.record.record import Record
from shared.record.run import Run
from shared.web.server import make_app
from shared.web.site import Surface
from tests.support.records import key_of
from tests.support.trust import (
    DISTRICT,
    EPOCH,
    TOWN,
    TOWN_2,
    VILLAGE,
    VILLAGE_2,
    VILLAGE_3,
    further_divisions,
    small_district,
)

NOW_MS = 1_795_500_000_000
"""A Tuesday afternoon in China."""

_ABOVE = ((TOWN, "x:t"), (DISTRICT, "x:d"))
_PLACES = {
    DISTRICT: ("杜集", Level.DISTRICT, 0, ()),
    TOWN: ("朔里", Level.TOWN, 1, ((DISTRICT, "x:d"),)),
    VILLAGE: ("沈集", Level.VILLAGE, 2, _ABOVE),
    VILLAGE_2: ("新村", Level.VILLAGE, 3, _ABOVE),
    VILLAGE_3: ("新村", Level.VILLAGE, 5, ((TOWN_2, "x:t"), (DISTRICT, "x:d"))),
}


@dataclass
class Served:
    """A node that serves, and what talks to it.

    Attributes:
        node: The node.
        clock: Its clock.
        client: Talks to its web server.
    """

    node: Node
    clock: HandClock
    client: TestClient[web.Request, web.Application]

    async def act(self, name: str, **given: Any) -> dict[str, Any]:
        """Do what one of its people does."""
        return await perform_for_page(self.node, name, **given)

    async def hear(self, *others: "Served") -> None:
        """Take in all that the others hold, as the links would bring it."""
        for other in others:
            for feed, state in sorted(
                other.node.log.feeds.items(), key=lambda one: travel_order(one[0])
            ):
                first = self.node.log.state(feed).count
                records = await other.node.log.store.read(feed, first, state.count, 10**7)
                if records:
                    run = Run(feed, first, tuple(records))
                    await self.node.log.accept([run], self.clock.wall_ms())
        await self.catch_up()

    async def accept(self, *records: Record) -> None:
        """Take in single records."""
        await _accept(self.node, records)
        await self.catch_up()

    async def catch_up(self) -> None:
        """Let the pages show all that the node holds."""
        if self.node.views is not None:
            await self.node.views.catch_up()


async def _accept(node: Node, records: Iterable[Record]) -> None:
    for one in records:
        await node.log.accept([Run(one.header.feed, one.header.seq, (one,))], 0)


async def stated(made: Served, audience: str) -> None:
    """Wait until the node has said again to ``audience`` what it holds."""
    feed = Feed(made.node.identity.division, EPOCH, "custody", audience)
    before = made.node.log.state(feed).count
    await made.clock.advance(Intervals().proof_ms / 1000)
    await until(made.node, lambda: made.node.log.state(feed).count > before)


async def no_link(_: web.Request) -> web.StreamResponse:
    """Stand where a carrier would take the links of the nodes below."""
    return web.Response()


@asynccontextmanager
async def served(
    path: Path,
    code: str,
    *,
    surface: Surface | None = None,
    accounts: Accounts | None = None,
    api: Surface | None = None,
    further: bool = False,
) -> AsyncIterator[Served]:
    """The node of division ``code`` in ``path``, made or opened again.

    Args:
        path: Folder of its database.
        code: Of the small district or, with ``further``, of a village beside it.
        surface: The pages of its tier.
        accounts: Who can log in.
        api: What programs use.
        further: It knows the divisions that stand beside the small district's.
    """
    path.mkdir(exist_ok=True)
    label, level, number, above = _PLACES[code]
    clock, small = HandClock(NOW_MS), small_district()
    database = SqliteDatabase.open(path / "log.db", LOG_TABLES, VIEWS, BOOKMARKS, ANSWERS)
    around = Surroundings(
        clock=clock, entropy=random.Random(number).randbytes, chance=random.Random(2),
        offload=inline,
    )  # fmt: skip
    node = Node(
        Identity(code, label, level, small.founded.rid, above),
        Keys(key_of(number), bytes(32)), SqlStore(database), KINDS, around=around,
        views=lambda log: Views(database, log, KINDS, PROJECTIONS),
    )  # fmt: skip
    await node.open()
    if not node.log.feeds:
        await _accept(node, (*small.records, *(further_divisions() if further else ())))
    node.log.epoch = EPOCH
    app = make_app(node, link=no_link, surface=surface, accounts=accounts, api=api)
    async with node.working(), TestClient(TestServer(app)) as client:
        yield Served(node, clock, client)
    await database.close()
