"""What the demo's people publish, say and answer at the first start; made up for this project."""

import json
from pathlib import Path
from typing import NamedTuple


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
    """

    by: str
    title: str
    text: str
    category: str = ""
    urgent: bool = False
    corrected: str = ""
    withdrawn: str = ""


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


def read_content() -> tuple[list[Notice], list[Voice]]:
    """Return all of it, in order."""
    text = (Path(__file__).parent / "data" / "content.json").read_text("utf-8")
    told = json.loads(text)
    return [Notice(**one) for one in told["notices"]], [Voice(**one) for one in told["voices"]]
