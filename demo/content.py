"""What the demo's people publish, say and answer at the first start; made up for this project."""

import json
from pathlib import Path
from typing import Any, NamedTuple


class Notice(NamedTuple):
    """A notice and what becomes of it.

    Attributes:
        by: ``district``, or the number of a town or village (see ``demo.play``).
        title: Of the notice.
        text: Markdown.
        category: One of the kinds' categories; empty for the default.
        urgent: It goes ahead of everything.
        corrected: Reason of a correction; empty for none.
        withdrawn: Reason of a withdrawal; empty for none.
        days: After how many days it expires; 0 = never.
    """

    by: str
    title: str
    text: str
    category: str = ""
    urgent: bool = False
    corrected: str = ""
    withdrawn: str = ""
    days: int = 0


class Voice(NamedTuple):
    """Something said at a kiosk, and how it went on.

    Attributes:
        kind: ask, suggest, complain or help.
        topic: One of the kinds' topics.
        text: What was said.
        place: Where.
        answer: Of the town; empty while it is open.
        score: Of the rating; empty while there is none.
    """

    kind: str
    topic: str
    text: str
    place: str = ""
    answer: str = ""
    score: str = ""


class Saying(NamedTuple):
    """One thing that may be said again and again.

    Attributes:
        kind: ask, suggest, complain or help.
        topic: One of the kinds' topics.
        text: What is said.
    """

    kind: str
    topic: str
    text: str


class Talk(NamedTuple):
    """What people go on to say and publish while the demo runs.

    Attributes:
        voices: At kiosks.
        notices: Title and text.
        urgent: The same, for everybody at once.
        answers: Of the towns.
    """

    voices: list[Saying]
    notices: list[tuple[str, str]]
    urgent: list[tuple[str, str]]
    answers: list[str]


def read_talk() -> Talk:
    """Return what is said while the demo runs."""
    told = _read()["talk"]
    return Talk(
        [Saying(*one) for one in told["voices"]],
        [(title, text) for title, text in told["notices"]],
        [(title, text) for title, text in told["urgent"]],
        told["answers"],
    )


def read_content() -> tuple[list[Notice], list[Voice]]:
    """Return all that is there from the first start on, in order."""
    told = _read()
    return [Notice(**one) for one in told["notices"]], [Voice(**one) for one in told["voices"]]


def _read() -> dict[str, Any]:
    text = (Path(__file__).parent / "data" / "content.json").read_text("utf-8")
    told: dict[str, Any] = json.loads(text)
    return told
