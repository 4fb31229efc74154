"""The kinds of cases (protocol 10).

All name the filing in ``refs[0]``. An answer names in ``refs[1:]`` the answers that its author has
seen, a rating the answer that it rates: between feeds only ``refs`` order (protocol 3.5).
"""

from typing import Annotated, Final, Literal

from pydantic import StringConstraints

from shared.domain.fields import By, Reason, ShortLine, SpokenText
from shared.record.feed import Level
from shared.trust.authority import RELAYS, Body, Kind, Reach, Row
from shared.trust.kinds import Hex32

FILED: Final = "feedback.filed.v1"
ANSWERED: Final = "case.answered.v1"
RATED: Final = "rating.given.v1"

ReceiptNumber = Annotated[
    str, StringConstraints(pattern=r"^[0-9]{2}-[0-9]{4,5}(-[0-9]{2})?-[0-9]$")
]
"""Without the label: ``26-0153-6``; see ``receipts.py``."""

Channel = Literal["kiosk", "phone", "web", "visit", "meeting", "monitor", "open311"]
Concern = Literal["ask", "suggest", "complain", "help"]
"""Open kinds. ``accuse`` is none of them: it is sealed or it is not filed (``rules.py``)."""

Topic = Literal["roads", "water", "health", "welfare", "land", "school", "waste", "safety", "other"]
"""What it is about, as the person saw it; the district classifies by its own catalogue."""

Outcome = Literal["settled", "explained", "passed_on", "declined"]
Publish = Literal["full", "summary", "count"]
Score = Literal["satisfied", "fair", "unsatisfied"]


class Filed(Body):
    """What somebody said, numbered before "received" is shown."""

    receipt: ReceiptNumber
    channel: Channel
    kind: Concern
    text: SpokenText
    topic: Topic | None = None
    place: ShortLine | None = None
    about_unit: ShortLine | None = None
    receipt_key: Hex32
    by: By | None = None


class Answered(Body):
    """A reply 答复 to the person, and how much of it the public may read."""

    outcome: Outcome
    text: SpokenText
    publish: Publish
    by: By | None = None


class Rated(Body):
    """What the person thinks of an answer: 满意, 基本满意, 不满意."""

    score: Score
    cause: Reason | None = None


_ORDINARY = frozenset({"ordinary"})
_UPWARD = frozenset({Reach.UPWARD})
_ANYBODY: Final = tuple(Row(level, _UPWARD, _ORDINARY) for level in Level)

KINDS: Final = (
    Kind(FILED, "What somebody said 民情件, with its receipt number.", Filed, _ANYBODY),
    Kind(
        ANSWERED,
        "A reply to a case, to the node that filed it.",
        Answered,
        tuple(Row(level, frozenset({Reach.DIVISION, Reach.UPWARD}), _ORDINARY) for level in RELAYS),
        follows=True,
    ),
    Kind(
        RATED,
        "What the person thinks of an answer, by the filing node.",
        Rated,
        _ANYBODY,
        follows=True,
    ),
)
