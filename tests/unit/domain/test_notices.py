"""The life of a notice, and its view."""

from typing import Any

import pytest
from pydantic import ValidationError

from shared.domain.catalogue import KINDS
from shared.domain.fields import By
from shared.domain.notices import rules, view
from shared.domain.notices.kinds import CORRECTED, PUBLISHED, Withdrawn
from shared.domain.notices.rules import Because, NoticeState, state_at
from shared.domain.projection import Fact, State
from shared.domain.tables import steps_of
from shared.record.feed import Feed, Level
from tests.unit.domain.facts import (
    DISTRICT,
    EPOCH,
    OTHER_TOWN,
    TOWN,
    VILLAGE,
    corrected,
    fact,
    published,
    rid,
    stored,
)

ALL = TOWN + "*"
NOTICE = fact("n", TOWN, published(), audience=ALL, seq=1)
CORRECTION = fact("c", TOWN, corrected(), "n", audience=ALL, seq=2)
WITHDRAWAL = fact("w", TOWN, Withdrawn(reason="已过期"), "n", "c", audience=ALL, seq=3)


def outcome(facts: list[Fact], name: str) -> tuple[State, str]:
    """Return what became of the fact of that name."""
    steps = rules.replay(rid("n"), facts)[2]
    return next((step.state, step.reason) for step in steps if step.rid == rid(name))


def test_a_published_notice_shows_what_it_says() -> None:
    """The row has the notice's content, its feed and number, and no change yet."""
    by = By(account="wang", role="approver")
    notice = fact("n", TOWN, published(expires_ms=9000, by=by), audience=ALL, seq=1)
    conn = stored(view.fold(rid("n"), [notice]))
    row = view.get(conn, rid("n"))
    assert row is not None
    assert (row.title, row.text, row.state) == ("停水通知", "明天停水", "published")
    assert (row.author, row.level, row.audience) == (TOWN, Level.TOWN, ALL)
    assert (row.feed, row.seq) == (notice.feed.key, 1)
    assert (row.published_ms, row.changed_ms, row.expires_ms) == (1000, None, 9000)
    assert (row.last_rid, row.urgent, row.by_account) == (rid("n"), False, "wang")


def test_a_correction_replaces_the_content_and_keeps_the_version() -> None:
    """The row says what is in force, the versions what was."""
    conn = stored(view.fold(rid("n"), [CORRECTION, NOTICE]))
    row = view.get(conn, rid("n"))
    assert row is not None
    assert (row.title, row.state, row.reason) == ("停水通知（更正）", "corrected", "日期有误")
    assert (row.published_ms, row.changed_ms, row.last_rid) == (1000, 2000, rid("c"))
    assert [one.title for one in view.versions(conn, rid("n"))] == ["停水通知", "停水通知（更正）"]


def test_a_withdrawal_leaves_the_stub_and_the_reason() -> None:
    """Title and reason stay, the text is only in the versions."""
    conn = stored(view.fold(rid("n"), [WITHDRAWAL, NOTICE, CORRECTION]))
    row = view.get(conn, rid("n"))
    assert row is not None
    assert (row.state, row.reason, row.text) == ("withdrawn", "已过期", "")
    assert row.title == "停水通知（更正）"
    assert [one.text for one in view.versions(conn, rid("n"))] == ["明天停水", "后天停水"]
    assert [step.state for step in steps_of(conn, rid("n"))] == ["applied"] * 3


@pytest.mark.parametrize("author", [OTHER_TOWN, DISTRICT])
def test_only_the_author_corrects(author: str) -> None:
    """Not the neighbour, and not the district either: it says something of its own."""
    foreign = fact("x", author, corrected(), "n", audience=author + "*")
    assert outcome([NOTICE, foreign], "x") == (State.NOT_APPLIED, Because.OTHER_AUTHOR)


def test_a_correction_goes_to_the_same_audience() -> None:
    """Who has seen the notice must see the correction, and nobody else need."""
    narrow = fact("x", TOWN, corrected(), "n", audience=VILLAGE)
    assert outcome([NOTICE, narrow], "x") == (State.NOT_APPLIED, Because.OTHER_AUDIENCE)


def test_another_lane_is_no_other_audience() -> None:
    """An ordinary notice can be withdrawn in the urgent lane."""
    urgent = fact("w", TOWN, Withdrawn(reason="有误"), "n", audience=ALL, lane="urgent")
    assert outcome([NOTICE, urgent], "w") == (State.APPLIED, "")


def test_nothing_follows_a_withdrawal() -> None:
    """A correction or second withdrawal that knows of the first is kept and not applied."""
    late = fact("x", TOWN, corrected(), "n", "w", audience=ALL, seq=4)
    again = fact("y", TOWN, Withdrawn(reason="再撤"), "n", "w", audience=ALL, seq=5)
    facts = [again, late, WITHDRAWAL, CORRECTION, NOTICE]
    assert outcome(facts, "x") == (State.NOT_APPLIED, Because.AFTER_WITHDRAWAL)
    assert outcome(facts, "y") == (State.NOT_APPLIED, Because.AFTER_WITHDRAWAL)


def test_without_the_notice_its_correction_waits() -> None:
    """There is no row, only a step that waits."""
    rows = view.fold(rid("n"), [CORRECTION])
    assert list(rows) == ["step"]
    assert rows["step"][0]["state"] == "waiting"


@pytest.mark.parametrize(
    ("lane", "category", "urgent"),
    [
        ("ordinary", "decision", False),
        ("urgent", "decision", True),
        ("ordinary", "urgent", True),
    ],
)
def test_urgent_is_the_lane_or_the_category(lane: str, category: str, urgent: bool) -> None:
    """Either of the two makes the notice red."""
    notice = fact("n", TOWN, published(category=category), audience=ALL, lane=lane)
    assert view.fold(rid("n"), [notice])["notice"][0]["urgent"] is urgent


@pytest.mark.parametrize(
    ("stored_state", "expires_ms", "shown"),
    [
        ("published", None, NoticeState.PUBLISHED),
        ("published", 101, NoticeState.PUBLISHED),
        ("published", 100, NoticeState.EXPIRED),
        ("corrected", 99, NoticeState.EXPIRED),
        ("withdrawn", 99, NoticeState.WITHDRAWN),
    ],
)
def test_expiry_is_computed_when_asked(
    stored_state: str, expires_ms: int | None, shown: NoticeState
) -> None:
    """At 100 ms what expires at 100 ms has expired; what is withdrawn stays so."""
    assert state_at(stored_state, expires_ms, 100) == shown


def test_pages_come_newest_first_and_go_on_where_the_last_ended() -> None:
    """None is shown twice or left out, also where two have the same time."""
    facts = [fact(f"n{i}", TOWN, published(f"第{i}号"), audience=ALL, seq=i // 2) for i in range(7)]
    conn = stored(*(view.fold(one.rid, [one]) for one in facts))
    seen: list[bytes] = []
    before = None
    while rows := view.page(conn, 2, before):
        seen += [row.rid for row in rows]
        before = (rows[-1].published_ms, rows[-1].rid)
    newest = sorted(facts, key=lambda one: (one.claimed_at_ms, one.rid), reverse=True)
    assert seen == [one.rid for one in newest]
    assert view.count(conn) == 7


def test_pages_can_be_of_one_stream_or_author() -> None:
    """Filters leave the rest out."""
    party = fact("p", TOWN, published(stream="party"), audience=ALL)
    district = fact("d", DISTRICT, published(), audience=DISTRICT + "*")
    conn = stored(view.fold(rid("p"), [party]), view.fold(rid("d"), [district]))
    assert [row.rid for row in view.page(conn, 9, stream="party")] == [rid("p")]
    assert [row.rid for row in view.page(conn, 9, author=DISTRICT)] == [rid("d")]
    assert view.get(conn, rid("none")) is None


@pytest.mark.parametrize(
    ("level", "author", "audience", "allowed"),
    [
        (Level.DISTRICT, DISTRICT, DISTRICT + "*", True),
        (Level.DISTRICT, DISTRICT, TOWN + "*", True),
        (Level.TOWN, TOWN, VILLAGE, True),
        (Level.TOWN, TOWN, "^", False),
        (Level.VILLAGE, VILLAGE, "^", True),
        (Level.VILLAGE, VILLAGE, VILLAGE + "*", False),
    ],
)
def test_who_may_publish_to_whom(level: Level, author: str, audience: str, allowed: bool) -> None:
    """District and town to below, a village for itself and those above."""
    for lane in ("ordinary", "urgent"):
        for kind in (PUBLISHED, CORRECTED):
            objection = KINDS.objection(kind, Feed(author, EPOCH, lane, audience), level)
            assert (objection is None) == allowed
    assert KINDS.objection(PUBLISHED, Feed(author, EPOCH, "trust", audience), level)


@pytest.mark.parametrize(
    "fields",
    [
        {"title": ""},
        {"title": "  "},
        {"title": "字" * 121},
        {"title": "两\n行"},
        {"title": "a\x07b"},
        {"text": "a\x00b"},
        {"stream": "press"},
        {"category": "gossip"},
        {"expires_ms": -1},
        {"by": By(account="x", role="y").model_dump() | {"role": ""}},
    ],
)
def test_what_a_notice_cannot_say(fields: dict[str, Any]) -> None:
    """Each field has its bounds."""
    with pytest.raises(ValidationError):
        published(**fields)


@pytest.mark.parametrize("reason", ["", " ", "字" * 501])
def test_a_correction_and_a_withdrawal_need_a_reason(reason: str) -> None:
    """Of 1 to 500 characters that say something."""
    with pytest.raises(ValidationError):
        Withdrawn(reason=reason)
    with pytest.raises(ValidationError):
        corrected(reason=reason)
