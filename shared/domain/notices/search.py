"""The index of words: which notices a query finds. All that only SQLite understands stands here.

The fold writes ``notice_words`` like any other view table. Triggers keep an FTS5 index beside it,
so whatever empties, rewrites or restores that table takes the index along.
"""

from typing import Any, Final

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    LargeBinary,
    MetaData,
    Table,
    Text,
    column,
    event,
    false,
    insert,
    select,
    table,
)

from shared.domain.notices.words import Query, index_terms
from shared.domain.tables import VIEWS

NOTICE_WORDS: Final = Table(
    "notice_words",
    VIEWS,
    Column("subject", LargeBinary(32), primary_key=True),
    Column("words", Text, nullable=False),
)
"""Terms of title and text of what is not withdrawn."""

FILL_ROWS: Final = 500
"""Notices of an older database that are indexed at a time."""

# Its numbers depend on arrival: so they stand outside of the view tables, and no row shows them.
# An INTEGER PRIMARY KEY, because VACUUM may change a rowid that is not declared.
_NUMBERS: Final = """
CREATE TABLE notice_words_number (id INTEGER PRIMARY KEY, subject BLOB NOT NULL UNIQUE)
"""
# ascii: beyond ASCII each character belongs to its term. unicode61 knows the characters of an old
# Unicode, and would cut a name apart at a rare one. Only what is asked for is kept: no copy of the
# words (content), no lengths for a ranking (columnsize).
_INDEX: Final = """
CREATE VIRTUAL TABLE notice_words_index
  USING fts5(words, content='', columnsize=0, tokenize='ascii')
"""
_TAKE_IN: Final = """
CREATE TRIGGER notice_words_in AFTER INSERT ON notice_words BEGIN
  INSERT INTO notice_words_number (subject) VALUES (new.subject);
  INSERT INTO notice_words_index (rowid, words)
    SELECT id, new.words FROM notice_words_number WHERE subject = new.subject;
END
"""
_TAKE_OUT: Final = """
CREATE TRIGGER notice_words_out AFTER DELETE ON notice_words BEGIN
  INSERT INTO notice_words_index (notice_words_index, rowid, words)
    SELECT 'delete', id, old.words FROM notice_words_number WHERE subject = old.subject;
  DELETE FROM notice_words_number WHERE subject = old.subject;
END
"""

_index = table("notice_words_index", column("rowid"), column("notice_words_index"))
_number = table("notice_words_number", column("id"), column("subject", LargeBinary))
_notice = table("notice", column("subject"), column("title"), column("text"), column("state"))


def words_row(subject: bytes, title: str, text: str) -> dict[str, object]:
    """Return the row of ``notice_words`` of a notice that says this."""
    return {"subject": subject, "words": index_terms(f"{title}\n\n{text}")}


def is_found(subject: ColumnElement[bytes], query: Query) -> ColumnElement[bool]:
    """Return the condition that ``query`` finds the notice ``subject``."""
    if not query.phrases:
        return false()
    numbers = select(_index.c.rowid).where(_index.c.notice_words_index.match(_expression(query)))
    return subject.in_(select(_number.c.subject).where(_number.c.id.in_(numbers)))


def _expression(query: Query) -> str:
    """Return the query in the language of FTS5, where what stands in quotes is no syntax."""
    return " AND ".join(
        f'"{" ".join(one.terms)}"{" *" if one.is_open else ""}' for one in query.phrases
    )


@event.listens_for(VIEWS, "after_create")
def _create_index(
    _views: MetaData, connection: Connection, *, tables: list[Table], **_: Any
) -> None:
    """Create the index, and fill it with what an older database has folded already."""
    if NOTICE_WORDS not in tables:
        return
    for statement in (_NUMBERS, _INDEX, _TAKE_IN, _TAKE_OUT):
        connection.exec_driver_sql(statement)
    query = select(_notice.c.subject, _notice.c.title, _notice.c.text)
    held = connection.execute(query.where(_notice.c.state != "withdrawn"))
    for rows in held.partitions(FILL_ROWS):
        connection.execute(insert(NOTICE_WORDS), [words_row(*row) for row in rows])
