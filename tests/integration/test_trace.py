"""``make trace`` tells one record's journey from the code as it stands."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_journey_is_told() -> None:
    """Every step names a place that exists, and the answer is read at the end."""
    done = subprocess.run(
        [sys.executable, "-m", "demo.trace"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    places = re.findall(r"((?:shared|broker)/[a-z_/]+\.py):(\d+)", done.stdout)
    assert len(places) >= 10
    for file, line in places:
        assert re.match(
            r"\s*(async )?def |\s*@", (ROOT / file).read_text().splitlines()[int(line) - 1]
        )
    assert "下周三通水。" in done.stdout
