"""The words of a text and of a query: what a search compares. Pure.

Chinese sets no blanks between words. So a run of hanzi is kept as its windows of two characters
and, since one character may be asked for, the last one alone; anything else as whole words::

    停水通知：A4纸  →  停水 水通 通知 知 a4 纸
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

QUERY_CHARS_MAX: Final = 100
"""As many characters of a query count."""

QUERY_PARTS_MAX: Final = 8
"""As many parts of a query count."""

_WORD_CHARS_MAX: Final = 64
"""What is longer than any word, such as a key, is cut into pieces: an index has its bounds."""

# 々〆〇, the blocks of unified and of compatibility ideographs, planes 2 and 3 as a whole.
_HAN: Final = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003fffd"
_HANZI: Final = re.compile(f"[{_HAN}]")
_RUN: Final = re.compile(f"[{_HAN}]+|(?:(?![{_HAN}])[^\\W_]){{1,{_WORD_CHARS_MAX}}}")
# A line that was broken, a 通　知 set wide, a **停**水 in bold: people read on, and so do we.
_JOINT: Final = re.compile(f"(?<=[{_HAN}])(?:[*_~`]|[^\\S\n]|\n(?![^\\S\n]*\n))+(?=[{_HAN}])")


@dataclass(frozen=True)
class Phrase:
    """Terms that must follow each other.

    Attributes:
        terms: As ``index_terms`` makes them; one at least.
        is_open: The last one need only be the beginning of a term.
    """

    terms: tuple[str, ...]
    is_open: bool

    def stands_in(self, terms: Sequence[str]) -> bool:
        """Tell whether the terms of a text hold this phrase."""
        *firsts, last = self.terms
        return any(
            (term == last or (self.is_open and term.startswith(last)))
            and list(terms[end - len(firsts) : end]) == firsts
            for end, term in enumerate(terms)
            if end >= len(firsts)
        )


@dataclass(frozen=True)
class Query:
    """What is looked for.

    Attributes:
        asked: What counts of what was typed.
        phrases: All of them must stand in a text; none find nothing.
    """

    asked: str
    phrases: tuple[Phrase, ...]

    def finds(self, terms: Sequence[str]) -> bool:
        """Tell whether a text of these terms is found; each index must say the same."""
        return bool(self.phrases) and all(one.stands_in(terms) for one in self.phrases)


def index_terms(text: str) -> str:
    """Return the terms of ``text`` in their order, with blanks between.

    They consist of letters and digits only. Case and width of letters are evened out (NFKC).
    """
    return " ".join(term for run in _runs(text) for term in _terms(run))


def query_of(text: str) -> Query:
    """Return the query that somebody typed; whatever it is, it is one.

    Blanks separate parts. A part is found where it stands in the text as it is, punctuation and
    blanks aside; its last word may go on in the text, so "sanj" finds Sanji.
    """
    parts = text[:QUERY_CHARS_MAX].split()[:QUERY_PARTS_MAX]
    phrases = (_phrase(list(_runs(part))) for part in parts)
    return Query(" ".join(parts), tuple(one for one in phrases if one.terms))


def _phrase(runs: Sequence[str]) -> Phrase:
    terms = tuple(term for run in runs for term in _terms(run))
    if terms and len(runs[-1]) > 1 and _HANZI.match(runs[-1]):
        # In the text the run may go on; then its last character does not stand alone there.
        return Phrase(terms[:-1], is_open=False)
    return Phrase(terms, is_open=True)


def _runs(text: str) -> Iterator[str]:
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).lower())
    return (found[0] for found in _RUN.finditer(_JOINT.sub("", text)))


def _terms(run: str) -> list[str]:
    if _HANZI.match(run):
        return [run[at : at + 2] for at in range(len(run))]
    return [run]
