"""Receipt numbers, with check digits computed by hand."""

import pytest

from shared.domain.cases import receipts
from shared.domain.cases.receipts import Receipt
from shared.errors import InvalidError

# ISO 7064 MOD 11,10 by hand. Start with p = 10; for each digit: s = (p + digit) mod 10, 0 counts
# as 10; p = 2 s mod 11. The check digit makes (p + check) mod 10 = 1.
#
# 34 26 0001 (division "34"): digit  s   p
#                                3   3   6
#                                4  10   9
#                                2   1   2
#                                6   8   5
#                                0   5  10
#                                0  10   9
#                                0   9   7
#                                1   8   5     check: (5 + 6) mod 10 = 1  ->  6
# and on, with epoch digits 47:  4   9   7
#                                7   4   8     check: (8 + 3) mod 10 = 1  ->  3
SHORT, FIRST, SECOND = "34", "26-0001-6", "26-0001-47-3"


@pytest.mark.parametrize(("epoch", "shown"), [("", FIRST), ("47", SECOND)])
def test_check_digits_computed_by_hand(epoch: str, shown: str) -> None:
    """Over division code, year, number and epoch digits, as printed."""
    assert str(receipts.issue(SHORT, 2026, 1, epoch)) == shown
    assert receipts.is_valid(SHORT, receipts.parse(shown)[1])


def test_another_division_does_not_accept_the_number() -> None:
    """Its code goes into the check digit."""
    receipt = receipts.parse(FIRST)[1]
    assert not receipts.is_valid("35", receipt)
    with pytest.raises(InvalidError, match="26-0001-6 has a wrong digit"):
        receipts.verify("35", receipt)
    assert receipts.verify(SHORT, receipt) == receipt


def test_every_wrong_digit_is_found() -> None:
    """MOD 11,10 finds each single error, whichever digit and value."""
    for shown in (FIRST, SECOND):
        for at, char in enumerate(shown):
            for digit in set("0123456789") - {char} if char != "-" else ():
                wrong = receipts.parse(shown[:at] + digit + shown[at + 1 :])[1]
                assert not receipts.is_valid(SHORT, wrong)


@pytest.mark.parametrize(
    ("text", "label", "receipt"),
    [
        ("26-0153-6", "", Receipt("26", "0153", "", "6")),
        ("沈集 26-0153-6", "沈集", Receipt("26", "0153", "", "6")),
        ("沈集26-0153-47-6", "沈集", Receipt("26", "0153", "47", "6")),
        ("沈集　２６－０１５３－６", "沈集", Receipt("26", "0153", "", "6")),
        (" 26 0153 6 ", "", Receipt("26", "0153", "", "6")),
        ("2601536", "", Receipt("26", "0153", "", "6")),
        ("2 6 0 1 5 3 6", "", Receipt("26", "0153", "", "6")),
        ("26—0153—6", "", Receipt("26", "0153", "", "6")),
        ("26一0153一6", "", Receipt("26", "0153", "", "6")),
        ("26 - 0153 - 47 - 6。", "", Receipt("26", "0153", "47", "6")),
        ("260153476", "", Receipt("26", "0153", "47", "6")),
        ("26101536", "", Receipt("26", "10153", "", "6")),
        ("26-10153-47-6", "", Receipt("26", "10153", "47", "6")),
        ("2610153476", "", Receipt("26", "10153", "47", "6")),
        ("第3村 26-0153-6", "第3村", Receipt("26", "0153", "", "6")),
        ("村31 26-0153-6", "村31", Receipt("26", "0153", "", "6")),
        ("三一社区26-0153-6", "三一社区", Receipt("26", "0153", "", "6")),
    ],
)
def test_what_people_type(text: str, label: str, receipt: Receipt) -> None:
    """With or without label, in any width, with any dash, blanks or none."""
    assert receipts.parse(text) == (label, receipt)


@pytest.mark.parametrize(
    "text", ["", "沈集", "26-0153", "260153", "26-153-6", "26-0153-6-1-2-3-4", "x" * 9999, "二六"]
)
def test_what_is_no_receipt_number(text: str) -> None:
    """The error shows what one looks like."""
    with pytest.raises(InvalidError, match=r"is not a receipt number.*26-0153-6"):
        receipts.parse(text)


@pytest.mark.parametrize("number", [0, -1, 100_000])
def test_numbers_have_a_range(number: int) -> None:
    """Beyond five digits the groups could not be told apart."""
    with pytest.raises(InvalidError, match="between 1 and 99999"):
        receipts.issue(SHORT, 2026, number)


def test_what_is_issued_can_be_parsed_with_and_without_hyphens() -> None:
    """For numbers of four and five digits, with and without an epoch."""
    for number in (1, 9999, 10_000, 99_999):
        for epoch in ("", "00", "47"):
            receipt = receipts.issue("340602100201", 2031, number, epoch)
            assert receipts.parse(receipts.shown("沈集", str(receipt))) == ("沈集", receipt)
            assert receipts.parse(str(receipt).replace("-", "")) == ("", receipt)


def test_epoch_digits() -> None:
    """None in the first epoch, then the epoch as an unsigned number mod 100."""
    assert receipts.epoch_digits(bytes.fromhex("0000000000000107"), first=True) == ""
    assert receipts.epoch_digits(bytes.fromhex("0000000000000107"), first=False) == "63"
    assert receipts.epoch_digits(b"\xff" * 8, first=False) == "15"  # 18446744073709551615
    assert receipts.epoch_digits(bytes(8), first=False) == "00"


def test_the_year_is_that_of_the_wall_in_china() -> None:
    """At 16:00 UTC on 31 December a new year begins there."""
    new_year_ms = 1_798_732_800_000  # 2026-12-31T16:00:00Z
    assert receipts.year_of(new_year_ms - 1) == 2026
    assert receipts.year_of(new_year_ms) == 2027
