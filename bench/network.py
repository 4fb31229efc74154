"""A district, a town and its villages in one process, over WebSocket links on loopback."""

import asyncio
import random
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from broker.cable import Cable
from shared.app import acts
from shared.app.compose import serving
from shared.app.membership import init_district, join
from shared.link.carrier import Carrier, Connection
from shared.node.author import Draft, Written
from shared.node.home import Home
from shared.node.node import Node
from shared.node.settings import Settings, load_settings
from shared.record.feed import Feed

DISTRICT: Final = "340602"
TOWN: Final = "340602100"
VILLAGES: Final = ("340602100201", "340602100202")
LABELS: Final = {DISTRICT: "杜集区", TOWN: "朔里镇", VILLAGES[0]: "沈集", VILLAGES[1]: "葛塘"}

QUIET_SECONDS: Final = 0.1
"""Nothing more comes of what was said if nothing came for so long: a hop takes a tenth of it."""


def lively(home: Home) -> Settings:
    """Return settings by which a cut link is dialled again, and custody stated, at once."""
    return load_settings(
        home.settings_file, listen_port=0, answer_seconds_min=0.3, backoff_seconds_min=0.05,
        backoff_seconds_max=0.2, custody_urgent_seconds=0, custody_proof_seconds=0,
        custody_receipt_seconds=0,
    )  # fmt: skip


class Meter:
    """Counts the frames of a node's link to its parent.

    Attributes:
        frames: Both ways.
        sent_bytes: Towards the parent, without what the carrier adds.
        received_bytes: From it.
    """

    def __init__(self) -> None:
        """Start at zero."""
        self.frames = 0
        self.sent_bytes = 0
        self.received_bytes = 0

    def carrier(self, inner: Carrier) -> Carrier:
        """Return ``inner`` with its frames counted."""
        return _MeteredCarrier(self, inner)


class _MeteredCarrier:
    def __init__(self, meter: Meter, inner: Carrier) -> None:
        self._meter = meter
        self._inner = inner

    async def dial(self, peer: str, address: str) -> Connection:
        """Open a link; see the port."""
        return _MeteredConnection(self._meter, await self._inner.dial(peer, address))


class _MeteredConnection:
    def __init__(self, meter: Meter, inner: Connection) -> None:
        self.peer = inner.peer
        self._meter = meter
        self._inner = inner

    async def send(self, frame: bytes) -> None:
        """Hand over one frame; see the port."""
        self._meter.frames += 1
        self._meter.sent_bytes += len(frame)
        await self._inner.send(frame)

    @property
    def hears_all(self) -> bool:
        """See the port."""
        return self._inner.hears_all

    def done(self) -> None:
        """See the port."""
        self._inner.done()

    async def receive(self) -> bytes:
        """Return the next frame; see the port."""
        frame = await self._inner.receive()
        self._meter.frames += 1
        self._meter.received_bytes += len(frame)
        return frame

    async def close(self) -> None:
        """Close the link; see the port."""
        await self._inner.close()


class Network:
    """The nodes and the lines between them.

    Attributes:
        homes: By code.
        nodes: By code; those that serve.
        cables: By code of the node that dials.
        meters: The same.
    """

    def __init__(self, root: Path) -> None:
        """Name the homes, which will lie in ``root``."""
        self.homes = {code: Home(root / code) for code in LABELS}
        self.nodes: dict[str, Node] = {}
        self.cables = {code: Cable(random.Random(1)) for code in LABELS}
        self.meters = {code: Meter() for code in LABELS}
        self._stacks: dict[str, AsyncExitStack] = {}

    @property
    def district(self) -> Node:
        """The node on top."""
        return self.nodes[DISTRICT]

    @property
    def town(self) -> Node:
        """The node between."""
        return self.nodes[TOWN]

    @property
    def villages(self) -> list[Node]:
        """The nodes below, as far as they serve."""
        return [self.nodes[code] for code in VILLAGES if code in self.nodes]

    def address(self, code: str) -> str:
        """Return where the web server of a district or town listens, ``http://127.0.0.1:PORT``."""
        (link,) = self.nodes[code].log.roster.addresses_of(code)
        return link.replace("ws://", "http://", 1).removesuffix("/link")

    async def start(self, villages: int) -> None:
        """Found, invite, join and serve everybody, with so many villages."""
        await init_district(self.homes[DISTRICT], DISTRICT, LABELS[DISTRICT])
        await self.serve(DISTRICT)
        pairs = [(DISTRICT, TOWN), *((TOWN, code) for code in VILLAGES[:villages])]
        for parent, code in pairs:
            node = self.nodes[parent]
            await until(node, _is_reachable(node))
            invited = await acts.invite(node, _nothing, code=code, label=LABELS[code])
            await join(self.homes[code], invited["token"])
            await self.serve(code)
        await self.settle()

    async def serve(self, code: str) -> None:
        """Serve one node, its link to the parent through its cable and its meter."""

        def wrap(carrier: Carrier) -> Carrier:
            return self.cables[code].carrier(self.meters[code].carrier(carrier))

        stack = self._stacks[code] = AsyncExitStack()
        home = self.homes[code]
        self.nodes[code] = await stack.enter_async_context(serving(home, lively(home), wrap=wrap))

    async def stop(self, code: str) -> None:
        """End one node; its home stays."""
        del self.nodes[code]
        await self._stacks.pop(code).aclose()

    async def close(self) -> None:
        """End all nodes, from below."""
        for code in reversed(tuple(self._stacks)):
            await self.stop(code)

    async def settle(self) -> None:
        """Wait until nothing moves: no frame, no record, no fold."""
        before: list[int] = []
        while (now := self._traffic()) != before:
            before = now
            for node in self.nodes.values():
                if node.views is not None:
                    await node.views.catch_up()
            await asyncio.sleep(QUIET_SECONDS)

    def _traffic(self) -> list[int]:
        frames = [meter.frames for meter in self.meters.values()]
        return frames + [sum(s.count for s in n.log.feeds.values()) for n in self.nodes.values()]


@asynccontextmanager
async def network(villages: int = len(VILLAGES)) -> AsyncIterator[Network]:
    """Serve a network in a temporary folder while the block runs."""
    with tempfile.TemporaryDirectory(prefix="sanji-bench-") as folder:
        all_nodes = Network(Path(folder))
        try:
            await all_nodes.start(villages)
            yield all_nodes
        finally:
            await all_nodes.close()


async def submit_all(node: Node, drafts: Iterable[Draft]) -> list[Written]:
    """Let ``node`` say everything at once, as many callers would; returns when all is flushed."""
    return await asyncio.gather(*(node.author.submit(draft) for draft in drafts))


async def until(node: Node, holds: Callable[[], bool]) -> None:
    """Wait until ``holds`` after some change of the node's log."""
    woken = asyncio.Event()
    stop = node.log.subscribe(lambda _feeds: woken.set())
    try:
        while not holds():
            await woken.wait()
            woken.clear()
    finally:
        stop()


async def until_held(nodes: Sequence[Node], counts: dict[Feed, int]) -> None:
    """Wait until every node holds so many records of each feed."""
    for node in nodes:
        await until(node, _holds(node, counts))


def _holds(node: Node, counts: dict[Feed, int]) -> Callable[[], bool]:
    return lambda: all(node.log.state(feed).count >= count for feed, count in counts.items())


def _is_reachable(node: Node) -> Callable[[], bool]:
    return lambda: bool(node.log.roster.addresses_of(node.identity.division))


def _nothing(_done: int, _total: int) -> None:
    """No invitation takes so long that its progress would be shown."""
