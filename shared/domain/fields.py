"""Fields that the bodies of several subjects share.

Control characters are refused, because a screen, a printer or PostgreSQL would stumble over them,
and whoever signs a text should see all of it.
"""

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field, StringConstraints

from shared.record.limits import INTEGER_MAX
from shared.trust.authority import Body

CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Control characters other than tab and newline."""

TITLE_CHARS_MAX: Final = 120
TEXT_CHARS_MAX: Final = 20_000


def _clean(text: str) -> str:
    if CONTROL.search(text):
        raise ValueError("holds a control character")
    return text


def _one_line(text: str) -> str:
    if "\n" in text or "\t" in text:
        raise ValueError("is one line")
    return _said(text)


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("says nothing")
    return _clean(text)


Title = Annotated[
    str, StringConstraints(min_length=1, max_length=TITLE_CHARS_MAX), AfterValidator(_one_line)
]
ShortLine = Annotated[
    str, StringConstraints(min_length=1, max_length=120), AfterValidator(_one_line)
]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=500), AfterValidator(_said)]
SpokenText = Annotated[
    str, StringConstraints(min_length=1, max_length=TEXT_CHARS_MAX), AfterValidator(_said)
]
Markdown = Annotated[str, AfterValidator(_clean)]
"""May be empty, where the title says it all; the limit is the body's."""

Millis = Annotated[int, Field(ge=0, le=INTEGER_MAX)]
"""Unix ms UTC."""

Count = Annotated[int, Field(ge=0, le=INTEGER_MAX)]


class By(Body):
    """The person who acted: the account at the author's node and the role it acted in."""

    account: ShortLine
    role: ShortLine


def account_and_role(by: By | None) -> dict[str, str | None]:
    """Return the columns ``by_account`` and ``by_role`` of a view's row."""
    return {"by_account": by.account if by else None, "by_role": by.role if by else None}
