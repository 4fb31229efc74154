"""How the names in the picture are broken into lines, and how much room they take.

Browsers measure text, the layout cannot: a Chinese character is a square, all others count as two
thirds of one, which is more than they take.
"""

from typing import Final

LETTER: Final = 14.0
"""Size of a village's name."""
LINE: Final = 15.5
"""From one line, or one character of an upright name, to the next."""

NARROW: Final = 0.66
WRAPPED_FROM: Final = 7
TOWN_LINE_CHARS: Final = 3
TOWN_LINES_MAX: Final = 3
SEAL_CHARS_MAX: Final = 4

_PLACES: Final = "区镇乡处道县市"
"""Characters behind which a long name is best broken."""


def width_of(text: str, letter: float = LETTER) -> float:
    """Return how wide ``text`` is at most."""
    return sum(letter if ord(char) > 0x2E80 else letter * NARROW for char in text)  # noqa: PLR2004 - where CJK begins


def label_lines(label: str, *, alone: bool) -> tuple[str, ...]:
    """Return a village's name in lines; a long one has room for two where it stands alone."""
    if not alone or len(label) < WRAPPED_FROM:
        return (label,)
    breaks = [at + 1 for at, char in enumerate(label[:-1]) if char in _PLACES]
    middle = len(label) / 2
    at = min(breaks or [round(middle)], key=lambda place: abs(place - middle))
    return (label[:at], label[at:])


def town_lines(label: str, district: str) -> tuple[str, ...]:
    """Return a town's name as it stands in its circle: a street's kind below its name.

    Args:
        label: Its own.
        district: The district's; what stands up to it in the town's says nothing new.
    """
    stem = _stem(district)
    _, found, rest = label.partition(stem)
    said = rest if found and len(rest) >= TOWN_LINE_CHARS else label
    for ending in ("街道", "开发区"):
        name = said.removesuffix(ending)
        if name != said and 0 < len(name) <= TOWN_LINE_CHARS:
            return (name, ending)
    room = TOWN_LINE_CHARS * TOWN_LINES_MAX
    if len(said) > room:
        said = said[: room - 1] + "…"
    lines = -(-len(said) // TOWN_LINE_CHARS)
    each = -(-len(said) // lines)
    return tuple(said[at : at + each] for at in range(0, len(said), each))


def seal_lines(label: str) -> tuple[str, ...]:
    """Return the district's name as it stands in the seal in the middle."""
    said = _stem(label)[:SEAL_CHARS_MAX]
    return (said,) if len(said) < SEAL_CHARS_MAX else (said[:2], said[2:])


def _stem(district: str) -> str:
    return district[:-1] if len(district) > 2 and district[-1] in _PLACES else district  # noqa: PLR2004 - 杜集区 is 杜集
