"""What every search of notices promises: in SQLite, in PostgreSQL, and its twin in plain memory."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, Protocol

import pytest
from sqlalchemy import Connection, insert

from shared.domain.notices import view
from shared.domain.notices.kinds import Withdrawn
from shared.domain.notices.words import index_terms, query_of
from tests.support.postgresql import Transact
from tests.unit.domain.facts import TOWN, fact, published, rid, stored

Place = tuple[int, bytes]


class Search(Protocol):
    """Notices by name, and which of them a query finds."""

    def put(self, name: str, seq: int, title: str, text: str = "") -> None:
        """Let the notice say this; it was published ``seq`` seconds after the beginning."""

    def withdraw(self, name: str) -> None:
        """End it."""

    def find(self, text: str, limit: int = 99, before: Place | None = None) -> list[Place]:
        """Return when they were published and their rids, the newest first."""


class SqlSearch:
    """The view in a database, written as the folder of views does: delete, then insert."""

    def __init__(self, run: Transact | None = None) -> None:
        """Begin with nothing, in the database that ``run`` works in, or in SQLite in memory."""
        self._run = run or self._in_memory
        self._said: dict[str, tuple[int, str, str]] = {}

    def put(self, name: str, seq: int, title: str, text: str = "") -> None:
        """Fold the publication alone."""
        self._said[name] = (seq, title, text)
        self._fold(name)

    def withdraw(self, name: str) -> None:
        """Fold it with its withdrawal."""
        self._fold(name, is_over=True)

    def find(self, text: str, limit: int = 99, before: Place | None = None) -> list[Place]:
        """Ask the view."""
        query = query_of(text)
        rows = self._run(lambda conn: view.page(conn, limit, before, words=query))
        return [(row.published_ms, row.rid) for row in rows]

    def _fold(self, name: str, *, is_over: bool = False) -> None:
        seq, title, text = self._said[name]
        audience = TOWN + "*"
        facts = [fact(name, TOWN, published(title, text=text), audience=audience, seq=seq)]
        if is_over:
            facts.append(fact("end", TOWN, Withdrawn(reason="废"), name, audience=audience))
        rows = view.fold(rid(name), facts)

        def write(conn: Connection) -> None:
            for one in view.PROJECTION.tables:
                conn.execute(view.PROJECTION.clear(one, [rid(name)]))
                if rows.get(one.name):
                    conn.execute(insert(one), rows[one.name])

        self._run(write)

    @cached_property
    def conn(self) -> Connection:
        """The connection to the database in memory."""
        return stored()

    def _in_memory(self, work: Callable[[Connection], Any]) -> Any:
        return work(self.conn)


class MemorySearch:
    """The twin: goes through all terms of all notices."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._terms: dict[str, tuple[Place, list[str]]] = {}

    def put(self, name: str, seq: int, title: str, text: str = "") -> None:
        """Keep the terms."""
        terms = index_terms(title).split() + index_terms(text).split()
        self._terms[name] = ((1000 * seq, rid(name)), terms)

    def withdraw(self, name: str) -> None:
        """Forget the terms."""
        self._terms.pop(name)

    def find(self, text: str, limit: int = 99, before: Place | None = None) -> list[Place]:
        """Ask the query."""
        query = query_of(text)
        found = [place for place, terms in self._terms.values() if query.finds(terms)]
        older = (place for place in found if before is None or place < before)
        return sorted(older, reverse=True)[:limit]


Make = Callable[[], Search]


@pytest.fixture(params=["sqlite", "memory", "postgresql"])
def make(request: pytest.FixtureRequest) -> Make:
    """Each implementation."""
    if request.param == "postgresql":
        run = request.getfixturevalue("postgresql_views")
        return lambda: SqlSearch(run)
    return SqlSearch if request.param == "sqlite" else MemorySearch


def is_found(search: Search, name: str, text: str) -> bool:
    """Tell whether the query finds that notice."""
    return rid(name) in [found for _, found in search.find(text)]


@pytest.mark.parametrize(
    "text",
    [
        "停水", "水", "二水厂", "关于2026年停水的通知", "2026年停水", "年停水", "2026", "202", "26",
        "A4纸", "a4", "Ａ４纸", "纸三张", "停水  检修", "检修\u3000停水", "检修，请各家", "储水",
        "wi-fi", "WiFi", "wi fi", "sanji", "SAN", "100.5元", "𠮷", "朔里𠮷", "通知", "已到",
        "各家储水", "水。", "《停水》", "Ⅲ级", "iii", "①", "1", "二〇二六", "〇",
    ],
)  # fmt: skip
def test_what_stands_in_a_text_is_found(make: Make, text: str) -> None:
    """Words of two characters and of one, years, paper sizes, rare names, any width and case."""
    search = make()
    search.put(
        "n", 1, "关于 2026 年停水的通　知",
        "第二水厂**检**修，请各\n家储水。A4纸三张，Wi-Fi、WiFi 与 Sanji 已到，共100.5元。\n\n"
        "朔里𠮷家；Ⅲ级 26号 ①，二〇二六年",
    )  # fmt: skip
    assert is_found(search, "n", text)


@pytest.mark.parametrize(
    "text",
    [
        "水停", "停电", "知明", "停水 停电", "停水的知", "026年", "4纸", "anji", "sanjii", "天停电",
        "", " ", "。", '"', "\u3000", "纸A4", "\ud800", "停\ud800电", "*", "停水的通知书",
    ],
)  # fmt: skip
def test_what_does_not_stand_there_is_not(make: Make, text: str) -> None:
    """Not in this order, not over the end of a sentence, not within a Latin word; nothing."""
    search = make()
    search.put("n", 1, "2026年停水的通知", "明天停水，电话照旧。A4纸，Sanji")
    assert search.find(text) == []


def test_corrections_and_withdrawals_count(make: Make) -> None:
    """Only what the notice says now is found, and nothing of a withdrawn one."""
    search = make()
    search.put("n", 1, "停水", "周一")
    search.put("n", 1, "停电", "周二")
    assert [is_found(search, "n", text) for text in ("停水", "周一", "停电", "周二")] == [
        False, False, True, True,
    ]  # fmt: skip
    search.withdraw("n")
    assert search.find("停电") == []
    search.put("n", 1, "停电", "周三")
    assert is_found(search, "n", "周三")


def test_pages_go_on_where_the_last_ended(make: Make) -> None:
    """The newest first, none twice, none left out, also where times are equal."""
    search = make()
    for number in range(9):
        search.put(f"n{number}", number // 2, f"第{number}号停水通知" if number != 4 else "停电")
    seen: list[Place] = []
    while found := search.find("停水", 3, seen[-1] if seen else None):
        assert len(found) <= 3
        seen += found
    wanted = [(1000 * (number // 2), rid(f"n{number}")) for number in range(9) if number != 4]
    assert seen == sorted(wanted, reverse=True)


@pytest.mark.parametrize(
    "text",
    [
        '停水" OR "停电', "停水 OR 停电", "NOT 停电", "words:停水", "停水*", "-停水", "^停水",
        "(停水", "NEAR(停水 停电)", "'; DROP TABLE notice; --", '""', "停水\0停电", "{words}",
        "停+水", "%_?",
    ],
)  # fmt: skip
def test_no_sign_means_anything(make: Make, text: str) -> None:
    """A query is words, never a language: it gives no error, and finds what its words find."""
    search = make()
    search.put("n", 1, "停电")
    assert search.find(text) == []


def test_what_is_too_long_is_cut(make: Make) -> None:
    """A hundred characters count, and eight parts."""
    search = make()
    search.put("n", 1, "通知", "水" * 200)
    assert is_found(search, "n", "水" * 100 + "电")
    assert not is_found(search, "n", "水" * 99 + "电")
    assert is_found(search, "n", "通知 " * 8 + "停电")
    assert not is_found(search, "n", "通知 " * 7 + "停电")
    key = "0123456789abcdef" * 10
    search.put("k", 2, "公钥", f"x {key} y")
    for length in (1, 63, 64, 65, 99):
        assert is_found(search, "k", key[:length])
    assert not is_found(search, "k", key[:70] + "x")


def test_however_long_a_text_is(make: Make) -> None:
    """A term that stands there a thousand times, and what stands behind twenty thousand terms."""
    search = make()
    search.put("n", 1, "题", "水" * 1000 + "，" + " ".join(f"z{number}" for number in range(9000)))
    search.put("m", 2, "题", "水" * 20_000 + "检修管道")
    assert is_found(search, "n", "z8998 z8999")
    assert is_found(search, "n", "水" * 99)
    assert is_found(search, "m", "水检修管道")
    assert not is_found(search, "m", "检修水")


@pytest.mark.parametrize(
    "word", ["1e5", "0x1f", "a1b2", "12ab", "2026a", "1a", "é1", "ß", "ⅷ", "𠮷野家", "かな", "한글"]
)
def test_a_word_is_a_word_in_every_index(make: Make, word: str) -> None:
    """What an index might read as a number, or cut at a rare character, is found whole."""
    search = make()
    search.put("n", 1, f"甲 {word} 乙", f"丙{word}丁")
    assert is_found(search, "n", word)
    assert not is_found(search, "n", word + "x")
