"""The payload of the measurements: its size, and that it is the same each time."""

import statistics

from bench import texts
from shared.domain.notices.kinds import Published
from shared.record.body import encode_body


def sizes(count: int) -> list[int]:
    """Return the bytes of so many bodies."""
    return [len(encode_body(body)) for body in texts.notices(count)]


def test_a_notice_has_about_590_bytes() -> None:
    """Others were measured with bodies of 590 bytes: ours are alike, each and in the middle."""
    assert abs(statistics.mean(sizes(2_000)) - 590) < 10
    assert all(520 < size < 660 for size in sizes(2_000))


def test_the_payload_is_the_same_each_time() -> None:
    """The same seed gives the same notices, another one others."""
    assert list(texts.notices(20, seed=3)) == list(texts.notices(20, seed=3))
    assert list(texts.notices(20, seed=3)) != list(texts.notices(20, seed=4))


def test_words_and_pairs() -> None:
    """A text is 29 pairs out of 65 different words, and a notice that the product takes."""
    assert len(set(texts.WORDS)) == len(texts.WORDS) == 65
    for body in texts.notices(20):
        assert len(body["text"].split("，")) == 29
        assert Published.model_validate(body).text == body["text"]
