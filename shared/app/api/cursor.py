"""The place after which a page of a list begins: 39 bytes that only the node reads."""

import base64
from collections.abc import Sequence
from typing import Protocol, TypeVar

TIME_BYTES = 7
"""More than a record can claim (2^53 ms), and less than the database can compare."""


class Placed(Protocol):
    """A row of a list."""

    @property
    def rid(self) -> bytes:
        """Its record's id."""


R = TypeVar("R", bound=Placed)


def read(text: str | None) -> tuple[int, bytes] | None:
    """Return time and rid of the last row of the page before; the model has checked its form."""
    if text is None:
        return None
    raw = base64.urlsafe_b64decode(text)
    return int.from_bytes(raw[:TIME_BYTES], "big"), raw[TIME_BYTES:]


def cut(rows: Sequence[R], limit: int, times: Sequence[int]) -> tuple[Sequence[R], str | None]:
    """Return the rows of a page, and where the next begins if there is one.

    Args:
        rows: One more than the page holds, if there are so many.
        limit: How many the page holds.
        times: By what each is ordered, Unix ms.
    """
    if len(rows) <= limit:
        return rows, None
    at_ms, rid = times[limit - 1], rows[limit - 1].rid
    return rows[:limit], base64.urlsafe_b64encode(at_ms.to_bytes(TIME_BYTES, "big") + rid).decode()
