"""Search: the index says what its twin says, and what the eye sees, in any history."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, select, text

from shared.domain.notices import view
from shared.domain.notices.kinds import PUBLISHED
from shared.domain.notices.search import NOTICE_WORDS
from shared.domain.notices.words import QUERY_CHARS_MAX, query_of
from shared.domain.tables import VIEWS
from shared.record.feed import Feed
from shared.record.record import Record
from shared.record.run import Run
from tests.contracts.test_search import MemorySearch, SqlSearch
from tests.property.test_views_sql import NOTICE, Box, world
from tests.support.postgresql import Transact
from tests.support.records import key_of
from tests.support.trust import DISTRICT, EPOCH, signed, small_district

HAN = "停水电通知年〇𠮷"
texts = st.text(HAN + "aB42é ，。\n\u3000*_-Ａ①ﬁİ") | st.text(
    st.characters(exclude_categories=["Cc", "Cs"]), max_size=30
)
titles = texts.map(lambda one: "题" + one.replace("\n", "")[:100])
queries = (
    st.text(HAN + "aB42é ，*Ａ①ﬁİ", max_size=6)
    | st.text('停水a4 "*:^(){}+-\0', max_size=20)
    | st.text(max_size=2 * QUERY_CHARS_MAX)
)


@dataclass(frozen=True)
class Move:
    """What happens to one of three notices."""

    name: str
    seq: int
    title: str
    text: str
    is_over: bool


moves = st.builds(Move, st.sampled_from("abc"), st.integers(0, 2), titles, texts, st.booleans())


@given(st.lists(moves, min_size=1, max_size=6), st.lists(queries, min_size=1, max_size=6))
def test_twins_find_the_same(history: list[Move], asked: list[str]) -> None:
    """Whatever was said, corrected and withdrawn, whatever is asked, whole and in pages."""
    sql = SqlSearch()
    agree(sql, history, asked)
    sql.conn.close()


def agree(sql: SqlSearch, history: list[Move], asked: list[str]) -> None:
    """Let it and its twin live through ``history``, and compare what they find."""
    memory = MemorySearch()
    for move in history:
        for search in (sql, memory):
            search.put(move.name, move.seq, move.title, move.text)
            if move.is_over:
                search.withdraw(move.name)
    said = [part for move in history for part in (move.title, move.text[3:9], move.text[:2])]
    for one in [*asked, *said]:
        found = sql.find(one)
        assert found == memory.find(one)
        if found:
            assert sql.find(one, 1, found[0]) == memory.find(one, 1, found[0]) == found[1:2]


def test_twins_find_the_same_in_postgresql(postgresql_views: Transact) -> None:
    """The same there, in one database that is emptied between."""

    def empty(conn: Connection) -> None:
        for table in VIEWS.sorted_tables:
            conn.execute(delete(table))

    @settings(max_examples=60)
    @given(st.lists(moves, min_size=1, max_size=6), st.lists(queries, min_size=1, max_size=6))
    def check(history: list[Move], asked: list[str]) -> None:
        postgresql_views(empty)
        agree(SqlSearch(postgresql_views), history, asked)

    check()


@given(
    st.text(HAN + "a4，。", max_size=40),
    st.text(HAN, min_size=2, max_size=4),
    st.integers(0, 40),
    st.integers(2, 5),
)
def test_hanzi_are_found_where_the_eye_finds_them(
    said: str, other: str, start: int, length: int
) -> None:
    """Two hanzi and more, anything and what stands in the text: as a search in plain text."""
    search = SqlSearch()
    search.put("n", 1, "题", said)
    for asked in (other, said[start : start + length]):
        if len(asked) > 1 and set(asked) <= set(HAN):
            assert bool(search.find(asked)) == (asked in said)
    search.conn.close()


@given(st.text(max_size=300))
def test_any_text_is_a_query(typed: str) -> None:
    """It has its bounds, and what counts of it asks the same again."""
    query = query_of(typed)
    assert len(query.asked) <= QUERY_CHARS_MAX
    assert query_of(query.asked) == query
    assert all(one.terms and all(one.terms) for one in query.phrases)


def indexed(conn: Connection) -> dict[bytes, list[str]]:
    """Return what the index itself holds: by notice, its terms in their order."""
    conn.execute(
        text("INSERT INTO notice_words_index(notice_words_index) VALUES('integrity-check')")
    )
    conn.execute(
        text(
            "CREATE VIRTUAL TABLE IF NOT EXISTS temp.seen "
            "USING fts5vocab(main, notice_words_index, instance)"
        )
    )
    query = (
        "SELECT subject, term FROM temp.seen LEFT JOIN notice_words_number ON id = doc "
        "ORDER BY doc, offset"
    )
    found: dict[bytes, list[str]] = {}
    for subject, term in conn.execute(text(query)):
        found.setdefault(subject, []).append(term)
    return found


def written(conn: Connection) -> dict[bytes, list[str]]:
    """Return what the view table says that the index holds."""
    return {row.subject: row.words.split() for row in conn.execute(select(NOTICE_WORDS))}


async def found_after(records: Sequence[Record], todo: list[str]) -> dict[str, list[bytes]]:
    """Return what is found after ``records`` came in this order; index and table agree."""

    def work(conn: Connection) -> dict[str, list[bytes]]:
        assert indexed(conn) == written(conn)
        asked = ("题", "二", "文", "假")
        return {one: [row.rid for row in view.page(conn, 9, words=query_of(one))] for one in asked}

    with TemporaryDirectory() as folder:
        box = Box(Path(folder) / "log.db")
        await box.log.open()
        await box.deliver(tuple(records), todo)
        found = await box.views.query(work)
        await box.database.close()
    return found


@cache
def expected() -> dict[str, list[bytes]]:
    """Return what is found when all came in the order of writing."""
    return asyncio.run(found_after(world(), ["-"]))


@settings(max_examples=10, deadline=None)
@example(list(world()), ["fold", "rebuild", "restart"])
@given(
    st.permutations(world()),
    st.lists(st.sampled_from(["-", "-", "fold", "restart", "rebuild"]), min_size=1, max_size=7),
)
def test_any_arrival_finds_the_same(order: list[Record], todo: list[str]) -> None:
    """Folds, restarts and rebuilds leave the index as the view table says."""
    assert asyncio.run(found_after(order, todo)) == expected()
    assert [len(found) for found in expected().values()] == [2, 1, 3, 0]


def notice(seq: int, prev: bytes, title: str) -> Record:
    """Return a notice of the district."""
    feed = Feed(DISTRICT, EPOCH, "ordinary", DISTRICT + "*")
    return signed(feed, seq, prev, PUBLISHED, NOTICE | {"title": title}, key_of())


async def test_what_a_fork_cuts_is_found_no_longer(tmp_path: Path) -> None:
    """Neither branch, and the index holds no word of them."""
    small = small_district()
    first = notice(0, small.district_opened.rid, "停水")
    branch, twin = notice(1, first.rid, "停电"), notice(1, first.rid, "停气")
    box = Box(tmp_path / "log.db")
    await box.log.open()

    def work(conn: Connection) -> list[str]:
        assert indexed(conn) == written(conn)
        asked = ("停水", "停电", "停气")
        return [one for one in asked if view.page(conn, 9, words=query_of(one))]

    async def found_with(*records: Record) -> list[str]:
        for one in records:
            await box.log.accept([Run(one.header.feed, one.header.seq, (one,))], 7)
        await box.views.catch_up()
        return await box.views.query(work)

    assert await found_with(*small.records, first, branch) == ["停水", "停电"]
    assert await found_with(twin) == ["停水"]
    await box.database.close()
