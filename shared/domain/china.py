"""China's civil time: one for the whole country, without summer time since 1992."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Final

CHINA: Final = timezone(timedelta(hours=8))


def in_china(at_ms: int) -> datetime | None:
    """Return a moment (Unix ms) in China; None beyond the calendar.

    Whoever writes a record claims its time (protocol 1.4), and any integer can be claimed.
    """
    try:
        return datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(CHINA)
    except (OverflowError, ValueError, OSError):
        return None
