"""Who holds a feed, compared with a slow definition on random trees (protocol 3.4, 3.7)."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.record.feed import UPWARD, Feed, check_feed, is_above, is_holder


@dataclass(frozen=True)
class Tree:
    """Divisions that know their parents; codes say nothing here."""

    parents: dict[str, str | None]

    def ancestors(self, node: str) -> list[str]:
        """Return the node's parent, the parent's parent, … up to the root."""
        found = list[str]()
        at = self.parents[node]
        while at is not None:
            found.append(at)
            at = self.parents[at]
        return found

    def below(self, node: str) -> set[str]:
        """Return all nodes that have ``node`` among their ancestors."""
        return {other for other in self.parents if node in self.ancestors(other)}

    def neighbours(self, node: str) -> set[str]:
        """Return the nodes at the other ends of the node's links (protocol 5.1)."""
        parent = self.parents[node]
        children = {other for other, its in self.parents.items() if its == node}
        return children | ({parent} if parent is not None else set())

    def holders(self, feed: Feed) -> set[str]:
        """Return who holds ``feed``, word for word after protocol 3.4."""
        holders = {feed.author, *self.ancestors(feed.author)}
        if feed.audience == UPWARD:
            return holders
        code = feed.audience.removesuffix("*")
        path = {code, *self.ancestors(code)} & self.below(feed.author)
        return holders | path | (self.below(code) if feed.audience.endswith("*") else set())


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    """Draw a tree of up to four tiers; the codes of siblings have the same length."""
    root = draw(st.sampled_from(("34", "340602")))
    parents: dict[str, str | None] = {root: None}
    tier = [root]
    for _ in range(draw(st.integers(0, 3))):
        width = draw(st.integers(1, 3))
        suffixes = st.text("0123456789", min_size=width, max_size=width)
        children = [
            (node + suffix, node)
            for node in tier
            for suffix in draw(st.lists(suffixes, max_size=3, unique=True))
        ]
        parents.update(children)
        tier = [child for child, _ in children]
    return Tree(parents)


@st.composite
def feeds(draw: st.DrawFn) -> tuple[Tree, Feed]:
    """Draw a tree and a feed that one of its nodes may write."""
    tree = draw(trees())
    author = draw(st.sampled_from(sorted(tree.parents)))
    below = sorted(tree.below(author))
    audiences = [UPWARD, author + "*", *below, *(code + "*" for code in below)]
    feed = Feed(author, bytes(8), "ordinary", draw(st.sampled_from(audiences)))
    return tree, check_feed(feed)


@given(feeds())
@settings(deadline=None)
def test_holders_as_defined(drawn: tuple[Tree, Feed]) -> None:
    """Comparing codes gives the same holders as walking through the tree (protocol 3.4)."""
    tree, feed = drawn
    assert {node for node in tree.parents if is_holder(feed, node)} == tree.holders(feed)


@given(feeds())
@settings(deadline=None)
def test_relaying_reaches_exactly_the_holders(drawn: tuple[Tree, Feed]) -> None:
    """Forwarding to each neighbour that is a holder reaches all of them, no other (3.7)."""
    tree, feed = drawn
    reached, waiting = {feed.author}, [feed.author]
    while waiting:
        for node in tree.neighbours(waiting.pop()):
            if is_holder(feed, node) and node not in reached:
                reached.add(node)
                waiting.append(node)
    assert reached == tree.holders(feed)


@given(feeds(), st.data())
@settings(deadline=None)
def test_who_holds_is_told_by_the_tree(drawn: tuple[Tree, Feed], data: st.DataObject) -> None:
    """An ancestor of a holder is one too: nothing skips a tier on its way (3.4, 5.1)."""
    tree, feed = drawn
    node = data.draw(st.sampled_from(sorted(tree.parents)))
    if is_holder(feed, node):
        assert all(is_holder(feed, higher) for higher in tree.ancestors(node))
    assert {other for other in tree.parents if is_above(node, other)} == tree.below(node)
