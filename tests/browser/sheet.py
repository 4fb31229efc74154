"""The contact sheet: ``make screens`` photographs every page and lists the pictures."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.browser.test_pages import SHEETS, SIZES, Sheet

FOLDER: Final = Path("docs/screens")
CONTROL: Final = (
    Sheet("control-light", "", "/", "desk", "11-control"),
    Sheet("control-dark", "", "/", "desk", "11-control-dark"),
)


def main() -> int:
    """Photograph, then write the list."""
    around = os.environ | {"SANJI_SCREENS": str(FOLDER)}
    tests = ["tests/browser", "-q", "-k", "test_a_page_stands or test_it_stands"]
    done = subprocess.run([sys.executable, "-m", "pytest", *tests], env=around, check=False)
    lines = [
        "# What people see",
        "",
        "Photographed by the tests in Chromium, each at the size of its drawing; `make screens`.",
        "",
    ]
    for sheet in (*SHEETS, *CONTROL):
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
