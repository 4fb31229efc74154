"""What can be asked about notices."""

from functools import partial
from http import HTTPStatus
from typing import Any, Final

from sqlalchemy import Connection

from shared.app.api import cursor
from shared.app.api.operation import AnyOperation, Call, Operation, each, not_found, written
from shared.app.api.requests import (
    AtRid,
    Correction,
    Nothing,
    NoticeBatch,
    NoticeDraft,
    NoticePage,
    Withdrawal,
)
from shared.app.api.responses import (
    Delivery,
    Notice,
    Notices,
    NoticeWhole,
    Version,
    Written,
    WrittenResult,
    WrittenResults,
)
from shared.domain.custody import view as custody
from shared.domain.notices import view
from shared.domain.notices.rules import state_at
from shared.domain.notices.view import NoticeRow
from shared.domain.notices.words import query_of
from shared.errors import NotFoundError
from shared.record import cbor
from shared.record.feed import UPWARD, feed_from, is_holder
from shared.web.i18n import later


async def page(call: Call[Nothing, NoticePage, Nothing]) -> Notices:
    """Return a part of the list."""
    query = call.query
    rows = await call.look(
        partial(
            view.page, limit=query.limit + 1, before=cursor.read(query.before),
            stream=query.stream, author=query.author,
            words=query_of(query.find) if query.find else None,
        )
    )  # fmt: skip
    shown, place = cursor.cut(rows, query.limit, [row.published_ms for row in rows])
    return Notices(items=[Notice(**_fields(call, row)) for row in shown], next=place)


async def one(call: Call[AtRid, Nothing, Nothing]) -> NoticeWhole:
    """Return a notice with all that it has said."""
    rid = bytes.fromhex(call.path.rid)

    def find(connection: Connection) -> tuple[NoticeRow | None, list[view.VersionRow]]:
        return view.get(connection, rid), view.versions(connection, rid)

    row, versions = await call.look(find)
    if row is None:
        raise not_found("this notice")
    said = [
        Version(rid=each.rid.hex(), at_ms=each.claimed_at_ms, title=each.title, text=each.text,
                reason=each.reason)
        for each in versions
    ]  # fmt: skip
    return NoticeWhole(**_fields(call, row), versions=said)


def _fields(call: Call[Any, Any, Any], row: NoticeRow) -> dict[str, Any]:
    return {
        "rid": row.rid.hex(),
        "author": row.author,
        "author_label": call.label(row.author),
        "level": row.level.word,
        "audience": row.audience,
        "stream": row.stream,
        "category": row.category,
        "urgent": row.urgent,
        "title": row.title,
        "text": row.text,
        "state": state_at(row.state, row.expires_ms, call.node.clock.wall_ms()),
        "reason": row.reason,
        "published_ms": row.published_ms,
        "changed_ms": row.changed_ms,
        "effective_ms": row.effective_ms,
        "expires_ms": row.expires_ms,
    }


async def publish(call: Call[Nothing, Nothing, NoticeDraft]) -> Written:
    """Publish a notice."""
    return written(await _publish(call, call.body))


async def publish_batch(call: Call[Nothing, Nothing, NoticeBatch]) -> WrittenResults:
    """Publish notices together."""

    def put(status: int, told: Any, problem: Any) -> WrittenResult:
        return WrittenResult(
            status=status, written=None if told is None else written(told), problem=problem
        )

    acts = [_publish(call, draft) for draft in call.body.items]
    return WrittenResults(results=await each(acts, put))


async def _publish(call: Call[Any, Any, Any], draft: NoticeDraft) -> dict[str, Any]:
    code = draft.to.removesuffix("*")
    if draft.to not in ("", UPWARD) and call.node.log.roster.certificate_of(code) is None:
        raise NotFoundError(f"there is no certified division {code} in this district.")
    return await call.act(
        "publish", title=draft.title, text=draft.text, to=draft.to,
        category=draft.category or "", stream=draft.stream or "", urgent=draft.urgent,
    )  # fmt: skip


async def correct(call: Call[AtRid, Nothing, Correction]) -> Written:
    """Replace what an own notice says."""
    told = await call.act("correct", rid=call.path.rid, **call.body.model_dump())
    return written(told)


async def withdraw(call: Call[AtRid, Nothing, Withdrawal]) -> Written:
    """Withdraw an own notice."""
    told = await call.act("withdraw", rid=call.path.rid, reason=call.body.reason)
    return written(told)


async def delivery(call: Call[AtRid, Nothing, Nothing]) -> Delivery:
    """Say who holds a notice, and who shall and has not said so."""
    rid = bytes.fromhex(call.path.rid)

    def find(connection: Connection) -> tuple[NoticeRow, dict[str, int], dict[str, int]] | None:
        row = view.get(connection, rid)
        if row is None:
            return None
        held = custody.held_since(connection, row.feed, row.seq)
        return row, held, custody.shown_since(connection, [rid])[rid]

    found = await call.look(find)
    if found is None:
        raise not_found("this notice")
    row, held, shown = found
    held = shown | held  # who shows it has it, also if its proof is still under way
    divisions = call.node.log.roster.divisions()
    feed = feed_from(cbor.decode(row.feed))
    return Delivery.model_validate({
        "rid": call.path.rid,
        "holders": [
            {"division": code, "label": call.label(code), "since_ms": since_ms,
             "shown_ms": shown.get(code),
             "level": divisions[code].level.word if code in divisions else None}
            for code, since_ms in held.items()
        ],
        "waiting": [
            {"division": code, "label": each.label, "level": each.level.word}
            for code, each in sorted(divisions.items())
            if code not in held and code != row.author and is_holder(feed, code)
        ],
    })  # fmt: skip


_NO_SUCH: Final = (HTTPStatus.NOT_FOUND,)

OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    Operation(
        method="GET", path="/notices", name="listNotices", summary=later("列出通知，新的在前"),
        work=page, told=Notices, query=NoticePage, is_public=True,
    ),
    Operation(
        method="POST", path="/notices", name="publishNotice", summary=later("发一条通知"),
        work=publish, told=Written, status=HTTPStatus.CREATED, location="/notices/{rid}",
        body=NoticeDraft, problems=_NO_SUCH,
    ),
    Operation(
        method="POST", path="/notices:batch", name="publishNotices",
        summary=later("一次发许多条通知，每条各有结果"),
        work=publish_batch, told=WrittenResults, body=NoticeBatch,
    ),
    Operation(
        method="GET", path="/notices/{rid}", name="readNotice",
        summary=later("看一条通知，连它以前的说法"),
        work=one, told=NoticeWhole, at=AtRid, is_public=True, problems=_NO_SUCH,
    ),
    Operation(
        method="POST", path="/notices/{rid}/correction", name="correctNotice",
        summary=later("更正自己发的通知；原来的说法还看得见"),
        work=correct, told=Written, status=HTTPStatus.CREATED, at=AtRid, body=Correction,
        problems=_NO_SUCH,
    ),
    Operation(
        method="POST", path="/notices/{rid}/withdrawal", name="withdrawNotice",
        summary=later("撤回自己发的通知；标题和原因留着"),
        work=withdraw, told=Written, status=HTTPStatus.CREATED, at=AtRid, body=Withdrawal,
        problems=_NO_SUCH,
    ),
    Operation(
        method="GET", path="/notices/{rid}/delivery", name="readDelivery",
        summary=later("通知送到了谁那里，从什么时候起"),
        work=delivery, told=Delivery, at=AtRid, problems=_NO_SUCH,
    ),
)  # fmt: skip
