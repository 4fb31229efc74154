"""Plants known faults, one at a time, in a copy of the project; each must be caught.

``python -m tests.mutants [WORD]`` plants all, or those whose name contains WORD.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.mutants.catalogue import MUTANTS, Mutant

ROOT: Final = Path(__file__).resolve().parents[2]
SECONDS_MAX: Final = 120
"""A mutant that hangs is caught too."""

WORKERS: Final = 2
LEFT_OUT: Final = shutil.ignore_patterns(
    ".*", "__pycache__", "build", "dist", "htmlcov", "node_modules", "docs"
)


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant.

    Attributes:
        mutant: The mutant.
        caught_by: The test or history that noticed; empty if it survived.
        seconds: How long that took.
    """

    mutant: Mutant
    caught_by: str
    seconds: float


def main() -> int:
    """Plant each, print the table, and return 1 if one survives."""
    wanted = " ".join(sys.argv[1:])
    chosen = [mutant for mutant in MUTANTS if wanted in mutant.name]
    console = Console()
    verdicts: list[Verdict] = []
    folder = tempfile.TemporaryDirectory(prefix="sanji-mutants-")
    with folder as place, ThreadPoolExecutor(WORKERS) as workers:
        judged = workers.map(lambda one: judge(one, Path(place)), chosen)
        shown = Console(stderr=True)
        for verdict in track(judged, "mutants", len(chosen), console=shown, transient=True):
            verdicts.append(verdict)
            shown.print(f"{verdict.mutant.name}: {verdict.caught_by or 'survived'}", style="dim")
    console.print(_table(verdicts))
    survivors = sum(not verdict.caught_by for verdict in verdicts)
    console.print(f"{len(verdicts)} mutants, {survivors} survived")
    return 1 if survivors else 0


def judge(mutant: Mutant, folder: Path) -> Verdict:
    """Plant ``mutant`` in a copy of the project and let the tests look for it."""
    copy = folder / re.sub(r"\W+", "-", mutant.name)
    shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
    planted = copy / mutant.file
    planted.write_text(planted.read_text("utf-8").replace(mutant.old, mutant.new), "utf-8")
    began = time.monotonic()
    caught_by = _run(mutant, copy)
    shutil.rmtree(copy)
    return Verdict(mutant, caught_by, time.monotonic() - began)


def _run(mutant: Mutant, copy: Path) -> str:
    """Return who noticed, empty if nobody did."""
    if mutant.tests:
        command = ["-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *mutant.tests]
    else:
        first, count = (str(number) for number in mutant.seeds)
        command = ["-m", "tests.simulation", "--seed", first, "--count", count, "--first"]
    try:
        done = subprocess.run(
            [sys.executable, *command], cwd=copy, capture_output=True, text=True, check=False,
            timeout=SECONDS_MAX, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"hung for {SECONDS_MAX} s"
    if done.returncode == 0:
        return ""
    said = done.stdout + done.stderr
    named = re.search(r"^FAILED (\S+)|(seed \d+) failed", said, re.MULTILINE)
    if named is None:
        last = said.strip().splitlines()[-1] if said.strip() else ""
        return f"broke: {last[:80]}"
    return named[1] or named[2]


def _table(verdicts: list[Verdict]) -> Table:
    table = Table("mutant", "caught by", "seconds")
    for verdict in verdicts:
        caught_by = verdict.caught_by or "[bold red]nobody[/]"
        table.add_row(verdict.mutant.name, caught_by, f"{verdict.seconds:.1f}")
    return table


if __name__ == "__main__":
    sys.exit(main())
