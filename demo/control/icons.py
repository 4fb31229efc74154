"""The icons that only the control page has; the others are ``shared.web.icons``."""

from typing import Final

from markupsafe import Markup

from shared.web import icons

OWN: Final = {
    "cut": '<circle cx="12" cy="12" r="6"/><circle cx="12" cy="36" r="6"/>'
    '<path d="M17 15l23 19M17 33L40 14"/>',
    "bolt": '<path d="M26 4L10 28h12l-2 16 16-24H24z"/>',
    "join": '<path d="M20 28a8 8 0 0 0 12 0l7-7a8.4 8.4 0 0 0-12-12l-3 3"/>'
    '<path d="M28 20a8 8 0 0 0-12 0l-7 7a8.4 8.4 0 0 0 12 12l3-3"/>',
    "box": '<path d="M24 5l17 9v20l-17 9-17-9V14zM7 14l17 9 17-9M24 23v20"/>',
    "list": '<path d="M18 12h24M18 24h24M18 36h24M7 12h2M7 24h2M7 36h2"/>',
    "tree": '<circle cx="24" cy="24" r="5"/><path d="M24 19V8M28 27l10 7M20 27l-10 7"/>'
    '<circle cx="24" cy="6" r="2"/><circle cx="40" cy="35" r="2"/><circle cx="8" cy="35" r="2"/>',
    "moon": '<path d="M40 29A17 17 0 1 1 19 8a14 14 0 0 0 21 21z"/>',
    "sun": '<circle cx="24" cy="24" r="8"/><path d="M24 5v5M24 38v5M5 24h5M38 24h5'
    'M11 11l3 3M34 34l3 3M37 11l-3 3M11 37l3-3"/>',
    "pause": '<path d="M16 10v28M32 10v28"/>',
    "play": '<path d="M15 8l24 16-24 16z"/>',
}


def icon(name: str) -> Markup:
    """Return an icon as inline SVG, hidden from readers of the page: words stand beside it."""
    if name not in OWN:
        return icons.icon(name, "s")
    return Markup(  # noqa: S704 - all of it stands in this module
        f'<svg class="ic s" viewBox="0 0 48 48" aria-hidden="true">{OWN[name]}</svg>'
    )
