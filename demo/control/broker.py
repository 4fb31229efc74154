"""The broker between the nodes, as the control page has it: looked at, killed, wiped, brought back.

Its figures are its own, from the page that Prometheus would read; it counts messages every five
seconds. Asking costs it some milliseconds, so it is asked only while somebody looks.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

import aiohttp

from demo.control.journal import Journal
from shared.errors import SanjiError
from shared.web.i18n import later

RESTART_SECONDS: Final = 4.0
"""So long what was killed stays away: long enough to see, short enough to wait for."""
ANSWER_SECONDS_MAX: Final = 2.0
FIGURES: Final = {
    "connections": "rabbitmq_connections",
    "ready": "rabbitmq_queue_messages_ready",
    "unacknowledged": "rabbitmq_queue_messages_unacked",
}
"""What is shown, and its name among the broker's own figures."""


class BrokerState(StrEnum):
    """How the broker is."""

    RUNNING = "running"
    KILLED = "killed"
    STARTING = "starting"


@dataclass(frozen=True)
class BrokerSeen:
    """How the broker was at the last look.

    Attributes:
        state: In a word.
        figures: By the names in ``FIGURES``; empty while it tells none.
    """

    state: BrokerState
    figures: dict[str, int]


class Server(Protocol):
    """What is asked of the server; see ``demo.servers.rabbitmq.RabbitServer``."""

    figures_port: int

    @property
    def runs(self) -> bool:
        """True while its process is there."""

    def kill(self) -> None:
        """End it by SIGKILL."""

    def wipe(self) -> None:
        """Kill it and throw its data away."""

    def begin(self) -> None:
        """Start it."""

    def wait(self) -> None:
        """Return once it takes connections."""


class Broker:
    """Watches over the private broker.

    Attributes:
        seen: How it was at the last look.
    """

    def __init__(self, server: Server, journal: Journal) -> None:
        """Watch ``server``, which runs; tell ``journal`` what happens to it."""
        self._server = server
        self._journal = journal
        self._coming: asyncio.Task[None] | None = None
        self.seen = BrokerSeen(BrokerState.RUNNING, {})

    async def kill(self) -> None:
        """Kill it; some seconds later it comes back by itself."""
        await self._fall(self._server.kill, later("消息台断电了，稍后自己回来"))

    async def wipe(self) -> None:
        """Kill it and throw all its data away; it comes back empty."""
        await self._fall(self._server.wipe, later("消息台清空了，一条消息也没剩下，稍后自己回来"))

    async def look(self, *, closely: bool) -> None:
        """See how it is, and bring it back if it has ended by itself.

        Args:
            closely: Ask for its figures too.
        """
        if self._coming is not None:
            return
        if not self._server.runs:
            await self._fall(self._server.kill, later("消息台自己停了，稍后回来"))
        elif closely:
            self.seen = BrokerSeen(BrokerState.RUNNING, await self._ask())

    async def close(self) -> None:
        """End what still runs here; whoever made the server ends it."""
        if self._coming is not None:
            self._coming.cancel()
        await self.settled()

    async def settled(self) -> None:
        """Wait until it is back, or has failed to come back."""
        if self._coming is not None:
            await asyncio.wait({self._coming})

    async def _fall(self, end: Callable[[], None], said: str) -> None:
        if self._coming is not None:
            self._journal.note("wait", later("消息台还没有回来"))
            return
        end()
        self.seen = BrokerSeen(BrokerState.KILLED, {})
        self._journal.note("late", said)
        self._coming = asyncio.create_task(self._come_back())

    async def _come_back(self) -> None:
        try:
            await asyncio.sleep(RESTART_SECONDS)
            self.seen = BrokerSeen(BrokerState.STARTING, {})
            self._server.begin()  # here, not in a thread: with that it would die
            await asyncio.to_thread(self._server.wait)
        except SanjiError as error:  # the next look finds it gone
            self._journal.note("late", later("没做成：{why}"), why=str(error))
        else:
            self.seen = BrokerSeen(BrokerState.RUNNING, {})
            self._journal.note("done", later("消息台回来了，各条线自己接上"))
        finally:
            self._coming = None

    async def _ask(self) -> dict[str, int]:
        """Return its figures; none if it does not tell them in time."""
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS_MAX)
        address = f"http://127.0.0.1:{self._server.figures_port}/metrics"
        try:
            async with aiohttp.ClientSession(timeout=timeout) as asking, asking.get(address) as got:
                return figures_of(await got.text())
        except (aiohttp.ClientError, TimeoutError, OSError):
            return {}


def figures_of(text: str) -> dict[str, int]:
    """Return what stands in a text for Prometheus under the names in ``FIGURES``."""
    found = dict(re.findall(r"^(\w+) (\d+)$", text, re.MULTILINE))
    return {name: int(found[theirs]) for name, theirs in FIGURES.items() if theirs in found}
