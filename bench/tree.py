"""Nodes without pages and views, in one process, whose links are opened by either carrier.

Everything else is the product's: logs in files, sessions, carriers chosen by settings.
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web

from bench.network import until
from bench.web import served
from broker.introduction import Identity as LinkIdentity
from shared.app import carriers
from shared.app.compose import open_database, surroundings
from shared.app.membership import init_district
from shared.domain.catalogue import KINDS
from shared.log.log import Log
from shared.log.sql import SqlStore
from shared.node.home import Home, Identity
from shared.node.joining import take_trust
from shared.node.node import Node
from shared.node.settings import Settings, load_settings
from shared.record.feed import is_above
from shared.trust.invitation import NONCE_BYTES, make_request

LOOK_SECONDS: Final = 0.005
"""How often it is looked whether links are idle."""

PasswordFile = Callable[[str], str]
"""Returns the file with the password of a division at the broker."""


@dataclass(frozen=True)
class Way:
    """A carrier, as settings choose it.

    Attributes:
        name: For people.
        broker_url: The broker; empty for WebSocket.
        password_file: Of a division at the broker.
    """

    name: str
    broker_url: str = ""
    password_file: PasswordFile = lambda _code: ""

    def settings(self, code: str) -> Settings:
        """Return the settings of a node that goes this way, and is quick to dial again."""
        return load_settings(
            Path(os.devnull), broker_url=self.broker_url,
            broker_password_file=self.password_file(code),
            backoff_seconds_min=0.05, backoff_seconds_max=0.2,
        )  # fmt: skip


WEBSOCKET: Final = Way("WebSocket")


class Tree:
    """The nodes, by code, and who is above whom."""

    def __init__(self, root: Path, stack: AsyncExitStack) -> None:
        """Keep homes below ``root``; ``stack`` ends what runs."""
        self.nodes: dict[str, Node] = {}
        self._root = root
        self._stack = stack

    async def found(self, code: str) -> None:
        """Found the district."""
        home = self._home(code)
        identity = await init_district(home, code, code)
        await self._work(home, identity, SqlStore(await open_database(home)))

    async def join(self, code: str) -> None:
        """Let ``code`` join at its parent, in place."""
        parent = self.nodes[self._parent_of(code)]
        home = self._home(code)
        home.prepare()
        keys = home.keys()
        above = (parent.identity.division, "nowhere"), *parent.identity.ancestors
        invited = await parent.registrar.invite(code, code, above)
        request = make_request(invited, keys.signing, keys.sealing_public, os.urandom(NONCE_BYTES))
        frames = await parent.registrar.redeem(request)
        store = SqlStore(await open_database(home))
        log = Log(code, store, invited.anchor)
        await take_trust(log, frames, invited, parent.clock.wall_ms())
        identity = Identity(code, code, invited.level, invited.anchor, invited.addresses)
        await self._work(home, identity, store)

    def _parent_of(self, code: str) -> str:
        return max((one for one in self.nodes if is_above(one, code)), key=len)

    def _home(self, code: str) -> Home:
        return Home(self._root / code)

    async def _work(self, home: Home, identity: Identity, store: SqlStore) -> None:
        """Let a node work, without links."""
        self._stack.push_async_callback(store.close)
        around = surroundings(home, load_settings(Path(os.devnull)))
        node = Node(identity, home.keys(), store, KINDS, around=around)
        await node.open()
        await self._stack.enter_async_context(node.working())
        await until(node, lambda: bool(node.log.epoch))
        self.nodes[identity.division] = node


@asynccontextmanager
async def tree(codes: Sequence[str]) -> AsyncIterator[Tree]:
    """Run nodes in a temporary folder while the block runs: the district first, parents before."""
    with tempfile.TemporaryDirectory(prefix="sanji-bench-") as folder:
        async with AsyncExitStack() as stack:
            made = Tree(Path(folder), stack)
            await made.found(codes[0])
            for code in codes[1:]:
                await made.join(code)
            yield made


@asynccontextmanager
async def answering(node: Node, way: Way) -> AsyncIterator[str]:
    """Take the links of those below while the block runs; yields the address."""
    settings = way.settings(node.identity.division)
    identity = LinkIdentity(node.identity.division, node.keys.signing)
    if way.broker_url:
        async with carriers.answering(settings, identity, node.links):
            yield way.broker_url
        return
    route = carriers.route(settings, identity, node.links)
    app = web.Application()
    app.router.add_get("/link", route.handle)
    async with served(app) as place:
        try:
            yield f"ws://{place}/link"
        finally:
            await route.close()


@asynccontextmanager
async def linked(node: Node, address: str, way: Way) -> AsyncIterator[None]:
    """Keep the link of ``node`` to its parent at ``address`` open while the block runs."""
    parent = node.identity.parent or ""
    identity = LinkIdentity(node.identity.division, node.keys.signing)
    settings = way.settings(node.identity.division)
    async with carriers.dialling(settings, identity, node.links) as carrier:
        keeping = asyncio.create_task(node.links.keep(parent, lambda: [address], carrier))
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)


async def until_idle(parent: Node, children: Sequence[Node]) -> None:
    """Wait until both ends of each link know that nothing is missing at the other."""
    me = parent.identity.division
    pairs = [(parent, node.identity.division) for node in children]
    pairs += [(node, me) for node in children]
    while not all(_is_idle(node, peer) for node, peer in pairs):  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(LOOK_SECONDS)


def _is_idle(node: Node, peer: str) -> bool:
    links = node.links
    if links.state(peer).connected_since_ms is None:
        return False
    return not links.backlog(peer) and not links.in_flight(peer)
