"""The JSON API of a node: reads a request, does it, says what became of it.

In this order: is the address known, does the caller have a token, does what it brings fit its
description, was it done before; then the act. No cookie counts here, so no page of another site
can lend a reader's rights.
"""

import json
import re
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import structlog
from aiohttp import hdrs, web

from shared.app.acts import Act
from shared.app.api import cases, looking, notices
from shared.app.api.document import document
from shared.app.api.operation import PREFIX, AnyOperation, Call
from shared.app.api.problem import NOT_KEPT, ProblemError, answer_to
from shared.app.api.reading import body_of, read, read_json, single
from shared.app.api.reference import Reference
from shared.app.api.remembered import Answer, Asked, Remembered
from shared.app.api.tokens import Caller, Tokens, token_acts
from shared.errors import InvalidError, SanjiError, UnavailableError
from shared.node.home import Home
from shared.web.i18n import Words
from shared.web.site import Site

KEY_HEADER: Final = "Idempotency-Key"

OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    *notices.OPERATIONS,
    *cases.OPERATIONS,
    *looking.OPERATIONS,
)

_BEARER: Final = re.compile(r"bearer +(?P<token>[\x21-\x7e]{1,200})", re.IGNORECASE)
_KEY: Final = re.compile(r"[\x21-\x7e]{1,200}")

logger = structlog.get_logger(__name__)


class Api:
    """The surface for programs; every tier has it beside its pages."""

    package = "shared.app.api"

    def __init__(self, home: Home) -> None:
        """Know the callers whose tokens lie in ``home``.

        Raises:
            StorageError: they cannot be read.
        """
        self._tokens = Tokens(home)
        self._remembered = Remembered()
        self._site: Site
        self._described: dict[str, dict[str, Any]] = {}

    def acts(self) -> dict[str, Act]:
        """Return the acts of a node that serves the API."""
        return token_acts(self._tokens)

    def routes(self, site: Site) -> Iterable[web.RouteDef]:
        """See ``shared.web.site.Surface``."""
        self._site = site
        return (
            web.get("/api", self.reference),
            web.get(f"{PREFIX}/openapi.json", self.description),
            *(
                web.route(one.method, PREFIX + one.path, self._guarded(partial(self.answer, one)))
                for one in OPERATIONS
            ),
            *(
                web.route(hdrs.METH_ANY, PREFIX + rest, self._guarded(self.nothing))
                for rest in ("", "/{rest:.*}")
            ),
        )

    async def reference(self, request: web.Request) -> web.Response:
        """Show the description as a page."""
        words = self._site.words(request)
        shown = Reference(self._description(words), words)
        return self._site.page(
            request, "api.html", operations=shown.operations, models=shown.models
        )

    async def description(self, request: web.Request) -> web.Response:
        """Return the description, OpenAPI 3.1, in the reader's language."""
        text = json.dumps(self._description(self._site.words(request)), ensure_ascii=False)
        return web.Response(text=text, content_type="application/json", headers=NOT_KEPT)

    def _description(self, words: Words) -> dict[str, Any]:
        """Return the description, made once in each language."""
        if words.language not in self._described:
            self._described[words.language] = document(OPERATIONS, words)
        return self._described[words.language]

    async def answer(self, operation: AnyOperation, request: web.Request) -> web.Response:
        """Do what ``request`` asks."""
        caller = None if operation.is_public else self._caller(request)
        at = read(operation.at, dict(request.match_info), "the address")
        query = read(operation.query, single(request.query), "the query")
        raw = await body_of(request) if operation.takes_body else b""
        body = read_json(operation.body, raw)
        operation.check_level(self._site.node.identity.level)
        call = Call(self._site.node, at, query, body)
        key = request.headers.get(KEY_HEADER)
        if key is None or caller is None or not operation.is_written_once:
            told = await _done(operation, call)
        else:
            if not _KEY.fullmatch(key):
                raise InvalidError(f"an {KEY_HEADER} is 1 to 200 visible ASCII characters.")
            asked = Asked.of(caller, key, request.method.encode(), request.path.encode(), raw)
            told = await self._remembered.once(
                self._run, self._site.node.clock.wall_ms(), asked, lambda: _done(operation, call)
            )
        headers = dict(NOT_KEPT)
        if told.location:
            headers["Location"] = told.location
        if told.again:
            headers["Idempotent-Replayed"] = "true"
        return web.Response(
            text=told.text, status=told.status, content_type="application/json", headers=headers
        )

    async def nothing(self, request: web.Request) -> web.Response:
        """Say that there is nothing here, or not by this method.

        Raises:
            ProblemError: always.
        """
        allowed: set[str] = set()
        for resource in request.app.router.resources():
            if "{rest" not in resource.canonical and resource.canonical != PREFIX:
                allowed |= (await resource.resolve(request))[1]
        if not allowed:
            raise ProblemError(
                HTTPStatus.NOT_FOUND, "there is no such address.", advice="/api lists them."
            )
        raise ProblemError(
            HTTPStatus.METHOD_NOT_ALLOWED, f"{request.method[:20]} is not possible here.",
            headers={"Allow": ", ".join(sorted(allowed))},
        )  # fmt: skip

    def _caller(self, request: web.Request) -> Caller:
        """Return whose token the request bears.

        Raises:
            ProblemError: 401, it bears none that counts.
        """
        given = _BEARER.fullmatch(request.headers.get(hdrs.AUTHORIZATION, ""))
        found = self._tokens.find(given["token"]) if given else None
        if found is None:
            challenge = 'Bearer realm="sanji"' + (', error="invalid_token"' if given else "")
            raise ProblemError(
                HTTPStatus.UNAUTHORIZED, "this needs a token that counts.",
                advice="Send `Authorization: Bearer TOKEN`; the command `token NAME` makes one.",
                headers={hdrs.WWW_AUTHENTICATE: challenge},
            )  # fmt: skip
        return found

    async def _run(self, work: Callable[[Any], Any]) -> Any:
        views = self._site.node.views
        if views is None:
            raise UnavailableError("this node keeps no answers.", advice=f"Omit {KEY_HEADER}.")
        return await views.query(work)

    @staticmethod
    def _guarded(
        handler: Callable[[web.Request], Awaitable[web.Response]],
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        """Return ``handler`` whose failures are problem details, without a traceback."""

        async def guarded(request: web.Request) -> web.Response:
            try:
                return await handler(request)
            except SanjiError as error:
                return answer_to(error)
            except web.HTTPException as error:
                return answer_to(ProblemError(HTTPStatus(error.status), error.reason))
            except Exception:
                logger.exception("a request failed", path=request.path)
                return answer_to(
                    ProblemError(
                        HTTPStatus.INTERNAL_SERVER_ERROR, "the node failed; its log says why."
                    )
                )

        return guarded


async def _done(operation: AnyOperation, call: Call[Any, Any, Any]) -> Answer:
    told = await operation.work(call)
    location = PREFIX + operation.location.format(**dict(told)) if operation.location else ""
    return Answer(operation.status, told.model_dump_json(), location)
