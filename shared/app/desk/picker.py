"""To whom a notice goes: a tree of divisions to tick, and the fewest audiences that reach them.

A record has one audience, ``CODE`` or ``CODE*`` (protocol 3.3): ticking some villages of two towns
makes several records of the same words. Pure.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from shared.record.feed import Level, is_above
from shared.trust.certificate import Certificate


@dataclass(frozen=True)
class Branch:
    """A division to tick, with those below it.

    Attributes:
        code: Of the division.
        label: As people call it.
        villages: How many villages a tick reaches.
        below: The branches below.
    """

    code: str
    label: str
    villages: int
    below: tuple["Branch", ...] = ()


def tree(top: str, divisions: Iterable[Certificate]) -> Branch:
    """Return the branch of division ``top`` among all certified ``divisions``."""
    by_code = {one.division: one for one in divisions}
    return _branch(by_code[top], by_code)


def _branch(one: Certificate, by_code: dict[str, Certificate]) -> Branch:
    below = tuple(
        _branch(other, by_code)
        for code, other in sorted(by_code.items())
        if is_above(one.division, code) and other.level == one.level + 1
    )
    villages = sum(branch.villages for branch in below)
    villages += one.level is Level.VILLAGE
    return Branch(one.division, one.label, villages, below)


def audiences(branch: Branch, ticked: Collection[str]) -> list[str]:
    """Return the fewest audiences that reach exactly what is ticked.

    A tick at a division means it and all below it. Divisions that are not in the tree are ignored.
    """
    if branch.code in ticked or (branch.below and _is_full(branch, ticked)):
        return [branch.code + "*" if branch.below else branch.code]
    return [audience for below in branch.below for audience in audiences(below, ticked)]


def _is_full(branch: Branch, ticked: Collection[str]) -> bool:
    return all(
        below.code in ticked or (bool(below.below) and _is_full(below, ticked))
        for below in branch.below
    )


def reached(branch: Branch, ticked: Collection[str]) -> int:
    """Return how many villages what is ticked reaches."""
    if branch.code in ticked:
        return branch.villages
    return sum(reached(below, ticked) for below in branch.below)
