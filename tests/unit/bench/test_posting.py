"""The program that posts: everything once, so many at once; and what it posts is published."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bench import texts, travel
from bench.client import NotTakenError, Posted, Posts, post_all
from bench.network import DISTRICT, Network, network
from bench.posting import NotPostedError, empty_handler, hundreds, post, program_at, rate_of
from shared.domain.notices import view

BODIES = [json.dumps({"number": number}) for number in range(8)]


async def served(handler: Callable[[web.Request], Awaitable[web.Response]]) -> TestServer:
    """Return a server with that handler."""
    app = web.Application()
    app.router.add_post("/", handler)
    server = TestServer(app)
    await server.start_server()
    return server


async def test_everything_is_posted_once_by_all_clients_at_once() -> None:
    """Each body comes once, with the token; nobody is answered before four have asked."""
    together = asyncio.Barrier(4)
    seen: list[tuple[str | None, str | None, Any]] = []

    async def take(request: web.Request) -> web.Response:
        headers = request.headers
        seen.append(
            (headers.get("Authorization"), headers.get("Content-Type"), await request.json())
        )
        await together.wait()
        return web.Response(status=201)

    async with await served(take) as server, asyncio.timeout(20):
        posted = await post_all(Posts(str(server.make_url("/")), "t", BODIES, clients=4))
    assert sorted(body["number"] for _, _, body in seen) == list(range(8))
    assert {said[:2] for said in seen} == {("Bearer t", "application/json")}
    assert posted.began < posted.ended


async def test_another_answer_is_no_success() -> None:
    """A POST that is refused ends the measurement, also in the process of its own."""

    async def refuse(_request: web.Request) -> web.Response:
        return web.Response(status=503, text="not now")

    async with await served(refuse) as server:
        posts = Posts(str(server.make_url("/")), "t", BODIES, clients=2)
        with pytest.raises(NotTakenError, match="503 b'not now'"):
            await post_all(posts)
        with pytest.raises(NotPostedError, match="503 b'not now'"):
            await post(posts)


async def test_nobody_there_is_said() -> None:
    """The program ends with the reason, in one line, when nobody listens."""
    async with empty_handler() as url:
        pass
    with pytest.raises(NotPostedError, match=r"^http://127\.0\.0\.1:\d+/: Cannot connect"):
        await post(Posts(url, "t", BODIES, clients=1))


async def test_both_processes_have_the_same_clock() -> None:
    """What the program measures lies between before and after, and so does the rate."""
    async with empty_handler() as url:
        before = time.perf_counter()
        posted = await post(Posts(url, "t", BODIES, clients=2))
        after = time.perf_counter()
        assert before < posted.began < posted.ended < after
        rate = await rate_of(url, [{}] * 64)
        assert rate > 64 / (time.perf_counter() - after)


def test_hundreds() -> None:
    """All in order, a hundred each, the rest in the last one."""
    bodies = [{"number": number} for number in range(250)]
    parts = list(hundreds(bodies))
    assert [len(part) for part in parts] == [100, 100, 50]
    assert [body for part in parts for body in part] == bodies


async def test_what_is_posted_is_published_and_shown_by_all() -> None:
    """One by one and in hundreds, all four nodes show the same notices as through the port."""
    bodies = list(texts.notices(120))
    async with network() as nodes:
        program = await program_at(nodes)
        for count, publish in ((20, program.one_by_one), (120, program.in_hundreds)):
            times = await travel.publish_down(nodes, publish, bodies[:count])
            assert times.count == count
            assert 0 < times.told <= times.shown
            assert 0 < times.held <= times.shown
        said = [(body["title"], body["text"], body["category"]) for body in bodies]
        for node in nodes.nodes.values():
            assert await shown(nodes, node.identity.division) == sorted(said + said[:20])


async def shown(nodes: Network, code: str) -> list[tuple[str, str, str]]:
    """Return title, text and category of the notices that a node shows, sorted."""
    views = nodes.nodes[code].views
    assert views is not None
    rows = await views.query(lambda connection: view.page(connection, limit=500))
    return sorted((row.title, row.text, row.category) for row in rows)


async def test_notices_that_were_not_stored_are_noticed() -> None:
    """A way in that says it is done and stores nothing is an error, not a fast one."""

    async def lose(_bodies: travel.Bodies) -> Posted:
        return Posted(0.0, 1.0)

    async with network(villages=1) as nodes:
        assert nodes.district.identity.division == DISTRICT
        with pytest.raises(travel.NotPublishedError, match="3 of 3"):
            await travel.publish_down(nodes, lose, list(texts.notices(3)))
