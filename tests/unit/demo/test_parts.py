"""What real parts mean for the nodes: settings, which way a node dials, what is missing."""

from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest

from broker.cable import Cable
from demo import host
from demo.district import read_district
from demo.parts import CarrierName, Parts, StoreName, private_parts
from demo.servers import postgresql, rabbitmq
from demo.servers.rabbitmq import RabbitServer
from shared.errors import UnavailableError
from shared.link.carrier import LinkDownError

DISTRICT = read_district()
TOWN, VILLAGE = DISTRICT.towns[0], DISTRICT.villages[0]


def test_without_parts_nothing_is_said() -> None:
    """A node's own defaults hold: WebSocket, a file."""
    assert [Parts().settings(one) for one in (DISTRICT.top, TOWN, VILLAGE)] == [{}, {}, {}]


def test_relays_answer_at_the_broker_and_only_the_district_has_a_database(tmp_path: Path) -> None:
    """Everybody logs in with a password of its own; a village listens nowhere."""
    broker = RabbitServer(tmp_path, {}, port=5)
    parts = Parts(CarrierName.RABBITMQ, broker, Path("p"), "postgresql:///d")
    assert parts.settings(DISTRICT.top) == {
        "database_url": "postgresql:///d", "broker_url": "amqp://127.0.0.1:5/sanji",
        "broker_password_file": f"p/{DISTRICT.top.code}",
    }  # fmt: skip
    assert parts.settings(TOWN) == {
        "broker_url": "amqp://127.0.0.1:5/sanji", "broker_password_file": f"p/{TOWN.code}",
    }  # fmt: skip
    assert parts.settings(VILLAGE) == {"broker_password_file": f"p/{VILLAGE.code}"}


async def test_where_a_broker_is_nobody_dials_around_it() -> None:
    """Else its links would come back by WebSocket when it falls."""
    dialled: list[str] = []

    async def dial(peer: str, address: str) -> None:
        dialled.append(f"{peer} {address}")
        raise LinkDownError("nobody is there")

    carrier = host.by_broker(Cable(Random(1)))(SimpleNamespace(dial=dial))
    for address in ("ws://127.0.0.1:1/link", "amqp://127.0.0.1:5/sanji"):
        with pytest.raises(LinkDownError):
            await carrier.dial("34", address)
    assert dialled == ["34 amqp://127.0.0.1:5/sanji"]


@pytest.mark.parametrize(
    ("carrier", "store", "says"),
    [
        (CarrierName.RABBITMQ, StoreName.SQLITE, rabbitmq.MISSING),
        (CarrierName.WS, StoreName.POSTGRESQL, postgresql.MISSING),
    ],
)
def test_a_missing_package_is_named(
    carrier: CarrierName, store: StoreName, says: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """With the command that installs it, before anything is started."""
    monkeypatch.setattr(rabbitmq, "PROGRAMS", tmp_path)
    monkeypatch.setattr(postgresql, "FOLDERS", [])
    with (
        pytest.raises(UnavailableError, match=f"^{says}"),
        private_parts(DISTRICT, tmp_path, carrier, store),
    ):
        pytest.fail("it has started")
    assert "apt-get install" in says
