"""What happened last, in the order in which it happened; said in each reader's language."""

import itertools
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from shared.web.i18n import Words

EVENTS_MAX: Final = 200

Sign = Literal["done", "wait", "doing", "late"]
"""One of the style sheet's four states."""


@dataclass(frozen=True)
class Event:
    """One thing that happened.

    Attributes:
        number: Counts up.
        at_ms: When.
        sign: How it is marked.
        msgid: What is said, with places.
        values: For the places: texts as they are, numbers in the reader's language.
    """

    number: int
    at_ms: int
    sign: Sign
    msgid: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def said(self, words: Words) -> str:
        """Return it in the reader's language."""
        values = {k: words.number(v) if isinstance(v, int) else v for k, v in self.values.items()}
        return words.say(self.msgid, **values)


class Journal:
    """The last events.

    Attributes:
        now_ms: Tells the time.
    """

    def __init__(self, now_ms: Callable[[], int]) -> None:
        """Start empty."""
        self.now_ms = now_ms
        self._numbers = itertools.count(1)
        self._events: deque[Event] = deque(maxlen=EVENTS_MAX)

    def note(self, sign: Sign, msgid: str, **values: object) -> None:
        """Write down that something happened."""
        self._events.append(Event(next(self._numbers), self.now_ms(), sign, msgid, values))

    def last(self, count: int = EVENTS_MAX) -> list[Event]:
        """Return the newest events, the newest first."""
        return list(itertools.islice(reversed(self._events), count))
