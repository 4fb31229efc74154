"""The JSON API: each thing that can be asked for, who may, what goes wrong, what is done once."""

import asyncio
import gzip
import io
import json
import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from typer.testing import CliRunner

import district.cli
from shared.app import control
from shared.app.api import remembered, tokens
from shared.app.api.reading import BODY_BYTES_MAX
from shared.app.api.remembered import KEPT_MS
from shared.app.api.service import OPERATIONS, Api
from shared.app.api.tokens import Tokens
from shared.app.compose import serving
from shared.app.membership import init_district
from shared.domain.custody.kinds import STATED
from shared.errors import InvalidError, RefusedError, StorageError
from shared.node.home import Home
from shared.node.settings import load_settings
from shared.record.feed import Feed
from shared.record.run import Run
from shared.web.security import HEADERS
from shared.web.server import make_app
from tests.support.records import key_of
from tests.support.served import Served, no_link, served, stated
from tests.support.trust import DISTRICT, EPOCH, TOWN, VILLAGE, signed, small_district

API = "/api/v1"
NOTICE = {"title": "停水通知", "text": "明天停水。"}
WORDS = {"kind": "ask", "text": "自来水什么时候通？", "topic": "water", "place": "老桥"}


@dataclass
class Program(Served):
    """A node that serves the API, and a program before it.

    Attributes:
        token: What the program calls itself by; empty for nothing.
        headers: Of the last answer.
    """

    token: str
    headers: dict[str, str] = field(default_factory=dict)

    async def ask(
        self, method: str, path: str, status: int, body: Any = None, **more: Any
    ) -> dict[str, Any]:
        """Ask; returns the answer, which has to be of ``status``."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        headers |= more.pop("headers", {})
        given = {"json": body} if body is not None else {}
        async with self.client.request(
            method, API + path, headers=headers, **given, **more
        ) as response:
            text = await response.text()
            assert response.status == status, text
            self.headers = dict(response.headers)
            kind = "application/json" if status < 400 else "application/problem+json"
            assert response.content_type == kind
            return dict(json.loads(text))

    async def get(self, path: str, status: int = 200, **query: Any) -> dict[str, Any]:
        """Read something."""
        return await self.ask("GET", path, status, params=query)

    async def post(self, path: str, body: Any, status: int = 201, **headers: str) -> dict[str, Any]:
        """Write something; ``_`` in the name of a header stands for a hyphen."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.ask("POST", path, status, body, headers=named)


def token_of(home: Home, name: str = "office") -> str:
    """Return a new token of the home."""
    return Tokens(home).add(name, random.Random(name).randbytes, 1)


@asynccontextmanager
async def program(path: Path, code: str, token: str | None = None) -> AsyncIterator[Program]:
    """The node of a division in ``path``, made or opened again; ``token`` None for a new one."""
    path.mkdir(exist_ok=True)
    home = Home(path)
    token = token_of(home) if token is None else token
    async with served(path, code, api=Api(home)) as made:
        yield Program(made.node, made.clock, made.client, token)


@pytest.fixture
async def top(tmp_path: Path) -> AsyncIterator[Program]:
    """A district's."""
    async with program(tmp_path / "d", DISTRICT) as made:
        yield made


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Program]:
    """A town's."""
    async with program(tmp_path / "t", TOWN) as made:
        yield made


@pytest.fixture
async def village(tmp_path: Path) -> AsyncIterator[Program]:
    """A village's."""
    async with program(tmp_path / "v", VILLAGE) as made:
        yield made


# --- notices -------------------------------------------------------------------------------------


async def test_a_notice_is_published_read_corrected_and_withdrawn(top: Program) -> None:
    """What was written can be read at once, by anybody, with what it said before."""
    told = await top.post("/notices", NOTICE | {"urgent": True, "category": "decision"})
    assert top.headers["Location"] == f"{API}/notices/{told['rid']}"
    assert told["audience"] == DISTRICT + "*"
    top.token, token = "", top.token
    read = await top.get(f"/notices/{told['rid']}")
    assert (read["title"], read["urgent"], read["state"]) == ("停水通知", True, "published")
    assert (read["author"], read["level"], read["category"]) == (DISTRICT, "district", "decision")
    top.token = token
    new = {"title": "停水改期", "text": "后天停水。", "reason": "管道没到"}
    await top.post(f"/notices/{told['rid']}/correction", new)
    read = await top.get(f"/notices/{told['rid']}")
    assert (read["text"], read["reason"], read["state"]) == ("后天停水。", "管道没到", "corrected")
    assert [one["title"] for one in read["versions"]] == ["停水通知", "停水改期"]
    await top.post(f"/notices/{told['rid']}/withdrawal", {"reason": "不停了"})
    read = await top.get(f"/notices/{told['rid']}")
    assert (read["text"], read["state"]) == ("", "withdrawn")
    again = await top.post(f"/notices/{told['rid']}/withdrawal", {"reason": "x"}, 403)
    assert "withdrawn" in again["detail"]


async def test_pages_lead_to_the_end(top: Program) -> None:
    """Each notice once, the newest first, also those of one millisecond; then `next` is null."""
    items = [{"title": f"通知{number}", "stream": "party"} for number in range(10)]
    await top.post("/notices:batch", {"items": items}, 200)
    await top.clock.advance(1)
    await top.post("/notices", NOTICE)
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 4}
    while True:
        page = await top.get("/notices", **query)
        assert len(page["items"]) <= 4
        seen += [one["title"] for one in page["items"]]
        if page["next"] is None:
            break
        query["before"] = page["next"]
    assert seen[0] == "停水通知"
    assert sorted(seen[1:]) == sorted(one["title"] for one in items)
    party = await top.get("/notices", stream="party", limit=100)
    assert len(party["items"]) == 10
    assert (await top.get("/notices", author=TOWN))["items"] == []
    assert [one["title"] for one in (await top.get("/notices", find="停水"))["items"]] == [
        "停水通知"
    ]


async def test_a_batch_is_one_transaction_and_says_what_became_of_each(
    top: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred notices cost one flush; one that is refused keeps nothing from the others."""
    appended: list[Run] = []
    append = top.node.log.append

    async def counted(batch: Any) -> Any:
        appended.extend(run for run in batch.runs if run.feed.lane == "ordinary")
        return await append(batch)

    monkeypatch.setattr(top.node.log, "append", counted)
    items = [{"title": f"通知{number}"} for number in range(100)]
    items[7]["to"] = "340602999"
    told = await top.post("/notices:batch", {"items": items}, 200)
    assert [len(run.records) for run in appended] == [99]
    assert [one["status"] for one in told["results"]] == [201] * 7 + [404] + [201] * 92
    assert "340602999" in told["results"][7]["problem"]["detail"]
    assert len({one["written"]["rid"] for one in told["results"] if one["written"]}) == 99
    many = await top.post("/notices:batch", {"items": [*items, NOTICE]}, 400)
    assert many["errors"][0]["field"] == "items"


async def test_a_batch_that_cannot_be_stored_is_a_failure(
    top: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was stored of any: the answer itself says so."""

    async def full(_: Any) -> None:
        raise StorageError("The disk is full.")

    monkeypatch.setattr(top.node.log, "append", full)
    told = await top.post("/notices:batch", {"items": [NOTICE, NOTICE]}, 507)
    assert told["detail"].startswith("The disk is full.")
    await top.post("/notices", NOTICE, 507)


async def test_delivery_tells_who_holds_a_notice(town: Program, village: Program) -> None:
    """By the holders' own word; who has given none is waiting."""
    told = await town.post("/notices", NOTICE)
    before = await town.get(f"/notices/{told['rid']}/delivery")
    assert [one["division"] for one in before["waiting"]] == [DISTRICT, VILLAGE]
    assert before["holders"] == []
    await village.hear(town)
    await stated(village, "^")
    await town.hear(village)
    after = await town.get(f"/notices/{told['rid']}/delivery")
    assert [one["division"] for one in after["holders"]] == [VILLAGE]
    assert after["holders"][0]["level"] == "village"
    await town.get(f"/notices/{'0' * 64}/delivery", 404)


async def test_who_shows_a_notice_has_it(town: Program) -> None:
    """Also while its proof of holding is under way."""
    told = await town.post("/notices", NOTICE)
    feed = Feed(VILLAGE, EPOCH, "custody", "^")
    body = {"use": "proof", "shown": [[told["rid"], 5]]}
    await town.accept(signed(feed, 0, small_district().village_opened.rid, STATED, body, key_of(2)))
    delivery = await town.get(f"/notices/{told['rid']}/delivery")
    assert [(one["division"], one["shown_ms"]) for one in delivery["holders"]] == [(VILLAGE, 5)]
    assert VILLAGE not in [one["division"] for one in delivery["waiting"]]


async def test_only_the_author_changes_a_notice(town: Program, village: Program) -> None:
    """Others are refused; what is not here is not found."""
    told = await town.post("/notices", NOTICE)
    await village.hear(town)
    path = f"/notices/{told['rid']}"
    await village.post(f"{path}/withdrawal", {"reason": "x"}, 403)
    await village.post(f"{path}/correction", NOTICE | {"reason": "x"}, 403)
    await village.post(f"/notices/{'0' * 64}/withdrawal", {"reason": "x"}, 404)
    await village.get(f"/notices/{'0' * 64}", 404)
    assert (await village.post("/notices", NOTICE))["audience"] == "^"
    await village.post("/notices", NOTICE | {"to": TOWN}, 403)


# --- cases ---------------------------------------------------------------------------------------


async def test_a_voice_its_answer_and_its_rating(town: Program, village: Program) -> None:
    """Filed at the village, answered at the town, rated by who has the secret."""
    filed = await village.post("/feedbacks", WORDS)
    receipt, secret = filed["receipt"], filed["secret"]
    early = {"secret": secret, "score": "fair"}
    await village.post(f"/cases/{receipt}/rating", early, 403)
    await town.hear(village)
    listed = await town.get("/cases", stage="filed")
    assert [one["text"] for one in listed["items"]] == [WORDS["text"]]
    answer = {"text": "下周三通水。", "outcome": "settled", "publish": "full"}
    await town.post(f"/cases/{receipt}/answers", answer)
    await town.post(f"/cases/{filed['rid']}/answers", answer | {"text": "已经通了。"})
    await village.hear(town)
    village.token, token = "", village.token
    without = await village.post("/follow", {"receipt": receipt}, 200)
    assert (without["stage"], without["answer_count"]) == ("answered", 2)
    assert without["text"] is without["answers"] is None
    followed = await village.post("/follow", {"receipt": receipt, "secret": secret}, 200)
    assert followed["text"] == WORDS["text"]
    assert [one["text"] for one in followed["answers"]] == ["下周三通水。", "已经通了。"]
    assert {one["by"] for one in followed["answers"]} == {TOWN}
    village.token = token
    wrong = "0000 " * 9 + "0008"
    for false in ("", "1234", wrong):
        given = {"secret": false, "score": "satisfied"}
        await village.post(f"/cases/{receipt}/rating", given, 403)
    await village.post(f"/cases/{receipt}/rating", {"secret": secret, "score": "satisfied"})
    case = await village.get(f"/cases/{filed['rid']}")
    assert case["stage"] == "rated"
    assert [one["score"] for one in case["ratings"]] == ["satisfied"]
    assert (await town.get("/cases", stage="filed"))["items"] == []


async def test_received_is_the_towns_own_word(town: Program, village: Program) -> None:
    """As long as the village has no statement of the town, the case is only filed."""
    filed = await village.post("/feedbacks", WORDS)
    before = await village.get(f"/cases/{filed['rid']}")
    assert (before["stage"], before["received_town_ms"]) == ("filed", None)
    await town.hear(village)
    await stated(town, VILLAGE)
    await village.hear(town)
    after = await village.get(f"/cases/{filed['rid']}")
    assert after["stage"] == "received_town"
    assert after["received_town_ms"] is not None
    assert after["received_district_ms"] is None


async def test_cases_have_pages_too(village: Program) -> None:
    """Feedbacks at once, numbered without a gap, each with a secret of its own."""
    told = await village.post("/feedbacks:batch", {"items": [WORDS] * 5}, 200)
    filed = [one["filed"] for one in told["results"]]
    assert [one["receipt"][:-2] for one in filed] == [
        f"单位{VILLAGE} 26-000{number}" for number in range(1, 6)
    ]
    assert len({one["secret"] for one in filed}) == 5
    first = await village.get("/cases", limit=3)
    rest = await village.get("/cases", limit=3, before=first["next"])
    assert rest["next"] is None
    assert {one["rid"] for one in first["items"] + rest["items"]} == {one["rid"] for one in filed}


async def test_an_accusation_is_not_taken(village: Program) -> None:
    """It could not be sealed; the answer says where to bring it, and nothing is kept."""
    told = await village.post("/feedbacks", WORDS | {"kind": "accuse"}, 403)
    assert "discipline office" in told["detail"]
    assert (await village.get("/cases"))["items"] == []


async def test_each_tier_does_its_own(town: Program, village: Program) -> None:
    """A voice is filed and rated at a village, answered above it."""
    await town.post("/feedbacks", WORDS, 403)
    await town.post("/feedbacks:batch", {"items": [WORDS]}, 403)
    await town.post("/cases/26-0001-5/rating", {"secret": "1", "score": "fair"}, 403)
    await village.post("/cases/26-0001-5/answers", {"text": "x"}, 403)


@pytest.mark.parametrize("receipt", ["x", "26-0001-5", "没有 26-0001-5", "0" * 64])
async def test_a_case_that_is_not_here(town: Program, receipt: str) -> None:
    """404, whether the number could be one or not."""
    await town.post("/follow", {"receipt": receipt}, 404)
    await town.post(f"/cases/{receipt}/answers", {"text": "x"}, 404)
    await town.get(f"/cases/{'0' * 64}", 404)


# --- the node ------------------------------------------------------------------------------------


async def test_status_and_divisions(town: Program) -> None:
    """The node and the district, in the words of the records."""
    status = await town.get("/status")
    assert (status["division"], status["level"], status["certified"]) == (TOWN, "town", True)
    assert {one["peer"] for one in status["links"]} == {DISTRICT, VILLAGE}
    town.token = ""
    divisions = (await town.get("/divisions"))["items"]
    assert [one["code"] for one in divisions] == [DISTRICT, TOWN, VILLAGE]
    assert divisions[2]["signing_key"] == key_of(2).public.raw.hex()


async def test_a_node_without_views_says_so(town: Program) -> None:
    """503 for what needs them; what does not goes on."""
    town.node.views = None
    await town.get("/notices", 503)
    await town.post("/notices", NOTICE, 503, Idempotency_Key="k")
    await town.post("/notices", NOTICE)
    await town.get("/status")


async def test_the_description_and_its_page(town: Program) -> None:
    """OpenAPI 3.1 in the reader's language; the page tells of all that it holds."""
    chinese = await town.get("/openapi.json")
    english = await town.get("/openapi.json", lang="en")
    assert chinese["openapi"] == "3.1.0"
    assert chinese["paths"]["/notices"]["post"]["summary"] == "发一条通知"
    assert english["paths"]["/notices"]["post"]["summary"] == "Publish a notice"
    assert not any(ord(char) > 0x2E80 for char in json.dumps(
        english["components"], ensure_ascii=False).replace("沈集", ""))  # fmt: skip
    async with town.client.get("/api", params={"lang": "en"}) as response:
        page = await response.text()
        assert response.content_type == "text/html"
    for one in OPERATIONS:
        assert f"{one.method} {API}{one.path}" in page
        assert f'id="{one.name}"' in page
    for name in ("NoticeDraft", "Problem", "CaseWhole"):
        assert f'id="{name}"' in page


# --- who may -------------------------------------------------------------------------------------

SECURED = [(one.method, one.path) for one in OPERATIONS if not one.is_public]


@pytest.mark.parametrize(("method", "path"), SECURED)
@pytest.mark.parametrize("given", ["", "Bearer", "Bearer x", "Basic b2ZmaWNlOg==", "Bearer 令牌"])
async def test_without_a_token_nothing_is_told(
    town: Program, method: str, path: str, given: str
) -> None:
    """401 and how to come in, before anything else is looked at."""
    town.token = ""
    path = path.replace("{rid}", "x").replace("{receipt}", "x")
    headers = {"Authorization": given} if given else {}
    told = await town.ask(method, path, 401, headers=headers)
    assert told["status"] == 401
    assert town.headers["WWW-Authenticate"].startswith('Bearer realm="sanji"')


async def test_a_revoked_token_opens_nothing(tmp_path: Path) -> None:
    """At once, at a node that serves; the other goes on."""
    home = Home(tmp_path / "d")
    await init_district(home, DISTRICT, "杜集区")
    settings = load_settings(home.settings_file, listen_port=0)
    async with serving(home, settings):
        made = await tokens.set_token(home, "a")
        await tokens.set_token(home, "b")
        with pytest.raises(RefusedError, match="there is a token a"):
            await tokens.set_token(home, "a")
        await tokens.set_token(home, "a", revoke=True)
        listed = json.loads((home.path / "tokens.json").read_bytes())
    assert [one["name"] for one in listed] == ["b"]
    assert Tokens(home).find(made["token"]) is None


async def test_a_serving_node_knows_a_new_token(tmp_path: Path) -> None:
    """No restart is needed, for a new one and for one that is revoked."""
    home = Home(tmp_path)
    async with program(tmp_path, TOWN) as made:
        api = Api(home)
        server = TestServer(make_app(made.node, link=no_link, api=api))
        async with TestClient(server) as client:
            act = api.acts()[tokens.SET]
            text = (await act(made.node, lambda *_: None, name="x"))["token"]
            headers = {"Authorization": f"bearer {text}"}
            async with client.get(f"{API}/status", headers=headers) as response:
                assert response.status == 200
            await act(made.node, lambda *_: None, name="x", revoke=True)
            async with client.get(f"{API}/status", headers=headers) as response:
                assert response.status == 401


def test_the_token_command(tmp_path: Path) -> None:
    """Prints the token once and keeps its hash, for the owner only; --revoke forgets it."""
    at = ("--home", str(tmp_path / "d"))

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(district.cli.app, list(arguments))

    run("init", *at, "--code", DISTRICT, "--name", "杜集区")
    told = json.loads(run("token", *at, "office", "--json").stdout)
    file = tmp_path / "d" / "tokens.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert told["token"] not in file.read_text()
    known = Tokens(Home(tmp_path / "d")).find(told["token"])
    assert known is not None
    assert (known.name, told["token"] in repr(known)) == ("office", False)
    assert run("token", *at, "office").exit_code == 3
    assert run("token", *at, "of fice").exit_code == 2
    assert run("token", *at, "office", "--revoke").exit_code == 0
    assert run("token", *at, "office", "--revoke").exit_code == 4
    file.write_text("{")
    assert run("token", *at, "office").exit_code == 6


def test_there_are_only_so_many_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bound, so that comparing with all stays cheap."""
    monkeypatch.setattr(tokens, "TOKENS_MAX", 1)
    held = Tokens(Home(tmp_path))
    held.add("a", random.Random(1).randbytes, 1)
    with pytest.raises(RefusedError):
        held.add("b", random.Random(2).randbytes, 1)
    with pytest.raises(InvalidError):
        held.add("a" * 65, random.Random(2).randbytes, 1)


async def test_the_socket_makes_tokens_while_the_node_serves(tmp_path: Path) -> None:
    """The act stands beside the others."""
    home = Home(tmp_path / "d")
    await init_district(home, DISTRICT, "杜集区")
    async with serving(home, load_settings(home.settings_file, listen_port=0)):
        told = await control.ask(home.control_file, "token", {"name": "x"}, lambda *_: None)
    assert told["token"].startswith("sanji_")


async def test_no_page_of_another_site_gets_in(town: Program) -> None:
    """A form cannot send JSON; no answer allows another origin; pages still look at the origin."""
    evil = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    told = await town.ask(
        "POST", "/follow", 415, headers=evil | {"Content-Type": "text/plain"}, data=b"{}"
    )
    assert told["title"] == "Unsupported Media Type"
    await town.ask("POST", "/follow", 404, {"receipt": "26-0001-5"})
    assert not [name for name in town.headers if name.lower().startswith("access-control")]
    assert HEADERS.items() <= town.headers.items()
    async with town.client.post("/look", headers=evil) as response:
        assert response.status == 403


# --- what goes wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"title"}),
        ({"title": ""}, {"title"}),
        ({"title": " "}, {"title"}),
        ({"title": "a\nb"}, {"title"}),
        ({"title": "a", "text": "\x00"}, {"text"}),
        ({"title": "a" * 121, "text": 1, "urgent": "yes"}, {"title", "text", "urgent"}),
        ({"title": "a", "to": "x", "stream": "x", "titel": "b"}, {"to", "stream", "titel"}),
        ([], {"the body"}),
    ],
)
async def test_what_does_not_fit_is_named(town: Program, body: Any, fields: set[str]) -> None:
    """400 with each field that is wrong, and nothing of what was sent."""
    told = await town.post("/notices", body, 400)
    assert {one["field"] for one in told["errors"]} == fields
    assert all(one["message"] for one in told["errors"])


@pytest.mark.parametrize(
    "query",
    [
        "limit=0", "limit=101", "limit=x", "before=x", "stream=x", "author=x", "x=1",
        "limit=1&limit=2", "find=", "before=" + "é" * 52,
    ],
)  # fmt: skip
async def test_a_query_that_does_not_fit(town: Program, query: str) -> None:
    """Typing errors are told, not passed over."""
    await town.ask("GET", f"/notices?{query}", 400)


async def test_any_place_of_a_cursor_is_taken(town: Program) -> None:
    """Of the right form it is a place in the list, whatever it says."""
    assert (await town.get("/notices", before="_" * 52))["items"] == []
    assert (await town.get("/notices", before="A" * 52))["items"] == []


@pytest.mark.parametrize(
    ("data", "kind", "status"),
    [
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b'{"title": "\\ud800"}', "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"title=x", "application/x-www-form-urlencoded", 415),
        (b"{}", "text/json", 415),
        (b"[" + b" " * BODY_BYTES_MAX + b"]", "application/json", 413),
    ],
)
async def test_a_body_that_cannot_be_read(
    town: Program, data: bytes, kind: str, status: int
) -> None:
    """Said in problem details, whatever the bytes are."""
    given = io.BytesIO(data)
    await town.ask("POST", "/notices", status, data=given, headers={"Content-Type": kind})


async def test_a_packed_body(town: Program) -> None:
    """Unpacked within the same bound; what is no package is refused."""
    packed = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    data = gzip.compress(json.dumps(NOTICE).encode())
    await town.ask("POST", "/notices", 201, data=data, headers=packed)
    bomb = gzip.compress(b" " * (4 * BODY_BYTES_MAX))
    await town.ask("POST", "/notices", 413, data=bomb, headers=packed)
    await town.ask("POST", "/notices", 400, data=b"no package", headers=packed)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/notices", "GET, HEAD, POST"),
        ("PUT", "/notices:batch", "POST"),
        ("GET", "/follow", "POST"),
        ("TRACE", "/notices/x/delivery", "GET, HEAD"),
    ],
)
async def test_a_method_that_is_not_possible(
    town: Program, method: str, path: str, allowed: str
) -> None:
    """405 and what is possible."""
    await town.ask(method, path, 405)
    assert town.headers["Allow"] == allowed


@pytest.mark.parametrize("path", ["", "/", "/nothing", "/notices/", "/notices/a/b/c", "/%ff"])
async def test_an_address_that_is_none(town: Program, path: str) -> None:
    """404 for programs, not a page."""
    await town.ask("GET", path, 404)


async def test_a_failure_shows_no_trace(town: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever breaks inside stays in the diagnostics."""

    async def broken(*_: object) -> None:
        raise ValueError("secret")

    monkeypatch.setattr(town.node.views, "query", broken)
    told = await town.get("/notices", 500)
    assert told["detail"] == "the node failed; its log says why."


async def test_a_slow_body_is_not_waited_for(
    town: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever sends nothing holds a connection only so long."""
    monkeypatch.setattr("shared.app.api.reading.BODY_SECONDS_MAX", 0.0)
    never = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await never.wait()

    headers = {"Content-Type": "application/json"}
    await town.ask("POST", "/notices", 408, data=slow(), headers=headers)


# --- once ----------------------------------------------------------------------------------------


async def test_a_key_is_done_once_also_after_a_restart(tmp_path: Path) -> None:
    """The same answer, secret included; another body, address or caller is another thing."""
    async with program(tmp_path, VILLAGE) as first:
        filed = await first.post("/feedbacks", WORDS, Idempotency_Key="k1")
        again = await first.post("/feedbacks", WORDS, Idempotency_Key="k1")
        token = first.token
        assert first.headers["Idempotent-Replayed"] == "true"
    async with program(tmp_path, VILLAGE, token) as second:
        later = await second.post("/feedbacks", WORDS, Idempotency_Key="k1")
        await second.post("/feedbacks", WORDS | {"place": "x"}, 422, Idempotency_Key="k1")
        await second.post("/notices", NOTICE, 422, Idempotency_Key="k1")
        assert len((await second.get("/cases"))["items"]) == 1
        location = await second.post("/notices", NOTICE, Idempotency_Key="k2")
        await second.post("/notices", NOTICE, Idempotency_Key="k2")
        assert second.headers["Location"].endswith(location["rid"])
    async with program(tmp_path, VILLAGE, token_of(Home(tmp_path), "other")) as third:
        other = await third.post("/feedbacks", WORDS, Idempotency_Key="k1")
    assert filed == again == later
    assert other["rid"] != filed["rid"]


async def test_no_secret_is_kept_with_the_answer(tmp_path: Path) -> None:
    """The database holds neither the secret nor the words of an answer in clear."""
    async with program(tmp_path, VILLAGE) as made:
        filed = await made.post("/feedbacks", WORDS, Idempotency_Key="k1")
    held = b"".join(file.read_bytes() for file in tmp_path.glob("log.db*"))
    assert b"k1" in held
    assert filed["secret"].encode() not in held
    assert made.token.encode() not in held


async def test_a_running_key_is_not_begun_again(
    town: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """409 while it runs; then its answer."""
    begun, go_on = asyncio.Event(), asyncio.Event()
    submit = town.node.author.submit

    async def held_up(draft: Any) -> Any:
        begun.set()
        await go_on.wait()
        return await submit(draft)

    monkeypatch.setattr(town.node.author, "submit", held_up)
    headers = {"Authorization": f"Bearer {town.token}", "Idempotency-Key": "k"}
    first = asyncio.create_task(town.client.post(f"{API}/notices", json=NOTICE, headers=headers))
    await begun.wait()
    await town.post("/notices", NOTICE, 409, Idempotency_Key="k")
    go_on.set()
    async with await first as response:
        told = await response.json()
    assert await town.post("/notices", NOTICE, Idempotency_Key="k") == told


async def test_what_was_refused_frees_its_key(town: Program) -> None:
    """Nothing was done, so the key can serve what was meant."""
    await town.post("/notices", NOTICE | {"to": "340602999"}, 404, Idempotency_Key="k")
    await town.post("/notices", NOTICE, Idempotency_Key="k")


async def test_what_was_interrupted_is_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that stopped in between does not know whether it was done, and says so."""
    async with program(tmp_path, TOWN) as first:

        async def broken(_: Any) -> None:
            raise ValueError("killed")

        with monkeypatch.context() as patch:
            patch.setattr(first.node.author, "submit", broken)
            await first.post("/notices", NOTICE, 500, Idempotency_Key="k")
        token = first.token
    async with program(tmp_path, TOWN, token) as second:
        told = await second.post("/notices", NOTICE, 409, Idempotency_Key="k")
    assert "Look whether it was done" in told["detail"]


async def test_an_answer_that_cannot_be_kept_is_given_all_the_same(
    town: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was done; asked again, the node does not know and does it no second time."""

    def full(*_: object) -> None:
        raise StorageError("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(remembered, "_keep", full)
        await town.post("/notices", NOTICE, Idempotency_Key="k")
    await town.post("/notices", NOTICE, 409, Idempotency_Key="k")
    assert len((await town.get("/notices"))["items"]) == 1


async def test_a_sealed_answer_that_was_altered_is_not_given(tmp_path: Path) -> None:
    """Whoever writes into the database puts no words into the node's mouth."""
    async with program(tmp_path, TOWN) as made:
        await made.post("/notices", NOTICE, Idempotency_Key="k")
        token = made.token
    with sqlite3.connect(tmp_path / "log.db") as database:
        database.execute("UPDATE api_answer SET sealed = zeroblob(40)")
    database.close()
    async with program(tmp_path, TOWN, token) as again:
        await again.post("/notices", NOTICE, 409, Idempotency_Key="k")


async def test_keys_are_kept_for_a_day_and_are_bounded(
    town: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After 24 hours, or when there are too many, the oldest is forgotten."""
    monkeypatch.setattr(remembered, "KEYS_MAX", 2)
    first = await town.post("/notices", NOTICE, Idempotency_Key="k1")
    for key in ("k2", "k3"):
        await town.post("/notices", NOTICE, Idempotency_Key=key)
    second = await town.post("/notices", NOTICE, Idempotency_Key="k1")
    await town.clock.advance(KEPT_MS / 1000)
    third = await town.post("/notices", NOTICE, Idempotency_Key="k1")
    assert len({first["rid"], second["rid"], third["rid"]}) == 3


@pytest.mark.parametrize("key", ["", "a b", "x" * 201])
async def test_a_key_that_is_none(town: Program, key: str) -> None:
    """Visible characters, and not too many."""
    await town.post("/notices", NOTICE, 400, Idempotency_Key=key)
