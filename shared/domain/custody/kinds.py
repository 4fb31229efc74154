"""The kind of custody: "I hold this feed up to here, since then" (protocol 4.7)."""

from typing import Annotated, Final, Literal, NamedTuple

from pydantic import StringConstraints

from shared.domain.fields import Count, Millis
from shared.record.feed import Feed, Level
from shared.trust.authority import RELAYS, Body, Kind, Reach, Row
from shared.trust.kinds import Code, Hex8, Hex32

STATED: Final = "custody.stated.v1"

Use = Literal["proof", "receipt", "beat"]
Lane = Literal["trust", "urgent", "ordinary"]
"""Custody is never itself stated."""

Audience = Annotated[str, StringConstraints(pattern=r"^(\^|[0-9]{2,32}\*?)$")]


class Held(NamedTuple):
    """One feed as its holder states it; an array in the body.

    Attributes:
        author: Of the feed.
        epoch: Of the feed, hex.
        lane: Of the feed.
        audience: Of the feed.
        up_to: Records held, the count; 0 is none.
        rid: Of record ``up_to - 1``, hex; 32 zero bytes for none.
        since_ms: When that one was stored, by the holder's clock.
        absent: How many bodies or pieces are not here.
    """

    author: Code
    epoch: Hex8
    lane: Lane
    audience: Audience
    up_to: Count
    rid: Hex32
    since_ms: Millis
    absent: Count

    @property
    def feed(self) -> Feed:
        """The feed that is spoken of; well formed only after ``check_feed``."""
        return Feed(self.author, bytes.fromhex(self.epoch), self.lane, self.audience)


class Shown(NamedTuple):
    """One notice that stands on a screen for everybody; an array in the body.

    Attributes:
        rid: Of the notice, hex.
        since_ms: When it stood there first, by the holder's clock.
    """

    rid: Hex32
    since_ms: Millis


class Stated(Body):
    """What a node holds.

    Attributes:
        use: Which of the three uses it is.
        held: Feeds, up to where.
        late: In a beat: whose proofs do not cover what was written to it.
        shown: In a proof: what its screens show, each notice once.
    """

    use: Use
    held: tuple[Held, ...] = ()
    late: tuple[Code, ...] = ()
    shown: tuple[Shown, ...] = ()


_CUSTODY = frozenset({"custody"})
_RELAY_REACHES = frozenset({Reach.UPWARD, Reach.DIVISION, Reach.OWN_SUBTREE})

KINDS: Final = (
    Kind(
        STATED,
        "Which feeds a node holds up to where: proof upward, receipt to a descendant, beat.",
        Stated,
        (
            *(Row(level, _RELAY_REACHES, _CUSTODY) for level in RELAYS),
            Row(Level.VILLAGE, frozenset({Reach.UPWARD}), _CUSTODY),
        ),
    ),
)
