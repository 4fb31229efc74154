"""The private RabbitMQ of tests: it speaks TLS too."""

import asyncio
from pathlib import Path
from typing import Any

from broker.rabbitmq.login import Login
from demo.servers import rabbitmq
from demo.servers.programs import free_port
from demo.servers.rabbitmq import VHOST
from demo.servers.users import password_of
from tests.support.certificates import Authority


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


def login(server: RabbitServer, code: str) -> Login:
    """Return how division ``code`` logs in at ``server``."""
    del server
    return Login(code, password_of(code))
