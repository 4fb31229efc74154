"""The demo's control page in a real browser, before three real nodes."""

import asyncio
from collections.abc import AsyncIterator
from random import Random
from typing import Any, Final

import pytest
import pytest_asyncio
from aiohttp.test_utils import TestServer
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from demo.content import read_talk
from demo.control import broker
from demo.control.board import State
from demo.control.room import Room
from demo.control.server import make_app
from demo.district import District, Division
from shared.app.control import ask
from shared.record.feed import Level
from tests.browser.conftest import DISTRICT, TOWN, VILLAGE, World
from tests.browser.test_pages import SCREENS, SIZES, no_sideways
from tests.unit.demo.fake_stage import FakeBroker, FakeStage

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

NEWS_MS: Final = 20_000
"""News come once a second; a busy machine may take longer."""


class LiveStage:
    """Three nodes that serve; the village's line is one cable."""

    def __init__(self, world: World) -> None:
        """Play on ``world``."""
        self._world = world
        self.district = District(
            Division(DISTRICT, "杜集区", Level.DISTRICT, ""),
            (Division(TOWN, "朔里镇", Level.TOWN, DISTRICT),),
            (Division(VILLAGE, "沈集", Level.VILLAGE, TOWN),),
        )

    async def ask(self, division: Division, act: str, **given: Any) -> dict[str, Any]:
        """Ask over the control socket, as the demo does."""
        socket = self._world.homes[division.code].control_file
        return dict(await ask(socket, act, given, lambda _done, _total: None))

    async def cable(self, division: Division, **faults: float) -> None:
        """Set faults of the village's line."""
        assert division.code == VILLAGE
        for name, value in faults.items():
            setattr(self._world.cable, name, value)

    def gone(self) -> tuple[Division, ...]:
        """Return nobody: all live in this process."""
        return ()

    async def carried(self) -> dict[str, list[int]]:
        """Return what the village's line has carried."""
        carried = self._world.carried
        return {VILLAGE: [carried.up, carried.down, carried.other]}

    def beside(self, division: Division) -> tuple[Division, ...]:
        """Return who would fall with a division."""
        return (division,)

    async def kill(self, division: Division) -> None:
        """Kill nobody."""
        raise AssertionError(division)

    async def revive(self, division: Division) -> None:
        """Revive nobody."""
        raise AssertionError(division)

    async def flood(self, division: Division, texts: list[str], count: int) -> None:
        """Flood nobody."""
        raise AssertionError((division, texts, count))


@pytest_asyncio.fixture(loop_scope="module")
async def control(world: World) -> AsyncIterator[tuple[str, Room]]:
    """The address of the control page, and the room behind it; nobody talks in the background."""
    room = Room(LiveStage(world), read_talk(), Random(1))
    room.traffic.set(rate=0)
    await room.glance()
    async with TestServer(make_app(room, world.ports)) as server:
        work = asyncio.create_task(room.work())
        yield str(server.make_url("/")), room
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    world.cable.cut = False


async def opened(browser: Browser, address: str, size: str, scheme: str = "light") -> Page:
    """Return the page in a context of its own."""
    width, height = SIZES[size]
    context = await browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce",
    )  # fmt: skip
    page = await context.new_page()
    await page.goto(address)
    await expect(page.locator("#card-title")).not_to_be_empty(timeout=NEWS_MS)
    return page


async def test_a_link_is_cut_and_mended(
    browser: Browser, world: World, control: tuple[str, Room]
) -> None:
    """The backlog rises and falls on the page, and is what ``status`` says at both ends."""
    address, _ = control
    page = await opened(browser, address, "desk")
    lever = page.locator(f'.c-switch[data-link="{VILLAGE}"]')
    await lever.click()
    await expect(lever).to_have_attribute("aria-checked", "false", timeout=NEWS_MS)
    spot = page.locator(f"#spot-{VILLAGE}")
    await expect(spot).to_have_attribute("data-state", State.CUT.value, timeout=NEWS_MS)
    for number in range(3):
        await world.act(TOWN, "publish", title=f"断线时的通知 {number}", text="线通了就到。")
    await world.act(VILLAGE, "file", kind="ask", text="线断了，话还记得住吗？")
    up, down = await backlog(world, VILLAGE, TOWN), await backlog(world, TOWN, VILLAGE)
    assert up >= 1
    assert down >= 3
    await expect(spot.locator(".c-count")).to_have_text(str(up + down), timeout=NEWS_MS)
    await expect(page.locator("#card-rises")).to_contain_text(str(up))
    await expect(page.locator("#card-falls")).to_contain_text(str(down))
    await lever.focus()
    await page.keyboard.press("Enter")
    await expect(spot).to_have_attribute("data-state", State.EQUAL.value, timeout=NEWS_MS)
    await expect(spot.locator(".c-count")).to_have_text("", timeout=NEWS_MS)
    assert await backlog(world, VILLAGE, TOWN) == await backlog(world, TOWN, VILLAGE) == 0
    status = await world.act(DISTRICT, "status")
    total = page.locator('[data-figure="total"] b')
    await expect(total).to_have_text(str(status["records"]))
    await page.context.close()


async def backlog(world: World, code: str, peer: str) -> int:
    """Return what waits at a node for another, as its own ``status`` says."""
    links = (await world.act(code, "status"))["links"]
    return next(int(link["backlog"]) for link in links if link["peer"] == peer)


async def test_a_desk_opens_without_a_password(
    browser: Browser, world: World, control: tuple[str, Room]
) -> None:
    """From the picture, logged in; a village's own page opens as it is."""
    page = await opened(browser, control[0], "desk")
    for code, path in ((TOWN, "/desk"), (VILLAGE, "/")):
        async with page.context.expect_page() as found:
            await page.locator(f"#spot-{code} circle.c-body").click()
        await (await found.value).wait_for_url(world.url(code, path))
    await page.context.close()


@pytest_asyncio.fixture(loop_scope="module")
async def drawn(world: World) -> AsyncIterator[str]:
    """The page of a whole district, 63 nodes that are not there, some of them cut off."""
    stage = FakeStage()
    room = Room(stage, read_talk(), Random(1))
    await room.glance()
    for act, code in (("urgent", ""), ("cut", "340602101201"), ("lose", VILLAGE), ("cut", TOWN)):
        await room.switchboard.do(act, code)
    await room.glance()
    ports = {one.code: world.ports[TOWN] for one in stage.district.everybody}
    async with TestServer(make_app(room, ports)) as server:
        yield str(server.make_url("/"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["desk", "phone", "kiosk"])
async def test_it_stands(browser: Browser, drawn: str, size: str, scheme: str) -> None:
    """By axe, by width, without a complaint: as a picture and as a table."""
    await stands(await opened(browser, drawn, size, scheme), size, f"control-{scheme}")


async def stands(page: Page, size: str, name: str) -> None:
    """Look at a page by axe, by width, as a picture and as a table; photograph it if it is wide."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    if size == "desk":
        SCREENS.mkdir(parents=True, exist_ok=True)
        await page.screenshot(path=SCREENS / f"{name}.jpg", type="jpeg", quality=70)
    for _ in range(2):
        found: Any = await Axe().run(page)
        assert [(v["id"], v["nodes"][0]["html"][:120]) for v in found.response["violations"]] == []
        await no_sideways(page)
        await page.click("#view")
    assert said == []
    await page.context.close()


@pytest.mark.parametrize(("size", "scheme"), [("desk", "light"), ("phone", "dark")])
async def test_a_broker_stands_beside_the_tree(
    browser: Browser, world: World, size: str, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its state and two buttons; killed by one of them, it is said in words and in colour."""
    monkeypatch.setattr(broker, "RESTART_SECONDS", 3600.0)
    stage, server = FakeStage(), FakeBroker()
    room = Room(stage, read_talk(), Random(1), broker=server)
    await room.glance()
    ports = {one.code: world.ports[TOWN] for one in stage.district.everybody}
    async with TestServer(make_app(room, ports)) as site:
        page = await opened(browser, str(site.make_url("/")), size, scheme)
        await expect(page.locator("#broker-state")).to_have_text("✓ 在跑")
        async with page.expect_response("**/do"):
            await page.click('[data-act="kill-broker"]')
        await room.glance()
        await expect(page.locator("#broker-state")).to_have_text("! 断电了", timeout=NEWS_MS)
        await stands(page, size, f"control-broker-{scheme}")
    assert room.broker is not None
    await room.broker.close()
    assert server.did == ["kill"]
