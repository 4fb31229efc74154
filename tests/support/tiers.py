"""A district, a town and villages that really serve, in this process, linked through a broker."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, Self

from broker.router import SchemeRouter
from demo.servers.users import password_of
from demo.trace import act, until
from shared.app.compose import serving
from shared.app.membership import init_district, join
from shared.link.carrier import Carrier
from shared.node.home import Home
from shared.node.node import Node
from shared.node.settings import Settings, load_settings
from shared.record.feed import Feed, is_holder

DISTRICT, TOWN, VILLAGE, VILLAGE_2 = "340603", "340603100", "340603100201", "340603100202"
CODES: Final = (DISTRICT, TOWN, VILLAGE, VILLAGE_2)
LABELS: Final = {DISTRICT: "烈山区", TOWN: "渠沟镇", VILLAGE: "张庄", VILLAGE_2: "李庄"}
PARENTS: Final = {TOWN: DISTRICT, VILLAGE: TOWN, VILLAGE_2: TOWN}

SETTLE_SECONDS_MAX: Final = 120.0
"""A budget: so long may it take on a busy machine until all hold the same."""

Ways = dict[str, Callable[[Carrier], Carrier]]
"""The divisions below the district, and how each dials."""


def only(scheme: str) -> Callable[[Carrier], Carrier]:
    """Return what lets a node dial addresses of one scheme and no others."""
    return lambda carrier: SchemeRouter({scheme: carrier}, {})


class Tiers:
    """A district, a town and villages that serve, all with a login at the broker.

    Attributes:
        homes: By division.
        nodes: Those that serve now.
    """

    def __init__(self, root: Path, broker: str) -> None:
        """Name their homes in ``root``; ``broker`` is the address at which it is dialled."""
        self.homes = {code: Home(root / code) for code in CODES}
        self.nodes: dict[str, Node] = {}
        self._root = root
        self._broker = broker
        self._stacks: dict[str, AsyncExitStack] = {}

    async def __aenter__(self) -> Self:
        """Begin with nobody."""
        return self

    async def __aexit__(self, *error: object) -> None:
        """Stop those that serve, from below."""
        for code in sorted(self._stacks, reverse=True):
            await self.stop(code)

    def settings(self, code: str, **given: Any) -> Settings:
        """Return settings whose clocks are fast enough for a test; ``given`` goes before."""
        password = self._root / f"{code}.password"
        password.write_text(password_of(code) + "\n")
        quick: dict[str, Any] = {
            "listen_port": 0, "answer_seconds_min": 0.3,
            "backoff_seconds_min": 0.05, "backoff_seconds_max": 0.2,
            "custody_urgent_seconds": 0, "custody_proof_seconds": 0, "custody_receipt_seconds": 0,
            "broker_url": self._broker, "broker_password_file": str(password),
        }  # fmt: skip
        return load_settings(self.homes[code].settings_file, **quick | given)

    async def start(
        self, ways: Ways, settings: dict[str, dict[str, Any]] | None = None, district: str = ""
    ) -> None:
        """Found, invite, join and serve those in ``ways``, until all know each other.

        Args:
            ways: Who takes part, and how each dials.
            settings: What is set otherwise, by division.
            district: Lines of the district's ``node.toml``.
        """
        given = settings or {}
        self.homes[DISTRICT].path.mkdir()
        self.homes[DISTRICT].settings_file.write_text(district, "utf-8")
        await init_district(self.homes[DISTRICT], DISTRICT, LABELS[DISTRICT])
        await self.serve(DISTRICT, **given.get(DISTRICT, {}))
        for code, parent in PARENTS.items():
            if code not in ways:
                continue
            above = self.nodes[parent]
            await until(above, lambda a=above, p=parent: bool(a.log.roster.addresses_of(p)))  # type: ignore[misc]
            invited = await self.act(parent, "invite", code=code, label=LABELS[code])
            await join(self.homes[code], invited["token"])
            await self.serve(code, ways[code], **given.get(code, {}))
        await self.settled()

    async def serve(
        self, code: str, wrap: Callable[[Carrier], Carrier] | None = None, **given: Any
    ) -> None:
        """Serve one node; ``given`` are settings."""
        stack = AsyncExitStack()
        node = serving(self.homes[code], self.settings(code, **given), wrap=wrap or only("none"))
        self.nodes[code] = await stack.enter_async_context(node)
        self._stacks[code] = stack

    async def stop(self, code: str) -> None:
        """Stop one node in order."""
        del self.nodes[code]
        await self._stacks.pop(code).aclose()

    async def act(self, at: str, act_name: str, **given: Any) -> dict[str, Any]:
        """Do an act on the node of a division."""
        return dict(await act(self.homes[at], act_name, **given))

    async def linked_by(self, code: str, parent: str) -> str:
        """Return over which scheme ``parent`` holds its link to ``code``, which is open."""
        links = (await self.act(parent, "status"))["links"]
        link = next(one for one in links if one["peer"] == code)
        assert link["connected_since_ms"] is not None
        return str(link["by"])

    async def when(self, holds: Callable[[], bool], seconds: float = SETTLE_SECONDS_MAX) -> None:
        """Return once ``holds`` after a change of some log; ``seconds`` is a budget.

        Raises:
            TimeoutError: it never did.
        """
        woken = asyncio.Event()
        stops = [n.log.subscribe(lambda _feeds: woken.set()) for n in self.nodes.values()]
        try:
            async with asyncio.timeout(seconds):
                while not holds():
                    await woken.wait()
                    woken.clear()
        finally:
            for stop in stops:
                stop()

    async def settled(self) -> None:
        """Wait until every holder holds all that was said, custody aside, which never ends.

        Raises:
            AssertionError: it does not come to that; who lacks what.
        """
        try:
            await self.when(lambda: not self.lacking())
        except TimeoutError:
            raise AssertionError(f"lost, or still under way: {self.lacking()}") from None

    def lacking(self) -> dict[tuple[str, Feed], int]:
        """Return who lacks how many records of which feed of another node that serves."""
        return {
            (code, feed): missing
            for author, node in self.nodes.items()
            for feed, state in node.log.feeds.items()
            if feed.author == author and feed.lane != "custody"
            for code in self.nodes
            if is_holder(feed, code)
            if (missing := state.count - self.nodes[code].log.state(feed).count)
        }
