"""The pages of a village: filing, the receipt, following, rating; nothing typed is lost."""

import asyncio
import html
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from shared.app.acts import perform_for_page
from shared.app.status import report
from shared.domain.cases.kinds import ANSWERED
from shared.domain.custody.kinds import Stated
from shared.domain.custody.lacks import Lack, Reason
from shared.domain.custody.rules import Intervals
from shared.domain.evidence import decode_evidence, prove
from shared.domain.notices.kinds import PUBLISHED
from shared.record.feed import Feed
from shared.trust.authority import read_as
from tests.support.records import key_of
from tests.support.served import Served, served
from tests.support.trust import DISTRICT, EPOCH, TOWN, VILLAGE, signed, small_district
from village.drawer import KEPT_SECONDS
from village.pages import Kiosk

LABEL = "单位" + VILLAGE
SAME = {"Sec-Fetch-Site": "same-origin"}
WORDS = "路灯坏了 <b>三盏</b>"


class Village(Served):
    """A village's node and a browser before it."""

    async def get(self, path: str, status: int = 200) -> str:
        """Return a page."""
        async with self.client.get(path) as response:
            assert response.status == status
            return await response.text()

    async def post(self, path: str, status: int = 200, **form: str) -> tuple[str, str]:
        """Send a form; return where it led, and that page."""
        async with self.client.post(path, data=form, headers=SAME) as response:
            assert response.status == status
            return response.url.path, await response.text()

    async def file(self, text: str = WORDS) -> tuple[str, str]:
        """File something; return the address of the receipt, and its number."""
        path, page = await self.post("/file/roads", kind="help", text=text, place="老桥")
        found = re.search(r'class="number">([^<]+)<', page)
        assert found is not None
        return path, found[1].replace("\u2011", "-")

    async def scanned(self) -> str:
        """File something; return what a scanner reads from the receipt."""
        path, number = await self.file()
        paper = await self.get(f"{path}/58")
        secret = "".join(re.findall(r"\b\d{4}\b", paper.split("扫不了码")[1].split("<hr>")[0]))
        return f"http://x/follow#{number.replace(' ', '_')}.{secret}"

    async def warn(self) -> str:
        """Take in an urgent notice of the town; return its rid."""
        feed = Feed(TOWN, EPOCH, "urgent", TOWN + "*")
        body = {"stream": "government", "category": "urgent", "title": "大风", "text": ""}
        record = signed(feed, 0, small_district().town_opened.rid, PUBLISHED, body, key_of(1))
        await self.accept(record)
        return record.rid.hex()

    async def answer(self) -> None:
        """Let the town answer the first case."""
        filed = (
            await self.node.log.store.read(Feed(VILLAGE, EPOCH, "ordinary", "^"), 0, 1, 10**6)
        )[0]
        body = {"outcome": "settled", "text": "换好了。", "publish": "full"}
        feed = Feed(TOWN, EPOCH, "ordinary", VILLAGE)
        record = signed(
            feed, 0, small_district().town_opened.rid, ANSWERED, body, key_of(1), refs=(filed.rid,)
        )
        await self.accept(record)


@pytest.fixture
async def village(tmp_path: Path) -> AsyncIterator[Village]:
    """A village that serves."""
    async with served(tmp_path, VILLAGE, surface=Kiosk()) as made:
        yield Village(made.node, made.clock, made.client)


async def test_said_in_three_taps(village: Village) -> None:
    """Home, topic, form; each leads to the next."""
    assert 'href="/file"' in await village.get("/")
    assert 'href="/file/roads"' in await village.get("/file")
    assert "<textarea" in await village.get("/file/roads")
    await village.get("/file/nothing", 404)


async def test_a_receipt_is_given_and_what_was_said_is_kept(village: Village) -> None:
    """The record holds the words, the topic and the place, before the page says so."""
    path, number = await village.file()
    assert number == f"{LABEL} 26-0001-5"
    assert path.startswith("/receipt/")
    record = (
        await village.node.log.store.read(Feed(VILLAGE, EPOCH, "ordinary", "^"), 0, 9, 10**6)
    )[0]
    body: Any = village.node.kinds.read(record)
    assert (body.text, body.topic, body.place, body.channel) == (WORDS, "roads", "老桥", "web")
    for paper in ("58", "a4"):
        assert number.replace("-", "\u2011") in await village.get(f"{path}/{paper}")
    await village.get(f"{path}/a5", 404)


async def test_what_a_kiosk_shows_is_told_above(
    village: Village, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not what a phone shows; of notices those of above."""
    told: list[tuple[str, bool]] = []
    custodian = village.node.custodian
    monkeypatch.setattr(custodian, "note_shown", lambda rid, *, urgent: told.append((rid, urgent)))
    rid = await village.warn()
    await perform_for_page(village.node, "publish", title="村里的事", text="")
    paths = ("/", "/notices", "/board", f"/notice/{rid}")
    for path in paths:
        await village.get(path)
    assert told == []
    await village.get("/kiosk")
    told.clear()  # it leads to the first page
    for path in paths:
        assert "大风" in await village.get(path)
    assert told == [(rid, True)] * len(paths)


async def test_what_is_shown_is_stated(village: Village) -> None:
    """By the node itself, in a proof to those above."""
    rid = await village.warn()
    feed, log = Feed(VILLAGE, EPOCH, "custody", "^"), village.node.log
    moved: asyncio.Queue[bool] = asyncio.Queue()
    log.subscribe(lambda feeds: moved.put_nowait(feed in feeds))

    async def shown() -> list[str]:
        bodies = [
            read_as(Stated, record.body or b"")
            for record in await log.store.read(feed, 0, 9, 10**6)
        ]
        return [one.rid for body in bodies for one in body.shown]

    await village.get("/kiosk")
    while not (found := await shown()):
        await village.clock.advance(Intervals().urgent_proof_ms / 1000)
        async with asyncio.timeout(20):
            await moved.get()
    assert found == [rid]


async def test_a_kiosk_says_that_it_is_one(village: Village) -> None:
    """The channel of what is filed there, and its pages wipe themselves."""
    assert "kiosk.js" not in await village.get("/")
    assert "kiosk.js" in await village.get("/kiosk")
    await village.file()
    record = (
        await village.node.log.store.read(Feed(VILLAGE, EPOCH, "ordinary", "^"), 0, 9, 10**6)
    )[0]
    body: Any = village.node.kinds.read(record)
    assert body.channel == "kiosk"


async def test_lines_are_kept(village: Village) -> None:
    """A browser ends each with two characters; a record with one (and would refuse the other)."""
    await village.file("第一行\r\n第二行")
    feed = Feed(VILLAGE, EPOCH, "ordinary", "^")
    record = (await village.node.log.store.read(feed, 0, 9, 10**6))[0]
    body: Any = village.node.kinds.read(record)
    assert body.text == "第一行\n第二行"


@pytest.mark.parametrize(
    "form",
    [
        {"kind": "help", "text": "  ", "place": "老桥"},
        {"kind": "joke", "text": WORDS, "place": "老桥"},
        {"kind": "accuse", "text": WORDS, "place": "老桥"},
        {"kind": "help", "text": "长" * 30_000, "place": "老桥"},
    ],
    ids=["nothing", "no such kind", "not sealed", "too long"],
)
async def test_an_error_gives_back_what_was_typed(village: Village, form: dict[str, str]) -> None:
    """Nothing is stored, nothing is lost, and the reason stands above the form."""
    _, page = await village.post("/file/roads", 400, **form)
    assert 'role="alert"' in page
    assert html.escape(form["text"]) in page.replace("&#34;", '"')
    assert 'value="老桥"' in page
    assert village.node.log.state(Feed(VILLAGE, EPOCH, "ordinary", "^")).count == 0


async def test_a_form_from_elsewhere_is_refused(village: Village) -> None:
    """Another site cannot file, rate or wipe."""
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}, {}):
        async with village.client.post(
            "/file/roads", data={"kind": "help", "text": "x"}, headers=headers
        ) as response:
            assert response.status == 403
    assert village.node.log.state(Feed(VILLAGE, EPOCH, "ordinary", "^")).count == 0


async def test_the_number_alone_shows_no_words(village: Village) -> None:
    """Where it is, yes; what was said and answered, no (protocol 6.4)."""
    _, number = await village.file()
    await village.answer()
    _, page = await village.post("/follow", receipt=number)
    assert number in page
    assert "已答复" in page
    assert "路灯坏了" not in page
    assert "换好了" not in page
    assert 'name="score"' not in page
    _, page = await village.post("/follow", 404, receipt=f"{LABEL} 26-0001-4")
    assert f'value="{LABEL} 26-0001-4"' in page


async def test_the_receipt_opens_words_and_answer_and_rates(village: Village) -> None:
    """With the secret of the paper; a second rating is refused in words."""
    scanned = await village.scanned()
    await village.answer()
    case, page = await village.post("/follow", receipt=scanned)
    assert "路灯坏了 &lt;b&gt;三盏&lt;/b&gt;" in page
    assert "换好了。" in page
    assert "请选一样" in (await village.post(case, score="great"))[1]
    _, page = await village.post(case, score="satisfied")
    assert "已评价" in page
    assert "已经评过了" in (await village.post(case, score="fair"))[1]


async def test_the_receipt_gives_evidence_of_what_was_filed(village: Village) -> None:
    """To who has the secret, with the words; not for the number alone, and not on a kiosk."""
    scanned = await village.scanned()
    case, page = await village.post("/follow", receipt=scanned)
    assert f'href="{case}/evidence"' in page
    async with village.client.get(f"{case}/evidence") as response:
        proof = prove(decode_evidence(await response.read()))
    assert proof.record.header.feed == Feed(VILLAGE, EPOCH, "ordinary", "^")
    assert proof.record.body is not None
    assert "三盏" in proof.record.body.decode()
    assert [one.division for one in proof.path] == [VILLAGE, TOWN, DISTRICT]
    bare, page = await village.post("/follow", receipt=f"{LABEL} 26-0001-5")
    assert "/evidence" not in page
    await village.get(f"{bare}/evidence", 404)
    await village.get("/kiosk")
    assert "/evidence" not in await village.get(case)
    await village.get(f"{case}/evidence", 404)


async def test_a_page_is_wiped(village: Village) -> None:
    """By the person who leaves, and by time; the number on the paper still finds the case."""
    path, number = await village.file()
    where, _ = await village.post("/leave", slip=path.split("/")[-1])
    assert where == "/"
    assert "已经擦掉了" in await village.get(path, 404)
    path, _ = await village.file("第二件")
    await village.clock.advance(KEPT_SECONDS)
    await village.get(path, 404)
    assert number in (await village.post("/follow", receipt=number))[1]


async def test_offline_it_says_what_waits(village: Village) -> None:
    """The line is down: what is kept, and that it goes on."""
    await village.file()
    page = await village.get("/")
    assert "线断了，村里照常办" in page
    assert "条等着往上报" in page
    assert "等线通" in (await village.post("/follow", receipt=f"{LABEL} 26-0001-5"))[1]


async def test_english_is_complete(village: Village) -> None:
    """No Chinese but names, and what people wrote."""
    path, number = await village.file("lamp")
    case, _ = await village.post("/follow", receipt=number)
    await village.get("/look?lang=en&back=/")
    for page in (
        "/",
        "/file",
        "/file/roads",
        "/follow",
        "/board",
        "/help",
        path,
        f"{path}/58",
        case,
    ):
        text = await village.get(page)
        for said in (
            LABEL,
            "沈集",
            "老桥",
            "中文",
            "三",
            "级",
            "互",
            "动",
            "单位340602100",
            "单位340602",
        ):
            text = text.replace(said, "")
        assert [sign for sign in text if "\u4e00" <= sign <= "\u9fff"] == [], page


@pytest.mark.parametrize("path", ["/file/roads", "/follow", "/rate"])
@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"text=x", "application/x-www-form-urlencoded; charset=none-such"),
        (b"text=\xff\xfe", "application/x-www-form-urlencoded"),
        (b"--x\r\n\r\n", "multipart/form-data; boundary=x"),
        (b"rubbish", "multipart/form-data; boundary=x"),
        (b"rubbish", "multipart/form-data"),
        (b'--x\r\nContent-Disposition: form-data; name="text"; filename="a"\r\n\r\nhi\r\n--x--\r\n',
         "multipart/form-data; boundary=x"),
    ],
)  # fmt: skip
async def test_what_is_no_form_is_refused(
    village: Village, path: str, data: bytes, kind: str
) -> None:
    """In words; it is nobody's fault here."""
    headers = SAME | {"Content-Type": kind}
    async with village.client.post(path, data=data, headers=headers) as response:
        assert response.status < 500
        assert "<main" in await response.text()


async def test_an_open_by_pass_is_told(village: Village) -> None:
    """As long as it is connected; else the line says that nothing is."""
    bypasser = village.node.bypasser
    assert bypasser is not None
    bypasser._bypass.because = Lack(TOWN, Reason.NO_BEAT, "", 0)
    bypasser.since_ms = village.clock.wall_ms()
    assert "绕过" not in await village.get("/")
    village.node.links.state(DISTRICT).connected_since_ms = village.clock.wall_ms()
    page = await village.get("/")
    assert f"绕过单位{TOWN}，因为很久没听到单位{TOWN}的消息" in page
    assert f"已直接连上单位{DISTRICT}" in page
    assert (await report(village.node))["bypass"] == {
        "to": DISTRICT, "since_ms": village.clock.wall_ms(),
        "because": {"ancestor": TOWN, "reason": "no_beat"},
    }  # fmt: skip
