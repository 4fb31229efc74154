"""The icons of the pages: one unfilled stroke each, drawn in a square of 48."""

from typing import Final

from markupsafe import Markup

ICONS: Final = {
    "horn": (
        '<path d="M7 20v8h7l17 9V11l-17 9z"/><path d="M37 18a9 9 0 0 1 0 12"/><path d="M14'
        ' 28l3 11h5l-2-8"/>'
    ),
    "say": '<path d="M8 11h32v21H23l-9 8v-8H8z"/><path d="M16 19h16M16 25h10"/>',
    "track": (
        '<rect x="10" y="7" width="28" height="34" rx="3"/><path d="M17 18l3 3 5-6M17 30l3 3'
        ' 5-6M30 19h3M30 31h3"/>'
    ),
    "read": (
        '<path d="M8 19v10h7l11 8V11l-11 8z"/><path d="M32 18a8 8 0 0 1 0 12M37 13a15 15 0 0'
        ' 1 0 22"/>'
    ),
    "print": (
        '<path d="M14 18V7h20v11M14 34H7V18h34v16h-7"/><path d="M14 28h20v13H14z"/><path'
        ' d="M35 23h0"/>'
    ),
    "call": (
        '<path d="M14 7l6 10-4 4c2 5 6 9 11 11l4-4 10 6c-1 5-4 7-8 7C18 40 8 28 7 15c0-4 2-7'
        ' 7-8z"/>'
    ),
    "back": '<path d="M20 11L8 24l12 13M9 24h31"/>',
    "home": '<path d="M7 23L24 8l17 15M12 20v20h24V20M20 40V29h8v11"/>',
    "go": '<path d="M18 10l14 14-14 14"/>',
    "down": '<path d="M10 18l14 14 14-14"/>',
    "search": '<circle cx="21" cy="21" r="13"/><path d="M31 31l10 10"/>',
    "plus": '<path d="M24 9v30M9 24h30"/>',
    "lock": (
        '<rect x="10" y="21" width="28" height="20" rx="3"/><path d="M16 21v-5a8 8 0 0 1 16'
        ' 0v5M24 29v5"/>'
    ),
    "ok": '<path d="M9 25l10 11 20-24"/>',
    "shield": (
        '<path d="M24 5l15 6v11c0 10-6 17-15 21C15 39 9 32 9 22V11z"/><path d="M17 24l5 5 9-10"/>'
    ),
    "warn": '<path d="M24 7l19 34H5zM24 19v10M24 35h0"/>',
    "clock": '<circle cx="24" cy="24" r="17"/><path d="M24 14v11l7 5"/>',
    "doc": '<path d="M11 6h18l9 9v27H11z"/><path d="M28 6v10h10M18 24h12M18 31h12"/>',
    "road": '<path d="M17 7L7 41M31 7l10 34M24 9v6M24 21v7M24 34v7"/>',
    "lamp": (
        '<path d="M16 42V12c0-4 3-6 7-6s7 2 8 6M24 12h14l3 9H21zM10 42h12"/><path d="M25'
        ' 28l-2 6M31 28v7M37 28l2 6"/>'
    ),
    "water": (
        '<path d="M16 6c6 8 10 13 10 19a10 10 0 0 1-20 0c0-6 4-11 10-19z"/><path d="M37'
        ' 12l-8 13h7l-5 14 12-18h-7l5-9z"/>'
    ),
    "cross": '<rect x="7" y="7" width="34" height="34" rx="6"/><path d="M24 15v18M15 24h18"/>',
    "coin": (
        '<path d="M6 33c5-4 9-4 13-1l6 2c3 1 2 5-1 5l-6-1M24 36l12-5c4-2 7 1 4 4-5 4-10 7-15'
        ' 8H6"/><circle cx="28" cy="15" r="9"/><path d="M25 12l3 3 3-3M28 15v5M25 17h6"/>'
    ),
    "bin": '<path d="M8 13h32M19 13V7h10v6M12 13l2 28h20l2-28M20 20v14M28 20v14"/>',
    "land": (
        '<path d="M5 24L17 12l12 12M9 22v14h16V22M4 42h40M30 36c0-8 4-12 11-13 1 8-3 13-11 13z"/>'
    ),
    "school": '<path d="M4 19l20-9 20 9-20 9zM12 23v10c6 6 18 6 24 0V23M44 19v12"/>',
    "guard": (
        '<path d="M24 5l15 6v11c0 10-6 17-15 21C15 39 9 32 9 22V11z"/><path d="M24 15v11M24 32h0"/>'
    ),
    "more": (
        '<circle cx="11" cy="24" r="3"/><circle cx="24" cy="24" r="3"/><circle cx="37"'
        ' cy="24" r="3"/>'
    ),
    "face1": '<circle cx="24" cy="24" r="19"/><path d="M17 18v3M31 18v3M15 28c4 8 14 8 18 0z"/>',
    "face2": '<circle cx="24" cy="24" r="19"/><path d="M17 18v3M31 18v3M16 31c4 3 12 3 16 0"/>',
    "face3": '<circle cx="24" cy="24" r="19"/><path d="M17 19v3M31 19v3M16 34c4-6 12-6 16 0"/>',
    "linkup": (
        '<path d="M6 19a26 26 0 0 1 36 0M13 27a16 16 0 0 1 22 0M20 34a6 6 0 0 1 8 0M24 40h0"/>'
    ),
    "linkoff": (
        '<path d="M6 19a26 26 0 0 1 13-7M29 12a26 26 0 0 1 13 7M13 27a16 16 0 0 1 8-4M32'
        ' 24l3 3M20 34a6 6 0 0 1 8 0M24 40h0M9 7l30 34"/>'
    ),
    "scan": '<path d="M7 16V7h9M32 7h9v9M41 32v9h-9M16 41H7v-9M8 24h32"/>',
    "size": '<path d="M4 40L16 9l12 31M8 30h16M30 40l7-18 7 18M32 34h10"/>',
    "pen": '<path d="M9 39l2-9L32 9l7 7-21 21zM28 13l7 7"/>',
    "power": '<path d="M19 24c0-5-4-7-4-11a9 9 0 0 1 18 0c0 4-4 6-4 11M10 24h28v9H10zM12 40h24"/>',
    "type": (
        '<path d="M9 12h30v24H9z"/><path d="M15 19h2M23 19h2M31 19h2M15 25h2M23 25h2M31'
        ' 25h2M17 31h14"/>'
    ),
}


def icon(name: str, size: str = "") -> Markup:
    """Return an icon as inline SVG, hidden from readers of the page: words stand beside it.

    Args:
        name: One of ``ICONS``.
        size: ``s`` for one beside words, ``xl`` for one that stands alone.
    """
    css = f"ic {size}".strip()
    return Markup(  # noqa: S704 - all of it stands in this module
        f'<svg class="{css}" viewBox="0 0 48 48" aria-hidden="true">{ICONS[name]}</svg>'
    )
