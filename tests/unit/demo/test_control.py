"""The control page: what it shows, in which words, and who may ask it for anything."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient
from babel.messages.pofile import read_po
from jinja2.ext import babel_extract

from demo.control import server
from demo.control.room import Room
from demo.control.telling import changed
from demo.district import read_district
from tests.unit.demo.fake_stage import SAME, TOWN, VILLAGE, FakeStage, order

OWN = Path(server.__file__).parent
HANZI = re.compile("[\u4e00-\u9fff]")


async def test_the_page_shows_every_node_and_every_link(client: TestClient[Any, Any]) -> None:
    """63 nodes to open, 62 switches in the picture and as many in the table."""
    html = await (await client.get("/")).text()
    assert len(re.findall('class="c-spot', html)) == 62
    assert len(set(re.findall(r"http://127\.0\.0\.1:9\d+/", html))) == 63
    assert len(set(re.findall(r"/open/\d+\b(?!/)", html))) == 63
    switches = re.findall(r'<(\w+) class="c-(?:switch|lever)[^>]*role="switch"[^>]*>', html)
    assert (switches.count("g"), switches.count("button")) == (62, 62)
    assert re.search(r'role="switch" tabindex="0" aria-checked="true" aria-label="沈集村', html)
    assert 'target="_blank" rel="noopener"' in html
    assert not re.search(r"\sstyle=|<style|\son\w+=|<script(?! type=\"module\" src=)", html)


@pytest.mark.parametrize(
    ("path", "leads"),
    [(TOWN, "/login/once/handler"), (f"{TOWN}/clerk", "/login/once/clerk"),
     ("340602/drafter", "/login/once/drafter"), (VILLAGE, "/")],
)  # fmt: skip
async def test_desks_open_without_a_password(
    client: TestClient[Any, Any], path: str, leads: str
) -> None:
    """By a link that is good once; a village has no desk, its own page opens."""
    answer = await client.get(f"/open/{path}", headers=SAME, allow_redirects=False)
    assert answer.status == 303
    assert re.fullmatch(rf"http://127\.0\.0\.1:9\d+{leads}", answer.headers["Location"])


@pytest.mark.parametrize("path", ["1", f"{TOWN}/drafter", f"{VILLAGE}/clerk", f"{TOWN}/x"])
async def test_there_is_no_other_desk(client: TestClient[Any, Any], path: str) -> None:
    """Neither of a node nor of an account that is not there."""
    assert (await client.get(f"/open/{path}", headers=SAME)).status == 404


async def test_a_node_that_is_away_does_not_open(
    client: TestClient[Any, Any], stage: FakeStage
) -> None:
    """It is said in a line."""
    stage.away.add(TOWN)
    answer = await client.get(f"/open/{TOWN}", headers=SAME)
    assert (answer.status, await answer.text()) == (503, "朔里镇现在打不开，过几秒再试。")


async def test_another_site_opens_nothing(client: TestClient[Any, Any], stage: FakeStage) -> None:
    """It could log somebody in unasked."""
    answer = await client.get(f"/open/{TOWN}", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status == 403
    assert stage.asked == []


async def test_the_page_speaks_english(client: TestClient[Any, Any]) -> None:
    """All of it but names; a link switches."""
    html = await (await client.get("/?lang=en")).text()
    assert '<html lang="en"' in html
    names = [one.label for one in read_district().everybody]
    body = html
    for name in sorted(names, key=len, reverse=True):
        body = body.replace(name, "")
    body = re.sub(r'<text class="c-label"[^>]*>[^<]*</text>', "", body)
    body = re.sub(r"<a class=\"c-seal\".*?</a>", "", body, flags=re.DOTALL)
    body = re.sub(r'<span data-town="[^"]*"[^>]*>[^<]*</span>', "", body)
    body = re.sub(r'<span class="crest".*?</span>', "", body)
    assert HANZI.findall(body.replace("中文", "")) == []
    assert 'href="/?lang=zh"' in html


def test_every_text_is_translated_and_nothing_else() -> None:
    """The catalogue neither lacks nor hoards."""
    found: set[str] = set()
    options = {"trim_blocks": "true", "lstrip_blocks": "true", "silent": "false"}
    for path in (OWN / "templates").glob("*.html"):
        source = io.BytesIO(path.read_bytes())
        extracted = babel_extract(source, ["say"], [], options)
        found |= {text if isinstance(text, str) else str((text or [""])[0])
                  for _, _, text, _ in extracted}  # fmt: skip
    for path in OWN.glob("*.py"):
        source_text = path.read_text("utf-8")
        found |= set(re.findall(r'(?:say|later)\(\s*"([^"]+)"', source_text))
    found = {text for text in found if HANZI.search(text)}
    catalogue = read_po(io.StringIO((OWN / "locale" / "en.po").read_text("utf-8")), locale="en")
    known = {str(message.id): str(message.string) for message in catalogue if message.id}
    assert known.keys() == found
    for msgid, text in known.items():
        assert text, msgid
        assert sorted(re.findall(r"\{\w+\}", msgid)) == sorted(re.findall(r"\{\w+\}", text)), msgid


async def test_answers_are_protected(client: TestClient[Any, Any]) -> None:
    """The same strict policy as at the nodes, on the page, its parts and its errors."""
    for path in ("/", "/state", "/static/control.js", "/static/sanji.css", "/static/none.css"):
        answer = await client.get(path)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'; style-src 'self'; script-src 'self'" in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_the_style_sheet_keeps_to_the_house() -> None:
    """Rules stand in the layer of pages and name no colours, shadows or gradients."""
    css = re.sub(r"/\*.*?\*/", "", (OWN / "static" / "control.css").read_text(), flags=re.DOTALL)
    assert css.strip().startswith("@layer pages {")
    assert css.strip().endswith("}")
    depth = [0]
    for char in css.strip():
        if char in "{}":
            depth.append(depth[-1] + (1 if char == "{" else -1))
    assert depth.count(0) == 2, "one layer holds everything"
    assert not re.search(r"#[0-9a-f]{3,8}\b|rgba?\(|shadow|gradient|!important", css)
    tokens = (OWN.parents[1] / "shared" / "web" / "static" / "sanji.css").read_text("utf-8")
    for token in re.findall(r"var\((--[\w-]+)\)", css):
        assert f"{token}:" in tokens


async def test_files_that_did_not_change_are_not_sent_again(client: TestClient[Any, Any]) -> None:
    """By their digest."""
    first = await client.get("/static/control.css")
    again = await client.get(
        "/static/control.css", headers={"If-None-Match": first.headers["ETag"]}
    )
    assert (first.status, again.status) == (200, 304)


@pytest.mark.parametrize(
    "headers",
    [{}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"},
     {"Sec-Fetch-Site": "same-site"}],
)  # fmt: skip
async def test_only_our_own_page_orders(
    client: TestClient[Any, Any], stage: FakeStage, headers: dict[str, str]
) -> None:
    """Another site's page, or nobody's, moves nothing."""
    answer = await client.post("/do", json={"act": "cut", "link": VILLAGE}, headers=headers)
    assert answer.status == 403
    assert stage.cables == {}


async def test_the_page_is_for_this_machine(client: TestClient[Any, Any]) -> None:
    """A name that somebody points here is no name of ours."""
    answer = await client.get("/", headers={"Host": "evil.example"})
    assert answer.status == 403


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"link": "1"}', b'{"act": "format"}', b'{"act": "cut", "link": "340602"}',
     b'{"act": "cut", "link": "1"}', b'{"act": "rate", "value": "fast"}',
     b'{"act": "rate", "value": NaN}'],
)  # fmt: skip
async def test_orders_that_are_none_are_refused(client: TestClient[Any, Any], body: bytes) -> None:
    """In a line, and nothing is done."""
    answer = await client.post("/do", data=body, headers=SAME)
    assert answer.status == 400
    assert (await answer.text()).count("\n") == 1


async def test_the_page_hears_news(client: TestClient[Any, Any], room: Room) -> None:
    """First everything, then what changed; the stream ends with the page."""
    async with client.get("/events?lang=en") as answer:
        first = await next_news(answer)
        assert len(first["links"]) == 62
        assert first["links"][VILLAGE]["word"] == "✓ both ends equal"
        await order(client, "cut", VILLAGE)
        await room.glance()
        second = await next_news(answer)
        assert second["links"].keys() == {VILLAGE}
        assert second["events"][0][3:] == ["!", "You cut 沈集村"]
        assert room.pages == 1


async def next_news(answer: ClientResponse) -> dict[str, Any]:
    """Return the next message of the stream."""
    while not (line := await answer.content.readline()).startswith(b"data: "):
        assert line
    news: dict[str, Any] = json.loads(line[len(b"data: ") :])
    return news


def test_only_what_changed_is_told() -> None:
    """The frames are always told: none is a change too."""
    before = {"links": {"1": {"up": 0}, "2": {"up": 0}}, "frames": {"1": [1, 0]}, "rate": 2}
    now = {"links": {"1": {"up": 1}, "2": {"up": 0}}, "frames": {}, "rate": 2}
    assert changed(now, before) == {"links": {"1": {"up": 1}}, "frames": {}}
