"""What users meet is documented: settings, metrics, kinds, errors, commands."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

import district.cli
import town.cli
import village.cli
from shared.app.cli import EXIT_CODES
from shared.app.metrics import LABELS, METRICS
from shared.domain.catalogue import KINDS
from shared.node.settings import Settings

ROOT = Path(__file__).parents[2]
TIERS = {"district": district.cli.app, "town": town.cli.app, "village": village.cli.app}


def reference(name: str) -> str:
    """Return a page of the reference."""
    return (ROOT / "docs" / "reference" / name).read_text("utf-8")


def test_each_setting_is_documented() -> None:
    """settings.md has a row for each setting, with its default and description."""
    page = reference("settings.md")
    for name, field in Settings.model_fields.items():
        assert f"| `{name}` | `{field.default!r}` | {field.description} |" in page


def test_each_metric_is_documented_and_no_other() -> None:
    """metrics.md has a row for each metric, with its labels and its sentence."""
    page = reference("metrics.md")
    assert [line for line in page.splitlines() if line.startswith("| `sanji_")] == [
        f"| `{one.name}` | {', '.join(f'`{label}`' for label in LABELS[one.each])} | {one.about} |"
        for one in METRICS
    ]
    assert set(re.findall(r"sanji_\w+", page)) == {one.name for one in METRICS}


def test_each_kind_is_documented() -> None:
    """kinds.md has a row for each kind, with its sentence."""
    page = reference("kinds.md")
    for kind in KINDS:
        assert f"| `{kind.name}` | {kind.about} |" in page


def test_each_exit_code_is_documented() -> None:
    """errors.md has a row for each error that has an exit code of its own."""
    page = reference("errors.md")
    for error, code in EXIT_CODES.items():
        assert f"| `{error.__name__}` | {code} |" in page


@pytest.mark.parametrize("tier", sorted(TIERS))
def test_each_command_is_documented(tier: str) -> None:
    """commands.md names every command of every tier."""
    page = reference("commands.md")
    group = get_command(TIERS[tier])
    for name in group.commands:  # type: ignore[attr-defined]
        assert f"`{tier} {name}`" in page
