"""The divisions of a district, read from a CSV: code, name, level, parent.

The names of the official table are long and repeat. A node's label is short and unique in its
district, because it stands before a receipt number (``沈集村 26-0153-6``).
"""

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from shared.errors import InvalidError
from shared.record.feed import Level, check_code, is_above

BUILT_IN: Final = Path(__file__).parent / "data" / "divisions_340602.csv"
COLUMNS: Final = ("code", "name", "level", "parent")
LABEL_CHARS_MAX: Final = 40
FILE_BYTES_MAX: Final = 1024 * 1024

_ENDINGS: Final = (
    ("社区居民委员会", "社区"),
    ("社区居委会", "社区"),
    ("居民委员会", "社区"),
    ("居委会", "社区"),
    ("村民委员会", "村"),
    ("村委会", "村"),
    ("街道办事处", "街道"),
    ("人民政府", ""),
)
"""What the table ends a name with, and what people say; the longer ending comes first."""


@dataclass(frozen=True)
class Division:
    """One unit of the district.

    Attributes:
        code: Its statistical code.
        label: Short name, unique in the district.
        level: Its level.
        parent: Code of the unit above; empty for the district.
    """

    code: str
    label: str
    level: Level
    parent: str


@dataclass(frozen=True)
class District:
    """A district, its towns and their villages.

    Attributes:
        top: The district itself.
        towns: In the order of their codes.
        villages: In the order of their codes.
    """

    top: Division
    towns: tuple[Division, ...]
    villages: tuple[Division, ...]

    @property
    def everybody(self) -> tuple[Division, ...]:
        """All divisions, the higher levels first."""
        return (self.top, *self.towns, *self.villages)

    def villages_of(self, town: Division) -> tuple[Division, ...]:
        """Return the villages of one town."""
        return tuple(village for village in self.villages if village.parent == town.code)


def read_district(path: Path = BUILT_IN) -> District:
    """Return the district that the file at ``path`` holds.

    Raises:
        InvalidError: the file cannot be read, or does not hold one whole district; one line.
    """
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise InvalidError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        raise InvalidError(f"{path} is not UTF-8.", advice="Save it as UTF-8.") from None
    if len(data) > FILE_BYTES_MAX:
        raise InvalidError(f"{path} is larger than {FILE_BYTES_MAX:,} bytes.")
    return district_of(with_labels(_rows(text, path.name)))


def _rows(text: str, name: str) -> list[Division]:
    """Return the divisions with their whole names as labels."""
    reader = csv.DictReader(io.StringIO(text))
    if not set(COLUMNS) <= set(reader.fieldnames or ()):
        raise InvalidError(f"{name} needs the columns {', '.join(COLUMNS)}.")
    rows = []
    for row in reader:
        code, label, word, parent = ((row[column] or "").strip() for column in COLUMNS)
        try:
            rows.append(Division(check_code(code), label, Level.of(word), parent))
        except InvalidError as error:
            raise InvalidError(f"{name}, line {reader.line_num}: {error}.") from error
        if not label:
            raise InvalidError(f"{name}, line {reader.line_num}: {code} has no name.")
    return rows


def with_labels(rows: Iterable[Division]) -> list[Division]:
    """Return the divisions with short labels; of namesakes each gets what tells it apart.

    First the parent's name goes before it, then the end of the code behind it.
    """
    short = [replace(row, label=short_name(row.label)) for row in rows]
    parents = {row.code: row.label for row in short}
    short = _apart(short, lambda row: parents.get(row.parent, "") + row.label)
    return _apart(short, lambda row: f"{row.label}（{row.code}）")


def _apart(rows: list[Division], longer: Callable[[Division], str]) -> list[Division]:
    counts = Counter(row.label for row in rows)
    return [row if counts[row.label] == 1 else replace(row, label=longer(row)) for row in rows]


def short_name(name: str) -> str:
    """Return what people call a unit: 沈集村委会 is 沈集村, 刘庄社区居委会 is 刘庄社区."""
    for ending, said in _ENDINGS:
        stem = name.removesuffix(ending)
        if stem not in (name, ""):
            return stem if stem.endswith(said) else stem + said
    return name


def district_of(rows: Iterable[Division]) -> District:
    """Return the district that ``rows`` make up.

    Raises:
        InvalidError: not exactly one district, a code twice, or a unit without its parent.
    """
    rows = sorted(rows, key=lambda row: (row.level, row.code))
    tops = [row for row in rows if row.level == Level.DISTRICT]
    if len(tops) != 1:
        raise InvalidError(f"{len(tops)} districts are listed where one is needed.")
    by_code = {row.code: row for row in rows}
    if len(by_code) != len(rows):
        twice = next(code for code, n in Counter(row.code for row in rows).items() if n > 1)
        raise InvalidError(f"{twice} is listed twice.")
    for row in rows:
        _check_place(row, by_code)
    return District(
        tops[0],
        tuple(row for row in rows if row.level == Level.TOWN),
        tuple(row for row in rows if row.level == Level.VILLAGE),
    )


def _check_place(row: Division, by_code: dict[str, Division]) -> None:
    if len(row.label) > LABEL_CHARS_MAX:
        raise InvalidError(f"the name of {row.code} is longer than {LABEL_CHARS_MAX} characters.")
    if row.level == Level.DISTRICT:
        return
    parent = by_code.get(row.parent)
    if parent is None or parent.level != row.level - 1 or not is_above(parent.code, row.code):
        raise InvalidError(f"{row.code} {row.label} does not stand below its parent {row.parent}.")
