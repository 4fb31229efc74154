"""What a page says of an error that came from below, where only commands' words are known."""

from typing import Final

from shared.errors import (
    InvalidError,
    NotFoundError,
    RefusedError,
    SanjiError,
    StorageError,
    UnavailableError,
)
from shared.web.i18n import ENGLISH, Words, later

_FULL_STOP: Final = "。"
"""What pages say themselves ends with it, in whatever class it is raised; commands never do."""

_KINDS: Final[tuple[tuple[type[SanjiError], str], ...]] = (
    (StorageError, later("磁盘写不进，这次什么也没存。请告诉村里或镇里的工作人员。")),
    (InvalidError, later("写的内容有一处不合规定。")),
    (RefusedError, later("这件事在这里不能办。")),
    (NotFoundError, later("要找的不在这台机器上。")),
    (UnavailableError, later("现在办不了，过一会儿再试。")),
)


def why(error: SanjiError, words: Words) -> str:
    """Return ``error`` in the reader's language; details only where they are in that language."""
    text = str(error)
    if _FULL_STOP in text:
        return text
    said = next((words.say(known) for kind, known in _KINDS if isinstance(error, kind)), "")
    return f"{said} {text}".strip() if words.language == ENGLISH else said
