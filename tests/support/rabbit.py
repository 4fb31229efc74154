"""The private RabbitMQ of tests: it speaks TLS too, and passwords follow from codes."""

import asyncio
from pathlib import Path
from typing import Any, Final

from broker.rabbitmq.definitions import definitions, password_hash
from broker.rabbitmq.login import Login
from demo.servers import rabbitmq
from demo.servers.programs import free_port
from demo.servers.rabbitmq import VHOST
from shared.record.feed import Level
from tests.support.certificates import Authority

ADMIN: Final = "admin"


class RabbitServer(rabbitmq.RabbitServer):
    """A broker with a certificate for ``localhost``.

    Attributes:
        tls_port: Where it speaks AMQP over TLS.
        authority: Who signed the certificate; clients that show one need one from there.
        was_killed: It was, since this was last set to false.
    """

    was_killed = False

    def __init__(self, folder: Path, definitions: dict[str, Any]) -> None:
        """Prepare a broker that lives in ``folder``."""
        folder.mkdir(exist_ok=True)
        self.authority = Authority(folder)
        self.tls_port = free_port()
        tls = rabbitmq.Tls(self.tls_port, self.authority.ca, *self.authority.issue("broker"))
        super().__init__(folder, definitions, tls=tls)

    def kill(self) -> None:
        """End it as a power cut would."""
        super().kill()
        self.was_killed = True

    def segments(self, stream: str) -> list[Path]:
        """Return the files in which a stream lies, the oldest first."""
        folder = f"{VHOST}_{stream.replace('.', '_')}_*"
        return sorted((self._folder / "data").glob(f"*/stream/{folder}/*.segment"))

    @property
    def tls_address(self) -> str:
        """Return the address of its virtual host over TLS."""
        return f"amqps://localhost:{self.tls_port}/{VHOST}"


async def revived(server: RabbitServer) -> None:
    """Start a broker again that was killed, while the loop goes on."""
    server.begin()
    await asyncio.to_thread(server.wait)


def password_of(code: str) -> str:
    """Return the password by which a division logs in at the brokers of tests."""
    return f"{code}-is-here"


def login(server: RabbitServer, code: str) -> Login:
    """Return how division ``code`` logs in at ``server``."""
    del server
    return Login(code, password_of(code))


def definitions_for(divisions: dict[str, Level]) -> dict[str, Any]:
    """Return the definitions that our command would write, and an administrator's beside them."""
    hashes = {code: password_hash(password_of(code), b"salt") for code in (*divisions, ADMIN)}
    made = definitions(divisions, hashes, VHOST)
    everything = {"user": ADMIN, "vhost": VHOST, "configure": ".*", "write": ".*", "read": ".*"}
    made["users"].append({
        "name": ADMIN, "password_hash": hashes[ADMIN],
        "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": "administrator",
    })  # fmt: skip
    made["permissions"].append(everything)
    return made
