"""What all tests share: Hypothesis does not time an example, because machines are shared.

Also the one PostgreSQL server of a test session; without PostgreSQL its tests are skipped, by name,
or fail where all services are required.
"""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from shared.domain.tables import VIEWS
from tests.support import postgresql

settings.register_profile("sanji", deadline=None)
settings.load_profile("sanji")


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[postgresql.Server]:
    """A server that runs until the session ends; it does not flush, and nobody pulls its plug."""
    if not postgresql.is_installed():
        if os.environ.get("SANJI_SERVICES") == "require":
            pytest.fail(postgresql.MISSING)
        pytest.skip(postgresql.MISSING)
    server = postgresql.Server()
    yield server
    server.remove()


@pytest.fixture
def postgresql_url(postgresql_server: postgresql.Server) -> str:
    """A new, empty database."""
    return postgresql_server.new_database()


@pytest.fixture
def postgresql_views(postgresql_url: str) -> Iterator[postgresql.Transact]:
    """Transactions in a database with the view tables, for tests without an event loop."""
    with postgresql.transacting(postgresql_url, VIEWS) as transact:
        yield transact
