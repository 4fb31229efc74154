"""What people do, in a real browser: a villager at the kiosk, a handler, a drafter."""

from typing import Final

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import DISTRICT, TOWN, VILLAGE, World
from tests.browser.test_pages import SIZES, log_in

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

LIVE_MS: Final = 2000


async def kiosk(browser: Browser, world: World) -> Page:
    """Return the screen of the village's kiosk."""
    width, height = SIZES["kiosk"]
    context = await browser.new_context(viewport={"width": width, "height": height})
    page = await context.new_page()
    await page.goto(world.url(VILLAGE, "/kiosk"))
    return page


async def desk(browser: Browser, world: World, code: str, account: str, path: str) -> Page:
    """Return a desk at which somebody is logged in."""
    width, height = SIZES["desk"]
    context = await browser.new_context(viewport={"width": width, "height": height})
    await log_in(context, world, code, account)
    page = await context.new_page()
    await page.goto(world.url(code, path))
    return page


async def test_a_villager_says_something_and_gets_a_receipt(browser: Browser, world: World) -> None:
    """Three taps before typing, by touch alone; then the town sees it."""
    page = await kiosk(browser, world)
    await page.click("text=我要反映")
    await page.click("text=水和电")
    await page.click("label:has-text('请帮忙')")
    await page.fill("#text", "村里停水三天了")
    await page.click("text=交上去，拿编号")
    await expect(page.locator("h1")).to_have_text("收到了")
    shown = await page.locator(".number").text_content()
    number = (shown or "").replace("\u2011", "-")
    await expect(page.locator(".trail .done")).to_have_count(3, timeout=20_000)
    town = await desk(browser, world, TOWN, "handler", "/desk")
    await expect(town.locator(f"td:text-is('{number}')")).to_be_visible()
    await town.context.close()
    await page.click("text=好了，回首页")
    await expect(page.locator("text=我要反映")).to_be_visible()
    # Chromium cannot go back while the page before still gives way to this one.
    await page.wait_for_load_state()
    await page.go_back()
    await expect(page.locator("text=这一页已经擦掉了")).to_be_visible()
    assert await page.locator(f"text={number}").count() == 0
    await page.context.close()


async def test_an_open_kiosk_shows_a_new_notice_without_reload(
    browser: Browser, world: World
) -> None:
    """Within 2 s of its commit there; what somebody types meanwhile stays."""
    page = await kiosk(browser, world)
    form = await page.context.new_page()
    await form.goto(world.url(VILLAGE, "/file/roads"))
    await form.fill("#text", "还没写完")
    told = await world.act(DISTRICT, "publish", title="马上看得到", text="正文")
    await world.arrives(VILLAGE, told["rid"])
    await expect(page.locator("text=马上看得到")).to_be_visible(timeout=LIVE_MS)
    assert await form.input_value("#text") == "还没写完"
    await page.context.close()


async def test_keyboard_alone(browser: Browser, world: World) -> None:
    """A phone's page can be used without a pointer, and shows where the focus is."""
    page = await browser.new_page()
    await page.goto(world.url(VILLAGE, "/file/roads"))
    await page.keyboard.press("Tab")
    for _ in range(12):
        if await page.evaluate("document.activeElement.id") == "text":
            break
        outline = await page.evaluate(
            """() => { const one = document.activeElement;
            const seen = one.closest('.chip') ?? one;
            return getComputedStyle(seen).outlineStyle; }"""
        )
        assert outline == "solid"
        await page.keyboard.press("Tab")
    await page.keyboard.type("只用键盘")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.locator("h1")).to_have_text("收到了")
    await page.close()


async def test_a_handler_answers(browser: Browser, world: World) -> None:
    """From the list to the case to the signature; the village reads it."""
    filed = await world.act(VILLAGE, "file", kind="ask", text="低保怎么申请？", topic="welfare")
    await world.arrives(TOWN, filed["rid"])
    page = await desk(browser, world, TOWN, "handler", "/desk")
    await page.click("text=低保怎么申请？")
    await page.click("label:has-text('解释说明')")
    await page.fill("#text", "带身份证到村部填表，10 天内上门看。")
    await page.click("label:has-text('全文')")
    await page.click("text=答复并签名")
    await expect(page.locator("text=朔里镇 答复")).to_be_visible()
    seen = await world.act(VILLAGE, "follow", receipt=filed["receipt"], secret=filed["secret"])
    for _ in range(50):
        if seen["answers"]:
            break
        seen = await world.act(VILLAGE, "follow", receipt=filed["receipt"], secret=filed["secret"])
    assert [one["text"] for one in seen["answers"]] == ["带身份证到村部填表，10 天内上门看。"]
    await page.context.close()


async def test_a_drafter_publishes_to_one_village(browser: Browser, world: World) -> None:
    """The preview follows, half a tick shows, the count is right, and delivery is seen."""
    page = await desk(browser, world, DISTRICT, "drafter", "/desk/compose")
    await page.fill("#title", "只给沈集")
    await page.fill("#text", "第一行\n\n**第二行**")
    await expect(page.locator("#preview strong")).to_have_text("第二行")
    top = page.locator(f"input[value='{DISTRICT}']")
    await top.uncheck()
    await expect(page.locator("#reached")).to_have_text("送达 0 村")
    await page.click("text=选村")
    await page.check(f"input[value='{VILLAGE}']")
    await expect(page.locator("#reached")).to_have_text("送达 1 村")
    await page.click("text=签名并发出")
    await expect(page.locator("h1")).to_have_text("只给沈集")
    await expect(page.locator(".map .held text")).to_have_text("沈集", timeout=20_000)
    await page.context.close()


async def test_a_stranger_meets_the_login(browser: Browser, world: World) -> None:
    """Each staff page leads there, and back."""
    page = await browser.new_page()
    await page.goto(world.url(TOWN, "/desk/links"))
    assert "/login" in page.url
    await expect(page.locator("input[type=password]")).to_be_visible()
    await page.close()


async def test_what_the_kiosk_shows_is_seen_at_the_district(browser: Browser, world: World) -> None:
    """By the village's own signed word, on an open page without reload."""
    rid = world.notices["大风降温，夜里结冰"]
    office = await desk(browser, world, DISTRICT, "drafter", f"/desk/notices/{rid}")
    screen = await kiosk(browser, world)
    await expect(screen.locator("text=大风降温，夜里结冰").first).to_be_visible()
    await expect(office.locator(".pill.done")).to_have_text("1 村已显示", timeout=20_000)
    await expect(office.locator(".map .shown text")).to_have_text("沈集")
    await screen.context.close()
    await office.context.close()
