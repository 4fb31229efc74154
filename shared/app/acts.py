"""What people can do with a node: one function an act, JSON in, JSON out.

The command line calls them, through the control socket while the node serves, directly while it
does not; pages and the JSON API will call the same ones.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

from shared.app import brokers, evidence, exchange, keys, status
from shared.app.rids import find_rid, is_whole
from shared.domain.cases import receipts
from shared.domain.cases import rules as case_rules
from shared.domain.cases import view as cases
from shared.domain.cases.kinds import ANSWERED, FILED, RATED
from shared.domain.custody import view as custody
from shared.domain.notices import view as notices
from shared.domain.notices.kinds import CORRECTED, PUBLISHED, WITHDRAWN
from shared.errors import NotFoundError, RefusedError, SanjiError, UnavailableError
from shared.node.author import Draft, Written
from shared.node.evidence import gather_evidence
from shared.node.node import Node
from shared.node.views import Views
from shared.record.feed import UPWARD, Level, is_above
from shared.trust import receipt as receipt_secret

Progress = Callable[[int, int], None]
"""Called with (done, total) of long work; total 0 = not known."""

Act = Callable[..., Awaitable[dict[str, Any]]]


def _views(node: Node) -> Views:
    if node.views is None:
        raise UnavailableError("this node keeps no views")
    return node.views


async def invite(node: Node, _progress: Progress, *, code: str, label: str) -> dict[str, Any]:
    """Invite division ``code``; returns the token."""
    own = node.log.roster.addresses_of(node.identity.division)
    if not own:
        raise UnavailableError(
            "this node does not know under which address the new node reaches it.",
            advice="Start it with `serve`, or set `addresses` in node.toml and serve once.",
        )
    addresses = (*((node.identity.division, one) for one in own), *node.identity.ancestors)
    invitation = await node.registrar.invite(code, label, addresses)
    return {"token": invitation.token(), "expires_ms": invitation.expires_ms,
            "level": invitation.level.word}  # fmt: skip


async def publish(
    node: Node,
    _progress: Progress,
    *,
    title: str,
    text: str,
    to: str = "",
    category: str = "",
    stream: str = "",
    urgent: bool = False,
) -> dict[str, Any]:
    """Publish a notice; without ``to`` to everybody below, from a village upward."""
    village = node.identity.level == Level.VILLAGE
    body = {
        "stream": stream or ("village" if village else "government"),
        "category": category or ("urgent" if urgent else _default_category(node)),
        "title": title,
        "text": _lines(text),
    }
    audience = _audience(node, to)
    lane = "urgent" if urgent else "ordinary"
    return _told(await node.author.submit(Draft(PUBLISHED, audience, body, lane)))


def _default_category(node: Node) -> str:
    return "village_affairs" if node.identity.level == Level.VILLAGE else "public_interest"


def _audience(node: Node, to: str) -> str:
    """Return the audience that ``to`` means: a division's code is it and all below it."""
    me = node.identity.division
    if node.identity.level == Level.VILLAGE:
        if to not in ("", UPWARD):
            raise RefusedError("a village publishes to the town and the district only.")
        return UPWARD
    if to in ("", me):
        return me + "*"
    found = node.log.roster.certificate_of(to.removesuffix("*"))
    if to.endswith("*") or found is None or found.level == Level.VILLAGE:
        return to
    return to + "*"


async def correct(
    node: Node, _progress: Progress, *, rid: str, title: str, text: str, reason: str
) -> dict[str, Any]:
    """Replace what an own notice says; the earlier version stays visible."""
    row = await _own_notice(node, rid)
    body = {"stream": row.stream, "category": row.category, "title": title, "text": _lines(text),
            "reason": reason, "effective_ms": row.effective_ms,
            "expires_ms": row.expires_ms}  # fmt: skip
    return _told(await node.author.submit(_follow_up(row, CORRECTED, body)))


async def withdraw(node: Node, _progress: Progress, *, rid: str, reason: str) -> dict[str, Any]:
    """Withdraw an own notice; its stub and the reason stay."""
    row = await _own_notice(node, rid)
    return _told(await node.author.submit(_follow_up(row, WITHDRAWN, {"reason": reason})))


def _follow_up(row: notices.NoticeRow, kind: str, body: dict[str, Any]) -> Draft:
    refs = tuple(dict.fromkeys((row.rid, row.last_rid)))
    lane = "urgent" if row.urgent else "ordinary"
    return Draft(kind, row.audience, body, lane, refs)


async def _own_notice(node: Node, rid: str) -> notices.NoticeRow:
    views = _views(node)
    await views.catch_up()
    found = await find_rid(node.log, rid)
    row = await views.query(lambda connection: notices.get(connection, found))
    if row is None:
        raise NotFoundError(f"{rid} is no notice that this node holds.")
    if row.author != node.identity.division:
        raise RefusedError("only its author can correct or withdraw a notice.")
    if row.state == "withdrawn":
        raise RefusedError("this notice was withdrawn; publish a new one.")
    return row


async def file(
    node: Node,
    _progress: Progress,
    *,
    kind: str,
    text: str,
    topic: str = "",
    place: str = "",
    about: str = "",
    channel: str = "kiosk",
) -> dict[str, Any]:
    """Take down what somebody says; returns the receipt, whose secret is not kept here."""
    case_rules.check_filing(kind)
    secret = receipt_secret.new_secret(node.entropy)
    year = receipts.year_of(node.clock.wall_ms())

    def body(number: int) -> dict[str, Any]:
        epoch = node.log.epoch
        incarnation = node.log.roster.incarnation(node.identity.division, epoch)
        first = incarnation is None or incarnation.follows is None
        digits = receipts.epoch_digits(epoch, first=first)
        issued = receipts.issue(node.identity.division, year, number, digits)
        return {
            "receipt": str(issued), "channel": channel, "kind": kind, "text": _lines(text),
            "topic": topic or None, "place": place or None, "about_unit": about or None,
            "receipt_key": receipt_secret.public_half(secret).hex(),
        }  # fmt: skip

    draft = Draft(FILED, UPWARD, body, numbered=f"receipt/{year % 100:02}")
    written = await node.author.submit(draft)
    number = node.kinds.read(written.record).model_dump()["receipt"]
    shown = receipts.shown(node.author.certificate.label, number)
    return {**_told(written), "receipt": shown, "secret": receipt_secret.to_groups(secret)}


async def follow(
    node: Node, _progress: Progress, *, receipt: str, secret: str = ""
) -> dict[str, Any]:
    """Say where a case stands; its words and answers only with the secret (protocol 6.4)."""
    case = await _case(node, receipt)
    views = _views(node)
    held = await views.query(lambda connection: custody.held_since(connection, case.feed, case.seq))
    above = [code for code in held if is_above(code, case.author)]
    levels = {code: node.log.roster.certificate_of(code) for code in above}
    received = {found.level: held[code] for code, found in levels.items() if found is not None}
    is_town = Level.TOWN in received and case.level > Level.TOWN
    is_district = Level.DISTRICT in received and case.level > Level.DISTRICT
    stage = case_rules.stage(case.stage, town_received=is_town, district_received=is_district)
    told: dict[str, Any] = {
        "rid": case.rid.hex(), "receipt": receipts.shown(_label(node, case.author), case.receipt),
        "author": case.author, "kind": case.kind, "topic": case.topic, "place": case.place,
        "stage": stage.value,
        "filed_ms": case.filed_ms,
        "received_town_ms": received.get(Level.TOWN) if is_town else None,
        "received_district_ms": received.get(Level.DISTRICT) if is_district else None,
        "answered_ms": case.answered_ms,
        "answers": await views.query(lambda c: len(cases.answers(c, case.rid))),
    }  # fmt: skip
    if secret:
        if receipt_secret.public_half(receipt_secret.from_groups(secret)).hex() != case.receipt_key:
            raise RefusedError("this secret does not belong to this receipt.")
        answers = await views.query(lambda c: cases.answers(c, case.rid))
        told["text"] = case.text
        told["answers"] = [
            {"by": one.author, "outcome": one.outcome, "text": one.text, "rid": one.rid.hex(),
             "answered_ms": one.answered_ms}
            for one in answers
        ]  # fmt: skip
    return told


async def rate(
    node: Node, _progress: Progress, *, receipt: str, score: str, cause: str = ""
) -> dict[str, Any]:
    """Say what the person thinks of the answer."""
    case = await _case(node, receipt)
    if case.author != node.identity.division:
        raise RefusedError("an answer is rated where the case was filed.")
    if case.answer is None:
        raise RefusedError("there is no answer to rate yet.")
    if case.stage == "rated":
        raise RefusedError("this case was rated already.")
    body = {"score": score, "cause": cause or None}
    return _told(await node.author.submit(Draft(RATED, UPWARD, body, refs=(case.rid, case.answer))))


async def answer(
    node: Node,
    _progress: Progress,
    *,
    receipt: str,
    text: str,
    outcome: str = "explained",
    publish_as: str = "summary",
) -> dict[str, Any]:
    """Answer a case."""
    case = await _case(node, receipt)
    me = node.identity.division
    if not case_rules.may_answer(me, case.author):
        raise RefusedError("this case was filed elsewhere; only those above it may answer.")
    views = _views(node)
    before = await views.query(lambda connection: cases.answers(connection, case.rid))
    refs = (case.rid, *(one.rid for one in before[-7:]))
    body = {"outcome": outcome, "text": _lines(text), "publish": publish_as}
    audience = case_rules.answer_audience(me, case.author)
    return _told(await node.author.submit(Draft(ANSWERED, audience, body, refs=refs)))


async def _case(node: Node, text: str) -> cases.CaseRow:
    """Return the case that a receipt number, with or without its label, or its whole rid names."""
    views = _views(node)
    await views.catch_up()
    if is_whole(text):
        row = await views.query(lambda connection: cases.get(connection, bytes.fromhex(text)))
        if row is None:
            raise NotFoundError(f"no case {text} is here.")
        return row
    label, receipt = receipts.parse(text)
    rows = await views.query(lambda connection: cases.by_receipt(connection, str(receipt)))
    rows = [row for row in rows if receipts.is_valid(row.author, receipt)]
    if label:
        rows = [row for row in rows if receipts.plain(_label(node, row.author)) == label]
    own = [row for row in rows if row.author == node.identity.division]
    rows = own if own and not label else rows
    if not rows:
        raise NotFoundError(
            f"no case {text} is here.", advice="Compare the number with the receipt."
        )
    if len(rows) > 1:
        raise RefusedError(
            f"{len(rows)} villages gave out {receipt}.", advice="Put the village's name before it."
        )
    return rows[0]


def _label(node: Node, code: str) -> str:
    found = node.log.roster.certificate_of(code)
    return found.label if found else code


async def rebuild(node: Node, progress: Progress) -> dict[str, Any]:
    """Empty all views and fold the whole log again."""
    total = sum(state.count for state in node.log.feeds.values())
    taken = await _views(node).rebuild(lambda done: progress(done, total))
    return {"records": taken}


async def show(node: Node, _progress: Progress, *, rid: str) -> dict[str, Any]:
    """Return one record: header, body, where it stands, who states to hold it."""
    return await evidence.show(node, _views(node), rid)


async def gather(node: Node, _progress: Progress, *, rid: str) -> dict[str, Any]:
    """Return the evidence file of a record, hex: whoever asked writes it where it may."""
    return {"evidence": (await gather_evidence(node, await find_rid(node.log, rid))).hex()}


async def verify(node: Node, progress: Progress) -> dict[str, Any]:
    """Check every signature, chain and body of the log."""
    return await evidence.verify(node.log, progress)


async def export(node: Node, progress: Progress, *, to: str, folder: str) -> dict[str, Any]:
    """Write a bundle for the neighbour ``to``."""
    return await exchange.export(node, to, folder, progress)


async def take_in(node: Node, progress: Progress, *, path: str) -> dict[str, Any]:
    """Take in a bundle."""
    return await exchange.take_in(node, path, progress)


async def tell_status(node: Node, _progress: Progress) -> dict[str, Any]:
    """Return heads, links, backlog, custody, quarantine and counters."""
    return await status.report(node)


def _lines(text: str) -> str:
    """Return ``text`` with line ends as records have them; browsers send two characters for one."""
    return text.replace("\r\n", "\n")


def _told(written: Written) -> dict[str, Any]:
    header = written.record.header
    return {"rid": written.record.rid.hex(), "audience": header.feed.audience,
            "seq": header.seq, "kind": header.kind}  # fmt: skip


ACTS: Final[dict[str, Act]] = {
    "invite": invite,
    "publish": publish,
    "correct": correct,
    "withdraw": withdraw,
    "file": file,
    "follow": follow,
    "rate": rate,
    "answer": answer,
    "rebuild": rebuild,
    "show": show,
    "verify": verify,
    "evidence": gather,
    "export": export,
    "import": take_in,
    "status": tell_status,
    "levels": brokers.list_levels,
    "confirm": keys.confirm,
}
"""By the name of the command."""


async def perform_for_page(node: Node, act: str, **given: Any) -> dict[str, Any]:
    """Do an act for a page and let the views show it: the next page is about it.

    Nobody watches the progress of so short an act. It is done even where the views cannot follow
    now: a page that called that a failure would be sent again, and the act done twice.
    """
    told = await ACTS[act](node, lambda _done, _total: None, **given)
    with suppress(SanjiError):
        await _views(node).catch_up()
    return told
