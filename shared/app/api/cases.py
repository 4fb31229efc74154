"""What can be asked about cases: what people say, where it is, what it is answered."""

from http import HTTPStatus
from typing import Any, Final

from sqlalchemy import Connection

from shared.app.api import cursor
from shared.app.api.case_responses import (
    AnswerTold,
    Case,
    Cases,
    CaseWhole,
    Followed,
    Receipted,
    ReceiptedResult,
    ReceiptedResults,
)
from shared.app.api.operation import AnyOperation, Call, Operation, each, not_found, written
from shared.app.api.requests import (
    AnswerDraft,
    AtReceipt,
    AtRid,
    CasePage,
    FeedbackBatch,
    FeedbackDraft,
    Follow,
    Nothing,
    RatingDraft,
)
from shared.app.api.responses import Written
from shared.app.rids import is_whole
from shared.domain.cases import receipts, rules, view
from shared.domain.cases.view import CaseRow
from shared.domain.custody import view as custody
from shared.errors import InvalidError, NotFoundError, RefusedError
from shared.record.feed import Level, is_above
from shared.trust import receipt as receipt_secret
from shared.web.i18n import later

Held = dict[tuple[bytes, int], dict[str, int]]


async def page(call: Call[Nothing, CasePage, Nothing]) -> Cases:
    """Return a part of the list of cases that this node holds; a village's of its own."""
    query, me = call.query, call.node.identity
    only = me.division if me.level == Level.VILLAGE else None

    def find(connection: Connection) -> tuple[list[CaseRow], Held]:
        rows = view.page(
            connection, query.limit + 1, cursor.read(query.before), stage=query.stage, author=only
        )
        return rows, custody.held_since_each(connection, [(row.feed, row.seq) for row in rows])

    rows, held = await call.look(find)
    shown, place = cursor.cut(rows, query.limit, [row.filed_ms for row in rows])
    return Cases(items=[Case(**_fields(call, row, held)) for row in shown], next=place)


async def one(call: Call[AtRid, Nothing, Nothing]) -> CaseWhole:
    """Return a case with its answers and its rating."""
    rid = bytes.fromhex(call.path.rid)

    def find(
        connection: Connection,
    ) -> tuple[CaseRow, Held, list[view.AnswerRow], list[view.RatingRow]] | None:
        row = view.get(connection, rid)
        if row is None or not rules.may_answer(call.node.identity.division, row.author):
            return None
        held = custody.held_since_each(connection, [(row.feed, row.seq)])
        return row, held, view.answers(connection, rid), view.ratings(connection, rid)

    found = await call.look(find)
    if found is None:
        raise not_found("this case")
    row, held, answers, ratings = found
    return CaseWhole.model_validate({
        **_fields(call, row, held),
        "answers": [
            {"rid": each.rid.hex(), "by": each.author, "by_label": call.label(each.author),
             "outcome": each.outcome, "text": each.text, "answered_ms": each.answered_ms,
             "publish": each.publish}
            for each in answers
        ],
        "ratings": [
            {"rid": each.rid.hex(), "score": each.score, "cause": each.cause,
             "rated_ms": each.rated_ms}
            for each in ratings
        ],
    })  # fmt: skip


def _fields(call: Call[Any, Any, Any], row: CaseRow, held: Held) -> dict[str, Any]:
    """Return what is told of a case to those who may answer it, and to its own village."""
    roster = call.node.log.roster
    levels = {code: roster.certificate_of(code) for code in held[row.feed, row.seq]}
    received = {
        found.level: held[row.feed, row.seq][code]
        for code, found in levels.items()
        if found is not None and is_above(code, row.author)
    }
    stage = rules.stage(
        row.stage,
        town_received=Level.TOWN in received, district_received=Level.DISTRICT in received,
    )  # fmt: skip
    return {
        "rid": row.rid.hex(),
        "receipt": receipts.shown(call.label(row.author), row.receipt),
        "author": row.author,
        "author_label": call.label(row.author),
        "channel": row.channel,
        "kind": row.kind,
        "topic": row.topic,
        "place": row.place,
        "text": row.text,
        "stage": stage,
        "filed_ms": row.filed_ms,
        "received_town_ms": received.get(Level.TOWN),
        "received_district_ms": received.get(Level.DISTRICT),
        "answered_ms": row.answered_ms,
    }


async def file(call: Call[Nothing, Nothing, FeedbackDraft]) -> Receipted:
    """Take down what somebody says."""
    return Receipted.model_validate(await _file(call, call.body))


async def file_batch(call: Call[Nothing, Nothing, FeedbackBatch]) -> ReceiptedResults:
    """Take down what several people said."""

    def put(status: int, told: Any, problem: Any) -> ReceiptedResult:
        filed = None if told is None else Receipted.model_validate(told)
        return ReceiptedResult(status=status, filed=filed, problem=problem)

    acts = [_file(call, draft) for draft in call.body.items]
    return ReceiptedResults(results=await each(acts, put))


async def _file(call: Call[Any, Any, Any], draft: FeedbackDraft) -> dict[str, Any]:
    return await call.act(
        "file", kind=draft.kind, text=draft.text, topic=draft.topic or "",
        place=draft.place or "", channel=draft.channel,
    )  # fmt: skip


async def follow(call: Call[Nothing, Nothing, Follow]) -> Followed:
    """Say where a case is; with the secret also words and answers."""
    return await _follow(call, call.body.receipt, call.body.secret)


async def _follow(call: Call[Any, Any, Any], receipt: str, secret: str) -> Followed:
    _check_receipt(receipt)
    if secret:
        try:
            receipt_secret.from_groups(secret)
        except InvalidError as error:  # what is no secret at all opens as little as a wrong one
            raise RefusedError(str(error)) from None
    told = await call.act("follow", receipt=receipt, secret=secret)
    answers = told.pop("answers")
    whole = None
    if secret:
        whole = [AnswerTold(**answer, by_label=call.label(answer["by"])) for answer in answers]
    return Followed.model_validate({
        "text": None, **told, "author_label": call.label(told["author"]), "answers": whole,
        "answer_count": answers if whole is None else len(whole),
    })  # fmt: skip


def _check_receipt(receipt: str) -> None:
    """Raise NotFoundError for what is neither a record's id nor can be a number: no case has it."""
    if is_whole(receipt):
        return
    try:
        receipts.parse(receipt)
    except InvalidError as error:
        raise NotFoundError(str(error)) from None


async def answer(call: Call[AtReceipt, Nothing, AnswerDraft]) -> Written:
    """Answer a case."""
    body = call.body
    given = {"text": body.text, "outcome": body.outcome, "publish_as": body.publish}
    return await _on_case("answer", call, given)


async def rate(call: Call[AtReceipt, Nothing, RatingDraft]) -> Written:
    """Take down what the person thinks of the answer; only the person has the secret."""
    if not call.body.secret:
        raise RefusedError("only who has the secret of the receipt rates the answer.")
    await _follow(call, call.path.receipt, call.body.secret)
    given = {"score": call.body.score, "cause": call.body.cause or ""}
    return await _on_case("rate", call, given)


async def _on_case(act: str, call: Call[AtReceipt, Any, Any], given: dict[str, Any]) -> Written:
    _check_receipt(call.path.receipt)
    return written(await call.act(act, receipt=call.path.receipt, **given))


_VILLAGE: Final = (Level.VILLAGE,)
_NO_SUCH: Final = (HTTPStatus.NOT_FOUND,)

OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    Operation(
        method="GET", path="/cases", name="listCases", summary=later("列出民情件，新的在前"),
        work=page, told=Cases, query=CasePage,
    ),
    Operation(
        method="GET", path="/cases/{rid}", name="readCase",
        summary=later("看一件民情件，连答复和评价"),
        work=one, told=CaseWhole, at=AtRid, problems=_NO_SUCH,
    ),
    Operation(
        method="POST", path="/feedbacks", name="fileFeedback",
        summary=later("写下一个人说的话，给回执和密码"),
        work=file, told=Receipted, status=HTTPStatus.CREATED, body=FeedbackDraft, levels=_VILLAGE,
    ),
    Operation(
        method="POST", path="/feedbacks:batch", name="fileFeedbacks",
        summary=later("一次写下许多人说的话，每件各有结果"),
        work=file_batch, told=ReceiptedResults, body=FeedbackBatch, levels=_VILLAGE,
    ),
    Operation(
        method="POST", path="/follow", name="follow",
        summary=later("按回执编号查到了哪里；有密码的，还看得到说的话和答复"),
        work=follow, told=Followed, body=Follow, is_public=True,
        problems=(HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN),
    ),
    Operation(
        method="POST", path="/cases/{receipt}/answers", name="answerCase",
        summary=later("答复一件民情件"),
        work=answer, told=Written, status=HTTPStatus.CREATED, at=AtReceipt, body=AnswerDraft,
        levels=(Level.DISTRICT, Level.TOWN), problems=_NO_SUCH,
    ),
    Operation(
        method="POST", path="/cases/{receipt}/rating", name="rateAnswer",
        summary=later("替本人评价答复，要本人的密码"),
        work=rate, told=Written, status=HTTPStatus.CREATED, at=AtReceipt, body=RatingDraft,
        levels=_VILLAGE, problems=_NO_SUCH,
    ),
)  # fmt: skip
