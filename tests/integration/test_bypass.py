"""A town that never links to its district: its village does, over real sockets (protocol 4.8)."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from demo.trace import act, is_head, until
from shared.app.compose import serving
from shared.app.membership import init_district, join
from shared.domain.custody.lacks import Reason
from shared.node.home import Home
from shared.node.node import Node
from shared.node.settings import load_settings
from tests.support.carriers import soon
from tests.support.rabbit import RabbitServer
from tests.support.tiers import DISTRICT as RABBIT_DISTRICT
from tests.support.tiers import TOWN as RABBIT_TOWN
from tests.support.tiers import VILLAGE as RABBIT_VILLAGE
from tests.support.tiers import Tiers, only

DISTRICT, TOWN, VILLAGE = "340602", "340602100", "340602100201"


class Places:
    """A district, a town that keeps its village to itself, and the village."""

    def __init__(self, root: Path, stack: AsyncExitStack) -> None:
        """Name their homes in ``root``; ``stack`` ends them."""
        self.homes = {code: Home(root / code) for code in (DISTRICT, TOWN, VILLAGE)}
        self.nodes: dict[str, Node] = {}
        self._stack = stack

    async def start(self) -> None:
        """Found, invite, join and serve."""
        await init_district(self.homes[DISTRICT], DISTRICT, "杜集区")
        await self.serve(DISTRICT)
        for parent, code, label in ((DISTRICT, TOWN, "朔里镇"), (TOWN, VILLAGE, "沈集")):
            above = self.nodes[parent]
            await until(above, lambda a=above, p=parent: bool(a.log.roster.addresses_of(p)))  # type: ignore[misc]
            invited = await act(self.homes[parent], "invite", code=code, label=label)
            await join(self.homes[code], invited["token"])
            await self.serve(code)

    async def serve(self, code: str) -> None:
        """Serve one node; the town dials nobody."""
        settings = load_settings(
            self.homes[code].settings_file, listen_port=0, answer_seconds_min=0.3,
            backoff_seconds_min=0.05, backoff_seconds_max=0.2, custody_receipt_seconds=0,
            custody_proof_seconds=0, bypass_after_seconds=0.5, bypass_jitter_seconds=0,
        )  # fmt: skip
        wrap = only("none") if code == TOWN else (lambda carrier: carrier)
        self.nodes[code] = await self._stack.enter_async_context(
            serving(self.homes[code], settings, wrap=wrap)
        )

    async def act(self, code: str, name: str, **given: Any) -> dict[str, Any]:
        """Do an act on the node of a division."""
        return dict(await act(self.homes[code], name, **given))


async def _receipted(village: Node) -> None:
    """Wait until the district has given a receipt for all that a village has written."""
    assert village.bypasser is not None
    while any(  # noqa: ASYNC110 - the custodian reads statements after the commit
        (one.ancestor, one.reason) == (DISTRICT, Reason.NO_RECEIPT)
        for one in village.bypasser.lacks.now()
    ):
        await asyncio.sleep(0)


async def test_a_village_that_the_district_never_heard_of_links_to_it(tmp_path: Path) -> None:
    """It brings what certifies it: its voice arrives, the notice and the receipt come back."""
    async with AsyncExitStack() as stack:
        places = Places(tmp_path, stack)
        await places.start()
        above, below = places.nodes[DISTRICT], places.nodes[VILLAGE]
        notice = await places.act(DISTRICT, "publish", title="秋季防火", text="注意防火。")
        filed = await places.act(VILLAGE, "file", kind="ask", text="自来水什么时候通？")
        await until(above, is_head(above, filed["rid"]))
        await until(below, is_head(below, notice["rid"]))
        await soon(_receipted(below))
        told = (await places.act(VILLAGE, "status"))["bypass"]
        links = (await places.act(DISTRICT, "status"))["links"]
    assert (told["to"], told["because"]["ancestor"]) == (DISTRICT, DISTRICT)
    assert told["since_ms"] is not None
    assert {one["peer"]: one["connected_since_ms"] is not None for one in links} == {
        TOWN: False, VILLAGE: True
    }  # fmt: skip


async def test_a_village_by_passes_its_dead_town_over_a_broker(
    tmp_path: Path, rabbit: RabbitServer
) -> None:
    """Its rights there let it: its voice arrives and what is for it alone comes down."""
    patience = {"bypass_after_seconds": 0.5, "bypass_jitter_seconds": 0}
    async with Tiers(tmp_path, rabbit.address) as tiers:
        codes = (RABBIT_TOWN, RABBIT_VILLAGE)
        await tiers.start(dict.fromkeys(codes, only("amqp")), {RABBIT_VILLAGE: patience})
        await tiers.stop(RABBIT_TOWN)
        await tiers.act(RABBIT_DISTRICT, "publish", title="一个村的", text="文", to=RABBIT_VILLAGE)
        await tiers.act(RABBIT_VILLAGE, "file", kind="help", text="镇里没有人。")
        await tiers.settled()
        assert await tiers.linked_by(RABBIT_VILLAGE, RABBIT_DISTRICT) == "amqp"
        for node in tiers.nodes.values():
            assert node.log.counters.refused == 0
