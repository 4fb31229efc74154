"""Chunks are as large as the line answers in time."""

from hypothesis import given
from hypothesis import strategies as st

from shared.link.pace import FIRST_BYTES, QUICK_SECONDS, ROOM_BYTES_MIN, SLOW_SECONDS, Pace
from shared.record.limits import CHUNK_BYTES_MAX


def test_a_full_chunk_answered_at_once_is_followed_by_a_larger_one() -> None:
    """Up to the limit of a chunk."""
    pace, sizes = Pace(), list[int]()
    for _ in range(6):
        sizes.append(pace.room_bytes)
        pace.answered(pace.room_bytes, QUICK_SECONDS / 2)
    assert sizes == sorted(sizes)
    assert sizes[1] == 2 * FIRST_BYTES
    assert sizes[-1] == CHUNK_BYTES_MAX


def test_a_few_words_show_nothing() -> None:
    """Over the thinnest line they are answered at once."""
    pace = Pace()
    pace.answered(600, 0.01)
    assert pace.room_bytes == FIRST_BYTES


def test_a_late_answer_makes_it_smaller_whatever_it_held() -> None:
    """Down to where the overhead would be most of it."""
    pace = Pace()
    for _ in range(6):
        pace.answered(600, SLOW_SECONDS + 1)
    assert pace.room_bytes == ROOM_BYTES_MIN


@given(st.integers(2_048, 10**7))
def test_any_line_finds_its_size(bytes_per_second: int) -> None:
    """A chunk takes neither too long to be answered nor less than the line could carry."""
    pace = Pace()
    for _ in range(10):
        pace.answered(pace.room_bytes, pace.room_bytes / bytes_per_second)
    seconds = pace.room_bytes / bytes_per_second
    assert seconds <= SLOW_SECONDS or pace.room_bytes == ROOM_BYTES_MIN
    assert seconds >= QUICK_SECONDS or pace.room_bytes == CHUNK_BYTES_MAX
