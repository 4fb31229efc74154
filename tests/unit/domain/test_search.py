"""The words of notices, and what their index keeps."""

import time

import pytest
from sqlalchemy import select

from shared.domain.notices import view
from shared.domain.notices.kinds import Withdrawn
from shared.domain.notices.search import NOTICE_WORDS
from shared.domain.notices.words import Phrase, index_terms, query_of
from tests.contracts.test_search import SqlSearch
from tests.unit.domain.facts import TOWN, corrected, fact, published, rid


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("停水通知", "停水 水通 通知 知"),
        ("停", "停"),
        ("停水，通知", "停水 水 通知 知"),
        ("2026年停水", "2026 年停 停水 水"),
        ("A4纸 Wi-Fi snake_case", "a4 纸 wi fi snake case"),
        ("ＡＢＣ１２㎡ ①", "abc12m2 1"),
        ("ＥＶＡ ﬁn STRASSE É e\u0301", "eva fin strasse é é"),
        ("𠀀𠮷家", "𠀀𠮷 𠮷家 家"),
        ("停\n水 通 \n 知", "停水 水通 通知 知"),
        ("停\n\n水", "停 水"),
        ("**停**水 `通`_知_", "停水 水通 通知 知"),
        ("- 停水\n- 停电\n", "停水 水 停电 电"),
        ("a\n停", "a 停"),
        ("x" * 130, " ".join(["x" * 64, "x" * 64, "xx"])),
        ("，。！\n", ""),
        ("", ""),
    ],
)
def test_terms_of_a_text(text: str, terms: str) -> None:
    """Windows of two hanzi and the last one alone; other words whole."""
    assert index_terms(text) == terms


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("停水", [Phrase(("停水",), is_open=False)]),
        ("停水通", [Phrase(("停水", "水通"), is_open=False)]),
        ("水", [Phrase(("水",), is_open=True)]),
        ("San", [Phrase(("san",), is_open=True)]),
        ("2026年停水", [Phrase(("2026", "年停", "停水"), is_open=False)]),
        ("停水2026", [Phrase(("停水", "水", "2026"), is_open=True)]),
        ("A4纸", [Phrase(("a4", "纸"), is_open=True)]),
        (" 停水\u3000a4 ", [Phrase(("停水",), is_open=False), Phrase(("a4",), is_open=True)]),
        ("，。 ！", []),
        ("", []),
    ],
)
def test_phrases_of_a_query(text: str, phrases: list[Phrase]) -> None:
    """A part is a phrase; a word or a single character at its end may go on."""
    assert list(query_of(text).phrases) == phrases


def test_hostile_texts_take_no_longer_than_others() -> None:
    """No expression goes back and forth: 60 KB of what might join nothing are a matter of ms."""
    for text in ("停" + " " * 60_000, "停\n" * 30_000, "停*" * 30_000, "停" + "\n *" * 20_000,
                 "停" + "\n" * 60_000, "x" * 60_000, "停" * 60_000):  # fmt: skip
        began = time.process_time()
        index_terms(text)
        assert time.process_time() - began < 1


def test_the_fold_writes_words_of_what_is_in_force() -> None:
    """Title and text of the current version, and nothing of what is withdrawn."""
    audience = TOWN + "*"
    first = fact("n", TOWN, published("停水", text="周一"), audience=audience, seq=1)
    then = fact("c", TOWN, corrected("停电"), "n", audience=audience, seq=2)
    over = fact("w", TOWN, Withdrawn(reason="废"), "n", "c", audience=audience, seq=3)
    words = [
        [row["words"] for row in view.fold(rid("n"), facts).get(NOTICE_WORDS.name, [])]
        for facts in ([first], [first, then], [first, then, over], [then])
    ]
    assert words == [["停水 水 周一 一"], ["停电 电 后天 天停 停水 水"], [], []]


def test_numbers_of_the_index_survive_a_vacuum() -> None:
    """A backup that makes the file smaller does not lead the words to other notices."""
    search = SqlSearch()
    for number in range(9):
        search.put(f"n{number}", number, f"第{number}号")
    for number in range(0, 9, 2):
        search.withdraw(f"n{number}")
    search.conn.commit()
    search.conn.exec_driver_sql("VACUUM")
    assert search.find("第7号") == [(7000, rid("n7"))]
    assert search.find("第8号") == []
    assert len(search.conn.execute(select(NOTICE_WORDS)).all()) == 4
