"""The root over what is held, whatever changed before."""

from hypothesis import given
from hypothesis import strategies as st

from shared.link.frames import RID16_BYTES, Entry, State, encode_entry, root_of
from shared.link.holdings import Holdings
from shared.record.feed import Feed
from tests.support.records import feed_of

FEEDS = [feed_of("340602"), feed_of("340602", "urgent"), feed_of("340602100")]

entries = st.builds(
    lambda feed, count, state: Entry(feed, count, bytes(RID16_BYTES) if count else b"", state),
    st.sampled_from(FEEDS),
    st.integers(0, 3),
    st.sampled_from(State),
)


def root_by_hand(held: Holdings) -> bytes:
    """Return the root of protocol 5.2, taken anew."""
    counted = [e for e in held.values() if e.count or e.state is State.STOPPED]
    return root_of(encode_entry(e) for e in sorted(counted, key=lambda e: e.feed.key))


@given(st.lists(entries | st.sampled_from(FEEDS)))
def test_the_root_follows_every_change(changes: list[Entry | Feed]) -> None:
    """Also where an entry goes, and where nobody asked between two changes."""
    held = Holdings()
    assert held.root == root_by_hand(held)
    for number, change in enumerate(changes):
        if isinstance(change, Entry):
            held[change.feed] = change
        else:
            held.pop(change, None)
        if number % 2:
            assert held.root == root_by_hand(held)
    assert held.root == root_by_hand(held)


@given(st.lists(entries), entries)
def test_a_side_with_the_same_root_is_another_side(before: list[Entry], later: Entry) -> None:
    """It holds what the root speaks of; what changes there changes nothing here."""
    held = Holdings()
    for entry in before:
        held[entry.feed] = entry
    root, same = held.root, held.covered()
    assert (same.root, same.listed()) == (
        root,
        [e for e in held.listed() if e.count or e.state is State.STOPPED],
    )
    same[later.feed] = later
    assert held.root == root
    assert same.root == root_by_hand(same)
