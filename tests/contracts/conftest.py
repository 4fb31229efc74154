"""The stores of the contract suites ``test_store*.py``."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.log.store import Store
from tests.support.postgresql import reopen_postgresql
from tests.support.stores import Reopen, reopen_memory, reopen_sql


@pytest.fixture(params=["memory", "threaded", "inline", "postgresql"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Reopen:
    """Each implementation's way to come back to the same records."""
    if request.param == "memory":
        return reopen_memory
    if request.param == "postgresql":
        return reopen_postgresql(request.getfixturevalue("postgresql_url"))
    return reopen_sql(tmp_path / "log.sqlite", threaded=request.param == "threaded")


@pytest.fixture
async def store(reopen: Reopen) -> AsyncIterator[Store]:
    """An empty store of each kind."""
    made = await reopen(None)
    yield made
    await made.close()
