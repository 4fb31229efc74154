"""Which carriers a node has, by its settings: WebSocket always, RabbitMQ where it is set up."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from broker.introduction import Identity
from broker.rabbitmq.login import SCHEMES, Login, client_tls, place_of, read_password
from broker.rabbitmq.timing import Timing
from broker.router import SchemeRouter
from broker.websocket import LinkRoute, WebSocketCarrier
from shared.errors import InvalidError
from shared.link.carrier import Carrier
from shared.node.links import Links
from shared.node.settings import Settings

WEB_SCHEMES: Final = ("ws", "wss", "http", "https")

NO_LOGIN: Final = "set broker_password_file or broker_certificate in node.toml to dial brokers"


def route(settings: Settings, identity: Identity, links: Links) -> LinkRoute:
    """Return what the web server does with ``GET /link``."""
    # Which names lead here may be many (a proxy, several cards): the list is checked only where
    # the operator gave one.
    given = [one for one in settings.addresses if _scheme(one) not in SCHEMES]
    by = "wss" if settings.tls_certificate else "ws"
    return LinkRoute(identity, links.keys_of, partial(links.serve, by=by), given)


@asynccontextmanager
async def dialling(settings: Settings, identity: Identity, links: Links) -> AsyncIterator[Carrier]:
    """Yield the carrier by which the node dials: each address by its scheme.

    Raises:
        InvalidError: a file that a setting names cannot be used.
    """
    web = WebSocketCarrier(identity, links.keys_of, _web_tls(settings))
    links.carriers.append(web.state)
    by_scheme: dict[str, Carrier] = dict.fromkeys(WEB_SCHEMES, web)
    if (login := login_of(settings, identity.code)) is not None:
        # Here, because only who has a login shall load the library: a village has little memory.
        from broker.rabbitmq.carrier import RabbitMqCarrier  # noqa: PLC0415

        rabbit = RabbitMqCarrier(identity, links.keys_of, login)
        links.carriers.append(rabbit.state)
        by_scheme |= dict.fromkeys(SCHEMES, rabbit)
    try:
        yield SchemeRouter(by_scheme, dict.fromkeys(SCHEMES, NO_LOGIN))
    finally:
        await web.close()


@asynccontextmanager
async def answering(settings: Settings, identity: Identity, links: Links) -> AsyncIterator[None]:
    """Answer children through the broker while the block runs, if ``broker_url`` is set.

    Raises:
        InvalidError: a setting is wrong, or a file that it names cannot be used.
    """
    if not settings.broker_url:
        yield
        return
    place, login = place_of(settings.broker_url), login_of(settings, identity.code)
    if login is None:
        raise InvalidError(f"broker_url is set, but no way to log in: {NO_LOGIN}.")
    login.check(place)
    from broker.rabbitmq.relay import RabbitMqRelay  # noqa: PLC0415 - as above

    relay = RabbitMqRelay(
        identity, links.keys_of, partial(links.serve, by=_scheme(place.address)), place, login,
        addresses=_broker_addresses(settings), on_broadcast=links.broadcast,
        timing=timing_of(settings),
    )  # fmt: skip
    links.carriers.append(relay.state)
    running = asyncio.create_task(relay.run())
    try:
        yield
    finally:
        await relay.close()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def timing_of(settings: Settings) -> Timing:
    """Return how long a relay waits: to come back to a broker no longer than children may."""
    first, longest = Timing().retry_seconds
    longest = min(longest, settings.backoff_seconds_max)
    return Timing(retry_seconds=(min(first, longest), longest))


def login_of(settings: Settings, code: str) -> Login | None:
    """Return who the node is at brokers; None if nothing is set up.

    Raises:
        InvalidError: a file that a setting names cannot be used.
    """
    if not (settings.broker_password_file or settings.broker_certificate):
        return None
    # What the libraries say about a lost connection, with tracebacks, we say ourselves in a line.
    for name in ("aio_pika", "aiormq"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    file = settings.broker_password_file
    return Login(
        settings.broker_user or code,
        read_password(file) if file else None,
        client_tls(settings.broker_ca, settings.broker_certificate, settings.broker_key),
    )


def _broker_addresses(settings: Settings) -> Collection[str]:
    """Return at which of its addresses a relay may have been dialled through a broker."""
    return [one for one in settings.addresses if _scheme(one) in SCHEMES] or [settings.broker_url]


def _scheme(address: str) -> str:
    return address.partition("://")[0].lower()


def _web_tls(settings: Settings) -> ssl.SSLContext | None:
    if not settings.tls_ca:
        return None
    try:
        return ssl.create_default_context(cafile=settings.tls_ca)
    except (OSError, ssl.SSLError) as error:
        raise InvalidError(f"tls_ca cannot be used: {error}.") from error
