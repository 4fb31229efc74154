"""Where a broker is and how one logs in there; nothing here shows a secret."""

import ssl as tls
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from broker.handshake import normal_address
from shared.errors import InvalidError

SCHEMES: Final = frozenset({"amqp", "amqps"})
_PORTS: Final = {"amqp": 5672, "amqps": 5671}


@dataclass(frozen=True)
class Place:
    """A broker's address, taken apart.

    Attributes:
        address: As it is signed and shown: ``amqp://host[:port]/vhost``.
        host: Name or IP address.
        port: TCP port.
        vhost: Virtual host on the broker.
        is_tls: True for ``amqps``.
    """

    address: str
    host: str
    port: int
    vhost: str
    is_tls: bool


def place_of(address: str) -> Place:
    """Return what ``address`` says.

    Raises:
        InvalidError: not ``amqp://host[:port]/vhost`` or ``amqps://…``, or with a password in it.
    """
    normal = normal_address(address)
    parts = urlsplit(normal)
    if parts.scheme not in SCHEMES:
        raise InvalidError(f"{normal} is not the address of a broker: amqp://host[:port]/vhost")
    port = parts.port or _PORTS[parts.scheme]
    vhost = unquote(parts.path[1:]) or "/"
    return Place(normal, parts.hostname or "", port, vhost, parts.scheme == "amqps")


@dataclass(frozen=True)
class Login:
    """Who logs in at a broker.

    Attributes:
        user: Its name there, which every message bears; with a certificate, the name that this
            has there, else the broker refuses each message.
        password: Its password; None where the certificate says who it is.
        ssl: For ``amqps``; None uses the system's certificates.
    """

    user: str
    password: str | None = field(repr=False)
    ssl: tls.SSLContext | None = field(default=None, repr=False)

    @property
    def mechanism(self) -> str:
        """How it logs in, as SASL names it."""
        return "EXTERNAL" if self.password is None else "PLAIN"

    def check(self, place: Place) -> None:
        """Refuse a place where it can never log in.

        Raises:
            InvalidError: a certificate is all it has, and nobody sees it there.
        """
        if self.password is None and not place.is_tls:
            raise InvalidError(
                f"{place.address} sees no certificate: a login by one needs amqps.",
                advice="Name an amqps address, or set broker_password_file in node.toml.",
            )


def read_password(file: str) -> str:
    """Return the password in ``file``, without the end of its line.

    Raises:
        InvalidError: it cannot be read, or is empty.
    """
    try:
        password = Path(file).read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidError(f"broker_password_file cannot be read: {error}.") from error
    if not password:
        raise InvalidError(f"broker_password_file {file} is empty.")
    return password


def client_tls(ca: str, certificate: str, key: str) -> tls.SSLContext | None:
    """Return how brokers are checked over TLS, and what we show them.

    Args:
        ca: PEM file of the authority that signs the broker's certificate; empty: the system's.
        certificate: PEM file of our own; empty: none is shown.
        key: PEM file of its private key; empty: it stands in ``certificate``.

    Returns:
        None if nothing is set: the system's certificates are good enough.

    Raises:
        InvalidError: a file cannot be used.
    """
    if not (ca or certificate):
        return None
    try:
        context = tls.create_default_context(cafile=ca or None)
        if certificate:
            context.load_cert_chain(certificate, key or None)
    except (OSError, tls.SSLError) as error:
        raise InvalidError(
            f"the TLS files of the broker cannot be used: {error}.",
            advice="Check broker_ca, broker_certificate and broker_key in node.toml.",
        ) from error
    return context
