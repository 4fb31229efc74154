"""The HTTP server of a node: its page, how nodes join and link to it, its own style sheet.

It trusts nothing that a request says about itself: not its host, not its size. No answer holds
more about a failure than one line.
"""

import asyncio
import hashlib
import mimetypes
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from importlib.resources import files
from typing import Final

import structlog
from aiohttp import web

from shared.errors import (
    InvalidError,
    NotFoundError,
    RefusedError,
    SanjiError,
    StorageError,
    UnavailableError,
)
from shared.node.node import Node
from shared.record import cbor
from shared.trust.invitation import read_request
from shared.web.i18n import CHINESE, Catalogue, Words
from shared.web.page import Pages

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

JOIN_BYTES_MAX: Final = 4096
"""A join request has about 300 bytes; nothing else is ever sent to a node over HTTP."""

BODY_SECONDS_MAX: Final = 30.0
"""4 KiB over a line of 2 kbit/s take 16 s; who is slower than that holds a connection open."""

JOINS_MAX: Final = 8
"""Requests to join that are answered at once; the others wait their turn."""

STATUSES: Final = (
    (InvalidError, HTTPStatus.BAD_REQUEST),
    (RefusedError, HTTPStatus.FORBIDDEN),
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (UnavailableError, HTTPStatus.SERVICE_UNAVAILABLE),
    (StorageError, HTTPStatus.INSUFFICIENT_STORAGE),
)
"""One of the three tables that translate errors at the edges (``shared.errors``)."""

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; font-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}

_ASSETS: Final = ("sanji.css", "seal.svg")

logger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Asset:
    """A file that comes with the package."""

    data: bytes
    content_type: str
    etag: str


def make_app(node: Node, *, link: Handler) -> web.Application:
    """Return the web server of ``node``.

    Args:
        node: Whose page, and who certifies those who join.
        link: Takes ``GET /link`` of the nodes below; a carrier's, which this layer does not know.
    """
    site = _Site(node)
    app = web.Application(middlewares=[site.in_words], client_max_size=JOIN_BYTES_MAX)
    app.on_response_prepare.append(_secure)
    app.router.add_get("/", site.page)
    app.router.add_get("/link", link, allow_head=False)
    app.router.add_post("/join", site.join)
    app.router.add_get("/static/{name}", site.static)
    app.router.add_get("/health", site.health)
    return app


def status_of(error: SanjiError) -> HTTPStatus:
    """Return the HTTP status that says the same as ``error``."""
    for kind, status in STATUSES:
        if isinstance(error, kind):
            return status
    return HTTPStatus.INTERNAL_SERVER_ERROR


class _Site:
    """The handlers of one node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._catalogue = Catalogue()
        self._pages = Pages(node)
        self._assets = {name: _asset(name) for name in _ASSETS}
        self._joining = asyncio.Semaphore(JOINS_MAX)

    # --- routes ----------------------------------------------------------------------------------

    async def page(self, request: web.Request) -> web.Response:
        before = request.query.get("before", "")
        return _page(await self._pages.notices(self._words(request), before))

    async def join(self, request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(BODY_SECONDS_MAX):
                data = await request.read()
            async with self._joining:
                frames = await self._node.registrar.redeem(read_request(data))
        except TimeoutError:
            return _line("the request took too long", HTTPStatus.REQUEST_TIMEOUT)
        except web.HTTPRequestEntityTooLarge:
            text = f"a join request has at most {JOIN_BYTES_MAX} bytes"
            return _line(text, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        except SanjiError as error:
            logger.info("not joined", why=str(error))
            return _line(str(error), status_of(error))
        return web.Response(
            body=cbor.encode(frames),
            content_type="application/cbor",
            headers={"Cache-Control": "no-store"},
        )

    async def static(self, request: web.Request) -> web.Response:
        asset = self._assets.get(request.match_info["name"])
        if asset is None:
            raise web.HTTPNotFound
        headers = {"ETag": asset.etag, "Cache-Control": "no-cache"}
        if request.headers.get("If-None-Match") == asset.etag:
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        return web.Response(
            body=asset.data, content_type=asset.content_type, charset="utf-8", headers=headers
        )

    async def health(self, _: web.Request) -> web.Response:
        """Say that the event loop turns and who answers; nothing that a stranger could use."""
        return web.json_response(
            {"ok": True, "division": self._node.identity.division},
            headers={"Cache-Control": "no-store"},
        )

    # --- what goes wrong -------------------------------------------------------------------------

    @web.middleware
    async def in_words(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer whatever goes wrong with a page that says so, and never with a traceback."""
        try:
            return await handler(request)
        except web.HTTPException as error:
            if request.path == "/link":
                return _line(error.text or error.reason, HTTPStatus(error.status))
            return self._trouble(request, HTTPStatus(error.status))
        except SanjiError as error:
            return self._trouble(request, status_of(error), str(error))
        except Exception:
            logger.exception("a request failed", path=request.path)
            return self._trouble(request, HTTPStatus.INTERNAL_SERVER_ERROR)

    def _trouble(self, request: web.Request, status: HTTPStatus, why: str = "") -> web.Response:
        words = self._words(request)
        if status == HTTPStatus.NOT_FOUND:
            title, text = words.say("没有这一页"), words.say("地址可能打错了，或者这一页已经不在。")
        elif status < HTTPStatus.INTERNAL_SERVER_ERROR:
            title, text = words.say("这个请求办不了"), words.say("这里只能看通知。")
        else:
            title = words.say("这一页暂时打不开")
            text = words.say(
                "已收到的通知都还在。过一会儿再试；还不行，请告诉村里或镇里的工作人员。"
            )
        return _page(self._pages.message(words, title, f"{why} {text}".strip()), status)

    def _words(self, request: web.Request) -> Words:
        return self._catalogue.words(request.query.get("lang", CHINESE))


async def _secure(_: web.Request, response: web.StreamResponse) -> None:
    """Set the headers that every answer bears, also those of errors; names no software."""
    response.headers.update(HEADERS)
    response.headers["Server"] = "sanji"


def _page(text: str, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    return web.Response(
        text=text,
        status=status,
        content_type="text/html",
        headers={"Cache-Control": "no-store"},
    )


def _line(text: str, status: HTTPStatus) -> web.Response:
    line = " ".join(text.split())
    return web.Response(text=line + "\n", status=status, headers={"Cache-Control": "no-store"})


def _asset(name: str) -> Asset:
    data = (files("shared.web") / "static" / name).read_bytes()
    content_type = mimetypes.types_map[name[name.rindex(".") :]]
    return Asset(data, content_type, f'"{hashlib.sha256(data).hexdigest()[:16]}"')
