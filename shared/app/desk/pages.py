"""The pages behind the login of a town or the district."""

import asyncio
from collections.abc import Iterable
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web
from sqlalchemy import Connection

from shared.app.acts import perform_for_page
from shared.app.desk import caselist, picker
from shared.app.desk.caselist import Entry, Group
from shared.app.desk.delivery import Delivery, Stop, deliveries_of, map_of
from shared.app.desk.labels import (
    CHANNELS,
    DESKS,
    GROUPS,
    KINDS,
    OUTCOMES,
    PUBLISH,
    ROLES,
)
from shared.app.desk.links import carrier_rows, gap_rows, link_rows
from shared.app.status import report
from shared.domain.cases import view as cases
from shared.domain.notices import view as notices
from shared.errors import NotFoundError, SanjiError
from shared.record.feed import Level, is_above
from shared.web.cards import CATEGORIES, card_of
from shared.web.case_words import SCORES, TOPICS
from shared.web.i18n import Words
from shared.web.public import STREAMS
from shared.web.security import form_of
from shared.web.site import Site
from shared.web.trouble import why

OWN_NOTICES_MAX: Final = 50


class Desk:
    """The staff pages of one node.

    Attributes:
        answers: Roles that may answer.
        publishes: Roles that may publish.
    """

    package = "shared.app.desk"
    answers: tuple[str, ...] = ()
    publishes: tuple[str, ...] = ()

    def __init__(self) -> None:
        """Make it; the node comes with ``routes``."""
        self._site: Site

    def routes(self, site: Site) -> Iterable[web.RouteDef]:
        """See ``shared.web.site.Surface``."""
        self._site = site
        anybody, page = (*self.answers, *self.publishes), site.staff.page
        return (
            web.get("/desk", page(self.cases, *anybody)),
            web.get("/desk/case/{rid}", page(self.case, *anybody)),
            web.post("/desk/case/{rid}", page(self.answer, *self.answers)),
            web.get("/desk/compose", page(self.compose, *self.publishes)),
            web.post("/desk/compose", page(self.publish, *self.publishes)),
            web.post("/desk/preview", page(self.preview, *self.publishes)),
            web.get("/desk/notices", page(self.notices, *anybody)),
            web.get("/desk/notices/{rid}", page(self.delivery, *anybody)),
            web.post("/desk/notices/{rid}", page(self.withdraw, *self.publishes)),
            web.get("/desk/links", page(self.links, *anybody)),
        )

    def _page(
        self, request: web.Request, template: str, status: HTTPStatus = HTTPStatus.OK, **more: Any
    ) -> web.Response:
        session = self._site.staff.session_of(request)
        return self._site.page(
            request, template, status, desk=DESKS[self._site.node.identity.level],
            account=session.account, role_name=ROLES.get(session.role, session.role),
            may_publish=session.role in self.publishes, may_answer=session.role in self.answers,
            **more,
        )  # fmt: skip

    @property
    def _district(self) -> str:
        identity = self._site.node.identity
        return identity.ancestors[-1][0] if identity.ancestors else identity.division

    # --- cases -----------------------------------------------------------------------------------

    async def cases(self, request: web.Request) -> web.Response:
        """Show the cases by due date; each count is a filter with an address of its own."""
        site, words = self._site, self._site.words(request)
        asked = request.query.get("show", "")
        show = Group(asked) if asked in list(Group) else None
        now_ms = site.node.clock.wall_ms()

        def work(conn: Connection) -> tuple[list[Entry], list[Entry], dict[str, int]]:
            open_now = caselist.load(conn, self._district, now_ms)
            if show in caselist.DONE:
                chosen = caselist.load(conn, self._district, now_ms, show)
            else:
                chosen = [one for one in open_now if show in {None, one.group}]
            return open_now, chosen, cases.counts(conn)

        open_now, chosen, stages = await site.query(work, words)
        counted = caselist.counts(open_now)
        counted[Group.ANSWERED] = stages.get("answered", 0)
        counted[Group.RATED] = stages.get("rated", 0)
        return self._page(
            request, "desk_cases.html", tab="cases", groups=GROUPS, counted=counted, show=show,
            open_count=stages.get("filed", 0), listed=len(open_now),
            entries=[self._row(one, words) for one in chosen], links=link_rows(self._site, words),
        )  # fmt: skip

    def _row(self, entry: Entry, words: Words) -> dict[str, Any]:
        case = entry.case
        return {
            "rid": case.rid.hex(),
            "group": entry.group,
            "receipt": f"{self._site.label(case.author)} {case.receipt}",
            "title": case.text.strip().splitlines()[0] if case.text.strip() else "",
            "village": self._site.label(case.author),
            "kind": words.say(KINDS[case.kind]),
            "channel": words.say(CHANNELS[case.channel]),
            "limit": entry.limit,
            "due": words.date(entry.limit.due) if entry.limit else "",
        }

    async def case(self, request: web.Request) -> web.Response:
        """Show one case: the words, where it is, what was done, and the form for an answer."""
        return await self._case(request)

    async def _case(
        self, request: web.Request, typed: dict[str, str] | None = None, error: str = ""
    ) -> web.Response:
        site, words = self._site, self._site.words(request)
        rid, now_ms = _rid(request), site.node.clock.wall_ms()

        def work(conn: Connection) -> tuple[Entry, list[Any], list[Any]] | None:
            row = cases.get(conn, rid)
            if row is None:
                return None
            (entry,) = caselist.entries_of(conn, [row], self._district, now_ms)
            return entry, cases.answers(conn, rid), cases.ratings(conn, rid)

        found = await site.query(work, words)
        if found is None:
            raise NotFoundError(words.say("这件不在这台机器上。"))
        entry, answers, ratings = found
        return self._page(
            request, "desk_case.html",
            HTTPStatus.BAD_REQUEST if error else HTTPStatus.OK, tab="cases",
            case=entry.case, row=self._row(entry, words), limit=entry.limit, topics=TOPICS,
            outcomes=OUTCOMES, publish=PUBLISH, scores=SCORES, error=error,
            typed=typed or {"outcome": "settled", "publish_as": "summary", "text": ""},
            filed=words.moment(entry.case.filed_ms, now_ms),
            answers=[
                {"office": site.label(one.author), "date": words.moment(one.answered_ms, now_ms),
                 "text": one.text, "outcome": one.outcome, "publish": one.publish}
                for one in answers
            ],
            ratings=[
                {"score": one.score, "date": words.moment(one.rated_ms, now_ms)} for one in ratings
            ],
            **self._where(entry, words),
        )  # fmt: skip

    def _where(self, entry: Entry, words: Words) -> dict[str, Any]:
        """Return who states to hold the case since when, and its clocks, in words."""
        now_ms = self._site.node.clock.wall_ms()
        case, divisions = entry.case, self._site.node.log.roster.divisions()
        path = sorted(
            (one for code, one in divisions.items()
             if code == case.author or is_above(code, case.author)),
            key=lambda one: -one.level,
        )  # fmt: skip
        signs = {Level.VILLAGE: words.say("村"), Level.TOWN: words.say("镇"),
                 Level.DISTRICT: words.say("区")}  # fmt: skip
        trail = []
        for one in path:
            at_ms = case.filed_ms if one.division == case.author else None
            at_ms = at_ms or entry.received.get(one.division)
            said = words.say("{time} 起", time=words.moment(at_ms, now_ms)) if at_ms else ""
            state = "done" if at_ms else "wait"
            trail.append((signs[one.level], one.label, state, said or words.say("还没到")))
        since_ms = entry.received.get(self._district)
        return {
            "trail": trail,
            "transit": words.span(since_ms - case.filed_ms) if since_ms else "",
            "due": words.date(entry.limit.due) if entry.limit else "",
            "sent": words.span(now_ms - case.filed_ms),
        }

    async def answer(self, request: web.Request) -> web.Response:
        """Sign an answer; what goes wrong gives back what was typed."""
        words = self._site.words(request)
        posted = await form_of(request, words)
        typed = {name: str(posted.get(name, "")) for name in ("outcome", "publish_as", "text")}
        if not typed["text"].strip():
            return await self._case(request, typed, words.say("还没写答复。"))
        if typed["outcome"] not in OUTCOMES or typed["publish_as"] not in PUBLISH:
            return await self._case(request, typed, words.say("请选结果，再选公开到什么程度。"))
        row = await self._site.query(partial(cases.get, rid=_rid(request)), words)
        if row is None:
            raise NotFoundError(words.say("这件不在这台机器上。"))
        try:
            # By rid: villages may share a name, and then a number.
            await perform_for_page(self._site.node, "answer", receipt=row.rid.hex(), **typed)
        except SanjiError as refused:
            said = words.say("没有发出：{why}", why=why(refused, words))
            return await self._case(request, typed, said)
        raise web.HTTPSeeOther(request.path)

    # --- notices ---------------------------------------------------------------------------------

    async def compose(self, request: web.Request) -> web.Response:
        """Show the form for a notice."""
        return await self._compose(request)

    async def _compose(
        self, request: web.Request, typed: dict[str, Any] | None = None, error: str = ""
    ) -> web.Response:
        blank = {"title": "", "text": "", "stream": "government", "category": "public_interest",
                 "urgent": "", "to": [self._tree().code]}  # fmt: skip
        branch = self._tree()
        typed = typed or blank
        return self._page(
            request, "desk_compose.html", HTTPStatus.BAD_REQUEST if error else HTTPStatus.OK,
            tab="compose", tree=branch, typed=typed, error=error, streams=STREAMS,
            categories=CATEGORIES, reached=picker.reached(branch, typed["to"]),
            body=await asyncio.to_thread(self._site.text.html, str(typed["text"])),
        )  # fmt: skip

    def _tree(self) -> picker.Branch:
        node = self._site.node
        return picker.tree(node.identity.division, node.log.roster.divisions().values())

    async def preview(self, request: web.Request) -> web.Response:
        """Return how the notice would look, as a part of a page."""
        posted = await form_of(request, self._site.words(request))
        title, text = str(posted.get("title", "")), str(posted.get("text", ""))
        body = await asyncio.to_thread(self._site.text.html, text)
        return self._page(
            request, "desk_preview.html", title=title, body=body,
            urgent=bool(posted.get("urgent")),
        )  # fmt: skip

    async def publish(self, request: web.Request) -> web.Response:
        """Sign the notice, once for each audience; what goes wrong gives back what was typed."""
        words = self._site.words(request)
        posted = await form_of(request, words)
        names = ("title", "text", "stream", "category", "urgent")
        typed: dict[str, Any] = {name: str(posted.get(name, "")) for name in names}
        typed["to"] = [str(code) for code in posted.getall("to", [])]
        wanted = picker.audiences(self._tree(), typed["to"])
        error = ""
        if not typed["title"].strip() or not typed["text"].strip():
            error = words.say("标题和正文都要写。")
        elif not wanted:
            error = words.say("还没选送给谁。")
        elif typed["stream"] not in STREAMS or typed["category"] not in CATEGORIES:
            error = words.say("请选哪一类公开。")
        if error:
            return await self._compose(request, typed, error)
        sent: list[str] = []
        try:
            for audience in wanted:
                told = await perform_for_page(
                    self._site.node, "publish", title=typed["title"].strip(), text=typed["text"],
                    to=audience, stream=typed["stream"], category=typed["category"],
                    urgent=bool(typed["urgent"]),
                )  # fmt: skip
                sent.append(told["rid"])
        except SanjiError as refused:
            error = words.say("没有发出：{why}", why=why(refused, words))
            if sent:  # whoever sends again must not send twice
                typed["to"] = [one.removesuffix("*") for one in wanted[len(sent) :]]
                error = words.say("前面 {count} 处发出了。", count=len(sent)) + error
            return await self._compose(request, typed, error)
        raise web.HTTPSeeOther("/desk/notices" if len(sent) > 1 else f"/desk/notices/{sent[0]}")

    async def notices(self, request: web.Request) -> web.Response:
        """Show the own notices, each with how many have it."""
        site, words = self._site, self._site.words(request)
        me = site.node.identity.division

        def work(conn: Connection) -> list[tuple[Any, Delivery]]:
            rows = notices.page(conn, OWN_NOTICES_MAX, author=me)
            return list(zip(rows, deliveries_of(conn, rows, site.node), strict=True))

        found = await site.query(work, words)
        return self._page(
            request, "desk_notices.html", tab="notices",
            rows=[(card_of(site, row, words), delivery) for row, delivery in found],
        )  # fmt: skip

    async def delivery(self, request: web.Request) -> web.Response:
        """Show who has one notice since when: a map, and the table beside it."""
        site, words, rid = self._site, self._site.words(request), _rid(request)

        def work(conn: Connection) -> tuple[Any, Delivery] | None:
            row = notices.get(conn, rid)
            if row is None:
                return None
            (delivery,) = deliveries_of(conn, [row], site.node)
            return row, delivery

        found = await site.query(work, words)
        if found is None:
            raise NotFoundError(words.say("这台机器上没有这条通知。"))
        row, delivery = found
        return self._page(
            request, "desk_delivery.html", tab="notices", one=card_of(site, row, words),
            delivery=delivery, map=map_of(delivery), own=row.author == site.node.identity.division,
            since={one.code: self._since(one, row.published_ms, words)
                   for town in delivery.towns for one in town.villages},
        )  # fmt: skip

    def _since(self, stop: Stop, published_ms: int, words: Words) -> str:
        """Return since when a village shows, has or awaits a notice."""
        now_ms = self._site.node.clock.wall_ms()
        at_ms = stop.shown_ms or stop.since_ms
        return words.moment(at_ms, now_ms) if at_ms else words.span(now_ms - published_ms)

    async def withdraw(self, request: web.Request) -> web.Response:
        """Withdraw an own notice; the reason is shown to everybody."""
        words = self._site.words(request)
        posted = await form_of(request, words)
        reason = str(posted.get("reason", "")).strip()
        if not reason:
            raise web.HTTPSeeOther(request.path)
        try:
            await perform_for_page(
                self._site.node, "withdraw", rid=_rid(request).hex(), reason=reason
            )
        except SanjiError as refused:
            raise type(refused)(words.say("没有撤回：{why}", why=why(refused, words))) from refused
        raise web.HTTPSeeOther(request.path)

    # --- links -----------------------------------------------------------------------------------

    async def links(self, request: web.Request) -> web.Response:
        """Show to whom this node talks, in words; the details on demand."""
        words = self._site.words(request)
        status = await report(self._site.node)
        return self._page(
            request, "desk_links.html", tab="links", links=link_rows(self._site, words),
            machine=status, carriers=carrier_rows(self._site, status["carriers"], words),
            missing=gap_rows(self._site, status["missing"], words),
            quarantine=[
                one | {"from": self._site.label(one["peer"]),
                       "date": words.moment(one["at_ms"], self._site.node.clock.wall_ms())}
                for one in reversed(status["quarantine"])
            ],
        )  # fmt: skip


def _rid(request: web.Request) -> bytes:
    try:
        return bytes.fromhex(request.match_info["rid"])
    except ValueError:
        raise web.HTTPNotFound from None
