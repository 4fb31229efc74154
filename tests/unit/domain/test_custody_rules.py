"""What a node has to state, and when (protocol 4.7)."""

import pytest

from shared.domain.custody.kinds import Held, Shown, Stated
from shared.domain.custody.rules import Because, Intervals, judge
from shared.domain.projection import State
from shared.log.store import FeedState
from shared.record.body import encode_body
from shared.record.feed import Feed
from tests.unit.domain.book import DAY, HOUR, MINUTE, NOW, Node, feed, held, no_beats, said, state
from tests.unit.domain.facts import DISTRICT, OTHER_VILLAGE, TOWN, VILLAGE, fact

# --- proof ---------------------------------------------------------------------------------------


def test_a_village_proves_what_its_ancestors_wrote() -> None:
    """Trust and ordinary feeds of town and district, to those above; nothing of its own."""
    node = Node(VILLAGE)
    node.holds(feed(DISTRICT, DISTRICT + "*", "trust"), 3)
    node.holds(feed(TOWN, VILLAGE), 1)
    node.holds(feed(VILLAGE), 9)
    assert said(node.write()) == [("proof", "^", [("trust", 3), ("ordinary", 1)])]


def test_an_entry_says_all_that_is_held() -> None:
    """Feed, count, rid of the last record, since when, and that no body is absent."""
    node = Node(VILLAGE)
    node.holds(feed(DISTRICT, DISTRICT + "*"), 3)
    (one,) = node.write()
    assert one.body.held == (held(feed(DISTRICT, DISTRICT + "*"), 3),)
    assert one.body.held[0].feed == feed(DISTRICT, DISTRICT + "*")


def test_custody_is_never_stated() -> None:
    """Else two nodes would talk about their talk forever."""
    village, town = Node(VILLAGE), Node(TOWN)
    village.holds(feed(DISTRICT, DISTRICT + "*", "custody"), 3)
    town.holds(feed(VILLAGE, "^", "custody"), 3)
    town.holds(feed(TOWN, TOWN + "*", "custody"), 3)
    assert village.write() == []
    assert said(town.write()) == [("beat", TOWN + "*", [])]


def test_an_empty_feed_is_not_proven() -> None:
    """A fork at its first record leaves nothing to hold."""
    node = Node(VILLAGE)
    node.holds(feed(TOWN, TOWN + "*"), 0)
    assert node.write() == []
    assert node.waits() is None


def test_only_what_changed_is_proven() -> None:
    """Same head, no statement; of two feeds only the one that moved."""
    node = Node(VILLAGE)
    node.holds(feed(TOWN, TOWN + "*"), 1)
    node.holds(feed(DISTRICT, DISTRICT + "*"), 1)
    node.write()
    node.passes(HOUR)
    node.holds(feed(TOWN, TOWN + "*"), 1)
    assert node.write() == []
    node.holds(feed(DISTRICT, DISTRICT + "*"), 2)
    assert said(node.write()) == [("proof", "^", [("ordinary", 2)])]


def test_the_first_proof_comes_at_once_the_next_after_an_hour() -> None:
    """What comes between gathers into one."""
    node = Node(VILLAGE)
    node.holds(feed(TOWN, TOWN + "*"), 1)
    assert node.waits() == 0
    assert len(node.write()) == 1
    for count in range(2, 62):
        node.passes(MINUTE - 1)
        node.holds(feed(TOWN, TOWN + "*"), count)
        assert node.write() == []
    assert node.waits() == 60
    node.passes(60)
    assert said(node.write()) == [("proof", "^", [("ordinary", 61)])]


def test_a_notice_on_a_screen_is_stated_once() -> None:
    """With the proofs of its lane, also after a restart; the first time counts."""
    node = Node(VILLAGE)
    node.holds(feed(TOWN, TOWN + "*"), 1)
    node.write()
    node.passes(MINUTE)
    node.book.note_shown("ab" * 32, NOW + 3, urgent=False)
    node.book.note_shown("ab" * 32, NOW + 4, urgent=False)
    assert node.write() == []
    assert node.waits() == HOUR - MINUTE
    node.book.note_shown("cd" * 32, NOW + 5, urgent=True)
    assert node.waits() == 0
    (one,) = node.write()
    assert (one.use, one.audience, one.body.held) == ("proof", "^", ())
    assert one.body.shown == (Shown("cd" * 32, NOW + 5),)
    node.passes(HOUR)
    (one,) = node.write()
    assert one.body.shown == (Shown("ab" * 32, NOW + 3),)
    for again in (node, node.restarted()):
        again.book.note_shown("ab" * 32, NOW + 9, urgent=False)
        assert again.waits() is None


def test_many_notices_on_screens_take_several_statements() -> None:
    """Each within the limit of a body; none is left out."""
    node = Node(VILLAGE)
    for number in range(2000):
        node.book.note_shown(f"{number:064x}", NOW, urgent=False)
    statements = node.write()
    assert len(statements) > 1
    for one in statements:
        encode_body(one.body.model_dump(mode="json"))
    assert len({shown.rid for one in statements for shown in one.body.shown}) == 2000
    assert node.waits() is None


def test_the_urgent_lane_is_proven_within_a_minute() -> None:
    """It does not wait for the hour of the rest, and does not take the rest along."""
    node = Node(VILLAGE)
    node.holds(feed(TOWN, TOWN + "*"), 1)
    node.write()
    node.passes(10)
    node.holds(feed(TOWN, TOWN + "*"), 2)
    node.holds(feed(TOWN, TOWN + "*", "urgent"), 1)
    assert said(node.write()) == [("proof", "^", [("urgent", 1)])]
    node.holds(feed(TOWN, TOWN + "*", "urgent"), 2)
    assert node.waits() == MINUTE
    node.passes(MINUTE)
    assert said(node.write()) == [("proof", "^", [("urgent", 2)])]


def test_the_root_proves_nothing() -> None:
    """It has no ancestors."""
    node = Node(DISTRICT)
    node.holds(feed(DISTRICT, "^"), 4)
    node.holds(feed(TOWN, TOWN + "*"), 4)
    assert all(one.use != "proof" for one in node.write())


def test_a_head_that_fell_back_is_stated_again() -> None:
    """After a fork the trunk is shorter, or as long with another record."""
    node = Node(VILLAGE)
    node.holds(feed(TOWN, TOWN + "*"), 5)
    node.write()
    node.passes(HOUR)
    node.holds(feed(TOWN, TOWN + "*"), 3)
    assert said(node.write()) == [("proof", "^", [("ordinary", 3)])]
    node.passes(HOUR)
    node.book.note_change(feed(TOWN, TOWN + "*"), FeedState(3, b"x" * 32), node.at_ms)
    assert len(node.write()) == 1


# --- receipt -------------------------------------------------------------------------------------


def test_a_relay_gives_each_descendant_a_receipt_of_its_own_feeds() -> None:
    """To each its own, also the feeds of a town at the district; none of its own or from above."""
    node = Node(TOWN)
    node.holds(feed(VILLAGE), 2)
    node.holds(feed(VILLAGE, "^", "trust"), 1)
    node.holds(feed(TOWN[:-1] + "0202"), 1)
    node.holds(feed(TOWN), 8)
    assert said(no_beats(node.write())) == [
        ("receipt", VILLAGE, [("trust", 1), ("ordinary", 2)]),
        ("receipt", TOWN[:-1] + "0202", [("ordinary", 1)]),
    ]
    district = Node(DISTRICT)
    district.holds(feed(TOWN, TOWN + "*"), 1)
    assert said(no_beats(district.write())) == [("receipt", TOWN, [("ordinary", 1)])]


def test_a_receipt_comes_at_once_then_at_most_once_a_minute() -> None:
    """For each descendant by itself."""
    node = Node(TOWN)
    other = TOWN + "202"
    node.holds(feed(VILLAGE), 1)
    node.write()
    node.passes(1000)
    node.holds(feed(VILLAGE), 2)
    node.holds(feed(other), 1)
    assert said(node.write()) == [("receipt", other, [("ordinary", 1)])]
    assert node.waits() == MINUTE - 1000
    node.passes(MINUTE - 1000)
    assert said(node.write()) == [("receipt", VILLAGE, [("ordinary", 2)])]


def test_a_village_gives_no_receipts_and_no_beats() -> None:
    """It relays nothing."""
    node = Node(VILLAGE)
    node.holds(feed(VILLAGE + "01"), 1)
    node.passes(DAY)
    assert node.write() == []


# --- beat ----------------------------------------------------------------------------------------


def test_a_relay_beats_every_six_hours_with_the_heads_of_its_own_feeds_to_all_below() -> None:
    """Not those to a single division or upward."""
    node = Node(TOWN)
    node.holds(feed(TOWN, TOWN + "*", "trust"), 1)
    node.holds(feed(TOWN, TOWN + "*"), 2)
    node.holds(feed(TOWN, VILLAGE), 3)
    node.holds(feed(TOWN), 4)
    beat = ("beat", TOWN + "*", [("trust", 1), ("ordinary", 2)])
    assert said(node.write()) == [beat]
    assert node.waits() == 6 * HOUR
    node.passes(6 * HOUR - 1)
    assert node.write() == []
    node.passes(1)
    assert said(node.write()) == [beat]


# --- writing, restart, size ----------------------------------------------------------------------


def test_what_was_not_written_is_still_due() -> None:
    """Asking changes nothing; the record does."""
    node = Node(VILLAGE)
    node.holds(feed(TOWN, TOWN + "*"), 1)
    assert node.book.due(NOW, 0) == node.book.due(NOW, 0)
    assert len(node.write()) == 1
    assert node.write() == []


def test_what_came_while_it_was_written_is_due_next() -> None:
    """The statement covers the older head only."""
    node = Node(VILLAGE)
    node.holds(feed(TOWN, TOWN + "*"), 1)
    (one,) = node.book.due(NOW, 0)
    node.holds(feed(TOWN, TOWN + "*"), 2)
    node.book.learn(feed(VILLAGE, "^", "custody"), NOW, one.body)
    node.passes(HOUR)
    assert said(node.write()) == [("proof", "^", [("ordinary", 2)])]


@pytest.mark.parametrize("learn_first", [True, False])
def test_after_a_restart_only_what_changed_is_stated(learn_first: bool) -> None:
    """Own statements are in the log; heads may be noted before or after them."""
    node = Node(TOWN)
    feeds = [feed(DISTRICT, DISTRICT + "*"), feed(VILLAGE)]
    for one in feeds:
        node.holds(one, 1)
    assert len(node.write()) == 3
    again = node.restarted() if learn_first else Node(TOWN)
    for one in feeds:
        again.holds(one, 1)
    if not learn_first:
        for claimed_at_ms, past in node.written:
            again.book.learn(feed(TOWN, past.audience, "custody"), claimed_at_ms, past.body)
    assert again.write() == []
    assert again.waits() == 6 * HOUR


def test_a_node_that_starts_often_does_not_state_often() -> None:
    """The claims of own statements hold back the next one; a clock that went back does not."""
    node = Node(TOWN)
    node.holds(feed(DISTRICT, DISTRICT + "*"), 1)
    node.write()
    again = node.restarted()
    again.holds(feed(DISTRICT, DISTRICT + "*"), 2)
    again.passes(MINUTE)
    assert again.write() == []
    assert again.waits() == HOUR - MINUTE
    assert again.book.due(NOW - 1, again.at_ms) == []
    assert len(again.book.due(NOW - DAY, again.at_ms)) == 2


def test_a_statement_has_room_in_a_body() -> None:
    """Many feeds, and all villages late: many statements, each below 64 KiB."""
    node = Node(DISTRICT)
    codes = [f"{DISTRICT}{town:03}{village:03}" for town in range(40) for village in range(40)]
    for code in codes:
        node.book.note_divisions([code], 0)
        node.holds(feed(DISTRICT, code), 1)
    for number in range(500):
        node.book.note_change(
            Feed(DISTRICT, number.to_bytes(8, "big"), "ordinary", DISTRICT + "*"),
            state(1),
            node.at_ms,
        )
        node.book.note_change(
            Feed(VILLAGE, number.to_bytes(8, "big"), "ordinary", "^"), state(1), node.at_ms
        )
    node.passes(DAY)
    due = node.write()
    beats = [one for one in due if one.use == "beat"]
    receipts = [one for one in due if one.use == "receipt"]
    assert all(encode_body(one.body.model_dump(mode="json")) for one in due)
    assert sum(len(one.body.held) for one in beats) == 500
    assert sum(len(one.body.held) for one in receipts) == 500
    assert beats[0].body.late == tuple(sorted(codes))
    assert len(beats) == 2
    assert node.write() == []


# --- what counts ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("author", "use", "audience", "entry", "why"),
    [
        (VILLAGE, "proof", "^", held(feed(DISTRICT, DISTRICT + "*"), 1), ""),
        (TOWN, "receipt", VILLAGE, held(feed(VILLAGE), 1), ""),
        (TOWN, "beat", TOWN + "*", held(feed(TOWN, TOWN + "*"), 1), ""),
        (TOWN, "receipt", "^", held(feed(VILLAGE), 1), Because.OTHER_AUDIENCE),
        (TOWN, "proof", TOWN + "*", held(feed(VILLAGE), 1), Because.OTHER_AUDIENCE),
        (TOWN, "beat", VILLAGE, held(feed(TOWN, TOWN + "*"), 1), Because.OTHER_AUDIENCE),
        (VILLAGE, "proof", "^", held(feed(OTHER_VILLAGE), 1), Because.NO_HOLDER),
        (VILLAGE, "proof", "^", held(feed(TOWN, OTHER_VILLAGE), 1), Because.NO_FEED),
    ],
)
def test_which_statements_count(
    author: str, use: str, audience: str, entry: Held, why: str
) -> None:
    """To the audience of its use, about feeds that can be and that the stater is entitled to."""
    body = Stated.model_validate({"use": use, "held": (entry,)})
    step = judge(fact("s", author, body, audience=audience, lane="custody"), body)
    assert step.reason == why
    assert step.state == (State.NOT_APPLIED if why else State.APPLIED)


def test_intervals_are_settings() -> None:
    """In a story everything may come each second."""
    node = Node(TOWN, Intervals(1000, 1000, 1000, 1000, 1000))
    node.book.note_divisions([VILLAGE], 0)
    node.holds(feed(TOWN, TOWN + "*"), 1)
    node.write()
    node.passes(1000)
    (beat,) = node.write()
    assert beat.body.late == (VILLAGE,)
