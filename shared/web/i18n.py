"""Words, numbers and times in the reader's language.

Chinese is the msgid, so a page speaks Chinese without any catalogue; ``locale/en.po`` is read when
a node starts. Nothing is compiled or generated beforehand: what is in the package is what is said.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from gettext import NullTranslations
from importlib.resources import files
from typing import Final

from babel import Locale
from babel.dates import format_skeleton
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal
from babel.support import Translations

from shared.domain.china import in_china

CHINESE: Final = "zh"
ENGLISH: Final = "en"
LANGUAGES: Final = (CHINESE, ENGLISH)

_TAGS: Final = {CHINESE: "zh-CN", ENGLISH: "en"}
_LOCALES: Final = {CHINESE: "zh_Hans_CN", ENGLISH: "en"}
_MINUTE_MS: Final = 60_000
_HOUR_MS: Final = 60 * _MINUTE_MS
_DAY_MS: Final = 24 * _HOUR_MS


def later(msgid: str) -> str:
    """Return ``msgid`` as it is: marks a text in a table, which is translated when it is said."""
    return msgid


@dataclass(frozen=True)
class Words:
    """How a page speaks to one reader.

    Attributes:
        language: One of ``LANGUAGES``.
        translations: From the Chinese msgids to that language.
        locale: For numbers and dates.
    """

    language: str
    translations: NullTranslations
    locale: Locale

    @property
    def tag(self) -> str:
        """The language for ``<html lang>``."""
        return _TAGS[self.language]

    def say(self, msgid: str, **values: object) -> str:
        """Return the text in the reader's language with ``values`` in its places.

        Args:
            msgid: Chinese, with places such as ``{name}``.
            values: Any; what they hold is text, never markup.
        """
        return self.translations.gettext(msgid).format(**values)

    def say_count(self, msgid: str, count: int, **values: object) -> str:
        """Return the text for ``count`` things; its place is ``{count}``."""
        text = self.translations.ngettext(msgid, msgid, count)
        return text.format(count=self.number(count), **values)

    def number(self, value: int) -> str:
        """Return ``value`` with the language's separators."""
        return str(format_decimal(value, locale=self.locale))

    def ago(self, span_ms: int) -> str:
        """Return how long ago something was, in the largest unit that fits.

        A number stands off from the Chinese before it: hence the blank in these msgids.

        Args:
            span_ms: Below a minute, and below zero where a clock was put back, it is just now.
        """
        if span_ms < _MINUTE_MS:
            return self.say("刚刚")
        if span_ms < _HOUR_MS:
            return self.say_count(" {count} 分钟前", span_ms // _MINUTE_MS)
        if span_ms < _DAY_MS:
            return self.say_count(" {count} 小时前", span_ms // _HOUR_MS)
        return self.say_count(" {count} 天前", span_ms // _DAY_MS)

    def span(self, span_ms: int) -> str:
        """Return a length of time, in its largest unit."""
        if span_ms < _MINUTE_MS:
            return self.say("不到 1 分钟")
        if span_ms < _HOUR_MS:
            return self.say_count("{count} 分钟", span_ms // _MINUTE_MS)
        if span_ms < _DAY_MS:
            return self.say_count("{count} 小时", span_ms // _HOUR_MS)
        return self.say_count("{count} 天", span_ms // _DAY_MS)

    def date(self, day: date) -> str:
        """Return a date without its year."""
        return str(format_skeleton("MMMd", day, locale=self.locale))

    def time(self, at_ms: int) -> str:
        """Return the time of day in China."""
        at = in_china(at_ms)
        return self.say("时间不明") if at is None else f"{at.hour}:{at.minute:02}"

    def moment(self, at_ms: int, now_ms: int) -> str:
        """Return a date: with the time of day if it is today, with the year if it is not this one.

        Whoever writes a record claims its time (protocol 1.4): one beyond the calendar is said to
        be unknown, so that it cannot bring a page down.
        """
        at, now = in_china(at_ms), in_china(now_ms)
        if at is None or now is None:
            return self.say("日期不明")
        if at.date() == now.date():
            return self.say("今天 {time}", time=self.time(at_ms))
        return self._day(at, "MMMd" if at.year == now.year else "yMMMd")

    def day(self, at_ms: int) -> str:
        """Return the day in China with its day of the week."""
        at = in_china(at_ms)
        return self.say("日期不明") if at is None else self._day(at, "MMMdEEEE")

    def _day(self, at: datetime, skeleton: str) -> str:
        return str(format_skeleton(skeleton, at, locale=self.locale))


class Catalogue:
    """All languages of the pages, read once."""

    def __init__(self, packages: Sequence[str] = ("shared.web",)) -> None:
        """Read the catalogues of ``packages``; each holds its own texts and no other's."""
        self._words = {
            language: Words(
                language, _translations(language, packages), Locale.parse(_LOCALES[language])
            )
            for language in LANGUAGES
        }

    def words(self, language: str) -> Words:
        """Return the words of ``language``, Chinese if it is not known."""
        return self._words.get(language, self._words[CHINESE])


def _translations(language: str, packages: Sequence[str]) -> NullTranslations:
    found = NullTranslations()
    if language == CHINESE:
        return found
    for package in reversed(packages):
        text = (files(package) / "locale" / f"{language}.po").read_text("utf-8")
        packed = io.BytesIO()
        write_mo(packed, read_po(io.StringIO(text), locale=language))
        packed.seek(0)
        own = Translations(packed)
        own.add_fallback(found)
        found = own
    return found
