"""Divisions, audiences, lanes and feeds: where a record stands and who holds it (protocol 3)."""

import re
from enum import IntEnum
from functools import lru_cache
from typing import Final, NamedTuple

from shared.errors import FaultError
from shared.record import cbor
from shared.record.limits import CODE_DIGITS_MAX

LANES: Final = ("trust", "urgent", "ordinary", "custody")
"""In the order in which they travel (protocol 3.5)."""

UPWARD: Final = "^"
"""The audience of what goes only to the author's ancestors."""

ROOT_EPOCH: Final = bytes(8)
"""The district's root feed stands in this epoch (protocol 4.1)."""

EPOCH_BYTES: Final = 8

_CODE = re.compile(rf"[0-9]{{2,{CODE_DIGITS_MAX}}}")


class Level(IntEnum):
    """The tiers, from the top. Values are sorted: a smaller one stands higher."""

    DISTRICT = 0
    TOWN = 1
    VILLAGE = 2

    @property
    def word(self) -> str:
        """The level's name as it stands in certificates and settings."""
        return self.name.lower()

    @classmethod
    def of(cls, word: str) -> "Level":
        """Return the level that ``word`` names.

        Raises:
            FaultError: there is no such level.
        """
        try:
            return cls[word.upper()]
        except KeyError:
            raise FaultError(f"there is no level {word!r}") from None


class Feed(NamedTuple):
    """A gap-free sequence of records; whoever is entitled to it holds all of it (protocol 3.2).

    Attributes:
        author: Division code of the node that writes it.
        epoch: The incarnation of that node, 8 bytes.
        lane: One of ``LANES``.
        audience: ``^``, ``CODE`` or ``CODE*``.
    """

    author: str
    epoch: bytes
    lane: str
    audience: str

    @property
    def key(self) -> bytes:
        """The deterministic CBOR of the feed: its sort key and its name in the store."""
        return _feed_key(self)

    def __str__(self) -> str:
        """Render for people and logs: ``340602/3f2a…/ordinary/340602*``."""
        return f"{self.author}/{self.epoch.hex()[:8]}/{self.lane}/{self.audience}"


@lru_cache(maxsize=65536)
def _feed_key(feed: Feed) -> bytes:
    return cbor.encode(list(feed))


def feed_from(value: object) -> Feed:
    """Return the feed that a decoded CBOR array names.

    Raises:
        FaultError: not four fields, or a field breaks protocol 3.
    """
    match value:
        case [str(author), bytes(epoch), str(lane), str(audience)]:
            return check_feed(Feed(author, epoch, lane, audience))
        case _:
            raise FaultError("a feed is [author, epoch, lane, audience]")


@lru_cache(maxsize=65536)
def check_feed(feed: Feed) -> Feed:
    """Return ``feed`` if its fields are well formed (protocol 3.1, 3.3, 3.5).

    Raises:
        FaultError: saying which field is wrong.
    """
    check_code(feed.author)
    if len(feed.epoch) != EPOCH_BYTES:
        raise FaultError("an epoch has 8 bytes")
    if feed.lane not in LANES:
        raise FaultError(f"there is no lane {feed.lane[:20]!r}")
    if feed.audience == UPWARD:
        return feed
    code = check_code(feed.audience.removesuffix("*"))
    subtree = feed.audience.endswith("*")
    if not code.startswith(feed.author) or (code == feed.author and not subtree):
        raise FaultError("an audience is ^, a division below the author, or CODE*")
    return feed


def check_code(code: str) -> str:
    """Return ``code`` if it can be a division's code.

    Raises:
        FaultError: it is not 2 to 32 ASCII digits.
    """
    if not _CODE.fullmatch(code):
        raise FaultError(f"{code[:40]!r} is not a division code of 2 to {CODE_DIGITS_MAX} digits")
    return code


def is_above(higher: str, lower: str) -> bool:
    """Tell whether division ``higher`` is a proper ancestor of ``lower`` (protocol 3.1)."""
    return higher != lower and lower.startswith(higher)


def is_holder(feed: Feed, node: str) -> bool:
    """Tell whether ``node`` is entitled to ``feed`` and so holds all of it (protocol 3.4).

    The author and all its ancestors are; for ``CODE`` and ``CODE*`` also the path down to CODE,
    and for ``CODE*`` everything below it.
    """
    if feed.author.startswith(node):
        return True
    if feed.audience == UPWARD or not node.startswith(feed.author):
        return False
    code = feed.audience.removesuffix("*")
    return code.startswith(node) or (feed.audience.endswith("*") and node.startswith(code))


def is_for_all_below(feed: Feed, node: str) -> bool:
    """Tell whether every division below ``node`` is a holder of ``feed``, whichever there are."""
    return feed.audience.endswith("*") and node.startswith(feed.audience.removesuffix("*"))


def travel_order(feed: Feed) -> tuple[int, int, bytes]:
    """Sort key of sending: lanes in order, authors from the top down (protocol 5.3)."""
    return LANES.index(feed.lane), len(feed.author), feed.key
