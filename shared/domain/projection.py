"""Facts, their order, and what becomes of each: the pure half of a view (protocol 1.5).

A view is a function of the set of records. So a fold never asks when a record arrived: it takes
all facts of one subject, brings them into the one order that every node computes from the same
set, and goes through them. A step that cannot be taken is kept and says why.
"""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from shared.record.feed import Feed, Level
from shared.trust.authority import Body, Kind


@dataclass(frozen=True)
class Fact:
    """A record that its author was entitled to, as a fold reads it.

    Attributes:
        rid: The record's identity, 32 bytes.
        feed: Where it stands.
        seq: Its number in the feed.
        kind: With version.
        level: The author's.
        claimed_at_ms: The author's clock; shown, never decisive.
        refs: What it speaks about.
        body: Read by the kind's model.
    """

    rid: bytes
    feed: Feed
    seq: int
    kind: str
    level: Level
    claimed_at_ms: int
    refs: tuple[bytes, ...]
    body: Body


class State(StrEnum):
    """What became of a step."""

    APPLIED = "applied"
    WAITING = "waiting"
    NOT_APPLIED = "not_applied"


class Because(StrEnum):
    """Reasons that any subject can give; a subject's own stand in its ``rules.py``.

    Values, not sentences: the pages translate them.
    """

    FIRST_MISSING = "first_missing"  # the record that it speaks about is not here yet
    NAMES_NOTHING = "names_nothing"  # it follows something and does not say what


@dataclass(frozen=True)
class Step:
    """What became of one record.

    Attributes:
        rid: The record.
        state: Applied, waiting for something missing, or not applied.
        reason: A value of ``Because`` or of the subject's own; empty if applied.
    """

    rid: bytes
    state: State
    reason: str = ""


def applied(fact: Fact) -> Step:
    """Return the step of a fact that counts."""
    return Step(fact.rid, State.APPLIED)


def waiting(fact: Fact, reason: str) -> Step:
    """Return the step of a fact whose precondition is missing."""
    return Step(fact.rid, State.WAITING, reason)


def not_applied(fact: Fact, reason: str) -> Step:
    """Return the step of a fact that the order makes illegal."""
    return Step(fact.rid, State.NOT_APPLIED, reason)


def subject_of(kind: Kind, rid: bytes, refs: Sequence[bytes]) -> bytes:
    """Return the subject that a record belongs to: the first it refers to, or itself.

    A record that should follow and names nothing is a subject of its own, where it is shown as
    not applied.
    """
    return refs[0] if kind.follows and refs else rid


def ordered(facts: Iterable[Fact]) -> list[Fact]:
    """Return ``facts``, each once, in the order that every node computes from the same set.

    Topological by ``refs`` as far as these name given facts; where that leaves a choice, by the
    author's level from the top, then feed, then seq. The rid comes last: two branches of a fork
    agree in all the rest. Refs are hashes, so a circle cannot be made; if a caller hands in one
    nevertheless, its members come last.
    """
    left = {fact.rid: fact for fact in facts}
    blockers = {rid: {ref for ref in fact.refs if ref in left} for rid, fact in left.items()}
    followers: dict[bytes, list[bytes]] = {}
    for rid, refs in blockers.items():
        for ref in refs:
            followers.setdefault(ref, []).append(rid)
    ready = [(_tie(left[rid]), rid) for rid, refs in blockers.items() if not refs]
    heapq.heapify(ready)
    result = []
    while ready:
        rid = heapq.heappop(ready)[1]
        result.append(left.pop(rid))
        for follower in followers.get(rid, ()):
            blockers[follower].discard(rid)
            if not blockers[follower]:
                heapq.heappush(ready, (_tie(left[follower]), follower))
    return result + sorted(left.values(), key=_tie)


def _tie(fact: Fact) -> tuple[int, bytes, int, bytes]:
    return fact.level, fact.feed.key, fact.seq, fact.rid


def first_and_rest(
    subject: bytes, facts: Iterable[Fact], begins: str
) -> tuple[Fact | None, list[Fact]]:
    """Return the record that begins ``subject``, if it is here, and the others in order.

    Args:
        subject: rid of the record that begins it.
        facts: All that is held about it.
        begins: The kind that can begin it; a record of another kind under that rid does not.
    """
    order = ordered(facts)
    first = next((fact for fact in order if fact.rid == subject and fact.kind == begins), None)
    return first, [fact for fact in order if fact is not first]


def without_first(subject: bytes, rest: Iterable[Fact]) -> list[Step]:
    """Return the steps of facts whose subject has not begun here."""
    return [
        not_applied(fact, Because.NAMES_NOTHING)
        if fact.rid == subject
        else waiting(fact, Because.FIRST_MISSING)
        for fact in rest
    ]
