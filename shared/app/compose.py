"""The composition root: the one place where a home becomes a node with its parts."""

import asyncio
import os
import random
import signal
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import structlog
from aiohttp import web

from broker.introduction import Identity as LinkIdentity
from broker.websocket import LinkRoute
from shared.app import carriers
from shared.app.api.service import Api
from shared.app.backup import backup_acts
from shared.app.control import ControlServer
from shared.app.kept import KEPT
from shared.app.people import staff_acts
from shared.domain.catalogue import KINDS, PROJECTIONS
from shared.errors import InvalidError, RefusedError, StorageError, UnavailableError
from shared.link.carrier import Carrier
from shared.log.database import Database
from shared.log.log import Log
from shared.log.schema import LAYOUT
from shared.log.sql import SqlStore
from shared.log.sqlite import SqliteDatabase
from shared.node.accounts import Accounts
from shared.node.clock import SystemClock
from shared.node.home import Home, machine_id
from shared.node.node import Node, Surroundings
from shared.node.settings import Settings, load_settings, split_listen
from shared.node.views import Views, create_views
from shared.record.feed import Level
from shared.web.server import STAFF, make_app
from shared.web.site import Surface

logger = structlog.get_logger(__name__)

LOOPBACK = ("127.0.0.1", "::1", "localhost")
STOP_SECONDS_MAX = 5.0

Wrap = Callable[[Carrier], Carrier]
"""Puts a fault wrapper around the carrier; the demo and the story use it (protocol 5.10)."""


async def open_database(home: Home, settings: Settings | None = None) -> Database:
    """Open the home's database with the tables of log, views and the API's answers.

    Args:
        home: Whose.
        settings: Say where it is; None for the home's own.

    Raises:
        UnavailableError: another process holds it.
        StorageError: it cannot be used.
    """
    database = await _open_database(home, settings or load_settings(home.settings_file))
    try:
        await database.run(create_views)
    except BaseException:
        await database.close()
        raise
    return database


async def _open_database(home: Home, settings: Settings) -> Database:
    url, password_file = settings.database_url, settings.database_password_file
    if not url and home.elsewhere_file.exists():  # an empty log.db would make it doubt itself
        raise StorageError(
            "This node keeps its log in PostgreSQL, and database_url is not set.",
            advice=f"Set it in {home.settings_file}; if it shall begin anew without that "
            f"database, remove {home.elsewhere_file}.",
        )
    database = await open_place(home, url, password_file)
    if url:
        home.say_elsewhere()
    return database


async def open_place(
    home: Home, url: str, password_file: str = "", layouts: Sequence[int] = (LAYOUT,)
) -> Database:
    """Open a place where the log of ``home`` lies or shall lie, whatever its settings say.

    Args:
        home: Whose.
        url: Of a PostgreSQL database; empty for ``log.db`` in the home.
        password_file: Holds its password; may be empty.
        layouts: What is taken; the first is given to an empty one.

    Raises:
        UnavailableError: another process holds it.
        StorageError: it cannot be used.
    """
    if not url:
        return SqliteDatabase.open(home.database_file, *KEPT, layouts=layouts)
    # Here, because only who uses it shall need its driver, and a village has little memory.
    from shared.log.postgresql import PostgresqlDatabase  # noqa: PLC0415

    return await PostgresqlDatabase.open(
        url, *KEPT, owner=home.owner(), layouts=layouts,
        password_file=Path(password_file) if password_file else None,
    )  # fmt: skip


def surroundings(home: Home, settings: Settings) -> Surroundings:
    """Return what a real node takes from outside."""
    return Surroundings(
        clock=SystemClock(),
        entropy=os.urandom,
        chance=random.SystemRandom(),
        timing=settings.timing(),
        intervals=settings.intervals(),
        bypass=settings.bypass_times(),
        backoff_seconds=(settings.backoff_seconds_min, settings.backoff_seconds_max),
        on_commit=home.save_marker,
    )


@asynccontextmanager
async def open_node(home: Home, settings: Settings | None = None) -> AsyncIterator[Node]:
    """Open the node that lives in ``home``, alone, without links and pages.

    Raises:
        NotFoundError: no node lives there.
        UnavailableError: another process holds the home.
        StorageError: the database cannot be used.
    """
    identity = home.identity()
    settings = settings or load_settings(home.settings_file)
    with home.lock():
        database = await open_database(home, settings)
        store = SqlStore(database)
        try:

            def views(log: Log) -> Views:
                return Views(database, log, KINDS, PROJECTIONS)

            node = Node(
                identity, home.keys(), store, KINDS,
                around=surroundings(home, settings), views=views,
            )  # fmt: skip
            await node.open(lambda opened: is_trusted(home, opened))
            async with node.working():
                yield node
        finally:
            await store.close()


def is_trusted(home: Home, node: Node) -> bool:
    """Tell whether the marker says that this box wrote the database's last own records (4.3)."""
    marker = home.marker()
    return (
        marker is not None
        and marker.machine == machine_id()
        and marker.epoch == node.log.epoch.hex()
        and marker.records <= node.author.own_records()
    )


@asynccontextmanager
async def serving(
    home: Home,
    settings: Settings,
    *,
    insecure: bool = False,
    wrap: Wrap = lambda carrier: carrier,
    surface: Surface | None = None,
) -> AsyncIterator[Node]:
    """Serve the node in ``home``: pages, links both ways, the control socket.

    Args:
        home: Where it lives.
        settings: Its settings.
        insecure: Listen beyond this machine without TLS.
        wrap: Put around the carrier by which it dials.
        surface: The pages of its tier; None for the public ones only.

    Raises:
        RefusedError: it would listen beyond loopback without TLS.
        UnavailableError: the port is taken, or another process holds the home.
    """
    check_listening(settings, insecure=insecure)
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(open_node(home, settings))
        identity = LinkIdentity(node.identity.division, node.keys.signing, node.papers)
        route = carriers.route(settings, identity, node.links)
        api = Api(home)
        app = make_app(node, link=route.handle, surface=surface, accounts=Accounts(home), api=api)
        address = await _listen(stack, app, route, settings)
        await _tell_metrics(stack, node, settings.metrics_listen)
        more = staff_acts(app[STAFF]) | api.acts() | backup_acts(home)
        control = ControlServer(node, home.control_file, more)
        await control.start()
        stack.push_async_callback(control.close)
        carrier = await stack.enter_async_context(carriers.dialling(settings, identity, node.links))
        if node.identity.level != Level.VILLAGE:  # nobody is below a village
            node.links.carriers.insert(0, route.state)
            await stack.enter_async_context(carriers.answering(settings, identity, node.links))
        addresses = settings.addresses or tuple(filter(None, (settings.broker_url, address)))
        stating = asyncio.create_task(_state_addresses(node, addresses))
        linking = asyncio.create_task(node.linked(wrap(carrier)))
        stack.push_async_callback(_cancel, [stating, linking])
        stack.push_async_callback(node.links.close)
        logger.info("serving", node=node.identity.division, at=address)
        yield node


async def until_stopped() -> None:
    """Return when the process is asked to end (SIGTERM); Ctrl-C cancels instead."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()


def check_listening(settings: Settings, *, insecure: bool) -> None:
    """Refuse to listen beyond this machine in clear.

    Raises:
        RefusedError: neither loopback nor TLS.
    """
    if insecure:
        return
    if settings.listen_host not in LOOPBACK and not settings.tls_certificate:
        raise RefusedError(
            f"listening on {settings.listen_host} without TLS would send pages in clear.",
            advice="Set tls_certificate and tls_key in node.toml, or say --insecure.",
        )
    if settings.metrics_listen and split_listen(settings.metrics_listen)[0] not in LOOPBACK:
        raise RefusedError(
            f"listening on {settings.metrics_listen} would send metrics in clear.",
            advice="Set metrics_listen to a port of 127.0.0.1, or say --insecure.",
        )


async def _listen(
    stack: AsyncExitStack, app: web.Application, route: LinkRoute, settings: Settings
) -> str:
    """Bind the web server; returns the link address."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_SECONDS_MAX)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    # Links are closed before the server waits for its handlers, else it waits for nothing.
    stack.push_async_callback(route.close)
    host, tls = settings.listen_host, _server_tls(settings)
    await _bind(runner, host, settings.listen_port, "listen_port", tls)
    port = runner.addresses[0][1]
    scheme = "wss" if settings.tls_certificate else "ws"
    host = host if host not in ("0.0.0.0", "::") else "127.0.0.1"  # noqa: S104
    address = f"{scheme}://{host}:{port}/link"
    route.listens(address)
    return address


async def _tell_metrics(stack: AsyncExitStack, node: Node, listen: str) -> None:
    """Answer ``GET /metrics`` at ``listen``, host:port; nowhere if it is empty."""
    if not listen:
        return
    # Here, because only who tells metrics shall load the library: a village has little memory.
    from shared.app.metrics import metrics_app  # noqa: PLC0415

    runner = web.AppRunner(metrics_app(node), access_log=None, shutdown_timeout=STOP_SECONDS_MAX)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await _bind(runner, *split_listen(listen), "metrics_listen")


async def _bind(
    runner: web.AppRunner, host: str, port: int, setting: str, tls: ssl.SSLContext | None = None
) -> None:
    """Let a web server listen where ``setting`` says.

    Raises:
        UnavailableError: the port is taken, or the host is not this one.
    """
    try:
        await web.TCPSite(runner, host, port, ssl_context=tls).start()
    except OSError as error:
        raise UnavailableError(
            f"{host}:{port} cannot be used: {error.strerror}.",
            advice=f"Set another {setting} in node.toml.",
        ) from error


async def _state_addresses(node: Node, addresses: Sequence[str]) -> None:
    if node.identity.level.word != "village":
        await node.state_addresses(addresses)


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _server_tls(settings: Settings) -> ssl.SSLContext | None:
    if not settings.tls_certificate:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key or None)
    except (OSError, ssl.SSLError) as error:
        raise InvalidError(
            f"the TLS certificate cannot be used: {error}.",
            advice="Check tls_certificate and tls_key in node.toml.",
        ) from error
    return context
