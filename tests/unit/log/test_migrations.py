"""The tree of revisions: one line up to HEAD, and each of them only adds.

An older program goes on with what a newer one has left, so nothing that it writes may be refused.
"""

import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from alembic import op
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Column, Text

from shared.log.migrations.upgrade import configuration
from shared.log.schema import FIRST, HEAD

SCRIPTS = ScriptDirectory.from_config(configuration())
REVISIONS: list[Script] = list(SCRIPTS.walk_revisions())[::-1]

CREATE = re.compile(r"CREATE TABLE (\w+)")
ADDING = (
    CREATE,
    re.compile(r"CREATE INDEX "),
    re.compile(r"ALTER TABLE \w+ ADD COLUMN (?!.*(NOT NULL|UNIQUE|PRIMARY KEY|CHECK|REFERENCES))"),
)


def test_the_revisions_are_one_line_up_to_head() -> None:
    """Numbered in their order, which is how a version tells a newer one's tables from older."""
    names = [one.revision for one in REVISIONS]
    assert names == [f"{number:04}" for number in range(1, len(names) + 1)]
    assert [one.down_revision for one in REVISIONS] == [None, *names[:-1]]
    assert SCRIPTS.get_heads() == [HEAD] == names[-1:]
    assert names[0] == FIRST


def statements(dialect: str, revision: Script | None = None) -> list[str]:
    """Return the SQL of ``revision``, or of what ``op`` did, each on one line."""
    written = StringIO()
    context = MigrationContext.configure(
        dialect_name=dialect, opts={"as_sql": True, "output_buffer": written}
    )
    with Operations.context(context):
        (revision.module.upgrade if revision else spoil)()
    return [" ".join(one.split()) for one in written.getvalue().split(";") if one.strip()]


def not_adding(lines: list[str]) -> list[str]:
    """Return what an older program could trip over."""
    return [one for one in lines if not any(pattern.match(one) for pattern in ADDING)]


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
@pytest.mark.parametrize("revision", REVISIONS, ids=lambda one: one.revision)
def test_each_revision_only_adds(dialect: str, revision: Script) -> None:
    """New tables, plain indexes, columns that may be missing in what is written."""
    lines = statements(dialect, revision)
    assert lines
    assert not_adding(lines) == []


def spoil() -> None:
    """Do what no revision may do."""
    op.drop_table("fork")
    op.drop_column("feed", "stopped")
    op.add_column("feed", Column("more", Text, nullable=False))
    op.alter_column("feed", "author", new_column_name="writer")
    op.rename_table("note", "notes")
    op.create_index("one", "feed", ["author"], unique=True)
    op.create_unique_constraint("two", "feed", ["author"])
    op.drop_index("record_rid8", "record")
    op.execute("UPDATE note SET value = ''")


def test_what_is_more_than_adding_is_found() -> None:
    """The test above would fail on each of these."""
    lines = statements("postgresql")
    assert len(lines) == 9
    assert not_adding(lines) == lines
    assert (
        not_adding(["ALTER TABLE feed ADD COLUMN more TEXT", "CREATE INDEX a ON feed (more)"]) == []
    )


def test_a_node_starts_without_alembic(tmp_path: Path) -> None:
    """It costs time and memory that a village does not have."""
    code = (
        "import sys; from pathlib import Path; from shared.log.sqlite import SqliteDatabase; "
        "from shared.app.kept import KEPT; SqliteDatabase.open(Path(sys.argv[1]), *KEPT); "
        "print('alembic' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "log.db"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False\n"
