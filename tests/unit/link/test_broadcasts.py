"""What was said to all: open until the peer reaches it, given up where it does not."""

from shared.link.broadcasts import GAP_SECONDS, PATIENCE_SECONDS, Broadcasts
from shared.link.frames import RID16_BYTES, Entry
from shared.link.holdings import Holdings
from tests.support.records import feed_of, run_of

FEED = feed_of("340602", "ordinary", "340602*")
RUN = run_of(FEED, 6).tail(2)


def entry(count: int) -> Entry:
    """Return what a peer says that holds ``count`` records."""
    return Entry(FEED, count, bytes(RID16_BYTES))


def test_it_is_open_until_the_peer_reaches_the_end() -> None:
    """Progress counts, and keeps it open."""
    said = Broadcasts()
    said.said(RUN, 2, 0.0)
    assert (said.under_way(FEED), said.records) == (6, 4)
    said.heard([entry(4)], PATIENCE_SECONDS - 1)
    said.tick(PATIENCE_SECONDS + 1)
    assert (said.under_way(FEED), said.records) == (6, 2)
    said.heard([entry(6)], PATIENCE_SECONDS + 2)
    assert (said.under_way(FEED), said.records, said.late_at()) == (0, 0, None)


def test_without_progress_it_is_given_up() -> None:
    """The same count again is no progress."""
    said = Broadcasts()
    said.said(RUN, 2, 0.0)
    said.heard([entry(2)], 5.0)
    assert said.late_at() == PATIENCE_SECONDS
    said.tick(PATIENCE_SECONDS)
    assert said.under_way(FEED) == 0


def test_who_lacks_what_stands_before_is_not_waited_for() -> None:
    """It cannot connect there."""
    said = Broadcasts()
    said.said(RUN, 2, 0.0)
    said.heard([entry(1)], 1.0)
    assert said.under_way(FEED) == 0


def test_what_does_not_connect_is_asked_for_now_and_then() -> None:
    """What is reached is answered each time."""
    heard, own = Broadcasts(), Holdings()
    reached = run_of(feed_of("340602", "urgent", "340602*"), 1)
    own[reached.feed] = Entry(reached.feed, 1, bytes(RID16_BYTES))
    own[FEED] = entry(1)
    assert heard.to_answer([RUN, reached], own, 100.0) == {FEED, reached.feed}
    assert heard.to_answer([RUN, reached], own, 100.0 + GAP_SECONDS - 1) == {reached.feed}
    assert heard.to_answer([RUN], own, 100.0 + GAP_SECONDS) == {FEED}
