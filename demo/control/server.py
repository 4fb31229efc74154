"""The control page's own server, on loopback, in the demo's main process."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from math import isfinite
from typing import Any, Final

from aiohttp import hdrs, web
from jinja2 import Environment, PackageLoader, StrictUndefined

from demo.control.icons import icon
from demo.control.layout import picture_of
from demo.control.lettering import town_lines
from demo.control.room import Room
from demo.control.telling import changed
from demo.control.traffic import RATE_MAX
from demo.district import Division
from shared.app.desk.labels import DESKS
from shared.app.desk.labels import ROLES as ROLE_NAMES
from shared.errors import InvalidError, RefusedError, SanjiError
from shared.node.accounts import ROLES
from shared.record.feed import Level
from shared.web import site
from shared.web.assets import Assets
from shared.web.i18n import CHINESE, ENGLISH, LANGUAGES, Catalogue, Words, later
from shared.web.security import check_origin, secure

OWN: Final = "demo.control"
PAGES_MAX: Final = 20
QUIET_SECONDS: Final = 20.0
REQUEST_BYTES_MAX: Final = 4096
HERE: Final = frozenset({"127.0.0.1", "localhost", "::1"})
"""Names of this machine: another site must not lead here under a name of its own."""

TRIALS: Final = (
    ("cut-town", "cut", later("{town}各村全断"), True),
    ("kill", "bolt", later("{town}断电"), True),
    ("lose", "", later("丢一半包"), False),
    ("flood", "", later("一村灌 1 万条"), False),
    ("alter", "", later("改一条试试"), False),
    ("urgent", "", later("发急件"), False),
    ("voice", "", later("发民情"), False),
    ("heal-all", "ok", later("全部接通"), False),
)
"""Act, icon, words, whether it breaks something."""

BROKER_TRIALS: Final = (
    ("kill-broker", "bolt", later("消息台断电"), True),
    ("wipe-broker", "box", later("清空消息台"), True),
)
"""The same, where a broker stands between the nodes: after what kills a town."""

FIGURES: Final = (
    ("speed", later("每秒到区"), later("条")),
    ("total", later("一共"), later("条")),
    ("waiting", later("在路上"), later("条")),
    ("missing", later("缺号"), ""),
    ("twice", later("重复收进"), ""),
    ("refused", later("扣下"), later("包")),
)

BROKER_FIGURES: Final = (
    ("connections", later("连接")),
    ("ready", later("等人取")),
    ("unacknowledged", later("取了没回话")),
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(room: Room, ports: Mapping[str, int]) -> web.Application:
    """Return the server of the page.

    Args:
        room: What the page shows and does.
        ports: Of the nodes' own pages, by code.
    """
    server = _Server(room, ports)
    app = web.Application(middlewares=[_guard], client_max_size=REQUEST_BYTES_MAX)
    app.on_response_prepare.append(secure)
    app.on_shutdown.append(server.close)
    app.router.add_routes(
        (
            web.get("/", server.page),
            web.get("/state", server.state),
            web.get("/events", server.events),
            web.post("/do", server.do),
            web.get("/open/{code}", server.open),
            web.get("/open/{code}/{account}", server.open),
            web.get("/static/{name}", Assets([site.OWN, OWN]).serve),
        )
    )
    return app


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Take orders from our own page only; say what is wrong in a line."""
    try:
        _check(request)
        return await handler(request)
    except InvalidError as error:
        return web.Response(text=f"{error}\n", status=HTTPStatus.BAD_REQUEST)
    except RefusedError as error:
        return web.Response(text=f"{error}\n", status=HTTPStatus.FORBIDDEN)


def _check(request: web.Request) -> None:
    if (request.url.host or "") not in HERE:
        raise RefusedError("this page is for this machine only.")
    opens = request.path.startswith("/open/") and "Sec-Fetch-Site" in request.headers
    if request.method == hdrs.METH_POST or opens:  # opening logs somebody in
        check_origin(request)


def _desks(division: Division) -> tuple[str, ...]:
    """Return the accounts that have a desk at a node."""
    return ROLES[division.level] if division.level in DESKS else ()


class _Server:
    """The page, its stream of news, and what it may order."""

    def __init__(self, room: Room, ports: Mapping[str, int]) -> None:
        self._room = room
        self._ports = ports
        self._picture = picture_of(room.district, has_broker=room.broker is not None)
        top = room.district.top.label
        self._short = {t.code: "".join(town_lines(t.label, top)) for t in room.district.towns}
        self._nodes = {one.code: one for one in room.district.everybody}
        self._trials = (*TRIALS[:2], *(BROKER_TRIALS if room.broker else ()), *TRIALS[2:])
        self._catalogue = Catalogue((OWN, "shared.app.desk"))
        self._open: set[asyncio.Task[Any]] = set()
        self._templates = Environment(
            loader=PackageLoader(OWN), autoescape=True, undefined=StrictUndefined,
            trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip
        self._templates.globals["icon"] = icon

    def _words(self, request: web.Request) -> Words:
        language = request.query.get("lang", CHINESE)
        return self._catalogue.words(language if language in LANGUAGES else CHINESE)

    async def page(self, request: web.Request) -> web.Response:
        words, district = self._words(request), self._room.district
        html = self._templates.get_template("control.html").render(
            words=words, say=words.say, district=district, picture=self._picture,
            towns=[(town, district.villages_of(town)) for town in district.towns],
            level=Level, trials=self._trials, figures=FIGURES, rate_max=RATE_MAX,
            broker_figures=BROKER_FIGURES,
            short=self._short,
            pages={code: self._pages(one, words) for code, one in self._nodes.items()},
            wires={wire.below.code: wire for wire in self._picture.wires},
            other=ENGLISH if words.language == CHINESE else CHINESE,
            seen=self._room.told(words),
        )  # fmt: skip
        return web.Response(
            text=html, content_type="text/html", headers={"Cache-Control": "no-store"}
        )

    def _pages(self, division: Division, words: Words) -> list[tuple[str, str]]:
        """Return words and addresses of a node's pages."""
        base = f"http://127.0.0.1:{self._ports[division.code]}/"
        if not (accounts := _desks(division)):
            return [(words.say("手机"), base), (words.say("触摸屏"), base + "kiosk")]
        desks = [
            (words.say(ROLE_NAMES[account]), f"/open/{division.code}/{account}")
            for account in accounts
        ]
        return [(words.say("公开页"), base), *desks]

    async def open(self, request: web.Request) -> web.Response:
        """Lead to a node's pages: to its desk by a link that is good once, if it has one."""
        division = self._nodes.get(request.match_info["code"])
        accounts = () if division is None else _desks(division)
        account = request.match_info.get("account", next(iter(accounts), ""))
        if division is None or (account and account not in accounts):
            raise web.HTTPNotFound
        try:
            path = await self._room.path_of(division, account) if account else "/"
        except SanjiError:
            said = self._words(request).say("{place}现在打不开，过几秒再试。", place=division.label)
            return web.Response(text=said, status=HTTPStatus.SERVICE_UNAVAILABLE)
        raise web.HTTPSeeOther(f"http://127.0.0.1:{self._ports[division.code]}{path}")

    async def state(self, request: web.Request) -> web.Response:
        """Return once what the stream tells again and again."""
        return web.json_response(
            self._room.told(self._words(request)), headers={"Cache-Control": "no-store"}
        )

    async def events(self, request: web.Request) -> web.StreamResponse:
        if self._room.pages >= PAGES_MAX:
            return web.Response(status=HTTPStatus.NO_CONTENT)  # EventSource does not ask again
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        news = self._room.open_page()
        news.set()
        task = asyncio.current_task()
        if task is not None:
            self._open.add(task)
        try:
            await response.prepare(request)
            await self._tell(response, news, self._words(request))
        except (ConnectionError, asyncio.CancelledError):
            pass  # the page is gone, or the demo ends
        finally:
            self._room.close_page(news)
            if task is not None:
                self._open.discard(task)
        return response

    async def _tell(self, response: web.StreamResponse, news: asyncio.Event, words: Words) -> None:
        known: dict[str, Any] = {}
        while True:
            try:
                async with asyncio.timeout(QUIET_SECONDS):
                    await news.wait()
            except TimeoutError:
                await response.write(b": still here\n\n")
                continue
            news.clear()
            told = self._room.told(words)
            if not told:
                continue
            text = json.dumps(changed(told, known), ensure_ascii=False)
            await response.write(f"retry: 2000\ndata: {text}\n\n".encode())
            known = told

    async def do(self, request: web.Request) -> web.Response:
        """Carry out an order; what cannot be done is told among the events."""
        try:
            order = await request.json()
            act, link, value = str(order["act"]), str(order.get("link", "")), order.get("value", 0)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise InvalidError("this is no order.") from None
        if act == "rate":
            if not isinstance(value, int | float) or not isfinite(value):
                raise InvalidError("this is no rate.")
            self._room.traffic.set(rate=float(value))
        elif act in {"pause", "go"}:
            self._room.traffic.set(paused=act == "pause")
        else:
            try:
                await self._room.switchboard.do(act, link)
            except InvalidError:
                raise
            except SanjiError as error:
                self._room.journal.note("late", later("没做成：{why}"), why=str(error))
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def close(self, _: web.Application) -> None:
        """End all streams: one that stays open would hold up the end."""
        for task in tuple(self._open):
            task.cancel()
