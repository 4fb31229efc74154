"""The style sheet keeps its order: layers, colours in one place, steps instead of sizes."""

import re
from pathlib import Path

from shared.web import server

WEB = Path(server.__file__).parent
ROOT = WEB.parents[1]
TEMPLATES = [path for part in ("shared/web", "shared/app/desk", "shared/app/api", "village")
             for path in sorted((ROOT / part / "templates").glob("*.html"))]  # fmt: skip
SHEET = re.sub(r"/\*.*?\*/", "", (WEB / "static" / "sanji.css").read_text("utf-8"), flags=re.DOTALL)
MODULE = re.compile(r'<script type="module" src="/static/\w+\.js"></script>')
LAYERS = ("tokens", "base", "parts", "pages")
COLOUR = re.compile(
    r"#[0-9a-f]{3,8}\b|\b(?:rgb|hsl|hwb|lab|lch|oklab|oklch|color|color-mix)a?\(|"
    r":[^;{]*\b(?:white|black|red|green|blue|grey|gray|yellow|orange|brown|silver)\b",
    re.IGNORECASE,
)


def layers() -> dict[str, str]:
    """Return what stands in each layer."""
    found = {}
    for opening in re.finditer(r"@layer (\w+) \{", SHEET):
        depth, at = 1, opening.end()
        while depth:
            depth += {"{": 1, "}": -1}.get(SHEET[at], 0)
            at += 1
        found[opening[1]] = SHEET[opening.end() : at - 1]
    return found


def test_everything_stands_in_a_layer_and_the_layers_in_order() -> None:
    """Tokens, base, parts, pages; nothing outside."""
    rest = SHEET
    for name, text in layers().items():
        rest = rest.replace(f"@layer {name} {{{text}}}", "")
    assert rest.split() == ["@layer", "tokens,", "base,", "parts,", "pages;"]
    assert tuple(layers()) == LAYERS


def test_colours_are_named_in_the_token_layer_only() -> None:
    """So that dark and print change them at one place."""
    assert COLOUR.search(layers()["tokens"])
    for name in LAYERS[1:]:
        assert COLOUR.findall(layers()[name]) == [], name


def test_every_token_is_known_and_used() -> None:
    """No part asks for a token that nobody sets, and none lies idle."""
    known = set(re.findall(r"(--[\w-]+):", SHEET))
    assert set(re.findall(r"var\((--[\w-]+)\)", SHEET)) == known


def test_no_shadow_no_gradient_no_important() -> None:
    """The look is space and line."""
    assert not re.search("shadow|gradient|!important", SHEET)


CHOSEN = {
    "done",
    "doing",
    "wait",
    "late",
    "size",
    "ic",
    "qr",
    "s",
    "xl",
    "paper",
    "narrow",
    "shown",
    "held",
    "open",
}
"""Classes that code gives: states, sizes of letters and icons, codes, papers, stages."""


def test_every_class_in_the_templates_has_a_style() -> None:
    """And no style waits for a class that no template has."""
    html = "".join(path.read_text("utf-8") for path in TEMPLATES)
    used = set()
    for attribute in re.findall(r'class="([^"]*)"', html):
        chosen = " ".join(re.findall(r"(?:\{\{|else) '([^']*)'", attribute))
        used |= set((re.sub(r"\{[{%].*?[}%]\}", " ", attribute) + " " + chosen).split())
    styled = set(re.findall(r"\.([a-z]+)", "".join(layers()[name] for name in LAYERS[1:])))
    names = {"who", "kiosk", "urgent"}  # for readers of the page's source, and for scripts
    assert used - styled <= names | CHOSEN
    assert styled - used <= CHOSEN


def test_there_is_no_style_or_script_in_the_templates() -> None:
    """The policy would block it; scripts are modules of their own."""
    for path in TEMPLATES:
        text = re.sub(
            r'<script type="module" src="/static/\w+\.js"></script>', "", path.read_text()
        )
        assert not re.search(r"\sstyle=|<style|<script|\son\w+=", text), path
