"""The desks of a town and the district: cases, answers, notices, who has them, links."""

import html
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from district.pages import Office
from shared.app.desk import caselist
from shared.domain.custody.kinds import STATED, Held
from shared.errors import StorageError
from shared.link.carrier import CarrierState
from shared.log.store import BadFrame
from shared.node.accounts import ACCOUNTS_FILE, ROLES, Accounts
from shared.node.home import Home
from shared.record.feed import Feed, Level
from shared.web.server import STAFF
from tests.support.records import key_of
from tests.support.served import Served, served, stated
from tests.support.trust import (
    DISTRICT,
    EPOCH,
    TOWN,
    TOWN_2,
    TWINS,
    VILLAGE,
    VILLAGE_2,
    VILLAGE_3,
    signed,
    small_district,
)
from town.pages import TownDesk

SAME = {"Sec-Fetch-Site": "same-origin"}
DAY_MS = 86_400_000
NOWHERE = "/desk/case/" + "0" * 64
ANSWER = {"outcome": "settled", "publish_as": "full", "text": "下周<b>三</b>通水。"}
WHAT = {"title": "停水<通知>", "text": "明天**停水**。", "stream": "party", "category": "decision"}
NOTICE: dict[str, Any] = WHAT | {"to": [DISTRICT]}


class Desk(Served):
    """A node and a browser before its desk."""

    def log_in(self, name: str) -> str:
        """Return the path of a link by which ``name`` comes in."""
        app = self.client.app
        assert app is not None
        return app[STAFF].link_for(name)

    async def enter(self, name: str) -> "Desk":
        """Log ``name`` in, whoever was before."""
        await self.get(self.log_in(name))
        return self

    async def get(self, path: str, status: int = 200) -> str:
        """Return a page; nobody was logged out meanwhile."""
        async with self.client.get(path) as response:
            assert (response.status, response.url.path == "/login") == (status, False)
            return await response.text()

    async def post(self, path: str, form: dict[str, Any], status: int = 303) -> str:
        """Send a form; return where it leads or, where it leads nowhere, the page."""
        async with self.client.post(
            path, data=form, headers=SAME, allow_redirects=False
        ) as response:
            assert response.status == status
            return response.headers.get("Location") or await response.text()

    async def bodies(self, lane: str = "ordinary") -> list[tuple[str, Any]]:
        """Return what this node has written itself: audience and body of each record."""
        me, found = self.node.identity.division, []
        for feed, state in self.node.log.feeds.items():
            if (feed.author, feed.lane) == (me, lane):
                records = await self.node.log.store.read(feed, 0, state.count, 10**7)
                found += [(feed.audience, self.node.kinds.read(one)) for one in records]
        return sorted(found, key=lambda one: one[0])


@asynccontextmanager
async def desk(path: Path, code: str) -> AsyncIterator[Desk]:
    """A desk with an account for each role, called by it."""
    path.mkdir()
    surface, level = (TownDesk(), Level.TOWN) if code == TOWN else (Office(), Level.DISTRICT)
    home = Home(path)
    named = [{"name": role, "role": role, "hash": ""} for role in ROLES[level]]
    home.write(ACCOUNTS_FILE, json.dumps(named).encode())
    async with served(path, code, surface=surface, accounts=Accounts(home), further=True) as made:
        yield Desk(made.node, made.clock, made.client)


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Desk]:
    """A town's."""
    async with desk(tmp_path / "t", TOWN) as made:
        yield made


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Desk]:
    """The district's."""
    async with desk(tmp_path / "d", DISTRICT) as made:
        yield made


@pytest.fixture
async def village(tmp_path: Path) -> AsyncIterator[Served]:
    """Where people file."""
    async with served(tmp_path / "v", VILLAGE, further=True) as made:
        yield made


async def filed(at: Served, text: str = "自来水什么时候通？", kind: str = "ask") -> dict[str, Any]:
    """File something."""
    return await at.act("file", kind=kind, text=text, topic="water", place="老桥")


async def district_holds(at: Served, code: str, *since_ms: int) -> None:
    """Let the district state since when it holds each of the village's filings."""
    feed, of = Feed(DISTRICT, EPOCH, "custody", code), Feed(code, EPOCH, "ordinary", "^")
    records = await at.node.log.store.read(of, 0, len(since_ms), 10**6)
    held = [
        Held(of.author, EPOCH.hex(), "ordinary", "^", number + 1, records[number].rid.hex(), ms, 0)
        for number, ms in enumerate(since_ms)
    ]
    body = {"use": "receipt", "held": [list(one) for one in held], "late": []}
    await at.accept(signed(feed, 0, small_district().district_opened.rid, STATED, body, key_of(0)))


def titles(page: str) -> list[str]:
    """Return what the rows of a list are about."""
    return re.findall(r'<td><a href="/desk/[^"]+">([^<]*)</a>', page)


def ticked(page: str) -> list[str]:
    """Return the divisions that are ticked."""
    return re.findall(r'name="to" value="(\d+)" checked', page)


# --- who may -------------------------------------------------------------------------------------


async def test_nothing_is_shown_before_the_login(town: Desk) -> None:
    """Each address leads to the login and from there back; a form to the first page."""
    assert town.client.app is not None
    routes = [
        (one.method, path) for one in town.client.app.router.routes()
        if (path := one.resource.canonical if one.resource else "").startswith("/desk")
        and one.method != "HEAD"
    ]  # fmt: skip
    assert len({path for _, path in routes}) == 7
    for method, path in routes:
        address = path.replace("{rid}", "0" * 64) + "?show=late"
        async with town.client.request(
            method, address, headers=SAME, allow_redirects=False
        ) as response:
            assert response.status == 303
            where = URL(response.headers["Location"])
        assert where.path == "/login"
        assert where.query["next"] == (address if method == "GET" else "/desk")
    async with town.client.get(f"{town.log_in('clerk')}?next=/desk/links") as response:
        assert response.url.path == "/desk/links"


@pytest.mark.parametrize(
    ("code", "role", "answers", "publishes"),
    [(TOWN, "handler", True, True), (TOWN, "clerk", False, True),
     (DISTRICT, "dispatcher", True, False), (DISTRICT, "drafter", False, True)],
)  # fmt: skip
async def test_a_role_does_its_own(
    tmp_path: Path, village: Served, code: str, role: str, answers: bool, publishes: bool
) -> None:
    """The menu and the form are not there for others, and the address refuses them."""
    case = f"/desk/case/{(await filed(village))['rid']}"
    async with desk(tmp_path / "x", code) as at:
        await at.hear(village)
        await at.enter(role)
        assert ('name="publish_as"' in await at.get(case)) is answers
        assert ('href="/desk/compose"' in await at.get("/desk")) is publishes
        await at.get("/desk/compose", 200 if publishes else 403)
        for path, done in (("compose", 400), ("preview", 200), ("notices/00", 303)):
            await at.post(f"/desk/{path}", {}, done if publishes else 403)
        said = await at.post(case, {}, 400 if answers else 403)
    assert ("您的岗位看不了这一页" in said) is not answers


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://x"}, {}])
async def test_a_form_from_elsewhere_is_refused(office: Desk, headers: dict[str, str]) -> None:
    """Another site cannot publish, withdraw, or have a text shown."""
    await office.enter("drafter")
    for path in ("/desk/compose", "/desk/preview", "/desk/notices/00", NOWHERE):
        async with office.client.post(path, data=NOTICE, headers=headers) as response:
            assert response.status == 403
    assert await office.bodies() == []


# --- cases ---------------------------------------------------------------------------------------


async def test_cases_by_due_date(town: Desk, village: Served, tmp_path: Path) -> None:
    """Of two villages, the most pressing first; each count is a filter with an address."""
    now_ms, days = town.clock.wall_ms(), (52, 60, 61, 53, 62)
    for number in range(5):
        await filed(village, f"件{number}", "complain")
    async with served(tmp_path / "w", VILLAGE_2, further=True) as other:
        await filed(other, "\n 路上\n<b>第二行</b>", "help")
        await town.hear(village, other)
    await district_holds(town, VILLAGE, *(now_ms - one * DAY_MS for one in sorted(days)[::-1]))
    await town.enter("clerk")
    page = await town.get("/desk")
    assert titles(page) == ["件0", "件1", "件2", "件3", "件4", "路上"]
    assert "超 2 天" in page
    assert all(f"<td>{label} 26-0001-" in page for label in ("单位" + VILLAGE, TWINS))
    for show, wanted in {
        "late": ["件0", "件1"], "today": ["件2"], "week": ["件3"], "later": ["件4"],
        "on_the_way": ["路上"], "answered": [], "rated": [], "nothing": titles(page),
    }.items():  # fmt: skip
        shown = await town.get(f"/desk?show={show}")
        assert titles(shown) == wanted
        if show != "nothing":
            link = rf'href="/desk\?show={show}" aria-current="true"><b>{len(wanted)}</b>'
            assert re.search(link, shown)


async def test_what_is_answered_and_rated_leaves_the_list(town: Desk, village: Served) -> None:
    """It stands behind its own filter; the two clocks stop."""
    made = [await filed(village, text) for text in ("旧", "新")]
    await town.hear(village)
    for one in made:
        await town.act("answer", receipt=one["receipt"], text="好了。")
    await village.hear(town)
    await village.act("rate", receipt=made[0]["receipt"], score="fair")
    await town.hear(village)
    await town.enter("handler")
    assert titles(await town.get("/desk")) == []
    assert titles(await town.get("/desk?show=answered")) == ["新"]
    assert titles(await town.get("/desk?show=rated")) == ["旧"]
    page = await town.get(f"/desk/case/{made[0]['rid']}")
    assert "本人评价：基本满意" in page


async def test_the_oldest_are_shown_where_there_are_too_many(
    town: Desk, village: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is most pressing is never left out, all are counted, and the page says that it cuts."""
    monkeypatch.setattr(caselist, "CASES_MAX", 2)
    for number in range(3):
        await filed(village, f"件{number}")
        await village.clock.advance(1)
    await town.hear(village)
    await town.enter("handler")
    page = await town.get("/desk")
    assert titles(page) == ["件0", "件1"]
    assert "<b>3</b> 没答复的" in page
    assert "只列出最早的 2 件" in page


async def test_a_case_and_its_way(office: Desk, town: Desk, village: Served) -> None:
    """Who holds it by their own word, since when; what is not known is said to be missing."""
    path = f"/desk/case/{(await filed(village, '<i>水</i>'))['rid']}"
    await office.hear(village)
    page = await (await office.enter("dispatcher")).get(path)
    assert "&lt;i&gt;水&lt;/i&gt;" in page
    assert "水和电" in page
    assert "老桥" in page
    state = re.compile(r'<li class="(done|wait)"><i')
    assert state.findall(page) == ["done", "wait", "wait"]
    await stated(office, VILLAGE)
    await town.hear(village)
    await stated(town, VILLAGE)
    await office.hear(town)
    page = await (await office.enter("dispatcher")).get(path)
    assert "限 5 个工作日" in page
    assert state.findall(page) == ["done", "done", "done"]


async def test_an_answer_is_signed_and_shown(town: Desk, village: Served) -> None:
    """With a second one below it; the records say what the form said."""
    path = f"/desk/case/{(await filed(village))['rid']}"
    await town.hear(village)
    await town.enter("handler")
    assert await town.post(path, ANSWER) == path
    page = await town.get(path)
    assert "下周&lt;b&gt;三&lt;/b&gt;通水。" in page
    assert "已解决 · 全文" in page
    assert "再答复一次" in page
    await town.post(path, ANSWER | {"text": "第一行\r\n第二行", "publish_as": "count"})
    assert [(to, one.outcome, one.publish, one.text) for to, one in await town.bodies()] == [
        (VILLAGE, "settled", "full", ANSWER["text"]),
        (VILLAGE, "settled", "count", "第一行\n第二行"),
    ]


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"text": " \n "}, "还没写答复"),
        ({"outcome": "great"}, "请选结果"),
        ({"publish_as": ""}, "请选结果"),
        ({"text": "长" * 30_000}, "没有发出"),
    ],
)
async def test_an_answer_that_is_refused_gives_back_what_was_typed(
    town: Desk, village: Served, wrong: dict[str, str], why: str
) -> None:
    """The reason above it, and nothing signed."""
    path = f"/desk/case/{(await filed(village))['rid']}"
    await town.hear(village)
    await town.enter("handler")
    form = ANSWER | wrong
    page = await town.post(path, form, 400)
    assert f'role="alert">{why}' in page
    assert f"required>{html.escape(form['text'])}</textarea>" in page
    assert ('value="settled" checked' in page) is (form["outcome"] == "settled")
    assert await town.bodies() == []


async def test_a_case_of_a_village_whose_name_another_has(office: Desk, tmp_path: Path) -> None:
    """The page knows which one it is about, whatever both call themselves and give out."""
    await office.enter("dispatcher")
    given = []
    for code in (VILLAGE_2, VILLAGE_3):
        async with served(tmp_path / code, code, further=True) as village:
            given.append(await filed(village))
            told = await village.act("follow", receipt=given[-1]["receipt"])
            await office.hear(village)
        assert told["rid"] == given[-1]["rid"]
    assert given[0]["receipt"] == given[1]["receipt"]
    path = f"/desk/case/{given[1]['rid']}"
    assert await office.post(path, ANSWER) == path
    assert [to for to, _ in await office.bodies()] == [VILLAGE_3]


async def test_a_case_that_is_not_here(town: Desk) -> None:
    """404 in words, whether the address could be one or not."""
    await town.enter("handler")
    for path in (NOWHERE, "/desk/case/xyz", "/desk/notices/" + "0" * 64, "/desk/notices/0"):
        await town.get(path, 404)
    await town.post(NOWHERE, ANSWER, 404)
    await town.post("/desk/case/0", ANSWER, 404)
    await town.post("/desk/notices/" + "0" * 64, {"reason": "x"}, 404)


# --- notices -------------------------------------------------------------------------------------


async def test_the_blank_form_goes_to_all(office: Desk) -> None:
    """All below are ticked at the top, and counted."""
    page = await (await office.enter("drafter")).get("/desk/compose")
    assert ticked(page) == [DISTRICT]
    assert re.findall(r'name="to" value="(\d+)"', page) == [
        DISTRICT, TOWN, VILLAGE, VILLAGE_2, TOWN_2, VILLAGE_3,
    ]  # fmt: skip
    assert "送达 3 村" in page


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"title": " "}, "标题和正文都要写"),
        ({"text": ""}, "标题和正文都要写"),
        ({"to": []}, "还没选送给谁"),
        ({"to": ["*", "999"]}, "还没选送给谁"),
        ({"stream": "x"}, "请选哪一类公开"),
        ({"category": "x"}, "请选哪一类公开"),
        ({"title": "长" * 300}, "没有发出"),
    ],
)
async def test_a_notice_that_is_refused_gives_back_what_was_typed(
    office: Desk, wrong: dict[str, Any], why: str
) -> None:
    """The reason above it, and nothing signed."""
    await office.enter("drafter")
    form = NOTICE | {"to": [TOWN, VILLAGE_3], "urgent": "1"} | wrong
    page = await office.post("/desk/compose", form, 400)
    assert f'role="alert">{why}' in page
    assert f'required value="{html.escape(form["title"])}"' in page
    assert f"required>{form['text']}</textarea>" in page
    assert 'name="urgent" value="1" checked' in page
    assert ('value="party" checked' in page) is (form["stream"] == "party")
    assert ('value="decision" selected' in page) is (form["category"] == "decision")
    assert ticked(page) == [one for one in form["to"] if one in {TOWN, VILLAGE_3}]
    assert await office.bodies() == []


async def test_a_notice_to_one_audience(office: Desk) -> None:
    """Leads to its delivery, in the lane and with the words of the form."""
    await office.enter("drafter")
    where = await office.post("/desk/compose", NOTICE | {"urgent": "1"})
    page = await office.get(where)
    assert where.startswith("/desk/notices/")
    assert "停水&lt;通知&gt;" in page
    ((audience, body),) = await office.bodies("urgent")
    assert audience == DISTRICT + "*"
    assert (body.title, body.text, body.stream, body.category) == (
        "停水<通知>", "明天**停水**。", "party", "decision",
    )  # fmt: skip


async def test_a_notice_to_several_audiences(office: Desk) -> None:
    """One record for each, and the list of them."""
    await office.enter("drafter")
    form = NOTICE | {"to": [VILLAGE_2, TOWN_2, VILLAGE_3]}
    assert await office.post("/desk/compose", form) == "/desk/notices"
    assert [audience for audience, _ in await office.bodies()] == [VILLAGE_2, TOWN_2 + "*"]
    assert len(titles(await office.get("/desk/notices"))) == 2


async def test_what_was_sent_is_not_sent_again(
    office: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second of two fails: the page says so, and only what is left stays ticked."""
    await office.enter("drafter")
    submit, tries = office.node.author.submit, 0

    async def failing(draft: Any) -> Any:
        nonlocal tries
        tries += 1
        if tries == 2:
            raise StorageError("The disk is full.")
        return await submit(draft)

    monkeypatch.setattr(office.node.author, "submit", failing)
    page = await office.post("/desk/compose", NOTICE | {"to": [VILLAGE_2, TOWN_2]}, 400)
    assert "前面 1 处发出了。没有发出：磁盘写不进" in page
    assert ticked(page) == [TOWN_2]
    await office.post("/desk/compose", NOTICE | {"to": ticked(page)})
    assert [audience for audience, _ in await office.bodies()] == [VILLAGE_2, TOWN_2 + "*"]


async def test_what_is_signed_counts_as_sent(office: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that cannot be brought up to date now is no reason to send again."""
    await office.enter("drafter")

    def busy(_: Any) -> None:
        raise StorageError("Another program holds the database.")

    with monkeypatch.context() as patch:
        patch.setattr("shared.app.acts._views", busy)
        where = await office.post("/desk/compose", NOTICE)
    assert len(await office.bodies()) == 1
    assert where.startswith("/desk/notices/")


async def test_a_preview_shows_no_markup(office: Desk) -> None:
    """What is typed is text; Markdown is shown."""
    await office.enter("drafter")
    form = {"title": "<b>x</b>", "text": "**响** <script>alert(1)</script>", "urgent": "1"}
    page = await office.post("/desk/preview", form, 200)
    assert "<h3>&lt;b&gt;x&lt;/b&gt;</h3>" in page
    assert "<strong>响</strong>" in page
    assert "<script" not in page
    assert 'class="card notice urgent"' in page


async def test_who_has_a_notice(office: Desk, town: Desk, village: Served) -> None:
    """By the holders' own word: counted in the list, named on the map and in the table."""
    told = await office.act("publish", title="降温", text="今夜结冰。")
    for at, audience in ((town, "^"), (village, "^")):
        await at.hear(office)
        await stated(at, audience)
        await office.hear(at)
    await office.enter("dispatcher")
    row = (await office.get("/desk/notices")).split("降温</a>")[1]
    assert "<td>1 / 3</td>" in row
    assert "2 村还在等" in row
    page = await office.get(f"/desk/notices/{told['rid']}")
    assert page.count('<g class="held">') == 1
    assert page.count('<g class="open">') == 2
    waiting = re.findall(rf"<tr><td>{TWINS} <[^>]*>单位(\d+)<(.*?)</tr>", page)
    assert [(above, "镇里已收到" in said) for above, said in waiting] == [
        (TOWN, True), (TOWN_2, False),
    ]  # fmt: skip


async def test_a_notice_is_withdrawn_for_a_reason(office: Desk, town: Desk) -> None:
    """Without one nothing happens; only its author can; what is over cannot be again."""
    told = await office.act("publish", title="停水", text="明天。")
    path = f"/desk/notices/{told['rid']}"
    await town.hear(office)
    await town.enter("clerk")
    assert 'name="reason"' not in await town.get(path)
    assert "没有撤回" in await town.post(path, {"reason": "x"}, 403)
    await office.enter("drafter")
    assert await office.post(path, {"reason": "  "}) == path
    assert 'name="reason"' in await office.get(path)
    assert len(await office.bodies()) == 1
    assert await office.post(path, {"reason": "不停了"}) == path
    assert (await office.bodies())[1][1].reason == "不停了"
    assert 'name="reason"' not in await office.get(path)
    assert "已撤回" in await office.get("/desk/notices")
    assert "没有撤回" in await office.post(path, {"reason": "x"}, 403)


# --- links ---------------------------------------------------------------------------------------


async def test_links_in_words(town: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Down before behind before equal; why one ended; what was put aside, as text."""
    for code in (VILLAGE, VILLAGE_2):
        state = town.node.links.state(code)
        state.connected_since_ms = state.heard_ms = town.clock.wall_ms()
    town.node.links.state(VILLAGE).by = "amqps"
    monkeypatch.setattr(town.node.links, "backlog", lambda peer: 7 * (peer == VILLAGE_2))
    town.node.links.state(DISTRICT).trouble = "no <route>"
    await town.node.log.quarantine(BadFrame(town.clock.wall_ms(), VILLAGE, "not <CBOR>", b"x"))
    await town.enter("handler")
    page = await town.get("/desk/links")
    said = re.findall(r"<dd>(\d{6,12})</dd>.*?<span class=\"pill \w+\">([^<]+)<", page, re.DOTALL)
    assert said == [(DISTRICT, "听不到"), (VILLAGE_2, "正在补"), (VILLAGE, "两头一样")]
    assert [page.count(f"<td>{lacks}</td>") for lacks in ("不知道", 7)] == [1, 1]
    assert "<dd>no &lt;route&gt;</dd>" in page
    assert page.count("走哪条路") == page.count("<dd>amqps</dd>") == 1
    assert re.search(rf"<td>单位{VILLAGE}</td><td>今天 \S+</td><td>not &lt;CBOR&gt;</td>", page)
    assert f"✓ 单位{VILLAGE}<" in await town.get("/desk")


async def test_the_district_sees_who_by_passes_a_town(office: Desk) -> None:
    """While the link of a village is open; its town stands there as ever."""
    await office.enter("dispatcher")
    assert "绕过" not in await office.get("/desk/links")
    office.node.links.state(VILLAGE).connected_since_ms = office.clock.wall_ms()
    page = await office.get("/desk/links")
    assert page.count(f"绕过单位{TOWN}，直接连来") == 1
    assert f"<dd>{VILLAGE}</dd>" in page
    office.node.links.state(VILLAGE).connected_since_ms = None
    assert "绕过" not in await office.get("/desk/links")


async def test_carriers_in_words(town: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those with trouble first: not connected, blocked, then the rest; each with its figures."""
    links, since_ms = town.node.links, town.clock.wall_ms() - DAY_MS
    relay = CarrierState(answers=True, address="amqps://broker.example/sanji", unconfirmed=64)
    dialler = CarrierState(
        answers=False, address="amqps://other.example/sanji", trouble="no <route>"
    )
    web = CarrierState(answers=True, address="wss://town.example/link")
    for state in (relay, web):
        state.connected(since_ms)
    relay.alarm = "low on memory"
    links.carriers += [web, relay, dialler]
    links.state(VILLAGE).by = "amqps"
    monkeypatch.setattr(links, "backlog", lambda peer: 9 * (peer == VILLAGE))
    links.broadcaster.said = 1234
    await town.enter("handler")
    page = await town.get("/desk/links")
    rows = page.partition("连线走的路")[2].partition("</section>")[0].split('<div class="head">')
    told = [[text for text in re.split(r"<[^>]+>", row) if text.strip()] for row in rows[1:]]
    assert told == [
        ["消息台", "连上级", "没连上", "又接上 0 次", "没确认 0 条", "还差 0 条", "0 条连线",
         dialler.address, "上次为什么断：no &lt;route&gt;"],
        ["消息台", "下级来连", "它不收了", "消息台内存不够，腾出来就接着走。",
         "11月23日 起", "又接上 0 次", "没确认 64 条", "还差 9 条", "0 条连线", relay.address],
        ["直接连", "下级来连", "通着",
         "11月23日 起", "又接上 0 次", "还差 0 条", "0 条连线", web.address],
    ]  # fmt: skip
    assert "1,234 条" in page


async def test_nothing_is_said_of_carriers_that_are_not_there(town: Desk) -> None:
    """A node without a carrier in use has no empty table."""
    town.node.links.carriers.append(CarrierState(answers=False))
    await town.enter("handler")
    page = await town.get("/desk/links")
    assert "连线走的路" not in page
    assert "说一遍" not in page


async def test_english_is_complete(town: Desk, village: Served) -> None:
    """No Chinese but names, and what people wrote."""
    case = await filed(village, "water")
    await town.hear(village)
    await town.enter("handler")
    await town.get("/look?lang=en&back=/")
    await town.post(f"/desk/case/{case['rid']}", ANSWER | {"text": "done"})
    notice = await town.post("/desk/compose", NOTICE | {"to": [TOWN], "title": "x", "text": "y"})
    blocked = CarrierState(answers=True, address="amqp://broker/sanji", connected_since_ms=1)
    blocked.alarm = "low on disk & memory"
    town.node.links.carriers.append(blocked)
    town.node.links.broadcaster.said = 1
    for path in ("/desk", "/desk?show=answered", f"/desk/case/{case['rid']}", "/desk/compose",
                 "/desk/notices", notice, "/desk/links", NOWHERE):  # fmt: skip
        text = await town.get(path, 404 if path == NOWHERE else 200)
        text = re.sub(r'单位\d+|新村（东）|朔里|老桥|中文|<span class="crest".*?</span>', "", text)
        assert re.findall("[\u4e00-\u9fff]", text) == [], path


async def test_what_is_missing_and_why(town: Desk) -> None:
    """A beat of the district names more than is here: first its line is down, then it is up."""
    feed, of = (
        Feed(DISTRICT, EPOCH, "custody", DISTRICT + "*"),
        Feed(DISTRICT, EPOCH, "urgent", DISTRICT + "*"),
    )
    since_ms = town.clock.wall_ms() - 5 * DAY_MS
    head = Held(of.author, EPOCH.hex(), "urgent", of.audience, 3, "ab" * 32, since_ms, 0)
    body = {"use": "beat", "held": [list(head)], "late": []}
    await town.enter("handler")
    assert "缺号" not in await town.get("/desk/links")
    await town.accept(
        signed(feed, 0, small_district().district_opened.rid, STATED, body, key_of(0))
    )
    (told,) = (await town.act("status"))["missing"]
    assert told == {
        "feed": str(of), "author": DISTRICT, "held": 0, "records": 3, "by": DISTRICT,
        "since_ms": since_ms, "waits_for": DISTRICT,
    }  # fmt: skip
    page = (await town.get("/desk/links")).partition("缺号")[2].partition("</section>")[0]
    assert "少 3 条" in page
    assert f'<p class="small">等单位{DISTRICT}的线通</p>' in page
    town.node.links.state(DISTRICT).connected_since_ms = town.clock.wall_ms()
    page = (await town.get("/desk/links")).partition("缺号")[2].partition("</section>")[0]
    assert '<p class="why late">线通着，缺了5 天</p>' in page
