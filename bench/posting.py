"""Notices that enter the district over its JSON API, and what a POST costs at least."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from bench.client import Posted, Posts
from bench.network import DISTRICT, Network
from bench.web import served
from shared.app.api.operation import PREFIX
from shared.app.api.requests import BATCH_MAX
from shared.app.api.tokens import set_token

CLIENTS: Final = 32
"""Connections on which notices are posted one by one, all at once and each kept open."""

CLIENTS_OF_HUNDREDS: Final = 8
"""The same, where each POST brings a hundred."""


class NotPostedError(Exception):
    """The program that posts has failed."""


@dataclass(frozen=True)
class Program:
    """A program that has a token of the district.

    Attributes:
        address: Of the API, ``http://127.0.0.1:PORT/api/v1``.
        token: What it calls itself by.
    """

    address: str
    token: str

    async def one_by_one(self, bodies: Sequence[dict[str, Any]]) -> Posted:
        """Publish each notice with a POST of its own."""
        return await post(Posts(self.address + "/notices", self.token, listed(bodies), CLIENTS))

    async def in_hundreds(self, bodies: Sequence[dict[str, Any]]) -> Posted:
        """Publish as many notices with a POST as the API takes."""
        batches = [{"items": items} for items in hundreds(bodies)]
        url = self.address + "/notices:batch"
        return await post(Posts(url, self.token, listed(batches), CLIENTS_OF_HUNDREDS))


async def program_at(nodes: Network) -> Program:
    """Give a program a token of the district."""
    told = await set_token(nodes.homes[DISTRICT], "bench")
    return Program(nodes.address(DISTRICT) + PREFIX, told["token"])


@asynccontextmanager
async def empty_handler() -> AsyncIterator[str]:
    """Serve an aiohttp handler that takes a POST and does nothing; yields its address."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=HTTPStatus.CREATED)

    app = web.Application()
    app.router.add_post("/", answer)
    async with served(app) as place:
        yield f"http://{place}/"


async def rate_of(url: str, bodies: Sequence[dict[str, Any]]) -> float:
    """Return how many POSTs a second are answered at ``url``, one by one as a program posts."""
    posted = await post(Posts(url, "none", listed(bodies), CLIENTS))
    return len(bodies) / (posted.ended - posted.began)


async def post(posts: Posts) -> Posted:
    """Let a process of its own post; its start does not count.

    Raises:
        NotPostedError: it was answered wrongly or not at all.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.client", stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        told, trouble = await process.communicate(json.dumps(asdict(posts)).encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        last = trouble.decode(errors="replace").strip().rpartition("\n")[2]
        raise NotPostedError(last or f"the program ended with {process.returncode}")
    return Posted(**json.loads(told))


def listed(bodies: Sequence[dict[str, Any]]) -> list[str]:
    """Return each body as JSON."""
    return [json.dumps(body, ensure_ascii=False) for body in bodies]


def hundreds(bodies: Sequence[dict[str, Any]]) -> Iterator[Sequence[dict[str, Any]]]:
    """Yield ``bodies`` in parts of ``BATCH_MAX``; the last one may be shorter."""
    for first in range(0, len(bodies), BATCH_MAX):
        yield bodies[first : first + BATCH_MAX]
