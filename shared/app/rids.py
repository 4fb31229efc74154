"""Record ids as people type them: hex, whole or its first 8 digits or more."""

import re
from typing import Final

from shared.errors import InvalidError, NotFoundError
from shared.log.log import Log

_WHOLE: Final = re.compile(r"[0-9a-f]{64}")
_HEX: Final = re.compile(r"[0-9a-f]{8,64}")


def is_whole(text: str) -> bool:
    """Tell whether ``text`` is a whole record id."""
    return _WHOLE.fullmatch(text) is not None


async def find_rid(log: Log, text: str) -> bytes:
    """Return the one record id that begins with ``text``.

    Raises:
        InvalidError: not 8 to 64 hex digits, or it fits several records.
        NotFoundError: no record begins so.
    """
    plain = "".join(text.split()).lower()
    if not _HEX.fullmatch(plain) or len(plain) % 2:
        raise InvalidError(f"{text[:70]!r} is not a record id: 8 to 64 hex digits, an even number.")
    found = await log.store.find_prefix(bytes.fromhex(plain))
    if not found:
        raise NotFoundError(f"there is no record {plain} here.")
    if len(found) > 1:
        raise InvalidError(f"several records begin with {plain}.", advice="Give more digits.")
    return found[0]
