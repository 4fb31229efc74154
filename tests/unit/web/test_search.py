"""The page that searches the notices."""

from urllib.parse import quote

import pytest

from shared.web.public import NOTICES_MAX
from tests.unit.web.conftest import Desk


async def test_a_notice_is_found_by_a_word_of_its_text(desk: Desk) -> None:
    """Two characters are enough; others are not shown."""
    await desk.publish("明天检修", "上午停水，下午来水。")
    await desk.publish("集市", "周六开市。")
    page = await desk.page("/search?q=" + quote("停水"))
    assert ">明天检修</a>" in page
    assert ">集市</a>" not in page
    assert 'value="停水"' in page


async def test_all_parts_must_be_there_and_the_newest_comes_first(desk: Desk) -> None:
    """Blanks separate parts."""
    for title in ("2025年停水", "2026年停电", "2026年停水", "2026年再停水"):
        await desk.publish(title)
    page = await desk.page("/search?q=" + quote("停水 2026"))
    assert page.index(">2026年再停水</a>") < page.index(">2026年停水</a>")
    assert ">2025年停水</a>" not in page
    assert ">2026年停电</a>" not in page


async def test_only_what_a_notice_says_now_is_found(desk: Desk) -> None:
    """A correction replaces, a withdrawal takes away; the reasons are not searched."""
    corrected = await desk.publish("停水", "周一")
    await desk.correct(corrected, "停电", "写错")
    await desk.withdraw(await desk.publish("停气"), "算错")
    for text, is_found in (
        ("停电", True), ("停水", False), ("周一", False), ("停气", False), ("写错", False),
    ):  # fmt: skip
        page = await desk.page("/search?q=" + quote(text))
        assert ("card notice" in page) == is_found
        assert ("没有找到" in page) != is_found


async def test_without_words_there_is_only_the_form(desk: Desk) -> None:
    """Nothing was asked, so nothing is missing; signs alone find nothing."""
    await desk.publish("停水")
    for path in ("/search", "/search?q=", "/search?q=%20%E3%80%80"):
        page = await desk.page(path)
        assert 'name="q"' in page
        assert "card" not in page
    assert "没有找到" in await desk.page("/search?q=%22*%28")


async def test_pages_of_results_lose_nothing(desk: Desk) -> None:
    """Each stands on exactly one page, and the links keep the query."""
    titles = {f"停水 {number} 号&" for number in range(NOTICES_MAX + 3)}
    for title in sorted(titles):
        await desk.publish(title)
        await desk.publish("停电")
    path, page, found, pages = "/search?q=" + quote("停水 号"), "", [], 0
    while path:
        page = await desk.page(path)
        found += [title for title in titles if f">{title.replace('&', '&amp;')}</a>" in page]
        _, _, rest = page.partition(">")
        links = [part.partition('"')[0] for part in rest.split('href="') if "before=" in part]
        links = [link.replace("&amp;", "&") for link in links if link.startswith("/search")]
        path = links[0] if links else ""
        pages += 1
    assert sorted(found) == sorted(titles)
    assert pages == 2
    assert "回到最新" in page


@pytest.mark.parametrize(
    "text",
    ['"', '停水" OR words:*', "<script>alert(1)</script>", "\0", "水" * 800, "%ff", "a' --"],
)
async def test_whatever_is_typed_is_no_error_and_no_markup(desk: Desk, text: str) -> None:
    """It is shown as text, and cut where it is too long."""
    await desk.publish("通知")
    page = await desk.page("/search?q=" + quote(text))
    assert "没有找到" in page
    assert "<script>alert" not in page
    assert "水" * 101 not in page


async def test_an_address_that_nobody_made_is_refused(desk: Desk) -> None:
    """The place from which a page goes on is ours."""
    async with desk.client.get("/search?q=a&before=yesterday") as response:
        assert response.status == 400


async def test_the_list_of_notices_leads_to_the_search(desk: Desk) -> None:
    """By a form that sends what is asked as it is."""
    page = await desk.page("/notices")
    assert 'action="/search"' in page
    assert 'name="q"' in page


async def test_in_english_all_is_said_in_english(desk: Desk) -> None:
    """But for what the notices say."""
    async with desk.client.get("/look?lang=en&back=/search") as response:
        assert "Search notices" in await response.text()
    assert "Nothing found" in await desk.page("/search?q=x")
