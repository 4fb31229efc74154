"""The secret of a receipt and the key that it gives."""

import os

import pytest

from shared.errors import InvalidError
from shared.trust import receipt

SECRET = bytes(range(16))


def test_a_secret_comes_back_from_paper() -> None:
    """Read with blanks, hyphens, full-width digits or nothing between."""
    for secret in (SECRET, bytes(16), b"\xff" * 16, receipt.new_secret(os.urandom)):
        groups = receipt.to_groups(secret)
        assert [len(group) for group in groups.split(" ")] == [4] * 10
        wide = groups.translate({ord("0") + i: chr(0xFF10 + i) for i in range(10)})
        for typed in (groups, groups.replace(" ", "-"), groups.replace(" ", ""), f" {wide}\n"):
            assert receipt.from_groups(typed) == secret


def test_groups_computed_by_hand() -> None:
    """The secret 1: 38 zeros, a one, and the check digit of these.

    A zero turns p into 2 p mod 11 (s = p, or 10 for 10): from 10 that is 9 7 3 6 1 2 4 8 5 10,
    again 10 after ten digits. After 38 zeros p = 8; the one gives s = 9, p = 7; check 4.
    """
    assert receipt.to_groups(bytes(15) + b"\x01") == "0000 " * 9 + "0014"


def test_every_wrong_digit_is_found() -> None:
    """And the error does not repeat what was typed."""
    groups = receipt.to_groups(SECRET)
    for at in range(0, len(groups), 7):
        if groups[at] == " ":
            continue
        wrong = groups[:at] + str((int(groups[at]) + 1) % 10) + groups[at + 1 :]
        with pytest.raises(InvalidError, match="digits is wrong") as caught:
            receipt.from_groups(wrong)
        assert groups[:4] not in str(caught.value)


@pytest.mark.parametrize("typed", ["", "1234", "1234 " * 11, "abcd " * 10, "１２３４", "9" * 500])
def test_what_is_no_secret(typed: str) -> None:
    """The error says what one looks like."""
    with pytest.raises(InvalidError, match="10 groups of 4 digits"):
        receipt.from_groups(typed)


def test_a_number_beyond_128_bits_is_no_secret() -> None:
    """Ten groups could say more than sixteen bytes hold."""
    found = 0
    for last in range(10):
        with pytest.raises(InvalidError, match="digits is wrong"):
            receipt.from_groups("9" * 39 + str(last))
        found += 1
    assert found == 10


def test_only_sixteen_bytes_are_a_secret() -> None:
    """A shorter one would be guessed."""
    with pytest.raises(InvalidError, match="16 bytes"):
        receipt.to_groups(bytes(15))


def test_the_source_of_chance_is_asked_for_128_bits() -> None:
    """The caller brings it, so that tests can repeat themselves."""
    assert receipt.new_secret(lambda size: bytes([size]) * size) == b"\x10" * 16


def test_the_public_half_is_the_one_of_hkdf_and_x25519() -> None:
    """A fixed vector: filings of old receipts must stay readable."""
    assert receipt.public_half(SECRET) == receipt.public_half(bytes(SECRET))
    assert (
        receipt.public_half(SECRET).hex()
        == "d0baacc7d3881ae1a135e1ba86b8ff5e9cabdbc44fba996e46bf090d1ea3ae24"
    )
    assert receipt.public_half(bytes(16)) != receipt.public_half(SECRET)
