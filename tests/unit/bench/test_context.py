"""How often a measurement is repeated."""

import pytest

from bench.chunks import Chunks
from bench.context import QUICK, Context

NONE = Chunks(b"", b"", b"", (), (), 0)


@pytest.mark.parametrize(
    ("seconds", "at_least", "expected"), [(60, 1, 4), (-1, 1, 1), (-1, 2, 2), (-1, 9, 4)]
)
def test_repetitions_end_with_their_time(seconds: float, at_least: int, expected: int) -> None:
    """All in time, else as many as have to be; each is told of."""
    told: list[str] = []
    given = Context(QUICK, NONE, told.append)
    numbers = list(given.repeat(4, "turn", seconds, at_least))
    assert numbers == list(range(expected))
    assert told == [f"turn {number + 1}" for number in numbers]
