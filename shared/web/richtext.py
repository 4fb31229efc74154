"""The Markdown of a notice as HTML that cannot do anything, and as plain words.

Whoever may publish may also err or be robbed of a key: raw HTML is shown as text, and what the
renderer makes is cleaned once more by a list of what may stay. No pictures, no styles, no scripts.
"""

import html
from typing import Final

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup

_TAGS: Final = {
    "a", "blockquote", "br", "code", "del", "em", "h3", "h4", "h5", "hr", "li", "ol", "p", "pre",
    "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
_SCHEMES: Final = {"http", "https", "mailto", "tel"}
_HIGHEST: Final = 3
_LOWEST: Final = 5


class RichText:
    """Turns Markdown into what a page may show."""

    def __init__(self) -> None:
        """Make the parser; people press Enter where they want a new line, and get one."""
        self._parser = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(
            ["table", "strikethrough"]
        )

    def html(self, text: str) -> Markup:
        """Return ``text`` as clean HTML; its headings stand below a card's."""
        tokens = self._parser.parse(text)
        for token in tokens:
            if token.type in {"heading_open", "heading_close"}:
                token.tag = f"h{min(_LOWEST, _HIGHEST + int(token.tag[1]) - 1)}"
        made = self._parser.renderer.render(tokens, self._parser.options, {})
        clean = nh3.clean(
            made,
            tags=_TAGS,
            attributes={"a": {"href"}, "ol": {"start"}},
            url_schemes=_SCHEMES,
            link_rel="noopener noreferrer nofollow",
        )
        return Markup(clean)  # noqa: S704 - cleaned on the line above


def plain(markup: Markup) -> str:
    """Return the words of HTML in one line."""
    return " ".join(html.unescape(nh3.clean(markup, tags=set())).split())
