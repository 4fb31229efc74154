"""Which feeds are said to all below: those of which every division below is a holder."""

from hypothesis import given
from hypothesis import strategies as st

from shared.record.feed import Feed, is_for_all_below, is_holder

DIVISIONS = ("340602", "340602100", "340602101", "340602100201", "340602100202", "340602101201")
AUDIENCES = ("^", *DIVISIONS, *(code + "*" for code in DIVISIONS))


@given(st.sampled_from(DIVISIONS), st.sampled_from(AUDIENCES), st.sampled_from(DIVISIONS))
def test_what_is_said_to_all_is_for_each_of_them(author: str, audience: str, relay: str) -> None:
    """No division below a relay ever hears on its stream what it is no holder of."""
    feed = Feed(author, bytes(8), "ordinary", audience)
    if not audience.startswith(author):
        return  # no such feed: an audience is upward, or at or below the author
    if is_for_all_below(feed, relay):
        below = [code for code in DIVISIONS if code.startswith(relay)]
        assert all(is_holder(feed, code) for code in below)


def test_what_is_for_one_goes_over_its_link() -> None:
    """And so does what is for one town, at the district."""
    town = Feed("340602", bytes(8), "ordinary", "340602100*")
    assert is_for_all_below(town, "340602100")
    assert not is_for_all_below(town, "340602")
    assert not is_for_all_below(Feed("340602", bytes(8), "ordinary", "340602100201"), "340602100")
