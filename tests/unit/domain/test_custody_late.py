"""Who is late (protocol 4.7)."""

from shared.domain.custody.kinds import Stated
from shared.record.feed import Feed
from tests.unit.domain.book import DAY, HOUR, NOW, Node, feed, held
from tests.unit.domain.facts import DISTRICT, OTHER_VILLAGE, TOWN, VILLAGE


def late(node: Node) -> tuple[str, ...]:
    """Return whom a beat would name now, without writing it."""
    due = node.book.due(NOW + node.at_ms + DAY, node.at_ms)
    return next(one for one in due if one.use == "beat").body.late


def proves(node: Node, code: str, of: Feed, count: int) -> None:
    """Let ``node`` learn that division ``code`` holds ``of`` up to ``count``."""
    body = Stated(use="proof", held=(held(of, count),))
    node.book.learn(feed(code, "^", "custody"), NOW, body)


def test_who_has_not_proven_for_a_day_is_late() -> None:
    """Counted from when it was written; a proof that covers it ends it."""
    node = Node(DISTRICT)
    node.book.note_divisions([DISTRICT, TOWN, VILLAGE, OTHER_VILLAGE], 0)
    notices = feed(DISTRICT, DISTRICT + "*")
    node.passes(HOUR)
    node.holds(notices, 1)
    node.passes(DAY - 1)
    assert late(node) == ()
    node.passes(1)
    proves(node, TOWN, notices, 1)
    assert late(node) == (VILLAGE, OTHER_VILLAGE)
    proves(node, VILLAGE, notices, 1)
    proves(node, OTHER_VILLAGE, notices, 1)
    assert late(node) == ()


def test_who_follows_with_delay_is_not_late() -> None:
    """Each hour a notice, each proof one behind: what is unproven is never a day old."""
    node = Node(DISTRICT)
    node.book.note_divisions([VILLAGE], 0)
    notices = feed(DISTRICT, DISTRICT + "*")
    for count in range(1, 100):
        node.holds(notices, count)
        proves(node, VILLAGE, notices, count - 1)
        assert late(node) == ()
        node.passes(HOUR)
    for _ in range(22):
        node.passes(HOUR)
        assert late(node) == ()
    node.passes(HOUR)
    assert late(node) == (VILLAGE,)


def test_partial_proof_is_late_for_what_remains() -> None:
    """The oldest record that is not covered counts."""
    node = Node(DISTRICT)
    node.book.note_divisions([VILLAGE], 0)
    notices = feed(DISTRICT, DISTRICT + "*")
    node.holds(notices, 1)
    node.passes(20 * HOUR)
    node.holds(notices, 2)
    node.passes(20 * HOUR)
    assert late(node) == (VILLAGE,)
    proves(node, VILLAGE, notices, 1)
    assert late(node) == ()
    node.passes(4 * HOUR)
    assert late(node) == (VILLAGE,)


def test_only_those_to_whom_it_was_written_are_late() -> None:
    """An answer to one village concerns it and the town on its way; what goes up, nobody below."""
    node = Node(DISTRICT)
    node.book.note_divisions([TOWN, VILLAGE, OTHER_VILLAGE], 0)
    node.holds(feed(DISTRICT, VILLAGE), 1)
    node.holds(feed(DISTRICT, "^"), 1)
    node.passes(DAY)
    assert late(node) == (TOWN, VILLAGE)


def test_a_new_division_has_its_day() -> None:
    """What was written long before it was certified is not held against it."""
    node = Node(DISTRICT)
    node.holds(feed(DISTRICT, DISTRICT + "*"), 5)
    node.passes(10 * DAY)
    node.book.note_divisions([VILLAGE], node.at_ms)
    assert late(node) == ()
    node.passes(DAY)
    assert late(node) == (VILLAGE,)


def test_a_restart_begins_anew() -> None:
    """Running time stood still while the relay was off."""
    node = Node(DISTRICT)
    node.book.note_divisions([VILLAGE], 0)
    node.holds(feed(DISTRICT, DISTRICT + "*"), 5)
    node.passes(2 * DAY)
    assert late(node) == (VILLAGE,)
    again = node.restarted()
    again.book.note_divisions([VILLAGE], 0)
    again.holds(feed(DISTRICT, DISTRICT + "*"), 5)
    assert late(again) == ()


def test_a_later_and_smaller_proof_takes_nothing_back() -> None:
    """Proofs of two epochs come in any order."""
    node = Node(DISTRICT)
    node.book.note_divisions([VILLAGE], 0)
    notices = feed(DISTRICT, DISTRICT + "*")
    node.holds(notices, 3)
    proves(node, VILLAGE, notices, 3)
    proves(node, VILLAGE, notices, 1)
    node.passes(DAY)
    assert late(node) == ()


def test_others_words_prove_nothing() -> None:
    """A receipt is no proof, and what is held of others' feeds is not what I wrote."""
    node = Node(DISTRICT)
    node.book.note_divisions([VILLAGE], 0)
    notices = feed(DISTRICT, DISTRICT + "*")
    node.holds(notices, 1)
    body = Stated(use="receipt", held=(held(notices, 1),))
    node.book.learn(feed(TOWN, VILLAGE, "custody"), NOW, body)
    proves(node, VILLAGE, feed(TOWN, TOWN + "*"), 1)
    node.passes(DAY)
    assert late(node) == (VILLAGE,)


def test_a_feed_that_a_fork_has_cut_owes_only_what_is_left() -> None:
    """Records that stand aside are not waited for."""
    node = Node(DISTRICT)
    node.book.note_divisions([VILLAGE], 0)
    notices = feed(DISTRICT, DISTRICT + "*")
    node.holds(notices, 5)
    node.holds(notices, 2)
    proves(node, VILLAGE, notices, 2)
    node.passes(DAY)
    assert late(node) == ()
    node.holds(notices, 0)
    assert late(node) == ()
