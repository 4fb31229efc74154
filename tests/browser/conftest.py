"""A district, a town and a village that serve their pages, and a Chromium before them."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from broker.cable import Cable
from demo.frames import Carried
from demo.supervisor import free_ports
from demo.trace import act, is_head, until
from district.pages import Office
from shared.app.compose import serving
from shared.app.membership import init_district, join
from shared.node.home import Home
from shared.node.node import Node
from shared.node.settings import load_settings
from shared.web.site import Surface
from town.pages import TownDesk
from village.pages import Kiosk

DISTRICT, TOWN, VILLAGE = "340602", "340602100", "340602100201"
SURFACES: dict[str, type[Surface]] = {DISTRICT: Office, TOWN: TownDesk, VILLAGE: Kiosk}
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]

if CHROMIUM is None and os.environ.get("SANJI_SERVICES") != "require":
    collect_ignore_glob = ["test_*.py"]  # named in CONTRIBUTING.md: needs Chromium


@dataclass
class World:
    """What stands before the browser.

    Attributes:
        nodes: Those that serve, by code.
        homes: Their homes.
        ports: Where their pages are.
        cable: The line of the village.
        carried: What it carried.
        cases: What was filed: receipt and secret.
        notices: rids of what was published, by title.
    """

    nodes: dict[str, Node]
    homes: dict[str, Home]
    ports: dict[str, int]
    cable: Cable
    carried: Carried
    cases: list[dict[str, Any]]
    notices: dict[str, str]

    def url(self, code: str, path: str = "/") -> str:
        """Return the address of a page."""
        return f"http://127.0.0.1:{self.ports[code]}{path}"

    async def act(self, at: str, act_name: str, **given: Any) -> dict[str, Any]:
        """Do an act on the node at a division."""
        return dict(await act(self.homes[at], act_name, **given))

    async def arrives(self, code: str, rid: str) -> None:
        """Wait until a node holds a record."""
        await until(self.nodes[code], is_head(self.nodes[code], rid))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """Three nodes at work, with something to read and to answer."""
    root = tmp_path_factory.mktemp("w")
    block = free_ports(len(SURFACES), 23400 + 100 * _worker())
    homes = {code: Home(root / code) for code in SURFACES}
    carried = Carried()
    cable = Cable(Random(1), on_frame=carried.note)
    made = World({}, homes, dict(zip(SURFACES, block, strict=True)), cable, carried, [], {})
    async with AsyncExitStack() as stack:
        await init_district(homes[DISTRICT], DISTRICT, "杜集区")
        await _serve(stack, made, DISTRICT)
        for parent, code, label in ((DISTRICT, TOWN, "朔里镇"), (TOWN, VILLAGE, "沈集")):
            node = made.nodes[parent]
            await until(node, lambda n=node, p=parent: bool(n.log.roster.addresses_of(p)))  # type: ignore[misc]
            invited = await made.act(parent, "invite", code=code, label=label)
            await join(homes[code], invited["token"])
            await _serve(stack, made, code)
        await _fill(made)
        yield made


async def _serve(stack: AsyncExitStack, made: World, code: str) -> None:
    home = made.homes[code]
    settings = load_settings(
        home.settings_file, listen_port=made.ports[code], answer_seconds_min=0.3,
        backoff_seconds_min=0.05, backoff_seconds_max=0.2, custody_urgent_seconds=0,
        custody_proof_seconds=0, custody_receipt_seconds=0,
    )  # fmt: skip
    wrap = made.cable.carrier if code == VILLAGE else (lambda carrier: carrier)
    made.nodes[code] = await stack.enter_async_context(
        serving(home, settings, wrap=wrap, surface=SURFACES[code]())
    )


async def _fill(made: World) -> None:
    """Publish, correct and withdraw; file two cases, of which one is answered."""

    async def publish(code: str, title: str, text: str, **more: Any) -> str:
        told = await made.act(code, "publish", title=title, text=text, **more)
        made.notices[title] = told["rid"]
        return str(told["rid"])

    await publish(DISTRICT, "大风降温，夜里结冰", WIND, urgent=True)
    await publish(DISTRICT, "关于秋冬季秸秆禁烧的通知", STRAW, category="decision")
    water = await publish(DISTRICT, "11月20日全村停水", "检修管道。")
    await made.act(DISTRICT, "withdraw", rid=water, reason="改到 11月26日停")
    road = await publish(TOWN, "沈集到官庄的路，年底前修好", "2.6 公里，花 186 万元。")
    last = await made.act(
        TOWN, "correct", rid=road, title="沈集到官庄的路，年底前修好",
        text="2.6 公里，花 185 万元，谁施工、到哪一步都公开。", reason="金额写错",
    )  # fmt: skip
    for kind, topic, text, place in FILED:
        made.cases.append(
            await made.act(VILLAGE, "file", kind=kind, topic=topic, text=text, place=place)
        )
    await made.arrives(DISTRICT, made.cases[-1]["rid"])
    told = await made.act(
        TOWN, "answer", receipt=made.cases[0]["receipt"], outcome="settled", publish_as="full",
        text="坏了的 6 盏灯 11月19日换好了，是线头老化。\n以后每月 1 号、15 号巡一次。",
    )  # fmt: skip
    await made.arrives(VILLAGE, told["rid"])
    await made.arrives(VILLAGE, last["rid"])


def _worker() -> int:
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


WIND = "最低零下五度。大棚压牢，水管包好，老人晚上少出门。房子漏风的，村部今晚留灯、有热水。"
STRAW = (
    "## 一、哪里不准烧\n\n全区**所有**村的田地、路边、沟边。\n\n## 二、秸秆怎么办\n\n"
    "- 村里统一收，每亩补 20 元\n- 打捆机 11月28日起按村排，排到哪天看村里公告\n\n"
    "烧一次，第一次教育，第二次按《大气污染防治法》第一百一十九条罚。"
)
FILED = (
    ("help", "roads", "老桥到小学的路灯坏了快半个月，孩子放学摸黑走，请来人看看。", "村东头老桥"),
    ("ask", "health", "今年的医保什么时候交？老人的能一起交吗？", ""),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Debian's Chromium."""
    assert CHROMIUM is not None, "Chromium is missing: apt-get install chromium"
    async with async_playwright() as made:
        opened = await made.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        await opened.close()
