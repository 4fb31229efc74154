"""What stands in the QR of a receipt, and how it is read back: number and secret in one.

It is the address of the page that follows a case. Number and secret stand behind ``#``, which a
browser does not send: no server's log ever holds them.
"""

import io
import re
from typing import Final
from urllib.parse import unquote

from markupsafe import Markup

PAGE: Final = "/follow"
_MARK: Final = re.compile(r"#(?P<receipt>[^.#]{3,80})\.(?P<secret>[0-9]{40})\s*$")
_TEXT_MAX: Final = 400


def slip_text(origin: str, receipt: str, secret: str) -> str:
    """Return what the QR says.

    Args:
        origin: Scheme and host of this node's pages as the reader reaches them.
        receipt: Number with label.
        secret: In groups.
    """
    digits = re.sub(r"\D", "", secret)
    return f"{origin}{PAGE}#{receipt.replace(' ', '_')}.{digits}"


def read_slip(text: str) -> tuple[str, str]:
    """Return number and secret of what was scanned or typed; the secret is empty for a number."""
    found = _MARK.search(unquote(text[:_TEXT_MAX]))
    if found is None:
        return text.strip(), ""
    return found["receipt"].replace("_", " "), found["secret"]


def qr(text: str) -> Markup:
    """Return ``text`` as a QR: one SVG path, drawn in the colour of the style sheet."""
    # Here, because only who prints a QR shall load it: a village has little memory.
    import segno  # noqa: PLC0415

    buffer = io.BytesIO()
    segno.make(text, error="m", micro=False).save(
        buffer, kind="svg", xmldecl=False, svgns=False, nl=False, svgclass="qr", lineclass=None,
        border=2, omitsize=True, draw_transparent=False, title=None,
    )  # fmt: skip
    drawn = re.sub(r' stroke="#000"', "", buffer.getvalue().decode())
    return Markup(drawn.replace("<svg ", '<svg aria-hidden="true" ', 1))  # noqa: S704 - our own
