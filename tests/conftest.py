"""What all tests share: Hypothesis does not time an example, because machines are shared.

Also the one PostgreSQL and the one RabbitMQ of a test session; where one is not installed, its
tests are skipped, by name, or fail where all services are required.
"""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from demo.servers import postgresql as postgresql_program
from demo.servers import rabbitmq as rabbitmq_program
from demo.servers.users import definitions_for
from shared.domain.tables import VIEWS
from shared.record.feed import Level
from tests.support import postgresql, services
from tests.support.rabbit import RabbitServer

settings.register_profile("sanji", deadline=None)
settings.load_profile("sanji")


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[postgresql_program.Server]:
    """A server that runs until the session ends; it does not flush, and nobody pulls its plug."""
    services.need(postgresql_program.is_installed(), postgresql_program.MISSING)
    server = postgresql_program.Server(postgresql.PASSWORD)
    yield server
    server.remove()


@pytest.fixture
def postgresql_url(postgresql_server: postgresql_program.Server) -> str:
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


@pytest.fixture
def rabbit(broker_of_all: RabbitServer) -> Iterator[RabbitServer]:
    """A private broker; who kills it starts it again.

    The next test gets one that was not killed: RabbitMQ 3.10.8 may never get back a stream that
    was declared shortly before.
    """
    broker_of_all.was_killed = False
    yield broker_of_all
    if broker_of_all.was_killed:
        broker_of_all.wipe()
        broker_of_all.start()


@pytest.fixture(scope="session")
def broker_of_all() -> Iterator[RabbitServer]:
    """The broker of all tests of this process."""
    services.need(rabbitmq_program.is_installed(), rabbitmq_program.MISSING)
    folder = Path(tempfile.mkdtemp(prefix="sanji-rabbit-"))
    server = RabbitServer(folder, definitions_for(BROKER_SERVES))
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
