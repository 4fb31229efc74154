"""The pages of a village: what people see at the kiosk and on their own phones.

Reads notices, takes down what is said, gives a receipt, shows where it is, takes the rating. None
of it needs the line: a village is whole.
"""

import asyncio
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from shared.app.acts import perform_for_page
from shared.domain.cases import view as cases
from shared.domain.cases.clocks import Limit, handling
from shared.domain.cases.rules import ACCUSE, CONCERNS
from shared.domain.notices import view as notices
from shared.errors import InvalidError, NotFoundError, RefusedError, SanjiError
from shared.node.evidence import gather_evidence
from shared.web.cards import cards_of
from shared.web.case_words import SCORES, TOPICS
from shared.web.i18n import Words, later
from shared.web.security import form_of
from shared.web.site import Site
from shared.web.slip import qr, read_slip, slip_text
from shared.web.trouble import why
from shared.web.verify import evidence_file
from village.drawer import Drawer, Slip

BOARD_NOTICES: Final = 6
HOME_NOTICES: Final = 2
"""Beside the urgent one: an upright kiosk has room for them, a phone shows the tiles first."""

PAPERS: Final = ("58", "a4")

TOPIC_ICONS: Final = {
    "roads": "lamp",
    "water": "water",
    "health": "cross",
    "welfare": "coin",
    "land": "land",
    "school": "school",
    "waste": "bin",
    "safety": "guard",
    "other": "more",
}
KINDS: Final = {
    "help": later("请帮忙"),
    "ask": later("问一问"),
    "suggest": later("提建议"),
    "complain": later("提意见"),
}
FACES: Final = {
    "satisfied": (later("办好了"), "face1"),
    "fair": (later("差一点"), "face2"),
    "unsatisfied": (later("没办好"), "face3"),
}
OUTCOMES: Final = {
    "settled": later("办好了"),
    "explained": later("解释说明"),
    "passed_on": later("转给别处办"),
    "declined": later("办不了"),
}


class Kiosk:
    """The surface of a village."""

    package = "village"

    def __init__(self) -> None:
        """Make it; the node comes with ``routes``."""
        self._site: Site
        self._drawer: Drawer

    def routes(self, site: Site) -> Iterable[web.RouteDef]:
        """See ``shared.web.site.Surface``."""
        self._site = site
        self._drawer = Drawer(site.node.clock)
        return (
            web.get("/", self.home),
            web.get("/kiosk", self.kiosk),
            web.get("/board", self.board),
            web.get("/help", self.help),
            web.get("/file", self.choose),
            web.get("/file/{topic}", self.form),
            web.post("/file/{topic}", self.file),
            web.get("/receipt/{slip}", self.receipt),
            web.get("/receipt/{slip}/{paper}", self.paper),
            web.get("/follow", self.follow),
            web.post("/follow", self.look_up),
            web.get("/case/{slip}", self.case),
            web.post("/case/{slip}", self.rate),
            web.get("/case/{slip}/evidence", self.evidence),
            web.post("/leave", self.leave),
        )

    async def _act(self, name: str, **given: Any) -> dict[str, Any]:
        return await perform_for_page(self._site.node, name, **given)

    # --- first pages -----------------------------------------------------------------------------

    async def home(self, request: web.Request) -> web.Response:
        """Show what can be done here, urgent notices on top."""
        site, words = self._site, self._site.words(request)
        now_ms = site.node.clock.wall_ms()
        urgent, newest, stages, count = await site.query(
            lambda conn: (
                notices.urgent(conn, 1, now_ms), notices.page(conn, HOME_NOTICES + 1),
                cases.counts(conn), notices.count(conn),
            ),
            words,
        )  # fmt: skip
        on_top = {row.rid for row in urgent}
        rest = [row for row in newest if row.rid not in on_top and row.state != "withdrawn"]
        rest = rest[:HOME_NOTICES]
        site.note_shown(request, (*urgent, *rest))
        waiting = site.node.links.backlog(site.node.identity.parent or "")
        return site.page(
            request, "home.html",
            urgent=await cards_of(site, urgent, words),
            newest=await cards_of(site, rest, words), notices=count,
            filed=sum(stages.values()), answered=stages.get("answered", 0) + stages.get("rated", 0),
            offline=not self._is_linked(), waiting=waiting,
        )  # fmt: skip

    def _is_linked(self) -> bool:
        parent = self._site.node.identity.parent
        state = self._site.node.links.states.get(parent or "")
        return state is not None and state.connected_since_ms is not None

    async def kiosk(self, request: web.Request) -> web.Response:
        """Make this browser a kiosk's: it wipes itself, and shows the board when nobody comes."""
        return self._site.as_kiosk(request)

    async def board(self, request: web.Request) -> web.Response:
        """Show the board: the newest notices, one after the other."""
        site, words = self._site, self._site.words(request)
        now_ms = site.node.clock.wall_ms()
        urgent, newest = await site.query(
            lambda conn: (
                notices.urgent(conn, BOARD_NOTICES, now_ms), notices.page(conn, BOARD_NOTICES),
            ),
            words,
        )  # fmt: skip
        rows = {row.rid: row for row in (*urgent, *newest) if row.state != "withdrawn"}
        shown = list(rows.values())[:BOARD_NOTICES]
        site.note_shown(request, shown)
        cards = await cards_of(site, shown, words)
        return site.page(request, "board.html", cards=cards)

    async def help(self, request: web.Request) -> web.Response:
        """Say who helps here."""
        words = self._site.words(request)
        return self._site.page(
            request, "message.html", title=words.say("找人帮忙"),
            text=words.say("请找村里的信息员。您说，他帮您写；办完给您小票。"),
        )  # fmt: skip

    # --- filing ----------------------------------------------------------------------------------

    async def choose(self, request: web.Request) -> web.Response:
        """Ask what it is about."""
        return self._site.page(request, "file_topic.html", topics=TOPICS, icons=TOPIC_ICONS)

    async def form(self, request: web.Request) -> web.Response:
        """Ask what it is."""
        return self._form(request, _topic(request))

    def _form(
        self, request: web.Request, topic: str, typed: dict[str, str] | None = None,
        error: str = "", status: HTTPStatus = HTTPStatus.OK,
    ) -> web.Response:  # fmt: skip
        return self._site.page(
            request, "file_form.html", status, topic=topic, topics=TOPICS, icons=TOPIC_ICONS,
            kinds=KINDS, error=error,
            typed=typed or {"kind": "help", "text": "", "place": ""},
        )  # fmt: skip

    async def file(self, request: web.Request) -> web.Response:
        """Take it down and give a receipt; what goes wrong gives back what was typed."""
        words, topic = self._site.words(request), _topic(request)
        posted = await form_of(request, words)
        typed = {name: str(posted.get(name, "")) for name in ("kind", "text", "place")}
        error = ""
        if not typed["text"].strip():
            error = words.say("还没写是什么事。说一句就行。")
        elif typed["kind"] not in CONCERNS and typed["kind"] != ACCUSE:
            error = words.say("请选一样：问、建议、意见，还是请帮忙。")
        if error:
            return self._form(request, topic, typed, error, HTTPStatus.BAD_REQUEST)
        channel = "kiosk" if self._site.look(request).kiosk else "web"
        try:
            told = await self._act(
                "file", topic=topic, channel=channel, **{k: v.strip() for k, v in typed.items()}
            )
        except SanjiError as refused:
            said = words.say("没有交上：{why} 您写的还在下面。", why=why(refused, words))
            return self._form(request, topic, typed, said, HTTPStatus.BAD_REQUEST)
        slip = self._drawer.put(Slip(told["receipt"], told["secret"]))
        raise web.HTTPSeeOther(f"/receipt/{slip}")

    async def receipt(self, request: web.Request) -> web.Response:
        """Show the receipt: number, secret as QR, where it is, the two clocks."""
        return await self._slip_page(request, "receipt.html")

    async def paper(self, request: web.Request) -> web.Response:
        """Show the receipt as it is printed: on 58 mm paper or on A4."""
        paper = request.match_info["paper"]
        if paper not in PAPERS:
            raise web.HTTPNotFound
        return await self._slip_page(request, f"paper_{paper}.html")

    async def _slip_page(self, request: web.Request, template: str) -> web.Response:
        words = self._site.words(request)
        name, slip = self._slip(request)
        told = await self._act("follow", receipt=slip.receipt, secret=slip.secret)
        text = slip_text(f"{request.scheme}://{request.host}", slip.receipt, slip.secret)
        code = await asyncio.to_thread(qr, text)
        return self._site.page(
            request, template, slip=slip, slip_name=name, qr=code, case=told,
            **self._where(told, words),
        )  # fmt: skip

    # --- following -------------------------------------------------------------------------------

    async def follow(self, request: web.Request) -> web.Response:
        """Ask for the number, or for the QR."""
        return self._site.page(request, "follow.html", typed="", error="")

    async def look_up(self, request: web.Request) -> web.Response:
        """Find the case of a number or of a scanned receipt."""
        words = self._site.words(request)
        typed = str((await form_of(request, words)).get("receipt", ""))
        receipt, secret = read_slip(typed)
        try:
            told = await self._act("follow", receipt=receipt, secret=secret)
        except (InvalidError, NotFoundError, RefusedError):
            error = words.say("没找到这个编号。请对照小票再看看，最后一位也要。")
            return self._site.page(
                request, "follow.html", HTTPStatus.NOT_FOUND, typed=typed, error=error
            )
        raise web.HTTPSeeOther(f"/case/{self._drawer.put(Slip(told['receipt'], secret))}")

    async def case(self, request: web.Request) -> web.Response:
        """Show where a case is; with the secret also the words and the answers."""
        return await self._case(request)

    async def _case(self, request: web.Request, error: str = "") -> web.Response:
        words = self._site.words(request)
        name, slip = self._slip(request)
        told = await self._act("follow", receipt=slip.receipt, secret=slip.secret)
        now_ms = self._site.node.clock.wall_ms()
        answers = [
            one | {"office": self._site.label(one["by"]),
                   "date": words.moment(one["answered_ms"], now_ms)}
            for one in (told["answers"] if slip.secret else ())
        ]  # fmt: skip
        may_rate = told["author"] == self._site.node.identity.division
        return self._site.page(
            request, "case.html", slip=slip, slip_name=name, case=told, answers=answers,
            scores=SCORES, faces=FACES, outcomes=OUTCOMES, topics=TOPICS, kinds=KINDS, error=error,
            may_rate=bool(slip.secret) and may_rate and told["stage"] == "answered",
            **self._where(told, words),
        )  # fmt: skip

    async def rate(self, request: web.Request) -> web.Response:
        """Take down what the person thinks of the answer."""
        words = self._site.words(request)
        name, slip = self._slip(request)
        score = str((await form_of(request, self._site.words(request))).get("score", ""))
        if score not in SCORES or not slip.secret:
            return await self._case(request, words.say("请选一样：满意、基本满意，还是不满意。"))
        try:
            await self._act("rate", receipt=slip.receipt, score=score)
        except RefusedError:
            return await self._case(request, words.say("这件事已经评过了。"))
        raise web.HTTPSeeOther(f"/case/{name}")

    async def evidence(self, request: web.Request) -> web.Response:
        """Give the evidence file of what somebody filed to whoever has the secret.

        Not on a kiosk: what was said would lie in its browser for the next one.
        """
        _, slip = self._slip(request)
        if not slip.secret or self._site.look(request).kiosk:
            raise web.HTTPNotFound
        told = await self._act("follow", receipt=slip.receipt, secret=slip.secret)
        rid = bytes.fromhex(told["rid"])
        return evidence_file(rid, await gather_evidence(self._site.node, rid))

    async def leave(self, request: web.Request) -> web.Response:
        """Wipe what the kiosk knew of the person who left."""
        posted = await form_of(request, self._site.words(request))
        for name in str(posted.get("slip", "")).split():
            self._drawer.wipe(name)
        raise web.HTTPSeeOther("/")

    def _slip(self, request: web.Request) -> tuple[str, Slip]:
        name = request.match_info["slip"]
        try:
            return name, self._drawer.get(name)
        except NotFoundError:
            words = self._site.words(request)
            raise NotFoundError(
                words.say("为了不让别人看见，这一页已经擦掉了。用小票上的编号还能查。")
            ) from None

    def _where(self, told: dict[str, Any], words: Words) -> dict[str, Any]:
        """Return where a case is, node by node, and its clocks, in words."""
        node = self._site.node
        now_ms = node.clock.wall_ms()
        ancestors = [code for code, _ in node.identity.ancestors]
        received = (told["received_town_ms"], told["received_district_ms"])
        filed = words.moment(told["filed_ms"], now_ms)
        stored = words.say("{time} 存好", time=filed)
        trail = [(words.say("村"), node.identity.label, "done", stored)]
        before, linked = True, self._is_linked()
        for sign, code, at_ms in zip((words.say("镇"), words.say("区")), ancestors, received,
                                     strict=False):  # fmt: skip
            state = "done" if at_ms else ("doing" if before and linked else "wait")
            waits = (
                words.say("正在送，还没回信")
                if state == "doing"
                else (words.say("还没到") if linked else words.say("等线通"))
            )
            said = words.say("{time} 收到", time=words.moment(at_ms, now_ms)) if at_ms else waits
            trail.append((sign, self._site.label(code), state, said))
            before = bool(at_ms)
        limit: Limit | None = None
        transit = ""
        if received[1]:
            limit = handling(told["kind"], received[1], told["answered_ms"] or now_ms)
            transit = words.span(received[1] - told["filed_ms"])
        return {
            "trail": trail, "limit": limit, "transit": transit,
            "due": words.date(limit.due) if limit else "",
            "sent": words.span(now_ms - told["filed_ms"]),
        }  # fmt: skip


def _topic(request: web.Request) -> str:
    topic = request.match_info["topic"]
    if topic not in TOPICS:
        raise web.HTTPNotFound
    return topic
