"""The real parts under a district: what carries its links, where the district's log lies."""

import json
import secrets
import shutil
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from demo.district import District, Division
from demo.servers import postgresql
from demo.servers.rabbitmq import VHOST, RabbitServer
from shared.app.brokers import write_definitions
from shared.record.feed import Level

PASSWORDS: Final = "passwords"
"""Folder of the nodes' passwords at the broker."""

DATABASES_FILE: Final = "databases.json"
"""Says, for the auditor, which node's log lies in which database: URLs by code."""


class CarrierName(StrEnum):
    """What may carry the links."""

    WS = "ws"
    RABBITMQ = "rabbitmq"

    @property
    def by(self) -> str:
        """What a node's status says of a link that it carries."""
        return "amqp" if self is CarrierName.RABBITMQ else "ws"


class StoreName(StrEnum):
    """Where the district's node may keep its log."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"


def add_option(parser: ArgumentParser, option: str, names: type[StrEnum]) -> None:
    """Let a command be told which part to take; the first one unless it is."""
    known = [one.value for one in names]
    parser.add_argument(option, choices=known, default=known[0])


@dataclass(frozen=True)
class Parts:
    """What the nodes of one district stand on.

    Attributes:
        carrier: What carries the links.
        broker: The private broker; None over WebSocket.
        passwords: Folder with a file for each division: its password at the broker.
        database_url: Of the district's log; empty for the file in its home.
    """

    carrier: CarrierName = CarrierName.WS
    broker: RabbitServer | None = None
    passwords: Path = Path()
    database_url: str = ""

    def settings(self, division: Division) -> dict[str, Any]:
        """Return what a node's ``node.toml`` says because of them."""
        said: dict[str, Any] = {}
        if self.database_url and division.level is Level.DISTRICT:
            said["database_url"] = self.database_url
        if self.broker is not None:
            said["broker_password_file"] = str(self.passwords / division.code)
            if division.level is not Level.VILLAGE:
                said["broker_url"] = self.broker.address
        return said


@contextmanager
def private_parts(
    district: District, folder: Path, carrier: CarrierName, store: StoreName, port: int = 0
) -> Iterator[Parts]:
    """Start the servers that a district needs, and throw them away in the end.

    To be entered in the main thread: whatever ends it ends the servers.

    Args:
        district: Whose nodes log in at the broker.
        folder: Keeps their passwords, and what the auditor has to know.
        carrier: What shall carry the links.
        store: Where the district shall keep its log.
        port: Of the broker; 0 for any free one.

    Raises:
        UnavailableError: a server is not installed or does not start.
    """
    with ExitStack() as ending:
        url = ""
        if store is StoreName.POSTGRESQL:
            server = postgresql.Server(secrets.token_urlsafe())
            ending.callback(server.remove)
            url = server.new_database()
            (folder / DATABASES_FILE).write_text(json.dumps({district.top.code: url}) + "\n")
        broker = None
        if carrier is CarrierName.RABBITMQ:
            broker = _prepared(ending, district, folder, port)
            broker.start()
        yield Parts(carrier, broker, folder / PASSWORDS, url)


def _prepared(ending: ExitStack, district: District, folder: Path, port: int) -> RabbitServer:
    """Return a broker that knows the nodes; its data lie where its own user gets to."""
    place = Path(tempfile.mkdtemp(prefix="sanji-rabbit-"))
    ending.callback(shutil.rmtree, place, ignore_errors=True)
    levels = {one.code: one.level.word for one in district.everybody}
    definitions = place / "definitions.json"
    write_definitions(levels, definitions, folder / PASSWORDS, VHOST)
    made = json.loads(definitions.read_text("utf-8"))
    broker = RabbitServer(place, made, port=port, has_figures=True)
    ending.callback(broker.stop)
    return broker
