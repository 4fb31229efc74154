"""Three ways to have a store, and all of what one answers."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from shared.log.memory import MemoryStore
from shared.log.sql import SqlStore
from shared.log.sqlite import SqliteDatabase
from shared.log.store import Store
from shared.log.tables import LOG_TABLES
from shared.record.feed import LANES

Reopen = Callable[[Store | None], Awaitable[Store]]
"""Closes the given store, if any, and opens the same place again."""


def open_sql(path: Path, *, threaded: bool = False, pages_max: int | None = None) -> SqlStore:
    """Return a store in the file ``path``."""
    return SqlStore(SqliteDatabase.open(path, LOG_TABLES, threaded=threaded, pages_max=pages_max))


async def reopen_memory(store: Store | None) -> Store:
    """Return what is left of a store in memory after its process has ended."""
    if store is None:
        return MemoryStore()
    assert isinstance(store, MemoryStore)
    await store.close()
    return MemoryStore(store.snapshot())


def reopen_sql(path: Path, *, threaded: bool) -> Reopen:
    """Return the ``Reopen`` of a file."""

    async def reopen(store: Store | None) -> Store:
        if store is not None:
            await store.close()
        return open_sql(path, threaded=threaded)

    return reopen


async def answers(store: Store) -> dict[str, Any]:
    """Return everything that can be read from ``store``, in plain values to compare."""
    feeds = await store.feeds()
    trunk = await store.since(0, 10**6)
    return {
        "feeds": feeds,
        "trunk": trunk,
        "read": {feed: await store.read(feed, 0, 10**6, 10**9) for feed in feeds},
        "rids": {
            feed: await store.rids(feed, max(0, state.count - 3), 10**6)
            for feed, state in feeds.items()
        },
        "found": [await store.find(stored.record.rid) for stored in trunk],
        "lanes": {lane: await store.lane(lane) for lane in LANES},
        "aside": await store.aside(),
        "forks": await store.forks(),
        "quarantine": await store.quarantine(),
    }
