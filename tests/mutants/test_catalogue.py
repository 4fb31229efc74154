"""The catalogue of planted faults still fits the code; ``make mutants`` plants them."""

from pathlib import Path

import pytest

from tests.mutants.catalogue import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_each_fault_can_be_planted(mutant: Mutant) -> None:
    """Its text stands exactly once, is changed, and the tests that shall notice exist."""
    code = (ROOT / mutant.file).read_text("utf-8")
    assert code.count(mutant.old) == 1
    compile(code.replace(mutant.old, mutant.new), mutant.file, "exec")
    assert mutant.new != mutant.old
    assert all((ROOT / test.split("::")[0]).exists() for test in mutant.tests)


def test_names_are_told_apart() -> None:
    """Each fault has a name of its own, and there are enough of them."""
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 12
