"""The contact sheet: ``make screens`` photographs every page and lists the pictures."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.browser.test_pages import SHEETS, SIZES

FOLDER: Final = Path("docs/screens")


def main() -> int:
    """Photograph, then write the list."""
    around = os.environ | {"SANJI_SCREENS": str(FOLDER)}
    tests = ["tests/browser/test_pages.py", "-q", "-k", "test_a_page_stands"]
    done = subprocess.run([sys.executable, "-m", "pytest", *tests], env=around, check=False)
    lines = [
        "# What people see",
        "",
        "Photographed by the tests in Chromium, each at the size of its drawing; `make screens`.",
        "",
    ]
    for sheet in SHEETS:
        width, height = SIZES[sheet.size]
        after = f", after the drawing `{sheet.drawing}`" if sheet.drawing else ""
        lines += [
            f"## {sheet.name}",
            "",
            f"{width} × {height}{after}",
            "",
            f"![{sheet.name}]({sheet.name}.jpg)",
            "",
        ]
    (FOLDER / "README.md").write_text("\n".join(lines), "utf-8")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
