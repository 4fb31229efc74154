"""Every page at every size: axe finds nothing, nothing sticks out, the console is silent.

Each is photographed once, at the size of its drawing, for ``docs/screens``.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, Page

from tests.browser.conftest import DISTRICT, TOWN, VILLAGE, World

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

SIZES: Final = {"kiosk": (1080, 1920), "phone": (390, 844), "desk": (1366, 900)}
SCREENS: Final = Path(os.environ.get("SANJI_SCREENS", "build/screens"))
TARGET_PX_MIN: Final = {"kiosk": 60, "phone": 24, "desk": 24}


@dataclass(frozen=True)
class Sheet:
    """A page to look at.

    Attributes:
        name: Of the picture.
        code: Whose page.
        path: Its address, or a function of what stands before the browser.
        size: Of the picture.
        drawing: The drawing that it follows, if there is one.
        staff: Account that is logged in, if any.
    """

    name: str
    code: str
    path: str | Callable[[World], str]
    size: str = "kiosk"
    drawing: str = ""
    staff: str = ""


def _notice(title: str) -> Callable[[World], str]:
    return lambda world: f"/notice/{world.notices[title]}"


STRAW: Final = "关于秋冬季秸秆禁烧的通知"
SHEETS: Final = (
    Sheet("village-home", VILLAGE, "/", drawing="kiosk-home"),
    Sheet("village-notices", VILLAGE, "/notices", drawing="kiosk-notices"),
    Sheet("village-notice", VILLAGE, _notice(STRAW), drawing="kiosk-notice"),
    Sheet("village-topic", VILLAGE, "/file", drawing="kiosk-file-1"),
    Sheet("village-form", VILLAGE, "/file/roads", drawing="kiosk-file-2"),
    Sheet("village-follow", VILLAGE, "/follow"),
    Sheet("village-board", VILLAGE, "/board", drawing="board"),
    Sheet("village-nowhere", VILLAGE, "/nowhere"),
    Sheet("town-notices", TOWN, "/", "phone", "phone-home"),
    Sheet("district-notices", DISTRICT, "/", "desk"),
    Sheet("login", TOWN, "/login", "desk", "12a-login"),
    Sheet("town-cases", TOWN, "/desk", "desk", "01-town-desk", "handler"),
    Sheet("town-links", TOWN, "/desk/links", "desk", "10-links", "handler"),
    Sheet("district-compose", DISTRICT, "/desk/compose", "desk", "06-notice-compose", "drafter"),
    Sheet("district-sent", DISTRICT, "/desk/notices", "desk", "", "drafter"),
    Sheet("district-delivery", DISTRICT, lambda w: f"/desk/notices/{w.notices[STRAW]}", "desk",
          "07-delivery", "drafter"),
    Sheet("district-cases", DISTRICT, "/desk", "desk", "04-district-inbox", "dispatcher"),
)  # fmt: skip


async def opened(browser: Browser, world: World, sheet: Sheet, size: str) -> Page:
    """Return a page in a context of its own, in the size's form of the site."""
    width, height = SIZES[size]
    context = await browser.new_context(viewport={"width": width, "height": height})
    if size == "kiosk" and sheet.code == VILLAGE:
        await (await context.new_page()).goto(world.url(VILLAGE, "/kiosk"))
    if sheet.staff:
        await log_in(context, world, sheet.code, sheet.staff)
    return await context.new_page()


async def log_in(context: BrowserContext, world: World, code: str, account: str) -> None:
    """Log in by a link that is good once."""
    link = await world.act(code, "login_link", who=account)
    page = await context.new_page()
    await page.goto(world.url(code, link["path"]))
    await page.close()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("sheet", SHEETS, ids=lambda sheet: sheet.name)
async def test_a_page_stands(browser: Browser, world: World, sheet: Sheet, size: str) -> None:
    """For everybody: by axe, by width, by the size of what is touched, without a complaint."""
    page = await opened(browser, world, sheet, size)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    path = sheet.path if isinstance(sheet.path, str) else sheet.path(world)
    response = await page.goto(world.url(sheet.code, path))
    assert response is not None
    assert len(await response.body()) < 60_000
    await check(page, size)
    if response.ok:
        assert said == []
    if size == sheet.size:
        SCREENS.mkdir(parents=True, exist_ok=True)
        await page.screenshot(path=SCREENS / f"{sheet.name}.jpg", type="jpeg", quality=70)
    await page.context.close()


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("size", SIZES)
async def test_large_letters_and_english_fit(
    browser: Browser, world: World, size: str, step: int, language: str
) -> None:
    """×1.25 and ×1.5, in both languages, push nothing over the edge."""
    page = await opened(browser, world, Sheet("", VILLAGE, "/"), size)
    await page.goto(world.url(VILLAGE, f"/look?size={step}&lang={language}&back=/"))
    for path in ("/", "/notices", "/file", "/file/roads", "/follow"):
        await page.goto(world.url(VILLAGE, path))
        await no_sideways(page)
    await page.context.close()


async def check(page: Page, size: str) -> None:
    """Assert what holds for every page."""
    found: Any = await Axe().run(page)
    told = [f"{one['id']}: {one['nodes'][0]['html'][:120]}" for one in found.response["violations"]]
    assert told == []
    await no_sideways(page)
    least = TARGET_PX_MIN[size]
    small = await page.evaluate(
        """least => [...document.querySelectorAll('a, button, input, select, textarea, summary')]
        .filter(one => !(one.matches('.menu a, td a, td summary, .text a, .chip input, .tick input')
                         || one.closest('.desk')
                         || one.closest('.notice h2, [type=hidden]')))
        .map(one => [one.outerHTML.slice(0, 80), one.getBoundingClientRect().height])
        .filter(([, high]) => high > 0 && high < least)""",
        least,
    )
    assert small == []


async def no_sideways(page: Page) -> None:
    """Assert that nothing has to be scrolled sideways."""
    wide = await page.evaluate(
        """() => document.documentElement.scrollWidth <= innerWidth ? []
        : [...document.querySelectorAll('body *')]
          .filter(one => one.getBoundingClientRect().right > innerWidth + 1)
          .map(one => one.outerHTML.slice(0, 80)).slice(0, 5)"""
    )
    assert wide == []
