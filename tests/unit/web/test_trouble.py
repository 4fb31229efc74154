"""Errors from below, in the words of pages."""

import pytest

from shared.errors import InvalidError, NotFoundError, SanjiError, StorageError
from shared.web.i18n import Catalogue
from shared.web.trouble import why

CATALOGUE = Catalogue()


@pytest.mark.parametrize(
    ("error", "chinese", "english"),
    [
        (StorageError("database or disk is full."), "磁盘写不进", "database or disk is full"),
        (InvalidError("title: 201 characters"), "不合规定", "breaks a rule. title: 201"),
        (NotFoundError("there is no case 沈集 26-0001-5."), "不在这台机器上", "no case 沈集"),
        (NotFoundError("这件不在这台机器上。"), "这件不在这台机器上。", "这件不在这台机器上。"),
    ],
)
def test_readers_hear_in_their_language(error: SanjiError, chinese: str, english: str) -> None:
    """The kind of trouble in both; details where they can be read; what a page said stays."""
    said = why(error, CATALOGUE.words("zh"))
    assert chinese in said
    assert not any(letter.isascii() and letter.isalpha() for letter in said)
    assert english in why(error, CATALOGUE.words("en"))
