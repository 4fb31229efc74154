"""How a file becomes a notice."""

import pytest

from shared.domain.notices.rules import read_notice
from shared.errors import InvalidError
from shared.record.limits import BODY_BYTES_MAX
from tests.unit.domain.facts import published


@pytest.mark.parametrize(
    ("data", "title", "text"),
    [
        ("# 停水通知\n\n明天停水。\n", "停水通知", "明天停水。"),
        ("停水通知\n明天停水。", "停水通知", "明天停水。"),
        ("\ufeff# 停水通知\r\n\r\n明天\r停水。\r\n", "停水通知", "明天\n停水。"),
        ("\n \n\n## 停水通知 ##\n正文", "停水通知", "正文"),
        ("停水通知\n====\n正文", "停水通知", "正文"),
        ("停水通知\n---\n正文", "停水通知", "正文"),
        ("# 停水通知\n---\n正文", "停水通知", "---\n正文"),
        ("---\n停水通知\n正文", "停水通知", "---\n正文"),
        ("#没有空格\n正文", "#没有空格", "正文"),
        ("今晚停水", "今晚停水", ""),
        ("  停水\t通知  \n    代码\n", "停水 通知", "    代码"),
        ("一\x0c二\x0b三\u2028四\x85五\x1a", "一", "二\n三\n四\n五"),
        ("cafe\u0301\ntext", "caf\u00e9", "text"),
        ("停\ufeff水\n正文", "停水", "正文"),
        ("Öffnungszeiten über Ostern: façade", "Öffnungszeiten über Ostern: façade", ""),
        ("Объявление\nЗавтра нет воды", "Объявление", "Завтра нет воды"),
        ("Ανακοίνωση", "Ανακοίνωση", ""),
    ],
)
def test_title_and_text(data: str, title: str, text: str) -> None:
    """The first heading or line is the title, the rest the text, clean at its ends."""
    assert read_notice(data.encode(), "notice.md") == (title, text)


def test_a_long_first_line_is_cut_at_a_clause_and_kept_in_the_text() -> None:
    """The title ends behind a clause with an ellipsis; nothing is lost."""
    line = "关于" + "某" * 70 + "，" + "以及" * 40
    title, text = read_notice(f"# {line}\n正文".encode(), "x")
    assert title == "关于" + "某" * 70 + "…"
    assert text == f"# {line}\n正文"
    assert published(title=title).title == title


def test_a_long_line_without_a_clause_is_cut_at_the_limit() -> None:
    """120 characters with the ellipsis; 120 without one are not cut."""
    assert read_notice(("字" * 121).encode(), "x")[0] == "字" * 119 + "…"
    assert read_notice(("字" * 120).encode(), "x") == ("字" * 120, "")


def test_a_cut_leaves_an_accent_with_its_letter() -> None:
    """Characters that stand on another are not torn off."""
    title = read_notice(("字" * 118 + "x\u0331" + "字" * 9).encode(), "x")[0]
    assert title == "字" * 118 + "…"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty. Write"),
        (b" \n\t\r\n\xef\xbb\xbf", "is empty. Write"),
        (b"---\n***\n", "holds no words. Write"),
        ("停水通知".encode("gbk"), "is GBK. Save"),
        ("停水通知".encode("utf-16"), "is UTF-16. Save"),
        ("停水通知".encode("utf-16-be"), "is not UTF-8. Save"),
        ("water".encode("utf-16-le"), "is not a text file. Save"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "is not a text file. Save"),
        ("标题\n正\x1b[0m文".encode(), "control character U+001B in line 2. Remove"),
        (b"x" * (BODY_BYTES_MAX + 1), "has 65,537 bytes, a notice at most 65,536. Shorten"),
        (b"x\n" + b'"' * 40_000, "bytes in a record, a notice at most 61,440. Shorten"),
    ],
)
def test_what_is_refused_says_what_to_do_in_one_line(data: bytes, says: str) -> None:
    """The error names the file, the fault and the way out."""
    with pytest.raises(InvalidError) as caught:
        read_notice(data, "公告.txt")
    message = str(caught.value)
    assert message.startswith("公告.txt ")
    assert says in message
    assert "\n" not in message


def test_a_file_name_cannot_break_the_line() -> None:
    """Names come from outside too."""
    with pytest.raises(InvalidError) as caught:
        read_notice(b"", "a\nb\x1b[31m")
    assert str(caught.value).startswith("a b[31m is empty")
    assert "\x1b" not in str(caught.value)
    assert "\n" not in str(caught.value)
