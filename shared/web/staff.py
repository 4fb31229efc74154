"""The login of staff, and pages that need it.

Passwords are checked in a thread, two at a time: argon2 takes its time and its memory. An unknown
name costs as much as a known one.
"""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final, Protocol
from urllib.parse import quote

from aiohttp import web

from shared.errors import RefusedError
from shared.node.accounts import NAME_CHARS_MAX, Account, Accounts
from shared.node.clock import Clock
from shared.web.i18n import Words
from shared.web.look import local
from shared.web.security import form_of
from shared.web.sessions import OnceLinks, Session, Sessions, Throttle

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

CHECKS_MAX: Final = 2
"""Passwords that are checked at once: each takes a core and 19 MiB."""

HOME: Final = "/desk"
"""Where a login leads; to the first page at a node without a desk."""

SESSION: Final = web.RequestKey("session", Session)
"""Where a guarded page finds who is logged in."""


class Pages(Protocol):
    """What the login needs of a site."""

    def words(self, request: web.Request) -> Words:
        """Return the reader's words."""

    def page(
        self, request: web.Request, template: str, status: HTTPStatus, **values: object
    ) -> web.Response:
        """Return a page."""


class Staff:
    """Who may see the pages behind the login.

    Attributes:
        accounts: Those who can log in.
    """

    def __init__(self, pages: Pages, division: str, clock: Clock, accounts: Accounts) -> None:
        """Let the people of ``accounts`` in at the site of ``division``."""
        self.accounts = accounts
        self._pages = pages
        # Cookies ignore ports: many nodes may share a host.
        self._cookie = f"staff-{division}"
        self._sessions = Sessions(clock)
        self._links = OnceLinks(clock)
        self._throttle = Throttle(clock)
        self._checking = asyncio.Semaphore(CHECKS_MAX)

    def routes(self) -> tuple[web.RouteDef, ...]:
        """Return the pages."""
        return (
            web.get("/login", self.form),
            web.post("/login", self.log_in),
            # Who only asks for the head, such as a preview, must not use the link up.
            web.get("/login/once/{token}", self.once, allow_head=False),
            web.post("/logout", self.log_out),
        )

    def page(self, handler: Handler, *roles: str) -> Handler:
        """Return ``handler`` for those who are logged in in one of ``roles``."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            session = self._find(request)
            if session is None:
                back = request.path_qs if request.method == "GET" else _first(request)
                raise web.HTTPSeeOther(f"/login?next={quote(back)}")
            if session.role not in roles:
                words = self._pages.words(request)
                raise RefusedError(words.say("您的岗位看不了这一页。"))
            request[SESSION] = session
            return await handler(request)

        return guarded

    def session_of(self, request: web.Request) -> Session:
        """Return who is logged in; only where ``page`` guards.

        Raises:
            RefusedError: nobody is.
        """
        session = request[SESSION] if SESSION in request else self._find(request)
        if session is None:
            raise RefusedError("nobody is logged in.")
        return session

    def _find(self, request: web.Request) -> Session | None:
        # An open page fetches itself anew (live.js): that is nobody at work.
        used = "X-Refresh" not in request.headers
        return self._sessions.find(request.cookies.get(self._cookie, ""), used=used)

    def link_for(self, name: str) -> str:
        """Return a path that logs ``name`` in once, within a minute.

        Raises:
            NotFoundError: nobody has that name.
        """
        return f"/login/once/{self._links.make(self.accounts.get(name).name)}"

    def forget(self, name: str) -> None:
        """Log an account out everywhere: it has a new password."""
        self._sessions.end_all(name)
        self._links.drop_all(name)
        self._throttle.clear(name)

    # --- pages -----------------------------------------------------------------------------------

    async def form(self, request: web.Request) -> web.Response:
        """Ask for name and password."""
        return self._form(request, request.query.get("next") or _first(request))

    def _form(
        self, request: web.Request, back: str, name: str = "", error: str = "",
        status: HTTPStatus = HTTPStatus.OK,
    ) -> web.Response:  # fmt: skip
        return self._pages.page(
            request, "login.html", status, back=local(back), name=name, error=error
        )

    async def log_in(self, request: web.Request) -> web.Response:
        """Check name and password; what goes wrong keeps the name."""
        words = self._pages.words(request)
        posted = await form_of(request, words)
        name, password = str(posted.get("name", "")).strip(), str(posted.get("password", ""))
        back = str(posted.get("next") or _first(request))
        if self._throttle.wait_seconds(name):
            error = words.say("试错太多次了，请过 5 分钟再试。")
            return self._form(request, back, name, error, HTTPStatus.TOO_MANY_REQUESTS)
        account = await self._check(name, password)
        if account is None:
            left = self._throttle.left(name)
            error = words.say_count("名字或密码不对，还能试 {count} 次。", left)
            return self._form(request, back, name, error, HTTPStatus.FORBIDDEN)
        self._throttle.clear(name)
        return self._begin(request, account, back)

    async def _check(self, name: str, password: str) -> Account | None:
        if len(name) > NAME_CHARS_MAX:  # nobody's; and long ones would fill the throttle
            return None
        self._throttle.begin(name, known=name in self.accounts)
        async with self._checking:
            return await asyncio.to_thread(self.accounts.check, name, password)

    async def once(self, request: web.Request) -> web.Response:
        """Let in whoever brings a link that is good once."""
        name = self._links.take(request.match_info["token"])
        if name is None or name not in self.accounts:
            raise web.HTTPSeeOther("/login")
        back = request.query.get("next") or _first(request)
        return self._begin(request, self.accounts.get(name), back)

    def _begin(self, request: web.Request, account: Account, back: str) -> web.Response:
        self._sessions.end(request.cookies.get(self._cookie, ""))
        response = web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": local(back)})
        response.set_cookie(
            self._cookie, self._sessions.start(account.name, account.role), httponly=True,
            samesite="Strict", secure=request.secure,
        )  # fmt: skip
        return response

    async def log_out(self, request: web.Request) -> web.Response:
        """End the session."""
        self._sessions.end(request.cookies.get(self._cookie, ""))
        response = web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": "/"})
        response.del_cookie(self._cookie, httponly=True, samesite="Strict", secure=request.secure)
        return response


def _first(request: web.Request) -> str:
    """Return where a login leads that was not sent from a page."""
    paths = (resource.canonical for resource in request.app.router.resources())
    return HOME if HOME in paths else "/"
