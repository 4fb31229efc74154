"""What all tests share: Hypothesis does not time an example, because machines are shared."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from shared.record.feed import Level
from tests.support.rabbit import HAS_RABBITMQ, RabbitServer, definitions_for

settings.register_profile("sanji", deadline=None)
settings.load_profile("sanji")

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
