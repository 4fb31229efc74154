"""The life of a notice, and how a file becomes one. Pure.

::

    published ──corrected──▶ corrected ─┐ (again)
        │                        │ ◀────┘
        └───────withdrawn────────┴──▶ withdrawn     expired: computed when asked, never stored
"""

import json
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from shared.domain.fields import CONTROL, TITLE_CHARS_MAX
from shared.domain.notices.kinds import PUBLISHED, Content, Corrected, Withdrawn
from shared.domain.projection import (
    Fact,
    Step,
    applied,
    first_and_rest,
    not_applied,
    without_first,
)
from shared.errors import InvalidError
from shared.record.limits import BODY_BYTES_MAX

# Stream, category, times, the person and, in a correction, a reason of 500 characters.
_OTHER_FIELDS_BYTES: Final = 4 * 1024
_UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
_BREAK: Final = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_HEADING: Final = re.compile(r" {0,3}#{1,6}[ \t]+(?P<title>.*?)(?:[ \t]+#+)?[ \t]*")
_UNDERLINE: Final = re.compile(r" {0,3}(?:=+|-+)[ \t]*")
_BLANK_START: Final = re.compile(r"\A(?:[ \t]*\n)+")
_HANZI: Final = re.compile("[\u4e00-\u9fff]")
_FIRST_LEAD: Final = 0xC0
_ALPHABETS: Final = 3  # one alphabet needs no more than two lead bytes
_SAVE: Final = "Save it as plain UTF-8 text and try again."
_GOOD_ENDS: Final = "。！？；，、.!?;, "
_SHORTEST_CUT: Final = 60


class NoticeState(StrEnum):
    """Where a notice stands; ``expired`` only by ``state_at``."""

    PUBLISHED = "published"
    CORRECTED = "corrected"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


class Because(StrEnum):
    """Why a step on a notice is not applied."""

    OTHER_AUTHOR = "other_author"  # only the author corrects or withdraws
    OTHER_AUDIENCE = "other_audience"  # whoever has seen the notice must see what became of it
    AFTER_WITHDRAWAL = "after_withdrawal"


@dataclass
class Notice:
    """A notice as its facts tell it.

    Attributes:
        first: The publication.
        versions: The facts whose content was in force, in order; the last one is current.
        withdrawal: The fact that ended it.
    """

    first: Fact
    versions: list[tuple[Fact, Content]] = field(default_factory=list)
    withdrawal: tuple[Fact, Withdrawn] | None = None

    @property
    def state(self) -> NoticeState:
        """Where it stands, whatever the time."""
        if self.withdrawal:
            return NoticeState.WITHDRAWN
        return NoticeState.CORRECTED if len(self.versions) > 1 else NoticeState.PUBLISHED

    @property
    def last(self) -> Fact:
        """The last fact that was applied."""
        return self.withdrawal[0] if self.withdrawal else self.versions[-1][0]


def replay(subject: bytes, facts: Iterable[Fact]) -> tuple[Notice | None, list[Fact], list[Step]]:
    """Return the notice, its facts in order, and what became of each.

    The notice is None while its publication is not here.
    """
    first, rest = first_and_rest(subject, facts, PUBLISHED)
    if first is None or not isinstance(first.body, Content):
        return None, rest, without_first(subject, rest)
    notice = Notice(first, [(first, first.body)])
    steps = [applied(first), *(_take(notice, fact) for fact in rest)]
    return notice, [first, *rest], steps


def _take(notice: Notice, fact: Fact) -> Step:
    if fact.feed.author != notice.first.feed.author:
        return not_applied(fact, Because.OTHER_AUTHOR)
    if fact.feed.audience != notice.first.feed.audience:
        return not_applied(fact, Because.OTHER_AUDIENCE)
    if notice.withdrawal:
        return not_applied(fact, Because.AFTER_WITHDRAWAL)
    if isinstance(fact.body, Withdrawn):
        notice.withdrawal = (fact, fact.body)
    elif isinstance(fact.body, Corrected):
        notice.versions.append((fact, fact.body))
    return applied(fact)


def state_at(state: str, expires_ms: int | None, now_ms: int) -> NoticeState:
    """Return where a notice stands at ``now_ms``: what is in force can have expired."""
    stored = NoticeState(state)
    over = expires_ms is not None and now_ms >= expires_ms
    return NoticeState.EXPIRED if over and stored != NoticeState.WITHDRAWN else stored


def read_notice(data: bytes, name: str) -> tuple[str, str]:
    """Return title and text of the notice that a file holds.

    The title is the heading or plain line that comes first. It leaves the text, unless it is
    longer than a title can be: then the title is cut and the text keeps the whole line.

    What is taken is signed for good, so a doubtful file is refused with one line that says what
    to do. Cleaned, because nobody can see it: the byte order mark, line ends of any system (form
    feed, vertical tab and the Unicode separators too), blank lines at both ends, a DOS mark of
    the end. Every other control character is refused.

    Args:
        data: The file.
        name: What to call it in an error.

    Raises:
        InvalidError: empty, too large, not UTF-8, binary, or without a word.
    """
    name = " ".join(CONTROL.sub("", name).split()) or "the file"
    lines = _clean(_decode(data, name), name).split("\n")
    at = next((i for i, line in enumerate(lines) if any(map(str.isalnum, line))), None)
    if at is None:
        raise InvalidError(f"{name} holds no words.", advice="Write a title and a text.")
    heading = _HEADING.fullmatch(lines[at])
    line = " ".join((heading["title"] if heading else lines[at]).split())
    title = _cut(line)
    if title == line:
        underlined = not heading and at + 1 < len(lines) and _UNDERLINE.fullmatch(lines[at + 1])
        del lines[at : at + (2 if underlined else 1)]
    text = _BLANK_START.sub("", "\n".join(lines)).rstrip()
    _check_size(title, text, name)
    return title, text


def _decode(data: bytes, name: str) -> str:
    """Return the text of a file as its bytes say it."""
    if len(data) > BODY_BYTES_MAX:
        raise InvalidError(
            f"{name} has {len(data):,} bytes, a notice at most {BODY_BYTES_MAX:,}.",
            advice="Shorten it or publish it in parts.",
        )
    if data.startswith(_UTF16_MARKS):
        raise InvalidError(f"{name} is UTF-16.", advice=_SAVE)
    if b"\0" in data:
        raise InvalidError(f"{name} is not a text file.", advice=_SAVE)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        kind = "GBK" if _has_hanzi(data, "gb18030") else "not UTF-8"
        raise InvalidError(f"{name} is {kind}.", advice=_SAVE) from None
    if _is_misread(data, text):
        raise InvalidError(f"{name} is GBK.", advice=_SAVE)
    return text


def _has_hanzi(data: bytes, encoding: str) -> bool:
    try:
        return _HANZI.search(data.decode(encoding)) is not None
    except UnicodeDecodeError:
        return False


def _is_misread(data: bytes, text: str) -> bool:
    """Tell whether a short GBK file only looks like UTF-8, as 停水通知 does.

    Then it reads as letters of several alphabets without any hanzi, as no text in a language
    does, and it is hanzi in GB 2312.
    """
    leads = {byte for byte in data if byte >= _FIRST_LEAD}
    return len(leads) >= _ALPHABETS and not _HANZI.search(text) and _has_hanzi(data, "gb2312")


def _clean(text: str, name: str) -> str:
    """Return ``text`` with one kind of line end and nothing that cannot be seen."""
    text = _BREAK.sub("\n", text).removesuffix("\x1a").replace("\ufeff", "")
    text = unicodedata.normalize("NFC", text)
    found = CONTROL.search(text)
    if found:
        line = text.count("\n", 0, found.start()) + 1
        raise InvalidError(
            f"{name} holds the control character U+{ord(found[0]):04X} in line {line}.",
            advice="Remove it and try again.",
        )
    if not text.strip():
        raise InvalidError(f"{name} is empty.", advice="Write a title and a text.")
    return text


def _cut(line: str) -> str:
    """Return at most 120 characters of ``line``; a cut ends in an ellipsis."""
    if len(line) <= TITLE_CHARS_MAX:
        return line
    end = TITLE_CHARS_MAX - 1
    clause = max((line.rfind(char, 0, end) for char in _GOOD_ENDS), default=-1)
    if clause >= _SHORTEST_CUT:
        end = clause
    while end > 1 and unicodedata.combining(line[end]):
        end -= 1  # an accent stays with its letter
    return line[:end].rstrip() + "…"


def _check_size(title: str, text: str, name: str) -> None:
    """Refuse what the record's body, JSON with the other fields, could not hold."""
    size = len(json.dumps([title, text], ensure_ascii=False).encode())
    if size > BODY_BYTES_MAX - _OTHER_FIELDS_BYTES:
        raise InvalidError(
            f"{name} takes {size:,} bytes in a record, "
            f"a notice at most {BODY_BYTES_MAX - _OTHER_FIELDS_BYTES:,}.",
            advice="Shorten it or publish it in parts.",
        )
