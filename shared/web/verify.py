"""Checking a printed notice: is it genuine, and does it still hold?

The QR of a notice leads here at whatever node is asked. The answer comes from that node's own log:
the signature is checked anew against the certificate chain to the pinned anchor. Who would rather
trust no node takes the evidence file along.
"""

import re
from collections.abc import Iterable
from functools import partial
from http import HTTPStatus
from typing import Final

from aiohttp import web

from shared.domain.notices import view
from shared.domain.notices.rules import NoticeState
from shared.errors import NotFoundError
from shared.log.store import Stored
from shared.node.evidence import gather_evidence
from shared.record.envelope import RECORD_AAD
from shared.web.cards import card_of, groups
from shared.web.i18n import Words, later
from shared.web.site import Site

DIGITS_MIN: Final = 16
"""Of a record's number, as they stand on paper."""

_TEXT_MAX: Final = 400
_NUMBER: Final = re.compile(r"[0-9a-f]{16,64}")
_KID_DIGITS: Final = 8

VERDICTS: Final = {
    "published": (later("是真的，现在有效"), "done"),
    "corrected": (later("是真的，后来更正过"), "doing"),
    "withdrawn": (later("是真的，已经撤回"), "late"),
    "expired": (later("是真的，不再有效"), "wait"),
    "record": (later("这条记录在这台机器上"), "done"),
    "unsigned": (later("单凭这一条，证明不了"), "wait"),
}


class VerifyPages:
    """The pages at ``/verify``."""

    def __init__(self, site: Site) -> None:
        """Check against what the node of ``site`` holds."""
        self._site = site

    def routes(self) -> Iterable[web.RouteDef]:
        """Return the pages."""
        return (
            web.get("/verify", self.ask),
            web.get("/verify/{rid:[0-9a-f]{64}}.evidence", self.evidence),
            web.get("/verify/{number}", self.verdict),
        )

    async def ask(self, request: web.Request) -> web.Response:
        """Ask for the number, or look up what was typed or scanned."""
        typed = request.query.get("number", "")
        number = read_number(typed)
        if number:
            raise web.HTTPSeeOther(f"/verify/{number}")
        error = self._site.words(request).say("这不像记录号。请照纸上的再输一遍。") if typed else ""
        status = HTTPStatus.BAD_REQUEST if typed else HTTPStatus.OK
        return self._site.page(request, "verify.html", status, typed=typed, error=error)

    async def verdict(self, request: web.Request) -> web.Response:
        """Say what this node knows of a record."""
        site, words = self._site, self._site.words(request)
        number = read_number(request.match_info["number"])
        if not number:
            raise web.HTTPNotFound
        stored = await self._find(number)
        if stored is None:
            return site.page(request, "verify_none.html", HTTPStatus.NOT_FOUND, number=number)
        header = stored.record.header
        row = await site.query(partial(view.get, rid=stored.record.rid), words)
        card = None if row is None else card_of(site, row, words)
        verdict = "record" if card is None else str(card.state)
        base = site.node.log.roster.base_of(header.feed, header)
        key = None if base is None else base.certificate.key
        if key is None or not key.verifies(stored.record.envelope, RECORD_AAD):
            verdict = "unsigned"
        said, sign = VERDICTS.get(verdict, VERDICTS["record"])
        return site.page(
            request, "verify_found.html", verdict=verdict, said=said, sign=sign, one=card,
            office=site.label(header.feed.author),
            date=words.moment(header.claimed_at_ms, site.node.clock.wall_ms()),
            key="" if key is None else groups(key.kid.hex()[:_KID_DIGITS].upper()),
            mark=groups(stored.record.rid.hex()[:DIGITS_MIN]), held=self._held(stored, words),
        )  # fmt: skip

    async def evidence(self, request: web.Request) -> web.Response:
        """Give the evidence file of a notice: of what everybody may read, and of nothing else.

        A withdrawn one goes without its words, as on its page.
        """
        rid = bytes.fromhex(request.match_info["rid"])
        row = await self._site.query(partial(view.get, rid=rid), self._site.words(request))
        if row is None:
            raise web.HTTPNotFound
        with_body = row.state != NoticeState.WITHDRAWN
        return evidence_file(rid, await gather_evidence(self._site.node, rid, with_body=with_body))

    def _held(self, stored: Stored, words: Words) -> str:
        return words.moment(stored.stored_at_ms, self._site.node.clock.wall_ms())

    async def _find(self, number: str) -> Stored | None:
        log = self._site.node.log
        if len(number) % 2:
            number = number[:-1]
        found = await log.store.find_prefix(bytes.fromhex(number))
        if len(found) != 1:
            return None
        try:
            return await log.find(found[0])
        except NotFoundError:
            return None


def evidence_file(rid: bytes, data: bytes) -> web.Response:
    """Return an evidence file as a browser saves it."""
    name = f"sanji-{rid.hex()[:DIGITS_MIN]}.evidence"
    return web.Response(
        body=data, content_type="application/cbor",
        headers={"Content-Disposition": f'attachment; filename="{name}"',
                 "Cache-Control": "no-store"},
    )  # fmt: skip


def read_number(text: str) -> str:
    """Return the record's number in what was typed or scanned: hex digits; empty if none is there.

    A scanner types the whole address that the QR holds.
    """
    last = text[:_TEXT_MAX].rstrip("/… .").rsplit("/", 1)[-1]
    digits = re.sub(r"[\s\-]", "", last).lower()
    return digits if _NUMBER.fullmatch(digits) else ""
