"""The page of a node: its link line and its notices, rendered on the server.

A page stays below ``PAGE_BYTES_MAX``: it takes as many notices as fit and links to the older ones,
so that nothing that was published is cut away, however long it is.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from shared.domain.notices import view
from shared.domain.notices.rules import NoticeState, state_at
from shared.domain.notices.view import NoticeRow
from shared.errors import InvalidError, UnavailableError
from shared.node.node import Node
from shared.record.feed import Level
from shared.web import banner
from shared.web.i18n import CHINESE, ENGLISH, Words, later
from shared.web.richtext import RichText, plain

NOTICES_MAX: Final = 30
PAGE_BYTES_MAX: Final = 60_000
LEAD_CHARS: Final = 120
"""A longer body is folded: its beginning shows, a touch opens the whole."""

_FRAME_BYTES: Final = 8_000  # what is on a page beside its notices, with room to spare
_CARD_BYTES: Final = 1_500  # a card beside its texts
_RID_DIGITS: Final = 16
_PLACE: Final = re.compile(r"(?P<ms>[0-9]{1,16})-(?P<rid>[0-9a-f]{64})")

_BOARDS: Final = {
    Level.DISTRICT: later("区级公开栏"),
    Level.TOWN: later("镇级公开栏"),
    Level.VILLAGE: later("村级公开栏"),
}
_FROM: Final = {
    Level.DISTRICT: later("区里"),
    Level.TOWN: later("镇里"),
    Level.VILLAGE: later("村里"),
}
_CATEGORIES: Final = {
    "decision": later("决定"),
    "resolution": later("决议"),
    "execution": later("执行"),
    "public_interest": later("民生"),
    "appointment": later("人事"),
    "discipline": later("纪律"),
    "finance": later("账目"),
    "village_affairs": later("村里事"),
    "urgent": later("应急"),
}


@dataclass(frozen=True)
class Card:
    """A notice as the page shows it.

    Attributes:
        urgent: It is urgent and in force: it stands on top, and only it is solid red.
        state: Where it stands now.
        source: Which tier says it.
        category: In words.
        title: As it is, not markup.
        body: Clean HTML.
        lead: The beginning in plain words if the body is to be folded, else empty.
        chars: Length of the body's words.
        office: Label of the division that says it.
        date: When it was published.
        change: When it was last corrected or withdrawn, empty if never.
        reason: Why.
        starts: From when it is in force if that is still to come, else empty.
        mark: First digits of its rid, in groups of four.
    """

    urgent: bool
    state: NoticeState
    source: str
    category: str
    title: str
    body: Markup
    lead: str
    chars: int
    office: str
    date: str
    change: str
    reason: str
    starts: str
    mark: str

    @property
    def bytes(self) -> int:
        """About how much of a page it takes."""
        texts = (self.title, self.body, self.lead, self.reason, self.office)
        return _CARD_BYTES + sum(len(text.encode()) for text in texts)


class Pages:
    """Renders the pages of one node."""

    def __init__(self, node: Node) -> None:
        """Show what ``node`` holds."""
        self._node = node
        self._text = RichText()
        self._templates = Environment(
            loader=PackageLoader("shared.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    async def notices(self, words: Words, before: str = "") -> str:
        """Return the page of notices, the newest first, urgent ones on top.

        Args:
            words: Of the reader.
            before: Where the page before ended; empty for the first.

        Raises:
            InvalidError: ``before`` is not what a page gave.
            UnavailableError: this node keeps no views.
        """
        if self._node.views is None:
            raise UnavailableError(words.say("这个节点不存通知页。"))
        start = _read_place(before, words) if before else None
        query: Callable[..., list[NoticeRow]] = partial(
            view.page, limit=NOTICES_MAX + 1, before=start
        )
        rows = await self._node.views.query(query)
        # Markdown of half a megabyte takes its time; links and other readers must not wait for it.
        return await asyncio.to_thread(self._notices, rows, words, before)

    def _notices(self, rows: Sequence[NoticeRow], words: Words, before: str) -> str:
        now_ms = self._node.clock.wall_ms()
        cards: list[Card] = []
        room = PAGE_BYTES_MAX - _FRAME_BYTES
        for row in rows[:NOTICES_MAX]:
            card = self._card(row, now_ms, words)
            room -= card.bytes
            if cards and room < 0:
                break  # a single notice may pass the bound, where it stands alone
            cards.append(card)
        older = _place(rows[len(cards) - 1]) if len(cards) < len(rows) else ""
        cards.sort(key=lambda card: not card.urgent)  # stable: the rest stays in its order
        return self._render(
            "notices.html", words, cards=cards, older=older, before=before,
            link=self._banner(now_ms, words), opened=words.time(now_ms),
        )  # fmt: skip

    def message(self, words: Words, title: str, text: str) -> str:
        """Return a page that says one thing: what happened, and what can be done."""
        return self._render("message.html", words, title=title, text=text)

    def _render(self, name: str, words: Words, **values: object) -> str:
        identity = self._node.identity
        places = [self._label(code) for code, _ in reversed(identity.ancestors)]
        return self._templates.get_template(name).render(
            values,
            words=words,
            say=words.say,
            say_count=words.say_count,
            other=ENGLISH if words.language == CHINESE else CHINESE,
            place=identity.label,
            line=" · ".join((*places, words.say(_BOARDS[identity.level]))),
        )

    def _label(self, code: str) -> str:
        """Return what people call a division; its code where no certificate is held."""
        certificate = self._node.log.roster.certificate_of(code)
        return code if certificate is None else certificate.label

    def _banner(self, now_ms: int, words: Words) -> banner.Banner:
        identity, links = self._node.identity, self._node.links
        if identity.parent is not None:
            return banner.above(links.states.get(identity.parent), now_ms, words)
        below = (
            links.state(one.division)
            for one in self._node.log.roster.divisions().values()
            if one.level == identity.level + 1
        )
        return banner.below(list(below), words)

    def _card(self, row: NoticeRow, now_ms: int, words: Words) -> Card:
        state = state_at(row.state, row.expires_ms, now_ms)
        over = state in {NoticeState.WITHDRAWN, NoticeState.EXPIRED}
        body = self._text.html(row.text)
        said = plain(body)
        long = len(said) > LEAD_CHARS or over
        coming = row.effective_ms is not None and row.effective_ms > now_ms and not over
        return Card(
            urgent=row.urgent and not over,
            state=state,
            source=words.say(_FROM[row.level]),
            category=words.say(_CATEGORIES.get(row.category, row.category)),
            title=row.title,
            body=body,
            lead=_lead(body, said) if long else "",
            chars=len(said),
            office=self._label(row.author),
            date=words.moment(row.published_ms, now_ms),
            change="" if row.changed_ms is None else words.moment(row.changed_ms, now_ms),
            reason=row.reason or "",
            starts=words.moment(row.effective_ms or 0, now_ms) if coming else "",
            mark=_groups(row.rid.hex()[:_RID_DIGITS]),
        )


def _lead(body: Markup, said: str) -> str:
    """Return how a body begins: its first paragraph, if it has one, as far as there is room."""
    first, paragraph, _ = body.partition(Markup("</p>"))
    return (plain(first) if paragraph else said)[:LEAD_CHARS] or said[:LEAD_CHARS]


def _groups(digits: str) -> str:
    return " ".join(digits[at : at + 4] for at in range(0, len(digits), 4))


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
