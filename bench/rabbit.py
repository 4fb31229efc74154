"""A broker of the measurements' own: what it costs and what it moved, read from outside."""

import asyncio
import ctypes
import os
import re
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from bench.context import MissingError
from demo.servers import rabbitmq
from demo.servers.rabbitmq import RabbitServer
from demo.servers.users import ADMIN, definitions_for, password_of
from shared.record.feed import Level

_PUBLISHED: Final = re.compile(r"\bmessages_received_total\s*=>\s*(\d+)")


class Broker:
    """A private broker at work.

    Attributes:
        address: ``amqp://…`` of its virtual host.
        port: Where it listens.
        admin_url: The same with the user and password of who may do everything.
    """

    def __init__(self, server: RabbitServer, folder: Path) -> None:
        """Look at ``server``, which runs; passwords are written into ``folder``."""
        self.address = server.address
        self.port = server.port
        self.admin_url = server.address.replace("://", f"://{ADMIN}:{password_of(ADMIN)}@", 1)
        self._server = server
        self._folder = folder
        self._clock = cpu_clock_of(int(server.ctl("eval", "os:getpid().").strip().strip('"')))

    def cpu_seconds(self) -> float:
        """Return the CPU time of the broker's process since its start."""
        return time.clock_gettime(self._clock)

    async def messages(self) -> int:
        """Return how many messages were published to it since its start, by its own count.

        To answer costs it CPU time, so nobody asks while that is measured.
        """
        asked = "rabbit_global_counters:overview()."
        return published_in(await asyncio.to_thread(self._server.ctl, "eval", asked))

    def password_file(self, code: str) -> str:
        """Return a file with the password of division ``code``."""
        file = self._folder / f"{code}.password"
        file.write_text(password_of(code) + "\n")
        return str(file)


@asynccontextmanager
async def private_broker(divisions: Mapping[str, Level]) -> AsyncIterator[Broker]:
    """Run a broker for these divisions while the block runs.

    Raises:
        MissingError: RabbitMQ is not installed.
    """
    if not rabbitmq.is_installed():
        raise MissingError(rabbitmq.MISSING)
    folder = _open_folder()
    server = RabbitServer(folder / "broker", definitions_for(divisions))
    try:
        server.begin()  # in this thread, with which it dies
        await asyncio.to_thread(server.wait)
        yield await asyncio.to_thread(Broker, server, folder)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _open_folder() -> Path:
    """Return a new folder that others may enter: the broker may have a user of its own."""
    folder = Path(tempfile.mkdtemp(prefix="sanji-bench-"))
    folder.chmod(0o755)
    return folder


def cpu_clock_of(pid: int) -> int:
    """Return the clock of the CPU time of process ``pid``, all threads, for ``clock_gettime``.

    ``/proc/PID/stat`` tells the same in steps of 10 ms; a broadcast takes less.

    Raises:
        OSError: there is no such process.
    """
    clock = ctypes.c_int()
    trouble = ctypes.CDLL(None).clock_getcpuclockid(pid, ctypes.byref(clock))
    if trouble:
        raise OSError(trouble, os.strerror(trouble))
    return clock.value


def published_in(told: str) -> int:
    """Return the messages published over all protocols, from the broker's counters as text."""
    return sum(map(int, _PUBLISHED.findall(told)))
