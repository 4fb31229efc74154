"""What a node lacks of its ancestors (protocol 4.8)."""

from shared.domain.custody.kinds import Stated
from shared.domain.custody.lacks import Lack, Lacks, Reason
from shared.log.store import FeedState
from shared.record.feed import Feed
from tests.unit.domain.book import feed, held, state
from tests.unit.domain.facts import DISTRICT, OTHER_VILLAGE, TOWN, VILLAGE

FILINGS = feed(VILLAGE)
NOTICES = feed(DISTRICT, DISTRICT + "*")


def lacks() -> Lacks:
    """Return those of a village with a town and a district above it."""
    return Lacks(VILLAGE, (TOWN, DISTRICT))


def beat(author: str, *heads: tuple[Feed, int], late: tuple[str, ...] = ()) -> tuple[Feed, Stated]:
    """Return a beat and where it stands."""
    entries = tuple(held(*head) for head in heads)
    return feed(author, author + "*", "custody"), Stated(use="beat", held=entries, late=late)


def receipt(author: str, to: str, of: Feed, count: int) -> tuple[Feed, Stated]:
    """Return a receipt and where it stands."""
    return feed(author, to, "custody"), Stated(use="receipt", held=(held(of, count),))


def found(of: Lacks) -> set[tuple[str, Reason, int]]:
    """Return what is lacked, without beats that are still to come."""
    return {(one.ancestor, one.reason, one.progress) for one in of.now()
            if one.reason is not Reason.NO_BEAT}  # fmt: skip


def test_the_next_beat_is_always_lacked() -> None:
    """Each that comes makes another one of it."""
    of = lacks()
    first = Lack(TOWN, Reason.NO_BEAT, "", 0)
    assert of.now() == {first, Lack(DISTRICT, Reason.NO_BEAT, "", 0)}
    of.learn(*beat(TOWN))
    assert first not in of.now()
    assert Lack(TOWN, Reason.NO_BEAT, "", 1) in of.now()


def test_own_records_need_a_receipt_of_each_ancestor() -> None:
    """In its own words and to this node; one for others or of less does not do."""
    of = lacks()
    of.note_change(FILINGS, state(3))
    of.note_change(feed(VILLAGE, "^", "custody"), state(9))
    none = {(TOWN, Reason.NO_RECEIPT, 0), (DISTRICT, Reason.NO_RECEIPT, 0)}
    assert found(of) == none
    of.learn(*receipt(TOWN, OTHER_VILLAGE, FILINGS, 3))
    assert found(of) == none
    of.learn(*receipt(TOWN, VILLAGE, FILINGS, 3))
    of.learn(*receipt(DISTRICT, VILLAGE, FILINGS, 2))
    assert found(of) == {(DISTRICT, Reason.NO_RECEIPT, 2)}
    of.learn(*receipt(DISTRICT, VILLAGE, FILINGS, 3))
    of.learn(*receipt(DISTRICT, VILLAGE, FILINGS, 1))
    assert found(of) == set()


def test_who_is_named_late_is_so_until_a_beat_says_otherwise() -> None:
    """The district's word, not the town's about others."""
    of = lacks()
    of.learn(*beat(DISTRICT, late=(OTHER_VILLAGE,)))
    assert found(of) == set()
    of.learn(*beat(DISTRICT, late=(OTHER_VILLAGE, VILLAGE)))
    of.learn(*beat(TOWN))
    assert found(of) == {(DISTRICT, Reason.LATE, 0)}
    of.learn(*beat(DISTRICT))
    assert found(of) == set()


def test_heads_of_a_beat_are_to_arrive() -> None:
    """Those of who says it; a town that names the district's feeds says nothing."""
    of = lacks()
    of.learn(*beat(TOWN, (NOTICES, 100)))
    assert found(of) == set()
    of.learn(*beat(DISTRICT, (NOTICES, 4)))
    of.note_change(NOTICES, state(1))
    assert found(of) == {(DISTRICT, Reason.NOT_ARRIVED, 1)}
    of.note_change(NOTICES, state(4))
    assert found(of) == set()


def test_a_district_that_lost_records_names_less() -> None:
    """After a restore its last beat counts: what nobody has any more never arrives."""
    of = lacks()
    of.learn(*beat(DISTRICT, (NOTICES, 9)))
    of.note_change(NOTICES, state(4))
    assert found(of) == {(DISTRICT, Reason.NOT_ARRIVED, 4)}
    of.learn(*beat(DISTRICT, (NOTICES, 4)))
    assert found(of) == set()


def test_forked_feeds_are_no_lack() -> None:
    """Their trunk ends before what was stated; more of it never comes."""
    of = lacks()
    of.learn(*beat(DISTRICT, (NOTICES, 4)))
    of.note_change(NOTICES, FeedState(2, b"", stopped=True))
    of.note_change(FILINGS, FeedState(2, b"", stopped=True))
    assert found(of) == set()
