"""The site of a node: what all its pages share, whoever's they are.

A tier brings its pages as a ``Surface``; templates and words stand beside its code.
"""

from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import Final, Protocol, TypeVar

from aiohttp import web
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from sqlalchemy import Connection

from shared.domain.notices.view import NoticeRow
from shared.errors import UnavailableError
from shared.node.accounts import Accounts
from shared.node.node import Node
from shared.record.feed import Level, is_above
from shared.web import banner, look
from shared.web.i18n import CHINESE, ENGLISH, Catalogue, Words, later
from shared.web.icons import icon
from shared.web.look import Look, look_of
from shared.web.richtext import RichText
from shared.web.staff import Staff

T = TypeVar("T")

OWN: Final = "shared.web"

_BOARDS: Final = {
    Level.DISTRICT: later("区级公开栏"),
    Level.TOWN: later("镇级公开栏"),
    Level.VILLAGE: later("村级公开栏"),
}


class Surface(Protocol):
    """The pages of one tier.

    Attributes:
        package: Holds its ``templates`` and its ``locale``.
    """

    package: str

    def routes(self, site: "Site") -> Iterable[web.RouteDef]:
        """Return its pages; one at ``/`` takes the place of the list of notices."""


class Site:
    """What a page needs besides its own words.

    Attributes:
        node: Whose site it is.
        text: Makes HTML of Markdown.
        staff: Who may see the pages behind the login.
    """

    def __init__(
        self, node: Node, packages: Sequence[str] = (), accounts: Accounts | None = None
    ) -> None:
        """Show what ``node`` holds, with the templates and words of ``packages``."""
        self.node = node
        self.staff = Staff(self, node.identity.division, node.clock, accounts or Accounts())
        self.text = RichText()
        sources = (*packages, OWN)
        self._catalogue = Catalogue(sources)
        self._templates = Environment(
            loader=ChoiceLoader([PackageLoader(package) for package in sources]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals["icon"] = icon

    def look(self, request: web.Request) -> Look:
        """Return what the reader chose."""
        return look_of(request, self.node.identity.division)

    def words(self, request: web.Request) -> Words:
        """Return the reader's words."""
        return self._catalogue.words(self.look(request).language)

    def set_look(self, request: web.Request) -> web.Response:
        """Remember what the reader chose."""
        return look.changed(request, self.node.identity.division)

    def as_kiosk(self, request: web.Request) -> web.Response:
        """Remember that this browser is a kiosk's, and lead to the first page."""
        return look.changed(request, self.node.identity.division, kiosk=True)

    def note_shown(self, request: web.Request, rows: Iterable[NoticeRow]) -> None:
        """Note which notices a page shows, if it is a kiosk's: those above hear of theirs."""
        if not self.look(request).kiosk:
            return
        identity = self.node.identity
        for row in rows:
            if is_above(row.author, identity.division):
                self.node.custodian.note_shown(row.rid.hex(), urgent=row.urgent)

    async def query(self, work: Callable[[Connection], T], words: Words) -> T:
        """Run a query of a subject's view.

        Raises:
            UnavailableError: this node keeps no views.
        """
        if self.node.views is None:
            raise UnavailableError(words.say("这个节点不存通知页。"))
        return await self.node.views.query(work)

    def label(self, code: str) -> str:
        """Return what people call a division; its code where no certificate is held."""
        certificate = self.node.log.roster.certificate_of(code)
        return code if certificate is None else certificate.label

    def page(
        self,
        request: web.Request,
        template: str,
        status: HTTPStatus = HTTPStatus.OK,
        **values: object,
    ) -> web.Response:
        """Return a page; what stands on every page is added."""
        return web.Response(
            text=self.render(request, template, **values), status=status,
            content_type="text/html", headers={"Cache-Control": "no-store"},
        )  # fmt: skip

    def render(self, request: web.Request, template: str, **values: object) -> str:
        """Return the HTML of a page or of a part of one."""
        identity, now_ms = self.node.identity, self.node.clock.wall_ms()
        seen, words = self.look(request), self.words(request)
        places = [self.label(code) for code, _ in reversed(identity.ancestors)]
        return self._templates.get_template(template).render(
            values,
            words=words,
            say=words.say,
            say_count=words.say_count,
            look=seen,
            other=ENGLISH if words.language == CHINESE else CHINESE,
            level=identity.level,
            place=identity.label,
            line=" · ".join((*places, words.say(_BOARDS[identity.level]))),
            link=self._banner(now_ms, words),
            alarm=banner.alarm(self.node.guard.unasked(), words),
            clock=words.time(now_ms),
            today=words.day(now_ms),
            here=request.path_qs if request.method == "GET" else "/",
        )

    def _past(self, now_ms: int, words: Words) -> banner.Banner | None:
        """Return the line of a by-pass that is open and connected; None without one."""
        identity, one = self.node.identity, self.node.bypasser
        if one is None or one.since_ms is None or one.because is None:
            return None
        if self.node.links.state(one.target).connected_since_ms is None:
            return None
        parent, target, who = map(
            self.label, (identity.parent or "", one.target, one.because.ancestor)
        )
        bypassed = banner.Bypassed(parent, target, who, one.because.reason, one.since_ms)
        return banner.past(bypassed, now_ms, words)

    def _banner(self, now_ms: int, words: Words) -> banner.Banner:
        identity, links = self.node.identity, self.node.links
        if identity.parent is not None:
            return self._past(now_ms, words) or banner.above(
                links.states.get(identity.parent), now_ms, words
            )
        below = (
            links.state(one.division)
            for one in self.node.log.roster.divisions().values()
            if one.level == identity.level + 1
        )
        return banner.below(list(below), words)
