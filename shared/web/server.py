"""The HTTP server of a node: its pages, how nodes join and link to it, its own style sheet.

It trusts nothing that a request says about itself: not its host, not its size. No answer holds
more about a failure than one line.
"""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

import structlog
from aiohttp import hdrs, web

from shared.errors import (
    InvalidError,
    NotFoundError,
    RefusedError,
    SanjiError,
    StorageError,
    UnavailableError,
)
from shared.node.accounts import Accounts
from shared.node.node import Node
from shared.record import cbor
from shared.web.assets import Assets
from shared.web.live import Live
from shared.web.public import PublicPages
from shared.web.security import FORM_BYTES_MAX, check_origin, read_all, secure
from shared.web.site import OWN, Site, Surface
from shared.web.staff import Staff
from shared.web.trouble import why
from shared.web.verify import VerifyPages

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

JOIN_BYTES_MAX: Final = 4096
"""A join request has about 300 bytes."""

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

STAFF: Final = web.AppKey("staff", Staff)
"""Where whoever made the application finds who is logged in."""

_MACHINES: Final = frozenset({"/link", "/join"})
"""What other nodes use: no form, and no page where it goes wrong."""

_PROGRAMS: Final = "/api/v1/"
"""What programs use: no form either. It asks for a token or for JSON, which no form can send."""

logger = structlog.get_logger(__name__)


def make_app(
    node: Node,
    *,
    link: Handler,
    surface: Surface | None = None,
    accounts: Accounts | None = None,
    api: Surface | None = None,
) -> web.Application:
    """Return the web server of ``node``.

    Args:
        node: Whose pages, and who certifies those who join.
        link: Takes ``GET /link`` of the nodes below; a carrier's, which this layer does not know.
        surface: The pages of its tier; without them it has the public ones only.
        accounts: Who can log in; nobody without.
        api: What programs use; it answers all addresses below its own.
    """
    surfaces = [one for one in (surface, api) if one is not None]
    site = Site(node, [one.package for one in surfaces], accounts)
    server = _Server(node, site)
    app = web.Application(middlewares=[server.guard], client_max_size=FORM_BYTES_MAX)
    app[STAFF] = site.staff
    app.on_response_prepare.append(secure)
    app.on_shutdown.append(server.live.close)
    own = [route for one in surfaces for route in one.routes(site)]
    taken = {(route.method, route.path) for route in own}
    rest = (route for route in server.routes(link) if (route.method, route.path) not in taken)
    app.router.add_routes([*own, *rest])
    return app


def status_of(error: SanjiError) -> HTTPStatus:
    """Return the HTTP status that says the same as ``error``."""
    for kind, status in STATUSES:
        if isinstance(error, kind):
            return status
    return HTTPStatus.INTERNAL_SERVER_ERROR


class _Server:
    """What every node serves."""

    def __init__(self, node: Node, site: Site) -> None:
        self._node = node
        self._site = site
        self._public = PublicPages(site)
        self.live = Live(node)
        self._assets = Assets([OWN])
        self._joining = asyncio.Semaphore(JOINS_MAX)

    def routes(self, link: Handler) -> tuple[web.RouteDef, ...]:
        return (
            *self._public.routes(),
            *VerifyPages(self._site).routes(),
            web.get("/link", link, allow_head=False),
            web.post("/join", self.join),
            *self._site.staff.routes(),
            web.get("/look", self.look),
            web.get("/live", self.live.stream),
            web.get("/static/{name}", self._assets.serve),
            web.get("/health", self.health),
        )

    async def join(self, request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(BODY_SECONDS_MAX):
                data = await read_all(request.content, JOIN_BYTES_MAX)
            async with self._joining:
                frames = await self._node.registrar.answer(data)
        except TimeoutError:
            return _line("the request took too long", HTTPStatus.REQUEST_TIMEOUT)
        except SanjiError as error:
            logger.info("not joined", why=str(error))
            return _line(str(error), status_of(error))
        return web.Response(
            body=cbor.encode(frames),
            content_type="application/cbor",
            headers={"Cache-Control": "no-store"},
        )

    async def look(self, request: web.Request) -> web.Response:
        return self._site.set_look(request)

    async def health(self, _: web.Request) -> web.Response:
        """Say that the event loop turns and who answers; nothing that a stranger could use."""
        return web.json_response(
            {"ok": True, "division": self._node.identity.division},
            headers={"Cache-Control": "no-store"},
        )

    # --- what goes wrong -------------------------------------------------------------------------

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Take forms from our own pages; say what goes wrong in words, without a traceback."""
        try:
            if request.method == hdrs.METH_POST and not _is_no_form(request.path):
                check_origin(request)
            return await handler(request)
        except web.HTTPRedirection:
            raise
        except web.HTTPException as error:
            if request.path in _MACHINES:
                return _line(error.text or error.reason, HTTPStatus(error.status))
            return self._public.trouble(request, HTTPStatus(error.status))
        except SanjiError as error:
            return self._public.trouble(
                request, status_of(error), why(error, self._site.words(request))
            )
        except Exception:
            logger.exception("a request failed", path=request.path)
            return self._public.trouble(request, HTTPStatus.INTERNAL_SERVER_ERROR)


def _is_no_form(path: str) -> bool:
    return path in _MACHINES or path.startswith(_PROGRAMS)


def _line(text: str, status: HTTPStatus) -> web.Response:
    line = " ".join(text.split())
    return web.Response(text=line + "\n", status=status, headers={"Cache-Control": "no-store"})
