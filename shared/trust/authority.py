"""Who may say what, to whom: fixed per kind and version (protocol 4.5).

A subject declares its kinds beside its code (``shared/domain/*/kinds.py``); this module only
knows how such a row is read. A record without authority keeps its number, is stored and relayed,
and is not projected: a chain is never stopped by it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.errors import InvalidError
from shared.record.body import decode_body
from shared.record.feed import UPWARD, Feed, Level
from shared.record.record import Record


class Reach(StrEnum):
    """The forms an audience can take, seen from the author (protocol 3.3)."""

    UPWARD = "^"
    OWN_SUBTREE = "own CODE*"
    DIVISION = "a CODE below"
    SUBTREE = "a CODE* below"


ALL_BELOW = frozenset({Reach.OWN_SUBTREE, Reach.DIVISION, Reach.SUBTREE})
RELAYS = (Level.DISTRICT, Level.TOWN)


class Body(BaseModel):
    """Base of all bodies: strict, and fields of a later version are kept (protocol 2.5)."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)


B = TypeVar("B", bound=Body)


@dataclass(frozen=True)
class Row:
    """One line of a kind's authority: this level may write it so.

    Attributes:
        level: The author's level.
        reaches: The audience forms it may use.
        lanes: The lanes it may use.
    """

    level: Level
    reaches: frozenset[Reach]
    lanes: frozenset[str]


@dataclass(frozen=True)
class Kind:
    """A kind of record: its name, its body and who may write it.

    Attributes:
        name: With version, for example ``notice.published.v1``.
        about: One sentence for the reference page.
        body: The pydantic model of the body.
        rows: Who may write it; none means nobody.
        follows: True if ``refs[0]`` names the subject, False if the record begins one.
    """

    name: str
    about: str
    body: type[Body]
    rows: tuple[Row, ...]
    follows: bool = False


class KindTable:
    """All kinds that this version of the program knows."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        """Index ``kinds`` by name; a name may stand once.

        Raises:
            InvalidError: a name stands twice.
        """
        self._kinds: dict[str, Kind] = {}
        for kind in kinds:
            if kind.name in self._kinds:
                raise InvalidError(f"{kind.name} is declared twice")
            self._kinds[kind.name] = kind

    def __iter__(self) -> Iterator[Kind]:
        """Iterate over the kinds in the order of their declaration."""
        return iter(self._kinds.values())

    def get(self, name: str) -> Kind | None:
        """Return the kind of that name, if this version knows it."""
        return self._kinds.get(name)

    def objection(self, name: str, feed: Feed, level: Level) -> str | None:
        """Return why ``level`` may not write ``name`` into ``feed``; None if it may."""
        kind = self._kinds.get(name)
        if kind is None:
            return f"the kind {name} is not known to this version"
        rows = [row for row in kind.rows if row.level == level]
        if not rows:
            return f"a {level.word} may not write {name}"
        reach = reach_of(feed)
        if not any(reach in row.reaches and feed.lane in row.lanes for row in rows):
            return f"a {level.word} may not write {name} to {feed.audience} in lane {feed.lane}"
        return None

    def check_body(self, name: str, body: bytes) -> None:
        """Refuse a body that ``name`` does not allow; of an unknown kind any is allowed.

        Raises:
            InvalidError: not I-JSON, or a field is missing or wrong.
        """
        kind = self._kinds.get(name)
        if kind is not None:
            read_as(kind.body, body)

    def read(self, record: Record) -> Body:
        """Return the body as its kind's model.

        Raises:
            InvalidError: the kind is unknown, the body is not here or does not fit the model.
        """
        kind = self._kinds.get(record.header.kind)
        if kind is None:
            raise InvalidError(f"the kind {record.header.kind} is not known to this version")
        if record.body is None:
            raise InvalidError("the body is not here")
        return read_as(kind.body, record.body)


def read_as(model: type[B], body: bytes) -> B:
    """Return ``body`` as ``model``.

    Raises:
        InvalidError: not I-JSON, or a field is missing or wrong.
    """
    decode_body(body)
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InvalidError(f"{where or 'body'}: {first['msg']}") from error


def reach_of(feed: Feed) -> Reach:
    """Return the form of the feed's audience as its author sees it."""
    if feed.audience == UPWARD:
        return Reach.UPWARD
    if feed.audience == feed.author + "*":
        return Reach.OWN_SUBTREE
    return Reach.SUBTREE if feed.audience.endswith("*") else Reach.DIVISION
