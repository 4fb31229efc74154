"""The public pages of a node, and its link line."""

import pytest

from shared.domain.custody.lacks import Reason
from shared.node.conversation import LinkState
from shared.node.home import Identity
from shared.record.feed import Level
from shared.web.banner import Bypassed, above, below, past
from shared.web.i18n import Catalogue
from shared.web.public import NOTICES_MAX
from shared.web.richtext import RichText, plain
from tests.unit.web.conftest import Desk

NOW = 1_764_000_000_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
CHINESE = Catalogue().words("zh")
ENGLISH = Catalogue().words("en")
STILL = "；仍可看通知、写反映，网通后自动上报"


def link(heard: int | None = None, *, up: bool = False) -> LinkState:
    """Return a link that was heard ``heard`` ms ago."""
    return LinkState(
        "340602", connected_since_ms=NOW - DAY if up else None,
        heard_ms=None if heard is None else NOW - heard,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("state", "sign", "sentence"),
    [
        (None, "wait", "还没连上上级，内容截至上次联网时" + STILL),
        (link(), "wait", "还没连上上级，内容截至上次联网时" + STILL),
        (link(up=True), "wait", "刚连上，正在和上级核对内容"),
        (link(5_000, up=True), "done", "网络正常，上级刚刚联系过"),
        (link(-HOUR, up=True), "done", "网络正常，上级刚刚联系过"),
        (link(50 * MINUTE, up=True), "done", "网络正常，上级 50 分钟前联系过"),
        (link(5_000), "wait", "网断了，内容截至刚刚" + STILL),
        (link(MINUTE), "wait", "网断了，内容截至 1 分钟前" + STILL),
        (link(3 * HOUR + 5), "wait", "网断了，内容截至 3 小时前" + STILL),
        (link(12 * DAY), "wait", "网断了，内容截至 12 天前" + STILL),
    ],
)
def test_the_link_line_says_how_old_the_content_is(
    state: LinkState | None, sign: str, sentence: str
) -> None:
    """One sentence for each state of the link to the parent."""
    line = above(state, NOW, CHINESE)
    assert (line.sign, line.lead + line.rest) == (sign, sentence)


@pytest.mark.parametrize(
    ("reason", "why"),
    [
        (Reason.NO_BEAT, "很久没听到朔里镇的消息"),
        (Reason.LATE, "朔里镇说，发来的内容这里没有确认"),
        (Reason.NO_RECEIPT, "报上去的内容，朔里镇没有回执"),
        (Reason.NOT_ARRIVED, "朔里镇发的内容没有到全"),
    ],
)
def test_the_link_line_says_past_whom_and_why(reason: Reason, why: str) -> None:
    """Since when a by-pass is open, to whom, past whom."""
    line = past(Bypassed("朔里镇", "杜集区", "朔里镇", reason, NOW - 2 * DAY), NOW, CHINESE)
    said = f"已直接连上杜集区，11月23日起绕过朔里镇，因为{why}"
    assert (line.sign, line.lead + line.rest) == ("wait", said)


@pytest.mark.parametrize(
    ("up", "down", "sign", "sentence"),
    [
        (0, 0, "wait", "还没有镇加入，通知先存在这里"),
        (2, 0, "done", "2 个镇都连着，新通知随发随到"),
        (1, 2, "wait", "3 个镇里有 1 个连着，没连上的，网通后自动补齐"),
    ],
)
def test_the_district_counts_its_towns(up: int, down: int, sign: str, sentence: str) -> None:
    """One sentence at the top of the tree."""
    line = below([link(0, up=True)] * up + [link()] * down, CHINESE)
    assert (line.sign, line.lead + line.rest) == (sign, sentence)


def test_the_link_line_has_english_plurals() -> None:
    """One hour, three hours."""
    assert above(link(HOUR), NOW, ENGLISH).rest.startswith("; contents as of 1 hour ago. ")
    assert above(link(3 * HOUR), NOW, ENGLISH).rest.startswith("; contents as of 3 hours ago. ")
    assert below([link(0, up=True)], ENGLISH).lead == "The only town is connected"


async def test_an_empty_node_says_so(desk: Desk) -> None:
    """No notices, no towns."""
    page = await desk.page()
    assert "这里还没有通知" in page
    assert "还没有镇加入" in page
    assert "区级公开栏" in page


async def test_a_village_names_what_is_above_it(desk: Desk) -> None:
    """Labels where certificates are held, codes else; and its parent's link."""
    ancestors = (("340602100", ""), ("340602", ""))
    anchor = desk.node.identity.anchor
    desk.move_to(Identity("340602100201", "沈集", Level.VILLAGE, anchor, ancestors))
    page = await desk.page()
    assert "杜集 · 340602100 · 村级公开栏" in page
    assert "还没连上上级" in page


async def test_markup_in_a_notice_is_text(desk: Desk) -> None:
    """Neither a title nor a body can bring markup into a page."""
    rid = await desk.publish(
        "<script>alert(1)</script>", "<img src=x onerror=alert(2)> [x](javascript:3)"
    )
    for path in ("/", f"/notice/{rid.hex()}"):
        page = await desk.page(path)
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
        assert "<script>" not in page
        assert "<img" not in page
        assert 'href="javascript' not in page


async def test_newest_first_and_urgent_on_top(desk: Desk) -> None:
    """Urgent ones lead while they are in force."""
    await desk.publish("大风", category="urgent")
    over = await desk.publish("旧的大风", category="urgent")
    await desk.publish("第一件")
    await desk.publish("第二件")
    await desk.withdraw(over, "风停了")
    page = await desk.page()
    order = sorted(("大风", "旧的大风", "第一件", "第二件"), key=lambda t: page.index(f">{t}</a>"))
    assert order == ["大风", "第二件", "第一件", "旧的大风"]
    assert page.count("tag urgent") == 1


async def test_corrections_and_withdrawals_give_their_reason(desk: Desk) -> None:
    """The text of what is withdrawn is gone from the page."""
    await desk.correct(await desk.publish("停水", "周一"), "停水改期", "管道 <晚到>")
    await desk.withdraw(await desk.publish("低保公示", "张三"), "算错了一户")
    page = await desk.page()
    assert "更正：管道 &lt;晚到&gt;" in page
    assert "停水改期" in page
    assert "撤回：算错了一户" in page
    assert "张三" not in page


async def test_expired_and_coming_notices_say_so(desk: Desk) -> None:
    """By the node's clock, when the page is asked for."""
    now = desk.clock.wall_ms()
    await desk.publish("集市", "周六", expires_ms=now + HOUR)
    await desk.publish("新规", "细则", effective_ms=now + 3 * DAY)
    page = await desk.page()
    assert "起有效" in page
    assert "不再有效" not in page
    await desk.clock.advance(2 * 3600)
    assert "不再有效" in await desk.page()


async def test_a_wild_claim_of_time_does_not_break_the_page(desk: Desk) -> None:
    """Times are claims: one beyond the calendar is unknown, not an error."""
    await desk.publish("远", "很远", effective_ms=2**53 - 1)
    assert "日期不明起有效" in await desk.page()


async def test_a_long_body_begins_in_the_list_and_stands_whole_alone(desk: Desk) -> None:
    """Nothing is cut away from where one reads it."""
    rid = await desk.publish("章程", "条款。" * 200 + "末尾")
    assert "末尾" not in await desk.page()
    page = await desk.page(f"/notice/{rid.hex()}")
    assert "末尾" in page
    assert "印章真实" in page
    assert rid.hex()[:4] in page


async def test_a_notice_that_is_not_here(desk: Desk) -> None:
    """404 for what cannot be a record and for what is none."""
    for rid in ("0" * 64, "zz", "A" * 64, "0" * 63):
        async with desk.client.get(f"/notice/{rid}") as response:
            assert response.status == 404


async def test_pages_lose_nothing(desk: Desk) -> None:
    """Each notice stands on exactly one page of the list."""
    titles = {f"第 {number} 号" for number in range(2 * NOTICES_MAX + 3)}
    for title in sorted(titles):
        await desk.publish(title, "字" * 900)
    path, found, pages = "/", [], 0
    while path:
        page = await desk.page(path)
        found += [title for title in titles if f">{title}</a>" in page]
        _, _, rest = page.partition('href="/notices?before=')
        older = rest.partition('"')[0]
        path = f"/notices?before={older}" if older else ""
        pages += 1
    assert sorted(found) == sorted(titles)
    assert pages == 3


async def test_an_old_urgent_notice_stays_on_top(desk: Desk) -> None:
    """As long as it is in force, however many came after it."""
    await desk.publish("防汛", category="urgent")
    for number in range(NOTICES_MAX + 1):
        await desk.publish(f"第 {number} 号")
    page = await desk.page()
    assert page.index(">防汛</a>") < page.index(f">第 {NOTICES_MAX} 号</a>")
    assert page.count(">防汛</a>") == 1


async def test_one_stream(desk: Desk) -> None:
    """Party, government, village; anything else is all."""
    await desk.publish("政")
    await desk.publish("党", stream="party")
    assert ">政</a>" not in await desk.page("/notices?stream=party")
    assert ">党</a>" in await desk.page("/notices?stream=party")
    assert ">政</a>" in await desk.page("/notices?stream=nothing")


async def test_the_look_is_kept_and_leads_back(desk: Desk) -> None:
    """Language and size stand in a cookie that names the division; a foreign address is ignored."""
    async with desk.client.get("/look?lang=en&size=2&back=/notices") as response:
        assert str(response.url.path) == "/notices"
        page = await response.text()
    assert '<html lang="en" class="size2">' in page
    assert [cookie.key for cookie in desk.client.session.cookie_jar] == ["look-340602"]
    for back in ("//evil.example", "https://evil.example", "/\\evil.example", "", "javascript:1"):
        async with desk.client.get(
            "/look", params={"size": "0", "back": back}, allow_redirects=False
        ) as response:
            assert response.headers["Location"] == "/"


async def test_english_is_complete(desk: Desk) -> None:
    """No Chinese but what the notices and the seal say."""
    await desk.correct(await desk.publish("A"), "B", "typing error")
    await desk.publish("C", "long " * 60, category="urgent", effective_ms=2**52)
    await desk.withdraw(await desk.publish("D"), "mistake")
    rid = await desk.publish("E", "text")
    for path in ("/?lang=en", f"/notice/{rid.hex()}?lang=en", "/nowhere?lang=en"):
        async with desk.client.get(path) as response:
            page = await response.text()
        assert '<html lang="en"' in page
        for said in ("杜集", "中文", "新的", "<i>三</i><i>级</i><i>互</i><i>动</i>"):
            page = page.replace(said, "")
        assert [sign for sign in page if "\u4e00" <= sign <= "\u9fff"] == []


def test_headings_stand_below_the_title_of_a_card() -> None:
    """A card's title is a second heading; what is in it comes below."""
    made = RichText().html("# 一\n\n## 二\n\n###### 六")
    assert made == "<h3>一</h3>\n<h4>二</h4>\n<h5>六</h5>\n"


def test_plain_words_are_words() -> None:
    """Markdown's signs and HTML's entities are gone."""
    assert plain(RichText().html("**水** & <b>\n\n- 电")) == "水 & <b> 电"
