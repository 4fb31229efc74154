"""A notice as a page shows it: in a list, and alone."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from shared.domain.notices.rules import NoticeState, state_at
from shared.domain.notices.view import NoticeRow
from shared.record.feed import Level
from shared.web.i18n import Words, later
from shared.web.richtext import plain
from shared.web.site import Site

LEAD_CHARS: Final = 120
"""In a list a longer body shows its beginning."""

_RID_DIGITS: Final = 16

_FROM: Final = {
    Level.DISTRICT: later("区里"),
    Level.TOWN: later("镇里"),
    Level.VILLAGE: later("村里"),
}
CATEGORIES: Final = {
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
        rid: Hex.
        urgent: It is urgent and in force: it stands on top, and only it is solid red.
        state: Where it stands now.
        source: Which tier says it.
        category: In words.
        title: As it is, not markup.
        lead: Its beginning in plain words; empty where it is over or was not asked for.
        office: Label of the division that says it.
        date: When it was published.
        change: When it was last corrected or withdrawn, empty if never.
        reason: Why.
        starts: From when it is in force if that is still to come, else empty.
        mark: First digits of its rid, in groups of four.
    """

    rid: str
    urgent: bool
    state: NoticeState
    source: str
    category: str
    title: str
    lead: str
    office: str
    date: str
    change: str
    reason: str
    starts: str
    mark: str


async def cards_of(site: Site, rows: Iterable[NoticeRow], words: Words) -> list[Card]:
    """Return notices as a list shows them, with how they begin.

    Markdown takes its time; links and other readers must not wait for it.
    """
    return await asyncio.to_thread(
        lambda: [card_of(site, row, words, lead=_lead(site, row)) for row in rows]
    )


def card_of(site: Site, row: NoticeRow, words: Words, lead: str = "") -> Card:
    """Return the notice in ``row`` as it stands now."""
    now_ms = site.node.clock.wall_ms()
    state = state_at(row.state, row.expires_ms, now_ms)
    over = state in {NoticeState.WITHDRAWN, NoticeState.EXPIRED}
    coming = row.effective_ms is not None and row.effective_ms > now_ms and not over
    return Card(
        rid=row.rid.hex(),
        urgent=row.urgent and not over,
        state=state,
        source=words.say(_FROM[row.level]),
        category=words.say(CATEGORIES.get(row.category, row.category)),
        title=row.title,
        lead="" if over else lead,
        office=site.label(row.author),
        date=words.moment(row.published_ms, now_ms),
        change="" if row.changed_ms is None else words.moment(row.changed_ms, now_ms),
        reason=row.reason or "",
        starts=words.moment(row.effective_ms or 0, now_ms) if coming else "",
        mark=groups(row.rid.hex()[:_RID_DIGITS]),
    )


def _lead(site: Site, row: NoticeRow) -> str:
    """Return how a body begins: its first paragraph, if it has one, as far as there is room."""
    body = site.text.html(row.text)
    first, paragraph, _ = body.partition(Markup("</p>"))
    begins = plain(first if paragraph else body)
    return begins if len(begins) <= LEAD_CHARS else begins[:LEAD_CHARS] + "…"


def groups(digits: str) -> str:
    """Return ``digits`` in groups of four, as people read them."""
    return " ".join(digits[at : at + 4] for at in range(0, len(digits), 4))
