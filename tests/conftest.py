"""What all tests share: Hypothesis does not time an example, because machines are shared.

Also the one PostgreSQL and the one RabbitMQ of a test session; where one is not installed, its
tests are skipped, by name, or fail where all services are required.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from shared.domain.tables import VIEWS
from shared.record.feed import Level
from tests.support import postgresql
from tests.support.rabbit import HAS_RABBITMQ, RabbitServer, definitions_for

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


BROKER_SERVES = {
    # of tests/support/carriers.py
    "3406": Level.DISTRICT, "340602": Level.TOWN, "3407": Level.DISTRICT,
    # of the whole districts in tests/integration
    "340603": Level.DISTRICT, "340603100": Level.TOWN, "340603100201": Level.VILLAGE,
    "340603100202": Level.VILLAGE,
}  # fmt: skip


@pytest.fixture(scope="session")
def rabbit() -> Iterator[RabbitServer]:
    """A private broker for all tests of this process; who kills it starts it again."""
    if not HAS_RABBITMQ:
        if os.environ.get("SANJI_SERVICES") == "require":
            pytest.fail("RabbitMQ is missing: apt-get install rabbitmq-server")
        pytest.skip("needs RabbitMQ: apt-get install rabbitmq-server")
    folder = Path(tempfile.mkdtemp(prefix="sanji-rabbit-"))
    server = RabbitServer(folder, definitions_for(BROKER_SERVES))
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
