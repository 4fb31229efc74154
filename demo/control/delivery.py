"""Something on its way, whose arrival everywhere is told."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from demo.control.board import Seen


@dataclass(frozen=True, eq=False)
class Delivery:
    """Something on its way whose arrival is told.

    Attributes:
        began_ms: When it was written.
        feed: Author, lane and audience of its feed.
        seq: Its number there, from 0 on.
        wanted: Codes of the nodes that shall hold it.
        arrived: What is said when all hold it, with places for ``seconds`` and ``count``.
        values: For its other places.
    """

    began_ms: int
    feed: tuple[str, str, str]
    seq: int
    wanted: frozenset[str]
    arrived: str
    values: Mapping[str, Any]

    def holders(self, seen: Seen) -> frozenset[str]:
        """Return who of those it goes to holds it."""
        return frozenset(
            code for code in self.wanted if _reached(seen.held.get(code, {}), self.feed) > self.seq
        )


def _reached(held: Mapping[str, int], feed: tuple[str, str, str]) -> int:
    """Return how far a node holds a feed in any epoch of its author."""
    counts = [n for name, n in held.items() if tuple(name.split("/")[i] for i in (0, 2, 3)) == feed]
    return max(counts, default=0)
