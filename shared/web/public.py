"""The public pages, the same at every node: its notices, one of them, and what goes wrong."""

import asyncio
import re
from collections.abc import Iterable
from functools import partial
from http import HTTPStatus
from typing import Final

from aiohttp import web

from shared.domain.notices import view
from shared.domain.notices.view import NoticeRow
from shared.domain.notices.words import QUERY_CHARS_MAX, query_of
from shared.errors import InvalidError, NotFoundError
from shared.web.cards import card_of, cards_of
from shared.web.i18n import Words, later
from shared.web.site import Site
from shared.web.slip import qr

NOTICES_MAX: Final = 20
"""On one page; a link leads to the older ones, so that nothing is cut away."""

URGENT_MAX: Final = 10
"""Urgent ones in force that stand on top of the first page, however old they are."""

_PLACE: Final = re.compile(r"(?P<ms>[0-9]{1,16})-(?P<rid>[0-9a-f]{64})")
_RID: Final = re.compile(r"[0-9a-f]{64}")

STREAMS: Final = {
    "party": later("党务"),
    "government": later("政务"),
    "village": later("村务"),
}


class PublicPages:
    """What anybody may read."""

    def __init__(self, site: Site) -> None:
        """Show what the node of ``site`` holds."""
        self._site = site

    def routes(self) -> Iterable[web.RouteDef]:
        """Return the pages."""
        return (
            web.get("/", self.notices),
            web.get("/notices", self.notices),
            web.get("/notice/{rid}", self.notice),
            web.get("/search", self.search),
        )

    async def notices(self, request: web.Request) -> web.Response:
        """Show the notices, the newest first, urgent ones in force on top of the first page."""
        site, words = self._site, self._site.words(request)
        before, stream = request.query.get("before", ""), request.query.get("stream", "")
        if stream not in STREAMS:
            stream = ""
        query = partial(
            view.page, limit=NOTICES_MAX + 1, stream=stream or None,
            before=_read_place(before, words) if before else None,
        )  # fmt: skip
        top_query = partial(
            view.urgent, now_ms=site.node.clock.wall_ms(), limit=URGENT_MAX, stream=stream or None
        )
        rows, top = await site.query(
            lambda conn: (query(conn), [] if before else top_query(conn)), words
        )
        shown = rows[:NOTICES_MAX]
        on_top = {row.rid for row in top}
        rest = [row for row in shown if row.rid not in on_top]
        site.note_shown(request, (*top, *rest))
        return site.page(
            request, "notices.html",
            cards=await cards_of(site, (*top, *rest), words),
            before=before, stream=stream, streams=STREAMS, asked="", chars_max=QUERY_CHARS_MAX,
            older=_place(shown[-1]) if len(rows) > NOTICES_MAX else "",
        )  # fmt: skip

    async def search(self, request: web.Request) -> web.Response:
        """Show the notices that hold all the words asked for, the newest first."""
        site, words = self._site, self._site.words(request)
        query, before = query_of(request.query.get("q", "")), request.query.get("before", "")
        found = partial(
            view.page, limit=NOTICES_MAX + 1, words=query,
            before=_read_place(before, words) if before else None,
        )  # fmt: skip
        rows = await site.query(found, words)
        shown = rows[:NOTICES_MAX]
        return site.page(
            request, "search.html", asked=query.asked, chars_max=QUERY_CHARS_MAX, before=before,
            cards=await cards_of(site, shown, words),
            older=_place(shown[-1]) if len(rows) > NOTICES_MAX else "",
        )  # fmt: skip

    async def notice(self, request: web.Request) -> web.Response:
        """Show one notice whole: what it says, what it said before, and its seal."""
        site, words = self._site, self._site.words(request)
        rid = request.match_info["rid"]
        if not _RID.fullmatch(rid):
            raise web.HTTPNotFound
        row = await site.query(partial(view.get, rid=bytes.fromhex(rid)), words)
        if row is None:
            raise NotFoundError(words.say("这台机器上没有这条通知。"))
        site.note_shown(request, [row])
        return site.page(
            request, "notice.html", one=card_of(site, row, words),
            body=await asyncio.to_thread(site.text.html, row.text, 2),
            qr=await asyncio.to_thread(qr, f"{request.scheme}://{request.host}/verify/{rid}"),
            held=words.moment(await self._stored_ms(row), site.node.clock.wall_ms()),
        )  # fmt: skip

    async def _stored_ms(self, row: NoticeRow) -> int:
        return (await self._site.node.log.find(row.last_rid)).stored_at_ms

    def trouble(self, request: web.Request, status: HTTPStatus, why: str = "") -> web.Response:
        """Say that something went wrong, what is kept, and what to do."""
        words = self._site.words(request)
        if status == HTTPStatus.NOT_FOUND:
            title, text = words.say("没有这一页"), words.say("地址可能打错了，或者这一页已经不在。")
        elif status < HTTPStatus.INTERNAL_SERVER_ERROR:
            title, text = words.say("这个请求办不了"), words.say("请退回上一页看看，填的内容还在。")
        else:
            title = words.say("这一页暂时打不开")
            text = words.say(
                "已收到的通知都还在。过一会儿再试；还不行，请告诉村里或镇里的工作人员。"
            )
        return self._site.page(
            request, "message.html", status, title=title, text=f"{why} {text}".strip()
        )


def _place(row: NoticeRow) -> str:
    return f"{row.published_ms}-{row.rid.hex()}"


def _read_place(text: str, words: Words) -> tuple[int, bytes]:
    """Return the row after which the page begins.

    Raises:
        InvalidError: not what ``_place`` makes.
    """
    found = _PLACE.fullmatch(text)
    if found is None:
        raise InvalidError(words.say("这个地址不完整。"))
    return int(found["ms"]), bytes.fromhex(found["rid"])
