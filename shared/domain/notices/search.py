"""The index of words: which notices a query finds. All that only one database understands is here.

The fold writes ``notice_words`` like any other view table. In SQLite triggers keep an FTS5 index
beside it, so whatever empties, rewrites or restores that table takes the index along.

In PostgreSQL an index over an expression does the same. It knows which terms a notice holds; that
they follow each other is then looked up in the words. The tsvector is made of our terms as they
are and holds no positions: ``to_tsvector`` would cut them by rules of its own (1e5 is a number),
and positions end at 16,383, and after 256 of a term.
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
    and_,
    column,
    event,
    false,
    func,
    literal,
    literal_column,
    select,
    table,
)

from shared.domain.notices.words import Phrase, Query, index_terms
from shared.domain.tables import VIEWS

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

_INDEX_TERMS: Final = """
CREATE INDEX notice_words_terms
  ON notice_words USING gin (array_to_tsvector(string_to_array(words, ' ')))
"""

NOTICE_WORDS: Final = Table(
    "notice_words",
    VIEWS,
    Column("subject", LargeBinary(32), primary_key=True),
    Column("words", Text, nullable=False),
    info={"sqlite": (_NUMBERS, _INDEX, _TAKE_IN, _TAKE_OUT), "postgresql": (_INDEX_TERMS,)},
)
"""Terms of title and text of what is not withdrawn; its ``info`` is the SQL of the index."""

_index = table("notice_words_index", column("rowid"), column("notice_words_index"))
_TERMS: Final[ColumnElement[str]] = literal_column(
    "array_to_tsvector(string_to_array(notice_words.words, ' '))"
)
_number = table("notice_words_number", column("id"), column("subject", LargeBinary))


def words_row(subject: bytes, title: str, text: str) -> dict[str, object]:
    """Return the row of ``notice_words`` of a notice that says this."""
    return {"subject": subject, "words": index_terms(f"{title}\n\n{text}")}


def is_found(conn: Connection, subject: ColumnElement[bytes], query: Query) -> ColumnElement[bool]:
    """Return the condition that ``query`` finds the notice ``subject``, for ``conn``."""
    if not query.phrases:
        return false()
    if conn.dialect.name == "postgresql":
        # Here, because only who uses it shall load the dialect: a village has little memory.
        from sqlalchemy.dialects.postgresql import TSQUERY  # noqa: PLC0415

        holds_terms = _TERMS.op("@@")(literal(_tsquery(query)).cast(TSQUERY))
        words = literal(" ") + NOTICE_WORDS.c.words + " "
        follow = (func.strpos(words, _written(one)) > 0 for one in query.phrases)
        return subject.in_(select(NOTICE_WORDS.c.subject).where(and_(holds_terms, *follow)))
    numbers = select(_index.c.rowid).where(_index.c.notice_words_index.match(_expression(query)))
    return subject.in_(select(_number.c.subject).where(_number.c.id.in_(numbers)))


def _expression(query: Query) -> str:
    """Return the query in the language of FTS5, where what stands in quotes is no syntax."""
    return " AND ".join(
        f'"{" ".join(one.terms)}"{" *" if one.is_open else ""}' for one in query.phrases
    )


def _tsquery(query: Query) -> str:
    """Return which terms there must be, as PostgreSQL reads it; terms hold no quotes."""
    return " & ".join(
        f"'{term}'{':*' if one.is_open and at == len(one.terms) else ''}"
        for one in query.phrases
        for at, term in enumerate(one.terms, 1)
    )


def _written(phrase: Phrase) -> str:
    """Return how the phrase stands in the words of a notice, with a blank before and after."""
    return f" {' '.join(phrase.terms)}{'' if phrase.is_open else ' '}"


@event.listens_for(VIEWS, "after_create")
def _create_index(
    _views: MetaData, connection: Connection, *, tables: list[Table], **_: Any
) -> None:
    if NOTICE_WORDS in tables:
        for statement in NOTICE_WORDS.info[connection.dialect.name]:
            connection.exec_driver_sql(statement)


@event.listens_for(VIEWS, "after_drop")
def _drop_index(_views: MetaData, connection: Connection, *, tables: list[Table], **_: Any) -> None:
    """Drop what does not go with the table: triggers and a GIN index do."""
    if NOTICE_WORDS in tables and connection.dialect.name == "sqlite":
        for name in ("notice_words_index", "notice_words_number"):
            connection.exec_driver_sql(f"DROP TABLE {name}")
