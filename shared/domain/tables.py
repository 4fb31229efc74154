"""What the views of all subjects have in common: metadata, the table of steps, a projection.

Queries take a synchronous ``Connection``; an asynchronous caller hands them to ``run_sync``.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Delete,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    delete,
    literal,
    select,
    tuple_,
)

from shared.domain.projection import Fact, Step
from shared.record.feed import Level

VIEWS: Final = MetaData()
"""The view tables of all subjects. They hold nothing that depends on arrival (protocol 1.5)."""

FOLDS: Final = 1
"""Raised when a fold makes other rows of the same facts: then all nodes fold anew."""

Rows = dict[str, list[dict[str, Any]]]
"""Rows by table name; a table that is not named gets none."""

Fold = Callable[[bytes, Sequence[Fact]], Rows]
"""From a subject and all facts held about it to its rows; pure."""

STEP: Final = Table(
    "step",
    VIEWS,
    Column("subject", LargeBinary(32), primary_key=True),
    Column("rid", LargeBinary(32), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("level", Integer, nullable=False),
    Column("claimed_at_ms", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Index("step_state", "state"),
)


@dataclass(frozen=True)
class Projection:
    """How the facts of one subject become rows.

    Attributes:
        name: Of the subject's folder.
        kinds: Names of the kinds whose facts the fold wants; each kind has one projection.
        tables: Where the rows go, ``step`` included; each has a column ``subject``.
        fold: Makes the rows of one subject. It may be called for a subject whose first record is
            not here; then there are only steps, and they wait.
    """

    name: str
    kinds: frozenset[str]
    tables: tuple[Table, ...]
    fold: Fold

    def clear(self, table: Table, subjects: Iterable[bytes]) -> Delete:
        """Return the statement that deletes this projection's rows of ``subjects``.

        ``step`` is shared, and a record may name a subject of another folder (an answer to a
        notice): so only the steps of own kinds go, else the last fold would wipe the others'.
        """
        statement = delete(table).where(table.c.subject.in_(list(subjects)))
        if table is STEP:
            statement = statement.where(table.c.kind.in_(sorted(self.kinds)))
        return statement


def step_rows(subject: bytes, facts: Iterable[Fact], steps: Iterable[Step]) -> list[dict[str, Any]]:
    """Return the rows of ``step``: ``facts`` in their order, each with what became of it."""
    return [
        {
            "subject": subject,
            "rid": fact.rid,
            "position": position,
            "kind": fact.kind,
            "author": fact.feed.author,
            "level": int(fact.level),
            "claimed_at_ms": fact.claimed_at_ms,
            "state": step.state.value,
            "reason": str(step.reason),
        }
        for position, (fact, step) in enumerate(zip(facts, steps, strict=True))
    ]


def is_older(
    at_ms: ColumnElement[int], subject: ColumnElement[bytes], before: tuple[int, bytes]
) -> ColumnElement[bool]:
    """Return the condition that a row comes after ``before`` in a list, the newest first."""
    # Typed, because a time does not fit into what a driver takes a bare integer for.
    bound = tuple_(literal(before[0], BigInteger), literal(before[1], LargeBinary))
    return tuple_(at_ms, subject) < bound


class StepRow(NamedTuple):
    """One record in the story of a subject, as it is shown."""

    rid: bytes
    kind: str
    author: str
    level: Level
    claimed_at_ms: int
    state: str
    reason: str


def steps_of(conn: Connection, subject: bytes) -> list[StepRow]:
    """Return all records about ``subject`` in their order, with what became of each."""
    query = (
        select(*(STEP.c[name] for name in StepRow._fields))
        .where(STEP.c.subject == subject)
        .order_by(STEP.c.position, STEP.c.kind, STEP.c.rid)
    )
    return [StepRow(*row)._replace(level=Level(row.level)) for row in conn.execute(query)]
