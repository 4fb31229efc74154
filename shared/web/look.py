"""How a page looks to its reader: language, size of the letters, and whether it is a kiosk's.

Kept in a cookie that names nobody. Cookies ignore ports, and many nodes may share a host: hence the
division in its name.
"""

import re
from dataclasses import dataclass, replace
from typing import Final

from aiohttp import web

from shared.web.i18n import CHINESE, LANGUAGES

SIZES: Final = 3
"""Steps of "字再大些": ×1, ×1.25, ×1.5, and again from the first."""

COOKIE_SECONDS: Final = 180 * 86_400
_VALUE: Final = re.compile(r"(?P<language>[a-z]{2})\.(?P<size>[0-2])\.(?P<kiosk>[kp])")
_LOCAL: Final = re.compile(r"/(?:[\w\-.~%!$&'()*+,;=:@?][\w\-./~%!$&'()*+,;=:@?]*)?", re.ASCII)


@dataclass(frozen=True)
class Look:
    """What the reader chose.

    Attributes:
        language: One of ``LANGUAGES``.
        size: 0, 1 or 2.
        kiosk: True on a box that many people use one after the other.
    """

    language: str = CHINESE
    size: int = 0
    kiosk: bool = False

    @property
    def larger(self) -> int:
        """The next size."""
        return (self.size + 1) % SIZES


def look_of(request: web.Request, division: str) -> Look:
    """Return what the cookie says; ``?lang=`` goes before it, for links that are handed on."""
    found = _VALUE.fullmatch(request.cookies.get(_name(division), ""))
    look = Look()
    if found and found["language"] in LANGUAGES:
        look = Look(found["language"], int(found["size"]), found["kiosk"] == "k")
    asked = request.query.get("lang", "")
    return replace(look, language=asked) if asked in LANGUAGES else look


def changed(request: web.Request, division: str, *, kiosk: bool | None = None) -> web.Response:
    """Take a new language, size or kind of box, and lead back to where the reader was."""
    look = look_of(request, division)
    if kiosk is not None:
        look = replace(look, kiosk=kiosk)
    size = request.query.get("size", "")
    if size in {"0", "1", "2"}:
        look = replace(look, size=int(size))
    response = web.Response(status=303, headers={"Location": local(request.query.get("back", ""))})
    response.set_cookie(
        _name(division),
        f"{look.language}.{look.size}.{'k' if look.kiosk else 'p'}",
        max_age=COOKIE_SECONDS, httponly=True, samesite="Lax",
    )  # fmt: skip
    return response


def local(path: str) -> str:
    """Return ``path`` if it leads to a page of this node, else the first page."""
    return path if _LOCAL.fullmatch(path) else "/"


def _name(division: str) -> str:
    return f"look-{division}"
