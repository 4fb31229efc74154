"""The kinds of notices (protocol 10).

A correction or withdrawal names the notice in ``refs[0]`` and the last step that its author has
seen in ``refs[1]``: across lanes and epochs only ``refs`` order (protocol 3.5).
"""

from typing import Final, Literal

from shared.domain.fields import By, Markdown, Millis, Reason, Title
from shared.record.feed import Level
from shared.trust.authority import ALL_BELOW, RELAYS, Body, Kind, Reach, Row

PUBLISHED: Final = "notice.published.v1"
CORRECTED: Final = "notice.corrected.v1"
WITHDRAWN: Final = "notice.withdrawn.v1"

Stream = Literal["party", "government", "village"]
Category = Literal[
    "decision",
    "resolution",
    "execution",
    "public_interest",
    "appointment",
    "discipline",
    "finance",
    "village_affairs",
    "urgent",
]


class Content(Body):
    """What a notice says; ``text`` is Markdown and may be empty."""

    stream: Stream
    category: Category
    title: Title
    text: Markdown
    effective_ms: Millis | None = None
    expires_ms: Millis | None = None
    by: By | None = None


class Published(Content):
    """A notice."""


class Corrected(Content):
    """All that the notice says from now on, and why it changed."""

    reason: Reason


class Withdrawn(Body):
    """The end of a notice; its stub and the reason stay."""

    reason: Reason
    by: By | None = None


_LANES = frozenset({"ordinary", "urgent"})
_ROWS: Final = (
    *(Row(level, ALL_BELOW, _LANES) for level in RELAYS),
    Row(Level.VILLAGE, frozenset({Reach.UPWARD}), _LANES),
)

KINDS: Final = (
    Kind(PUBLISHED, "A notice 公开件 to everybody in its audience.", Published, _ROWS),
    Kind(
        CORRECTED,
        "What a notice says from now on, by its author and to its audience.",
        Corrected,
        _ROWS,
        follows=True,
    ),
    Kind(
        WITHDRAWN,
        "A notice is no longer in force; the reason stays.",
        Withdrawn,
        _ROWS,
        follows=True,
    ),
)
