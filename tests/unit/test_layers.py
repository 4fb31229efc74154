"""Who may import whom, where import-linter has no word for it.

The layers themselves are a contract in pyproject.toml. Here: subjects of `shared/domain` know each
other only through `kinds.py`, an `__init__.py` holds a docstring and nothing else, and each part of
`shared` has its place in that contract.
"""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("shared", "broker", "district", "town", "village", "demo", "bench")
DOMAIN = ("shared", "domain")


def imported(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yields the line and the dotted name of everything that a module imports.

    `from a.b import c` yields `a.b.c`: whether c is a module or a name in one, it lies below a.b.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def subject_faults(path: Path, source: str, subjects: frozenset[str]) -> list[str]:
    """Returns the imports by which one subject reaches into another, past its `kinds`.

    Args:
        path: of the module, from the root: `shared/domain/cases/view.py`.
        source: its text.
        subjects: the names of all folders in `shared/domain`.
    """
    *folder, _ = path.parts
    if tuple(folder[:2]) != DOMAIN or len(folder) == len(DOMAIN):
        return []
    own = folder[2]
    faults = []
    for line, name in imported(ast.parse(source)):
        parts = name.split(".")
        if tuple(parts[:2]) != DOMAIN or len(parts) == len(DOMAIN):
            continue
        other = parts[2]
        if other in subjects and other != own and parts[3:4] != ["kinds"]:
            faults.append(f"{path}:{line}: {own} knows {other} only through kinds, not {name}")
    return faults


def init_faults(path: Path, source: str) -> list[str]:
    """Returns what an `__init__.py` holds beside its docstring, and that it has none."""
    tree = ast.parse(source)
    if ast.get_docstring(tree) is None:
        return [f"{path}: no docstring"]
    return [f"{path}:{node.lineno}: more than a docstring" for node in tree.body[1:]]


def sources() -> Iterator[tuple[Path, str]]:
    """Yields each module of ours: its path from the root, and its text."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT), path.read_text(encoding="utf-8")


def test_subjects_know_each_other_only_through_kinds() -> None:
    """No subject imports another's rules or view."""
    folders = (ROOT / "shared" / "domain").glob("*/")
    subjects = frozenset(folder.name for folder in folders if folder.name != "__pycache__")
    found = (subject_faults(path, text, subjects) for path, text in sources())
    assert [fault for faults in found for fault in faults] == []


def test_init_files_hold_a_docstring_and_nothing_else() -> None:
    """Nothing is re-exported: each name has one address."""
    inits = ((path, text) for path, text in sources() if path.name == "__init__.py")
    assert [fault for path, text in inits for fault in init_faults(path, text)] == []


def test_nothing_stands_on_tests() -> None:
    """What is installed or measured works without them."""
    found = (
        (path, line, name) for path, text in sources() for line, name in imported(ast.parse(text))
    )
    assert [(path, line) for path, line, name in found if name.split(".")[0] == "tests"] == []


def test_each_part_of_shared_has_a_layer() -> None:
    """A folder or module that no layer names would be watched by nobody."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = config["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    named = {name.strip(" ()") for layer in layers for name in layer.split("|")}
    parts = {
        path.parts[1].removesuffix(".py") for path, _ in sources() if path.parts[0] == "shared"
    }
    assert {f"shared.{part}" for part in parts - {"__init__"}} <= named


@pytest.mark.parametrize(
    "source",
    [
        "from shared.domain.notices import view",
        "from shared.domain.notices.view import table",
        "from shared.domain.notices import kinds, rules",
        "from shared.domain import notices",
        "import shared.domain.notices",
        "import shared.domain.notices.rules as r",
        "def late():\n    from shared.domain.notices.rules import due\n",
        "if TYPE_CHECKING:\n    import shared.domain.notices.view\n",
    ],
)
def test_reaching_into_another_subject_is_found(source: str) -> None:
    """The check can fail: each way to write the import is one fault."""
    path = Path("shared/domain/cases/view.py")
    assert len(subject_faults(path, source, frozenset({"cases", "notices"}))) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("shared/domain/cases/view.py", "from shared.domain.notices import kinds"),
        ("shared/domain/cases/view.py", "from shared.domain.notices.kinds import Published"),
        ("shared/domain/cases/view.py", "import shared.domain.notices.kinds"),
        ("shared/domain/cases/view.py", "from shared.domain.cases.rules import step"),
        ("shared/domain/cases/view.py", "from shared.domain.kit import Table"),
        ("shared/domain/kit.py", "from shared.domain.notices import view"),
        ("shared/node/views.py", "from shared.domain.notices import view"),
    ],
)
def test_what_a_subject_may_import_is_let_through(path: str, source: str) -> None:
    """Others' kinds, its own modules, what lies beside subjects; upper layers import all."""
    assert subject_faults(Path(path), source, frozenset({"cases", "notices"})) == []


def test_init_file_with_more_is_found() -> None:
    """The check can fail: a re-export, and a missing docstring."""
    path = Path("shared/record/__init__.py")
    assert init_faults(path, '"""Said."""\n') == []
    assert len(init_faults(path, '"""Said."""\nfrom shared.record.rid import rid\n')) == 1
    assert len(init_faults(path, "")) == 1
