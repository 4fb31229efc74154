"""A village in a process of its own: how it starts, how much memory it takes, what it serves."""

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

import aiohttp

from bench import texts
from bench.context import Context
from bench.figures import Goal, Row, percentile
from bench.network import VILLAGES, Network, network, until_held
from bench.travel import by_author, notice_feed
from demo.servers.programs import free_port

VILLAGE: Final = VILLAGES[0]
COMMAND: Final = Path(sys.executable).with_name("village")

START_SECONDS_MAX: Final = 30.0
STOP_SECONDS_MAX: Final = 10.0
POLL_SECONDS: Final = 0.005
REST_SECONDS: Final = 2.0
"""After the first answer the node still reads and links; then its memory is taken."""

CLIENTS: Final = 8
OPEN_CONNECTIONS_MAX: Final = 64
MEBIBYTES_MAX: Final = 90


class NotServedError(Exception):
    """The village did not start, or answered something else than its page."""


@dataclass(frozen=True)
class Served:
    """A village that serves.

    Attributes:
        address: Of its pages, ``http://127.0.0.1:PORT``.
        pid: Its process.
        start_seconds: From spawning to its first answer.
    """

    address: str
    pid: int
    start_seconds: float


async def start(given: Context) -> Sequence[Row]:
    """How long a village takes to answer, and its memory."""
    seconds: list[float] = []
    mebibytes: list[float] = []
    async with network(villages=1) as nodes:
        home = await _prepared(given, nodes)
        for _ in given.repeat(given.sizes.starts):
            async with _village(home) as served:
                await asyncio.sleep(REST_SECONDS)
                seconds.append(served.start_seconds)
                mebibytes.append(_resident_mebibytes(served.pid))
    return (
        Row("village starts, first answer", "s", seconds),
        Row("village at rest, resident memory", "MiB", mebibytes, goal=Goal(MEBIBYTES_MAX)),
    )


async def kiosk(given: Context) -> Sequence[Row]:
    """What the kiosk's first page bears, by itself and compared with the shortest answer."""
    rates: list[float] = []
    shortest: list[float] = []
    slow: list[float] = []
    seconds = given.sizes.load_seconds
    async with network(villages=1) as nodes:
        home = await _prepared(given, nodes)
        async with _village(home) as served:
            await _closed_loop(served.address + "/", seconds / 4)  # templates are compiled now
            for _ in given.repeat(given.sizes.repetitions):
                shortest.append(await _closed_loop(served.address + "/health", seconds / 2))
                rates.append(await _closed_loop(served.address + "/", seconds))
                times = await _open_loop(served.address + "/", rates[-1] / 2, seconds)
                slow.append(1000 * percentile(times, 99))
    ratio = statistics.median(rates) / statistics.median(shortest)
    return (
        Row(f"kiosk home, {CLIENTS} clients", "requests/s", rates, ratio, "GET /health"),
        Row("kiosk home at half of that load, p99", "ms", slow),
    )


async def _prepared(given: Context, nodes: Network) -> Path:
    """Return the home of a village that holds some notices and has ended; its town serves."""
    bodies = list(texts.notices(given.sizes.held))
    await by_author(nodes.district, bodies)
    feed = notice_feed(nodes.district)
    await until_held(nodes.villages, {feed: nodes.district.log.state(feed).count})
    await nodes.settle()
    await nodes.stop(VILLAGE)
    return nodes.homes[VILLAGE].path


@asynccontextmanager
async def _village(home: Path) -> AsyncIterator[Served]:
    """Run ``village serve`` as an operator would; it ends with the block."""
    port = free_port()
    arguments = ("serve", "--home", str(home), "--port", str(port))
    with (home / "serve.log").open("ab") as told:
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            str(COMMAND), *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=told, stderr=told
        )
    try:
        address = f"http://127.0.0.1:{port}"
        await _until_answered(process, address)
        yield Served(address, process.pid, time.perf_counter() - began)
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS_MAX)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _until_answered(process: asyncio.subprocess.Process, address: str) -> None:
    loop = asyncio.get_running_loop()
    latest = loop.time() + START_SECONDS_MAX
    async with aiohttp.ClientSession() as session:
        while process.returncode is None and loop.time() < latest:
            try:
                async with session.get(address + "/health") as response:
                    if response.status == HTTPStatus.OK:
                        return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(POLL_SECONDS)
    ended = "is silent" if process.returncode is None else f"ended with {process.returncode}"
    raise NotServedError(f"`village serve` {ended} before its first answer.")


def _resident_mebibytes(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text("utf-8")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


async def _closed_loop(url: str, seconds: float) -> float:
    """Let ``CLIENTS`` clients ask again as soon as they are answered; returns requests a second."""
    loop = asyncio.get_running_loop()
    connector = aiohttp.TCPConnector(limit=CLIENTS)
    async with aiohttp.ClientSession(connector=connector) as session:
        began = loop.time()

        async def client() -> int:
            asked = 0
            while loop.time() - began < seconds:
                await _get(session, url)
                asked += 1
            return asked

        asked = sum(await asyncio.gather(*(client() for _ in range(CLIENTS))))
        return asked / (loop.time() - began)


async def _open_loop(url: str, rate: float, seconds: float) -> list[float]:
    """Ask ``rate`` times a second whether or not it was answered; returns the seconds each took.

    A request counts from the moment when it was due: one that had to wait because all before it
    were slow is slow itself.
    """
    loop = asyncio.get_running_loop()
    connector = aiohttp.TCPConnector(limit=OPEN_CONNECTIONS_MAX)
    async with aiohttp.ClientSession(connector=connector) as session:
        began = loop.time()

        async def ask(due: float) -> float:
            await asyncio.sleep(due - loop.time())
            await _get(session, url)
            return loop.time() - due

        number = max(1, int(rate * seconds))
        return await asyncio.gather(*(ask(began + one / rate) for one in range(number)))


async def _get(session: aiohttp.ClientSession, url: str) -> None:
    async with session.get(url) as response:
        await response.read()
        if response.status != HTTPStatus.OK:
            raise NotServedError(f"{url} answers {response.status}.")
