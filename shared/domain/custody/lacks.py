"""What a node lacks of its ancestors, as far as their statements tell (protocol 4.8). Pure.

The statements are the ancestors' own signed words: a parent that withholds cannot forge them, and
that they do not come is what is seen.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from shared.domain.custody.kinds import Stated
from shared.log.store import FeedState
from shared.record.feed import Feed


class Reason(StrEnum):
    """What an ancestor does not say, or says and should not."""

    NO_BEAT = "no_beat"
    LATE = "late"  # its last beat names this node
    NO_RECEIPT = "no_receipt"  # for an own record
    NOT_ARRIVED = "not_arrived"  # what its beat names is not here


class Lack(NamedTuple):
    """One thing that is lacked. Whatever makes it less makes it another one.

    Attributes:
        ancestor: Whose word is lacked.
        reason: Which.
        what: The feed it is about, in hex of its key; empty if it is about none.
        progress: How far it is: beats heard, records with a receipt, records that arrived.
    """

    ancestor: str
    reason: Reason
    what: str
    progress: int


class Lacks:
    """What one node lacks. Feed it like a ``Book``, with heads and with statements.

    Attributes:
        is_complete: All that the log held at start was fed; until then ``now`` tells nothing.
    """

    def __init__(self, me: str, ancestors: Sequence[str]) -> None:
        """Begin with an empty log.

        Args:
            me: Code of this node.
            ancestors: Codes of all above it.
        """
        self.is_complete = False
        self._me = me
        self._held: dict[Feed, FeedState] = {}
        self._beats = dict.fromkeys(ancestors, 0)
        self._late = dict.fromkeys(ancestors, False)
        self._receipts: dict[str, dict[Feed, int]] = {one: {} for one in ancestors}
        self._named: dict[str, dict[Feed, int]] = {one: {} for one in ancestors}

    def note_change(self, feed: Feed, state: FeedState) -> None:
        """Note the head of a feed, at start and whenever it moved."""
        if feed.lane != "custody" and (feed.author == self._me or feed.author in self._beats):
            self._held[feed] = state

    def learn(self, feed: Feed, body: Stated) -> None:
        """Take in a custody record of any author; what is no word of an ancestor to us is nothing.

        Of beats the one learned last says who is late and up to where its feeds go: a restored
        ancestor may have less. After a restart that may be one of an earlier epoch, until the next
        beat comes. Receipts take nothing back (see ``Lateness.proved``).
        """
        author = feed.author
        if author not in self._beats:
            return
        if body.use == "beat" and feed.audience == author + "*":
            self._beats[author] += 1
            self._late[author] = self._me in body.late
            for held in body.held:
                if held.author == author:
                    self._named[author][held.feed] = held.up_to
        elif body.use == "receipt" and feed.audience == self._me:
            for held in body.held:
                if held.author == self._me:
                    covered = self._receipts[author]
                    covered[held.feed] = max(held.up_to, covered.get(held.feed, 0))

    def now(self) -> frozenset[Lack]:
        """Return what is lacked; that the next beat has not come yet is always among it."""
        found = {Lack(one, Reason.NO_BEAT, "", count) for one, count in self._beats.items()}
        found |= {Lack(one, Reason.LATE, "", 0) for one, late in self._late.items() if late}
        for feed, state in self._held.items():
            if feed.author == self._me and not state.stopped:
                found |= self._without_receipt(feed, state.count)
        for ancestor, named in self._named.items():
            for feed, count in named.items():
                held = self._held.get(feed)
                here = held.count if held else 0
                # A forked feed ends here earlier than its author may say: that is no lack.
                if here < count and not (held and held.stopped):
                    found.add(Lack(ancestor, Reason.NOT_ARRIVED, feed.key.hex(), here))
        return frozenset(found)

    def _without_receipt(self, feed: Feed, count: int) -> set[Lack]:
        covered = {one: receipts.get(feed, 0) for one, receipts in self._receipts.items()}
        return {
            Lack(ancestor, Reason.NO_RECEIPT, feed.key.hex(), upto)
            for ancestor, upto in covered.items()
            if upto < count
        }
