"""What a node's box keeps when the power goes: in memory, or as SQLite files."""

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from shared.log.memory import MemoryState, MemoryStore
from shared.log.sql import SqlStore
from shared.log.sqlite import SqliteDatabase
from shared.log.store import Batch, Store
from shared.log.tables import LOG_TABLES
from tests.simulation.virtual import at_once

Hook = Callable[[Batch], None]


class Disk(Protocol):
    """A disk with one log on it.

    Attributes:
        before: Called before each commit is durable; what it raises prevents it.
        after: Called when it is durable; what it raises stands for a caller that never heard.
    """

    before: Hook
    after: Hook

    def open(self) -> Store:
        """Return the log as it is on the disk; the one opened before is dead."""

    def kill(self) -> None:
        """Let the process that uses the log die; later calls of its store fail."""

    def snapshot(self) -> object:
        """Return a backup."""

    def restore(self, backup: object) -> None:
        """Go back to ``backup``; the log must not be in use."""

    def holds(self, rid: bytes) -> bool:
        """Tell whether the record is in the trunk or aside, also while the box is off."""


def _nothing(_batch: Batch) -> None:
    return


class MemoryDisk:
    """See ``Disk``."""

    def __init__(self) -> None:
        """Start empty."""
        self.before: Hook = _nothing
        self.after: Hook = _nothing
        self._store = MemoryStore()

    def open(self) -> MemoryStore:
        """See ``Disk``."""
        self._store = MemoryStore(self._store.snapshot())
        self._store.before_commit = lambda batch: self.before(batch)  # noqa: PLW0108 - the hook of that moment
        self._store.after_commit = lambda batch: self.after(batch)  # noqa: PLW0108 - the hook of that moment
        return self._store

    def kill(self) -> None:
        """See ``Disk``."""
        at_once(self._store.close())

    def snapshot(self) -> MemoryState:
        """See ``Disk``."""
        return self._store.snapshot()

    def restore(self, backup: object) -> None:
        """See ``Disk``."""
        assert isinstance(backup, MemoryState)
        self._store = MemoryStore(backup)

    def holds(self, rid: bytes) -> bool:
        """See ``Disk``."""
        state = self._store._durable
        return rid in state.by_rid or rid in state.aside


class _HookedStore(SqlStore):
    """A ``SqlStore`` that can be made to fail around its commit."""

    def __init__(self, database: SqliteDatabase, disk: "FileDisk") -> None:
        super().__init__(database)
        self._disk = disk

    async def commit(self, batch: Batch) -> None:
        """Write ``batch`` between the two hooks."""
        self._disk.before(batch)
        await super().commit(batch)
        self._disk.after(batch)


class FileDisk:
    """See ``Disk``: real SQL on a real file, without a thread."""

    def __init__(self, folder: Path, name: str) -> None:
        """Keep the log in ``folder``."""
        self.before: Hook = _nothing
        self.after: Hook = _nothing
        self._file = folder / f"{name}.db"
        self._backups = 0
        self._store: _HookedStore | None = None

    def open(self) -> SqlStore:
        """See ``Disk``."""
        self.kill()
        self._store = _HookedStore(
            SqliteDatabase.open(self._file, LOG_TABLES, threaded=False), self
        )
        return self._store

    def kill(self) -> None:
        """See ``Disk``."""
        if self._store is not None:
            at_once(self._store.close())

    def snapshot(self) -> Path:
        """See ``Disk``."""
        self._backups += 1
        backup = self._file.with_suffix(f".backup{self._backups}")
        source, target = sqlite3.connect(self._file), sqlite3.connect(backup)
        source.backup(target)
        source.close()
        target.close()
        return backup

    def restore(self, backup: object) -> None:
        """See ``Disk``."""
        assert isinstance(backup, Path)
        for suffix in ("-wal", "-shm"):
            self._file.with_name(self._file.name + suffix).unlink(missing_ok=True)
        shutil.copy(backup, self._file)

    def holds(self, rid: bytes) -> bool:
        """See ``Disk``."""
        connection = sqlite3.connect(self._file)
        query = "SELECT 1 FROM record WHERE rid = ? UNION SELECT 1 FROM aside WHERE rid = ?"
        found = connection.execute(query, (rid, rid)).fetchone()
        connection.close()
        return found is not None
