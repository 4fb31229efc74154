"""Receipt numbers: ``沈集 26-0153-6`` (protocol 10). Pure.

Label of the filing node, year, running number per author and year, from the author's second epoch
on two digits of the epoch (a restored node may not know which numbers it has given), check digit.
The check digit is ISO 7064 MOD 11,10 over division code, year, number and epoch digits as printed,
so a number of one village is not valid in the next. Digits survive telephone and dialect.
"""

import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from stdnum.iso7064 import mod_11_10

from shared.domain.china import CHINA
from shared.errors import InvalidError

# The groups can be told apart without their hyphens only while a number has 4 or 5 digits;
# 99,999 a year is 270 a day at one node.
NUMBER_MAX: Final = 99_999

_DASHES: Final = re.compile(r"[‐‑‒–—―−─ー一_/.·]")
_GROUPS: Final = re.compile(
    r"(?P<year>\d{2})\s*-\s*(?P<number>\d{4,5})(?:\s*-\s*(?P<epoch>\d{2}))?\s*-\s*(?P<check>\d)$",
    re.ASCII,
)
_DIGITS: Final = re.compile(r"[0-9][0-9\s-]*$")
_LENGTHS: Final = {7: (4, 0), 8: (5, 0), 9: (4, 2), 10: (5, 2)}
_ADVICE: Final = "It looks like 26-0153-6; please compare it with the receipt."


@dataclass(frozen=True)
class Receipt:
    """A receipt number without its label.

    Attributes:
        year: Two digits.
        number: Running number, 4 or 5 digits.
        epoch: Two digits, or empty in the author's first epoch.
        check: The check digit.
    """

    year: str
    number: str
    epoch: str
    check: str

    def __str__(self) -> str:
        """Render as in a body: ``26-0153-6`` or ``26-0153-47-6``."""
        return "-".join(part for part in (self.year, self.number, self.epoch, self.check) if part)


def issue(division: str, year: int, number: int, epoch_digits: str = "") -> Receipt:
    """Return the receipt number that ``division`` gives out.

    Args:
        division: Code of the filing node.
        year: The last two digits count.
        number: Running number, from 1.
        epoch_digits: From ``epoch_digits``.

    Raises:
        InvalidError: the number is out of range.
    """
    if not 1 <= number <= NUMBER_MAX:
        raise InvalidError(f"a running number lies between 1 and {NUMBER_MAX}, not {number}")
    shown_year, shown = f"{year % 100:02}", f"{number:04}"
    digits = division + shown_year + shown + epoch_digits
    return Receipt(shown_year, shown, epoch_digits, mod_11_10.calc_check_digit(digits))


def epoch_digits(epoch: bytes, *, first: bool) -> str:
    """Return the digits that tell an author's epochs apart; empty in the first one."""
    return "" if first else f"{int.from_bytes(epoch, 'big') % 100:02}"


def year_of(at_ms: int) -> int:
    """Return the year, four digits, in which a moment (Unix ms) falls in China."""
    return (datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=at_ms)).astimezone(CHINA).year


def shown(label: str, receipt: str) -> str:
    """Return the number as people see it: ``沈集 26-0153-6``."""
    return f"{label} {receipt}"


def parse(text: str) -> tuple[str, Receipt]:
    """Return label and number of what somebody typed or read out; the label may be empty.

    Full-width digits, any dash, and blanks or no separators at all are taken. The check digit is
    not: it needs the division that the label names (``is_valid``).

    Raises:
        InvalidError: this cannot be a receipt number.
    """
    typed = plain(text[:200]).rstrip("。., ")
    # 一 is a number and a dash alike; between digits it can only be a dash.
    typed = re.sub(rf"(?<=[0-9 ]){_DASHES.pattern}+(?=[0-9 ])", "-", typed)
    found = _GROUPS.search(typed)
    if found:
        parts = found.group("year", "number", "epoch", "check")
        return typed[: found.start()].strip(), Receipt(parts[0], parts[1], parts[2] or "", parts[3])
    tail = _DIGITS.search(typed)
    digits = re.sub(r"\D", "", tail[0]) if tail else ""
    if tail is None or len(digits) not in _LENGTHS:
        raise InvalidError(f"{typed[:40]!r} is not a receipt number.", advice=_ADVICE)
    size, epoch_size = _LENGTHS[len(digits)]
    year, rest = digits[:2], digits[2:]
    receipt = Receipt(year, rest[:size], rest[size : size + epoch_size], digits[-1])
    return typed[: tail.start()].strip(), receipt


def plain(text: str) -> str:
    """Return ``text`` with one form for each character and one blank: how labels are compared."""
    return " ".join(unicodedata.normalize("NFKC", text).split())


def is_valid(division: str, receipt: Receipt) -> bool:
    """Tell whether the check digit is the one that ``division`` would have given."""
    digits = division + receipt.year + receipt.number + receipt.epoch
    return bool(mod_11_10.calc_check_digit(digits) == receipt.check)


def verify(division: str, receipt: Receipt) -> Receipt:
    """Return ``receipt`` if its check digit fits the division.

    Raises:
        InvalidError: a digit is wrong, or the number is another division's.
    """
    if not is_valid(division, receipt):
        raise InvalidError(f"{receipt} has a wrong digit.", advice=_ADVICE)
    return receipt
