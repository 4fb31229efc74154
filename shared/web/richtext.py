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
    "a", "blockquote", "br", "code", "del", "em", "h2", "h3", "h4", "h5", "hr", "li", "ol", "p",
    "pre", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
_SCHEMES: Final = {"http", "https", "mailto", "tel"}
HIGHEST: Final = 3
"""Below the title of a card."""

_LOWEST: Final = 5


class RichText:
    """Turns Markdown into what a page may show."""

    def __init__(self) -> None:
        """Make the parser; people press Enter where they want a new line, and get one."""
        self._parser = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(
            ["table", "strikethrough"]
        )

    def html(self, text: str, highest: int = HIGHEST) -> Markup:
        """Return ``text`` as clean HTML.

        Args:
            text: Markdown.
            highest: Level of its highest heading: below the title that stands above it.
        """
        tokens = self._parser.parse(text)
        headings = [one for one in tokens if one.type in {"heading_open", "heading_close"}]
        least = min((int(one.tag[1]) for one in headings), default=1)
        for one in headings:
            one.tag = f"h{min(_LOWEST, highest + int(one.tag[1]) - least)}"
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
