"""The processes of a district on one machine: started, ordered about, killed, stopped.

All come from one preloaded fork server: a new process is there in some 20 ms and shares the pages
of the libraries, and none is another's child, so that killing a town never kills a village.
"""

import asyncio
import multiprocessing
import os
import signal
import socket
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Final

from demo import host
from shared.errors import InvalidError, UnavailableError

PRELOADED: Final = ["demo.host"]
PORT_BASE_VARIABLE: Final = "SANJI_PORT_BASE"
PORT_BASE_DEFAULT: Final = 18340
PORT_BLOCKS_TRIED_MAX: Final = 40
PORT_MAX: Final = 65535

START_SECONDS_MAX: Final = 20.0
ORDER_SECONDS_MAX: Final = 30.0
STOP_SECONDS_MAX: Final = host.STOP_SECONDS_MAX + 3


class ProcessError(UnavailableError):
    """A hosting process is gone or did not do what it was told."""


@dataclass
class HostProcess:
    """One hosting process, seen from outside.

    Attributes:
        name: For people.
        failures: What it said went wrong by itself.
    """

    name: str
    process: ForkServerProcess
    pipe: Connection
    failures: list[str] = field(default_factory=list)
    _waiting: dict[int, asyncio.Future[Any]] = field(default_factory=dict)
    _ready: asyncio.Event = field(default_factory=asyncio.Event)
    _orders: int = 0
    _expected: bool = False

    def listen(self) -> None:
        """Take what the process says from now on."""
        asyncio.get_running_loop().add_reader(self.pipe.fileno(), self._hear)

    async def ready(self) -> None:
        """Wait until it takes orders.

        Raises:
            ProcessError: it does not.
        """
        try:
            async with asyncio.timeout(START_SECONDS_MAX):
                await self._ready.wait()
        except TimeoutError:
            raise ProcessError(f"the process {self.name} does not start.") from None

    async def order(self, act: str, **given: Any) -> Any:
        """Let the process do something and return the result.

        Raises:
            ProcessError: it refuses, is gone, or takes too long.
        """
        self._orders += 1
        number = self._orders
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            self.pipe.send({"order": number, "act": act, "with": given})
            async with asyncio.timeout(ORDER_SECONDS_MAX):
                return await answer
        except OSError:
            raise ProcessError(f"the process {self.name} is gone.") from None
        except TimeoutError:
            raise ProcessError(f"the process {self.name} does not do {act}.") from None
        finally:
            self._waiting.pop(number, None)

    @property
    def alive(self) -> bool:
        """True while the process runs."""
        return self.process.is_alive()

    async def kill(self) -> None:
        """End the process by SIGKILL, as a power cut would; returns once it is gone."""
        self._expected = True
        self.process.kill()
        await self._gone()

    def begin_stop(self) -> None:
        """Ask the process to stop its nodes and end."""
        self._expected = True
        try:
            self.pipe.send({"order": 0, "act": "stop", "with": {}})
        except OSError:
            return  # gone already

    async def stopped(self) -> bool:
        """Wait for the end that ``begin_stop`` asked for; False if it had to be forced."""
        try:
            async with asyncio.timeout(STOP_SECONDS_MAX):
                await self._gone()
        except TimeoutError:
            await self.kill()
            return False
        return self.process.exitcode == 0

    async def _gone(self) -> None:
        gone = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self.process.sentinel, gone.set)
        try:
            await gone.wait()
        finally:
            loop.remove_reader(self.process.sentinel)
        self.process.join()
        self._close("ended")

    def _hear(self) -> None:
        try:
            while not self.pipe.closed and self.pipe.poll():
                self._take(self.pipe.recv())
        except (EOFError, OSError):
            if not self._expected:
                self.failures.append(f"the process {self.name} ended by itself.")
            self._close("is gone")

    def _take(self, told: dict[str, Any]) -> None:
        if "ready" in told:
            self._ready.set()
        if "failed" in told:
            self.failures.append(told["failed"])
        answer = self._waiting.get(told.get("order", 0))
        if answer is None or answer.done():
            return
        if "error" in told:
            answer.set_exception(ProcessError(told["error"]))
        else:
            answer.set_result(told["result"])

    def _close(self, why: str) -> None:
        if not self.pipe.closed:
            asyncio.get_running_loop().remove_reader(self.pipe.fileno())
            self.pipe.close()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(ProcessError(f"the process {self.name} {why}."))


class Supervisor:
    """All hosting processes, by name."""

    def __init__(self, log_folder: Path) -> None:
        """Let each process write its diagnostics into ``log_folder``."""
        self._log_folder = log_folder
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOADED)
        self.processes: dict[str, HostProcess] = {}

    async def start(self, name: str) -> HostProcess:
        """Start a process, in the place of one of that name that is gone."""
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=host.run, args=(theirs, self._log_folder / f"{name}.log"), name=name
        )
        process.start()
        theirs.close()  # else its end would stay open when the process is gone
        started = HostProcess(name, process, ours)
        self.processes[name] = started
        started.listen()
        await started.ready()
        return started

    def failures(self) -> list[str]:
        """Return what went wrong in any process without being asked for."""
        return [failure for process in self.processes.values() for failure in process.failures]

    async def stop(self) -> list[str]:
        """Stop all processes; returns the names of those that had to be forced."""
        processes = list(self.processes.values())
        self.processes = {}
        for process in processes:
            process.begin_stop()
        ended = await asyncio.gather(*(process.stopped() for process in processes))
        return [p.name for p, good in zip(processes, ended, strict=True) if not good]


def terminate_as_interrupt() -> None:
    """Let SIGTERM end as Ctrl-C does what runs before there is a loop: servers that start."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def on_terminate(task: asyncio.Task[Any]) -> None:
    """Let SIGTERM end ``task`` as Ctrl-C does: by cancelling, so that all is stopped in order."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


def free_ports(count: int, base: int | None = None) -> range:
    """Return a block of ports on loopback that nobody listens on.

    Args:
        count: How many.
        base: Where to begin to look; default: the environment's or 18340.

    Raises:
        InvalidError: the environment's base is no port.
        UnavailableError: no block is free.
    """
    first = _port_base() if base is None else base
    for _ in range(PORT_BLOCKS_TRIED_MAX):
        block = range(first, first + count)
        if block.stop > PORT_MAX:
            break
        # The last one that is taken: a whole district may listen there, a port beside the other.
        taken = next((port for port in reversed(block) if not _is_free(port)), None)
        if taken is None:
            return block
        first = taken + 1
    raise UnavailableError(
        f"{count} free ports in a row are missing.", advice=f"Set {PORT_BASE_VARIABLE}."
    )


def _port_base() -> int:
    text = os.environ.get(PORT_BASE_VARIABLE, "") or str(PORT_BASE_DEFAULT)
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= PORT_MAX:
        raise InvalidError(f"{PORT_BASE_VARIABLE} is no port: {text[:20]!r}.")
    return int(text)


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the server does: what only waits out its last connections is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError:
            return False
    return True
