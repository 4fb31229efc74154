"""Three tiers over real sockets: a decision down, a voice up, an answer back, a cut between."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

from broker.cable import Cable
from demo.trace import act, is_head, until
from shared.app.compose import serving
from shared.app.membership import init_district, join
from shared.node.home import Home
from shared.node.node import Node
from shared.node.settings import Settings, load_settings

DISTRICT, TOWN, VILLAGE = "340602", "340602100", "340602100201"


def quick(home: Home, port: int = 0) -> Settings:
    """Return settings whose clocks are fast enough for a test."""
    return load_settings(
        home.settings_file, listen_port=port, answer_seconds_min=0.3, backoff_seconds_min=0.05,
        backoff_seconds_max=0.2, custody_urgent_seconds=0, custody_proof_seconds=0,
        custody_receipt_seconds=0,
    )  # fmt: skip


class Three:
    """A district, a town and a village that serve."""

    def __init__(self, root: Path, ports: Sequence[int] = (0, 0, 0)) -> None:
        """Name their homes; with ``ports`` of their own they can start again."""
        self.ports = dict(zip((DISTRICT, TOWN, VILLAGE), ports, strict=True))
        self.homes = {code: Home(root / code) for code in (DISTRICT, TOWN, VILLAGE)}
        self.nodes: dict[str, Node] = {}
        self.cable = Cable(Random(1))

    async def start(self, stack: AsyncExitStack) -> None:
        """Found, invite, join and serve."""
        await init_district(self.homes[DISTRICT], DISTRICT, "杜集区")
        await self.serve(stack, DISTRICT)
        for parent, code, label in ((DISTRICT, TOWN, "朔里镇"), (TOWN, VILLAGE, "沈集")):
            await until(
                self.nodes[parent],
                lambda parent=parent: bool(self.nodes[parent].log.roster.addresses_of(parent)),  # type: ignore[misc]
            )
            invited = await act(self.homes[parent], "invite", code=code, label=label)
            await join(self.homes[code], invited["token"])
            await self.serve(stack, code)

    async def serve(self, stack: AsyncExitStack, code: str) -> None:
        """Serve one node; the village's uplink is a cable."""
        home = self.homes[code]
        wrap = self.cable.carrier if code == VILLAGE else (lambda carrier: carrier)
        self.nodes[code] = await stack.enter_async_context(
            serving(home, quick(home, self.ports[code]), wrap=wrap)
        )


async def test_a_voice_and_its_answer(tmp_path: Path) -> None:
    """A notice reaches the village; a feedback is received, answered by its secret, and rated."""
    three = Three(tmp_path)
    async with AsyncExitStack() as stack:
        await three.start(stack)
        district, town, village = (three.homes[c] for c in (DISTRICT, TOWN, VILLAGE))
        notice = await act(district, "publish", title="秋季防火", text="注意防火。", urgent=True)
        await until(three.nodes[VILLAGE], is_head(three.nodes[VILLAGE], notice["rid"]))
        filed = await act(village, "file", kind="ask", text="自来水什么时候通？")
        await until(three.nodes[DISTRICT], is_head(three.nodes[DISTRICT], filed["rid"]))
        answer = await act(town, "answer", receipt=filed["receipt"], text="下周三通水。")
        await until(three.nodes[VILLAGE], is_head(three.nodes[VILLAGE], answer["rid"]))
        without = await act(village, "follow", receipt=filed["receipt"])
        with_secret = await act(village, "follow", receipt=filed["receipt"], secret=filed["secret"])
        await act(village, "rate", receipt=filed["receipt"], score="satisfied")
        rated = await act(village, "follow", receipt=filed["receipt"])
        checked = await act(village, "verify")
    assert without["answers"] == 1
    assert "text" not in without
    assert with_secret["text"] == "自来水什么时候通？"
    assert [one["text"] for one in with_secret["answers"]] == ["下周三通水。"]
    assert rated["stage"] == "rated"
    assert checked["problems"] == []


async def test_a_cut_line_loses_nothing(tmp_path: Path) -> None:
    """What is filed and published while the line is cut arrives once when it heals."""
    three = Three(tmp_path)
    async with AsyncExitStack() as stack:
        await three.start(stack)
        district, village = three.homes[DISTRICT], three.homes[VILLAGE]
        three.cable.cut = True
        filed = await act(village, "file", kind="help", text="桥坏了。")
        notice = await act(district, "publish", title="通知", text="正文")
        town = three.nodes[TOWN]
        await until(town, is_head(town, notice["rid"]))
        cut = await act(three.homes[TOWN], "status")
        assert not is_head(three.nodes[VILLAGE], notice["rid"])()
        assert not is_head(town, filed["rid"])()
        three.cable.cut = False
        await until(three.nodes[VILLAGE], is_head(three.nodes[VILLAGE], notice["rid"]))
        await until(three.nodes[DISTRICT], is_head(three.nodes[DISTRICT], filed["rid"]))
        duplicates = [n.log.counters.duplicates_offered for n in three.nodes.values()]
    assert next(one for one in cut["links"] if one["peer"] == VILLAGE)["backlog"] > 0
    assert duplicates == [0, 0, 0]


async def test_a_lossy_line_delivers_everything(tmp_path: Path) -> None:
    """With half of all frames lost and one record altered, all arrives and nothing false stays."""
    three = Three(tmp_path)
    async with AsyncExitStack() as stack:
        await three.start(stack)
        district = three.homes[DISTRICT]
        village = three.nodes[VILLAGE]
        three.cable.alter = 1
        first = await act(district, "publish", title="改过的", text="原文")
        await until(village, is_head(village, first["rid"]))
        three.cable.loss = 0.5
        last = first
        for number in range(5):
            last = await act(district, "publish", title=f"通知{number}", text="正文")
        await until(village, is_head(village, last["rid"]))
        checked = await act(three.homes[VILLAGE], "verify")
        refused = sum(node.log.counters.refused for node in three.nodes.values())
    assert checked["problems"] == []
    assert refused >= 1
