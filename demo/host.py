"""A hosting process: several nodes in one event loop, ordered about over a pipe.

The pipe is also its lifeline: when the other end is gone, for whatever reason, the process stops
its nodes and ends. So no story that is killed leaves a process behind.
"""

import asyncio
import contextlib
import os
import resource
import signal
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any, Final

from broker.cable import Cable
from broker.rabbitmq.login import SCHEMES as BROKER_SCHEMES
from broker.router import SchemeRouter
from demo.frames import Carried
from district.pages import Office
from shared.app.acts import ACTS
from shared.app.compose import Wrap, serving
from shared.app.membership import init_district, join
from shared.domain.notices.kinds import PUBLISHED
from shared.errors import InvalidError, NotFoundError, SanjiError
from shared.link.carrier import Carrier
from shared.node.author import Draft
from shared.node.home import Home
from shared.node.node import Node
from shared.node.settings import load_settings
from shared.record.feed import Level
from shared.web.site import Surface
from town.pages import TownDesk
from village.pages import Kiosk

FILES_WANTED: Final = 8192
"""A node holds about 15 descriptors; 28 villages pass the usual limit of 1,024 only just."""

STOP_SECONDS_MAX: Final = 12.0
ADDRESS_SECONDS_MAX: Final = 5.0
FLOOD_AT_ONCE: Final = 64
"""Voices that one node takes down at a time: the author signs and flushes them together."""

FAULTS: Final = frozenset(
    {"cut", "loss", "duplicate", "alter", "delay_seconds", "throttle_bytes_per_second"}
)

SURFACES: Final[dict[Level, Callable[[], Surface]]] = {
    Level.DISTRICT: Office,
    Level.TOWN: TownDesk,
    Level.VILLAGE: Kiosk,
}
"""The pages of each tier."""

Tell = Callable[[dict[str, Any]], None]


@dataclass
class _Hosted:
    """A node that lives here.

    Attributes:
        task: Its life, from opening to closing.
        stopping: Set to end it.
        cable: Around its uplink.
        carried: What went through it.
        node: Once it serves.
    """

    task: asyncio.Task[None]
    stopping: asyncio.Event
    cable: Cable
    carried: Carried
    node: Node | None = None


def run(pipe: Connection, log_file: Path) -> None:
    """Host nodes until the pipe says stop or breaks; the entry point of the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the story stops us in order
    _write_to(log_file)
    raise_file_limit()
    asyncio.run(_Host(pipe).work())


def _write_to(log_file: Path) -> None:
    """Send diagnostics of any library to a file: the screen belongs to the story."""
    descriptor = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def raise_file_limit() -> None:
    """Let this process open as many files as the demo may need, as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_WANTED if hard == resource.RLIM_INFINITY else min(FILES_WANTED, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class _Host:
    """Carries out what comes over the pipe, each order in a task of its own."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._nodes: dict[str, _Hosted] = {}
        self._orders: set[asyncio.Task[None]] = set()
        self._over = asyncio.Event()
        self._acts: dict[str, Callable[..., Awaitable[Any]]] = {
            "found": self._found,
            "join": self._join,
            "serve": self._serve,
            "cable": self._cable,
            "counters": self._counters,
            "carried": self._carried,
            "publish_until": self._publish_until,
            "flood": self._flood,
        }

    async def work(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._pipe.fileno(), self._hear)
        self._tell({"ready": True})
        await self._over.wait()
        loop.remove_reader(self._pipe.fileno())
        # Whatever hangs, the process ends: nobody may be left to end it.
        loop.call_later(STOP_SECONDS_MAX, os._exit, 1)
        for order in self._orders:
            order.cancel()
        for hosted in self._nodes.values():
            hosted.stopping.set()
        await asyncio.gather(*(hosted.task for hosted in self._nodes.values()))
        self._tell({"stopped": True})

    def _hear(self) -> None:
        try:
            while self._pipe.poll():
                order = self._pipe.recv()
                if order["act"] == "stop":
                    self._over.set()
                    return
                task = asyncio.create_task(self._obey(order))
                self._orders.add(task)
                task.add_done_callback(self._orders.discard)
        except (EOFError, OSError):
            self._over.set()

    def _tell(self, what: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # nobody listens any more: `_hear` notices
            self._pipe.send(what)

    async def _obey(self, order: dict[str, Any]) -> None:
        try:
            result = await self._acts[order["act"]](**order["with"])
        except SanjiError as error:
            self._tell({"order": order["order"], "error": str(error)})
        except Exception as error:  # noqa: BLE001 - whatever it is, the story has to hear of it
            traceback.print_exc()
            self._tell({"order": order["order"], "error": f"{type(error).__name__}: {error}"})
        else:
            self._tell({"order": order["order"], "result": result})

    # --- orders ----------------------------------------------------------------------------------

    async def _found(self, home: str, code: str, label: str) -> None:
        await init_district(Home(Path(home)), code, label)

    async def _join(self, home: str, token: str) -> None:
        await join(Home(Path(home)), token)

    async def _serve(self, home: str, given: dict[str, Any]) -> None:
        """Serve the node in ``home``; returns once it does and can invite others."""
        place = Home(Path(home))
        code = place.identity().division
        stopping = asyncio.Event()
        ready: asyncio.Future[Node] = asyncio.get_running_loop().create_future()
        # Seeded, so that a bad line is as bad in the next run.
        carried = Carried()
        cable = Cable(Random(code), on_frame=carried.note)  # noqa: S311 - it protects nothing
        life = self._live(place, given, cable, stopping, ready)
        hosted = _Hosted(asyncio.create_task(life), stopping, cable, carried)
        self._nodes[code] = hosted
        hosted.node = await ready

    async def _live(
        self,
        home: Home,
        given: dict[str, Any],
        cable: Cable,
        stopping: asyncio.Event,
        ready: asyncio.Future[Node],
    ) -> None:
        """Be one node: opened and closed in one task, as its TaskGroup wants it."""
        try:
            settings = load_settings(home.settings_file, **given)
            surface = SURFACES[home.identity().level]()
            wrap = by_broker(cable) if settings.broker_password_file else cable.carrier
            async with serving(home, settings, wrap=wrap, surface=surface) as node:
                await _addressed(node)
                ready.set_result(node)
                await stopping.wait()
        except Exception as error:  # noqa: BLE001 - a dead node must not look like a slow one
            traceback.print_exc()
            first = first_of(error)
            if ready.done():
                self._tell({"failed": f"{home.path.name}: {type(first).__name__}: {first}"})
            else:
                ready.set_exception(first)

    async def _cable(self, code: str, faults: dict[str, Any]) -> None:
        """Set faults of the line between ``code`` and its parent."""
        unknown = faults.keys() - FAULTS
        if unknown:
            raise InvalidError(f"a cable has no {', '.join(sorted(unknown))}.")
        cable = self._nodes[code].cable
        for name, value in faults.items():
            setattr(cable, name, value)

    async def _counters(self, code: str) -> dict[str, int]:
        """Return how many frames of that line met which fate."""
        return {fate.value: count for fate, count in self._nodes[code].cable.counters.items()}

    async def _carried(self) -> dict[str, list[int]]:
        """Return what each line of this process has carried: up, down, other."""
        lines = {code: hosted.carried for code, hosted in self._nodes.items()}
        return {code: [one.up, one.down, one.other] for code, one in lines.items()}

    async def _publish_until(self, code: str, title: str, text: str, days: int) -> dict[str, str]:
        """Publish a notice that expires; the act takes no such day."""
        node = self._node(code)
        body = {
            "stream": "government", "category": "public_interest", "title": title, "text": text,
            "expires_ms": node.clock.wall_ms() + days * 86_400_000,
        }  # fmt: skip
        written = await node.author.submit(Draft(PUBLISHED, code + "*", body))
        return {"rid": written.record.rid.hex()}

    async def _flood(self, code: str, texts: list[str], count: int) -> None:
        """Let people say something ``count`` times; returns as soon as it has begun.

        Ten thousand sockets would measure sockets: these go straight to the act.
        """
        node = self._node(code)
        numbers = iter(range(count))

        async def some() -> None:
            for number in numbers:
                text = f"{texts[number % len(texts)]}（{number + 1}）"
                await ACTS["file"](node, lambda _done, _total: None, kind="ask", text=text)

        async def everything() -> None:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(FLOOD_AT_ONCE):
                    tasks.create_task(some())

        task = asyncio.create_task(everything())
        self._orders.add(task)
        task.add_done_callback(self._orders.discard)

    def _node(self, code: str) -> Node:
        hosted = self._nodes.get(code)
        if hosted is None or hosted.node is None:
            raise NotFoundError(f"{code} does not serve here.")
        return hosted.node


def by_broker(cable: Cable) -> Wrap:
    """Return how a node dials where there is a broker: through it only, and by its cable.

    Else its links would come back by WebSocket when the broker falls, and nobody would see it.
    """

    def wrap(carrier: Carrier) -> Carrier:
        return cable.carrier(SchemeRouter(dict.fromkeys(BROKER_SCHEMES, carrier), {}))

    return wrap


def first_of(error: Exception) -> Exception:
    """Return the error that ended the others of its group."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


async def _addressed(node: Node) -> None:
    """Wait until a relay has stated where it is reached: without it nobody can be invited."""
    if node.identity.level == Level.VILLAGE:
        return
    changed = asyncio.Event()
    unsubscribe = node.log.subscribe(lambda _feeds: changed.set())
    try:
        async with asyncio.timeout(ADDRESS_SECONDS_MAX):
            while not node.log.roster.addresses_of(node.identity.division):
                await changed.wait()
                changed.clear()
    finally:
        unsubscribe()
