"""Histories of a whole district: nothing is lost, all hold the same, and then it is quiet."""

import os

import pytest

from tests.simulation.history import Outcome, play

# As many as leave a fifth of the quarter hour that a whole run may take; `make simulate` has more.
SEEDS = 80 if os.environ.get("SANJI_SERVICES") == "require" else 50
BLOCK = 5


# Measuring coverage would double the time of what other tests cover line by line anyway.
@pytest.mark.no_cover
@pytest.mark.slow
@pytest.mark.parametrize("first", range(1, SEEDS + 1, BLOCK))
def test_histories_end_with_the_same_records_everywhere(first: int) -> None:
    """Whatever happened on the way: lines, boxes, backups, liars."""
    outcomes = [play(seed) for seed in range(first, first + BLOCK)]
    assert not _told(outcomes), _told(outcomes)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 4])
def test_a_seed_tells_the_same_history_twice(seed: int) -> None:
    """Every frame on every cable, in the same order."""
    assert play(seed).digest == play(seed).digest


def _told(outcomes: list[Outcome]) -> str:
    return "\n".join(outcome.told() for outcome in outcomes if outcome.problems)
