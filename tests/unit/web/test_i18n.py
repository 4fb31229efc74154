"""Words: complete in both languages, and right in number and date."""

import ast
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from jinja2.ext import babel_extract

from shared.web import i18n
from shared.web.i18n import Catalogue

ROOT = Path(i18n.__file__).parents[2]
PACKAGES = [part for part in ("shared/web", "shared/app/desk", "shared/app/api", "village")
            if (ROOT / part / "locale").exists()]  # fmt: skip
each = pytest.mark.parametrize("package", PACKAGES)
CALLS = {"say", "say_count", "later"}
PLACES = re.compile(r"\{\w*\}")
HANZI = re.compile("[\u4e00-\u9fff]")
NOON = 1_764_043_200_000  # 2025-11-25 12:00 in China


def used(package: str) -> set[str]:
    """Return the msgids of the templates and the modules of a package."""
    place = ROOT / package
    found = {text for path in place.glob("*.py") for text in in_module(path.read_text("utf-8"))}
    for path in (place / "templates").glob("*.html"):
        options = {"trim_blocks": "true", "lstrip_blocks": "true", "silent": "false"}
        for _, _, text, _ in babel_extract(io.BytesIO(path.read_bytes()), list(CALLS), [], options):
            found.update(
                (text,) if isinstance(text, str) else tuple(filter(None, (text or ())[:1]))
            )
    return found


def in_module(source: str) -> Iterator[str]:
    """Yield the texts that a module says."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in CALLS:
                yield str(node.args[0].value)


def english(package: str) -> Catalog:
    """Return the catalogue as it stands in the package."""
    text = (ROOT / package / "locale" / "en.po").read_text("utf-8")
    return read_po(io.StringIO(text), locale="en")


def known(package: str) -> set[str]:
    """Return the msgids that a package translates."""
    return {m.id if isinstance(m.id, str) else m.id[0] for m in english(package) if m.id}


@each
def test_everything_that_is_said_is_translated_and_nothing_else(package: str) -> None:
    """Both ways, so that no catalogue lacks or hoards."""
    assert used(package) - known(package) - known("shared/web") == set()
    assert known(package) - used(package) == set()


@each
def test_every_translation_is_there_and_has_the_same_places(package: str) -> None:
    """A place that is lost would lose what it stands for; only a singular may drop its count."""
    for message in english(package):
        if not message.id:
            continue
        assert not message.fuzzy
        msgid = message.id if isinstance(message.id, str) else message.id[0]
        said = message.string or ""
        *singular, last = [said] if isinstance(said, str) else said
        assert last, msgid
        assert sorted(PLACES.findall(last)) == sorted(PLACES.findall(msgid))
        for text in singular:
            assert text, msgid
            assert {*PLACES.findall(msgid)} - {*PLACES.findall(text)} <= {"{count}"}


@each
def test_every_text_in_chinese_is_said(package: str) -> None:
    """Outside of what is translated, a template holds no words but the name in the seal."""
    for path in (ROOT / package / "templates").glob("*.html"):
        text = re.sub(r"\{\{.*?\}\}|\{%.*?%\}", "", path.read_text("utf-8"))
        assert set(HANZI.findall(text)) <= set("三级互动"), path


def test_an_unknown_language_is_chinese() -> None:
    """Nobody meets an error for a mistyped address."""
    assert Catalogue().words("xx").say("看通知") == "看通知"
    assert Catalogue().words("en").say("看通知") == "Notices"


@pytest.mark.parametrize(
    ("at_ms", "chinese", "english"),
    [
        (NOON, "今天 12:00", "today 12:00"),
        (NOON - 5 * 86_400_000, "11月20日", "Nov 20"),
        (NOON - 365 * 86_400_000, "2024年11月25日", "Nov 25, 2024"),
        (2**53 - 1, "日期不明", "date unknown"),
    ],
)
def test_moments_are_said_in_chinese_time(at_ms: int, chinese: str, english: str) -> None:
    """Today with the time, this year without the year."""
    assert Catalogue().words("zh").moment(at_ms, NOON) == chinese
    assert Catalogue().words("en").moment(at_ms, NOON) == english


def test_values_are_text() -> None:
    """What stands in a place is not looked at again."""
    words = Catalogue().words("zh")
    assert words.say("，内容截至{age}", age="{age.__class__}") == "，内容截至{age.__class__}"
    assert words.say_count(" {count} 天前", 12_345) == " 12,345 天前"
