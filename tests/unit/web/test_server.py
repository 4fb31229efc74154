"""The web server: headers, joining, what it says when something goes wrong."""

from http import HTTPStatus

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from shared.errors import (
    FaultError,
    InvalidError,
    NotFoundError,
    RefusedError,
    SanjiError,
    StorageError,
    UnavailableError,
)
from shared.record import cbor
from shared.trust.invitation import JoinRequest, make_request
from shared.web.security import HEADERS
from shared.web.server import JOIN_BYTES_MAX, make_app, status_of
from tests.support.records import key_of
from tests.unit.web.conftest import Desk


async def request_of(desk: Desk) -> JoinRequest:
    """Return the request of a town that was invited."""
    await desk.publish("先有一期")  # opens the epoch, without which nobody can be certified
    invitation = await desk.node.registrar.invite("340602100", "朔里", (("340602", "ws://x/link"),))
    return make_request(invitation, key_of(5), bytes(32), bytes(16))


@pytest.mark.parametrize("path", ["/", "/nowhere", "/static/sanji.css", "/health", "/static/x"])
async def test_every_answer_bears_the_headers(desk: Desk, path: str) -> None:
    """Also those that say no; the software is not named."""
    async with desk.client.get(path) as response:
        assert HEADERS.items() <= dict(response.headers).items()
        assert response.headers["Server"] == "sanji"
        assert "unsafe" not in response.headers["Content-Security-Policy"]


async def test_pages_are_not_kept_and_say_nothing_of_the_host(desk: Desk) -> None:
    """A shared kiosk keeps no page; a forged host leads nowhere."""
    async with desk.client.get("/", headers={"Host": "evil.example"}) as response:
        assert response.headers["Cache-Control"] == "no-store"
        assert "evil.example" not in await response.text()


@pytest.mark.parametrize(
    "path", ["/nowhere", "/static/x", "/static/..%2fpage.py", "/../etc/passwd"]
)
async def test_an_unknown_page_answers_in_words(desk: Desk, path: str) -> None:
    """404, in the reader's language."""
    async with desk.client.get(path) as response:
        assert response.status == HTTPStatus.NOT_FOUND
        assert "没有这一页" in await response.text()
    async with desk.client.get(path + "?lang=en") as response:
        assert "There is no such page" in await response.text()


@pytest.mark.parametrize("before", ["x", "1-zz", "-", "9" * 40 + "-" + "a" * 64, "١-" + "a" * 64])
async def test_a_broken_place_is_refused_in_words(desk: Desk, before: str) -> None:
    """Only what a page gave is taken."""
    async with desk.client.get("/", params={"before": before}) as response:
        assert response.status == HTTPStatus.BAD_REQUEST
        assert "这个地址不完整。" in await response.text()


async def test_a_failure_shows_no_trace(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever breaks inside stays in the diagnostics."""

    async def broken(*_: object) -> None:
        raise ValueError("secret")

    monkeypatch.setattr(desk.node.views, "query", broken)
    async with desk.client.get("/") as response:
        text = await response.text()
        assert response.status == HTTPStatus.INTERNAL_SERVER_ERROR
        assert "这一页暂时打不开" in text
        assert "secret" not in text
        assert "Traceback" not in text


async def test_a_node_without_views_says_so(desk: Desk) -> None:
    """503, because another start may have them."""
    desk.node.views = None
    async with desk.client.get("/") as response:
        assert response.status == HTTPStatus.SERVICE_UNAVAILABLE
        assert "这个节点不存通知页" in await response.text()
    async with desk.client.get("/health") as response:
        assert await response.json() == {"ok": True, "division": "340602"}


async def test_the_style_sheet_is_sent_once(desk: Desk) -> None:
    """A browser that has it is told so."""
    async with desk.client.get("/static/sanji.css") as response:
        assert response.content_type == "text/css"
        etag = response.headers["ETag"]
    async with desk.client.get("/static/sanji.css", headers={"If-None-Match": etag}) as again:
        assert again.status == HTTPStatus.NOT_MODIFIED


async def test_the_link_is_handed_in(desk: Desk) -> None:
    """What a carrier refuses arrives as its own line."""
    async with desk.client.get("/link") as response:
        assert await response.text() == "link"

    async def busy(_: web.Request) -> web.StreamResponse:
        raise web.HTTPServiceUnavailable(text="no link can be taken now\n")

    server = TestServer(make_app(desk.node, link=busy))
    async with TestClient(server) as client, client.get("/link") as response:
        assert response.status == HTTPStatus.SERVICE_UNAVAILABLE
        assert await response.text() == "no link can be taken now\n"


async def test_a_node_joins(desk: Desk) -> None:
    """The answer is what the new node needs; asked again it is the same."""
    request = await request_of(desk)
    answers = []
    for _ in range(2):
        async with desk.client.post("/join", data=request.encode()) as response:
            assert response.status == HTTPStatus.OK
            assert response.content_type == "application/cbor"
            answers.append(cbor.decode(await response.read()))
    assert answers[0] == answers[1]
    assert all(isinstance(frame, bytes) for frame in answers[0])
    assert answers[0]
    assert desk.node.log.roster.certificate_of("340602100") is not None


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (FaultError("x"), 400),
        (InvalidError("x"), 400),
        (RefusedError("x"), 403),
        (NotFoundError("x"), 404),
        (UnavailableError("x"), 503),
        (StorageError("x"), 507),
    ],
)
async def test_refusals_to_join_have_their_status(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, error: SanjiError, status: int
) -> None:
    """The table, and one line of plain text that says what to do."""

    async def refuse(_: JoinRequest) -> list[bytes]:
        raise error

    request = await request_of(desk)
    monkeypatch.setattr(desk.node.registrar, "redeem", refuse)
    async with desk.client.post("/join", data=request.encode()) as response:
        assert response.status == status
        assert response.content_type == "text/plain"
        assert await response.text() == f"{error}\n"


async def test_joining_takes_only_a_request(desk: Desk) -> None:
    """Noise, too much, the wrong method, nothing at all."""
    for data, status in ((b"", 400), (b"\xff\x00", 400), (b"x" * (JOIN_BYTES_MAX + 1), 400)):
        async with desk.client.post("/join", data=data) as response:
            assert response.status == status
            assert response.content_type == "text/plain"
    async with desk.client.get("/join") as response:
        assert response.status == HTTPStatus.METHOD_NOT_ALLOWED


def test_an_error_of_another_kind_is_ours() -> None:
    """What the table does not know is a mistake of the program."""
    assert status_of(SanjiError("x")) == HTTPStatus.INTERNAL_SERVER_ERROR
