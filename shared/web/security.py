"""What protects the pages: headers on every answer, and where a form may come from."""

from typing import Final
from urllib.parse import urlsplit

from aiohttp import StreamReader, web
from multidict import MultiDictProxy

from shared.errors import InvalidError, RefusedError
from shared.web.i18n import Words

Form = MultiDictProxy[str | bytes | bytearray | web.FileField]

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "img-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}

FORM_BYTES_MAX: Final = 512 * 1024
"""64 KiB of Chinese, three bytes a character, are nine bytes a character in a form."""


async def secure(_: web.Request, response: web.StreamResponse) -> None:
    """Set the headers that every answer bears, also those of errors; names no software."""
    response.headers.update(HEADERS)
    response.headers["Server"] = "sanji"


async def read_all(stream: StreamReader, bytes_max: int) -> bytes:
    """Return the whole of a body; ``stream.read(n)`` alone gives what happens to be there.

    Raises:
        InvalidError: it is longer than ``bytes_max``.
    """
    data = bytearray()
    async for part in stream.iter_any():
        data += part
        if len(data) > bytes_max:
            raise InvalidError(f"this has more than {bytes_max:,} bytes.")
    return bytes(data)


async def form_of(request: web.Request, words: Words) -> Form:
    """Return the fields of a form.

    Raises:
        InvalidError: it cannot be read; no browser writes such a one.
    """
    try:
        return await request.post()
    except (LookupError, ValueError, AssertionError, RuntimeError):
        raise InvalidError(words.say("这个表单读不出来。")) from None


def check_origin(request: web.Request) -> None:
    """Take a form from our own pages only.

    Every browser of today says where a POST comes from; what says neither is no browser.

    Raises:
        RefusedError: another site sent it, or nobody says who did.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        allowed = site in {"same-origin", "none"}
    else:
        origin = request.headers.get("Origin")
        allowed = origin is not None and urlsplit(origin).netloc == request.host
    if not allowed:
        raise RefusedError("this form was not sent from a page of this node.")
