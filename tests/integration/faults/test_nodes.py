"""A node's process is killed, its database server is, or its clock goes wrong by years."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from demo.servers.postgresql import Server
from shared.node.clock import Clock
from tests.acceptance import audit
from tests.integration.faults.exchange import EACH_WAY, FEW, Exchange, exchanging
from tests.support.postgresql import PASSWORD
from tests.support.rabbit import RabbitServer
from tests.support.tiers import DISTRICT, TOWN, VILLAGE, Tiers

THREE_YEARS_MS: Final = 3 * 365 * 86_400_000

SERVE: Final = "import sys; from town.cli import main; sys.argv[0] = 'town'; main()"


async def process_of_the_town(tiers: Tiers) -> asyncio.subprocess.Process:
    """Serve the town in a process of its own, with the settings that it would have here."""
    given = tiers.settings(TOWN).model_dump()
    environment = {
        f"SANJI_{name.upper()}": str(value) for name, value in given.items() if name != "addresses"
    }
    return await asyncio.create_subprocess_exec(
        "setpriv", "--pdeathsig=KILL", sys.executable, "-c", SERVE,
        "serve", "--home", str(tiers.homes[TOWN].path),
        env=os.environ | environment, stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip


async def test_a_town_that_is_killed(tmp_path: Path, rabbit: RabbitServer) -> None:
    """SIGKILL amid commits and frames; it comes back with what it had flushed."""
    processes: list[asyncio.subprocess.Process] = []

    async def killed(exchange: Exchange) -> None:
        processes[0].send_signal(signal.SIGKILL)
        assert await processes[0].wait() == -signal.SIGKILL
        processes.append(await process_of_the_town(exchange.tiers))

    try:
        async with exchanging(tmp_path, rabbit) as exchange:
            await exchange.tiers.stop(TOWN)
            processes.append(await process_of_the_town(exchange.tiers))
            await exchange.struck(killed)
            processes[1].terminate()
            assert await processes[1].wait() == 0
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
                await process.wait()


@pytest.fixture
def mortal(postgresql_server: Server) -> Iterator[Server]:
    """A PostgreSQL server that flushes, and that a test may kill."""
    server = Server(PASSWORD, fsync=True)
    yield server
    server.remove()


async def test_a_database_server_that_is_killed(
    tmp_path: Path, rabbit: RabbitServer, mortal: Server
) -> None:
    """The district's PostgreSQL is killed amid commits: links wait, then all goes on."""
    url = mortal.new_database()

    async def killed(exchange: Exchange) -> None:
        await asyncio.to_thread(mortal.kill)
        await asyncio.to_thread(mortal.start)

    async with exchanging(tmp_path, rabbit, district=f"database_url = '{url}'\n") as exchange:
        await exchange.struck(killed)
        await exchange.tiers.stop(DISTRICT)
        exchange.logs[DISTRICT] = await audit.rows_of_server(url)


async def test_a_clock_that_is_wrong(
    tmp_path: Path, rabbit: RabbitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three years ahead in the town and behind in a village, then the other way round, then right.

    Records are signed, stored and stated meanwhile: what is exchanged does not depend on time.
    """
    shift_ms = {TOWN: 0, VILLAGE: 0}

    async def wrong(exchange: Exchange) -> None:
        for code in shift_ms:
            skew(monkeypatch, exchange.tiers.nodes[code].clock, lambda at=code: shift_ms[at])  # type: ignore[misc]
        shift_ms.update({TOWN: THREE_YEARS_MS, VILLAGE: -THREE_YEARS_MS})
        await exchange.voice(EACH_WAY, VILLAGE)
        await exchange.arrived(FEW)
        shift_ms.update({TOWN: -THREE_YEARS_MS, VILLAGE: THREE_YEARS_MS})
        await exchange.voice(EACH_WAY, VILLAGE)
        await exchange.tiers.settled()
        shift_ms.update({TOWN: 0, VILLAGE: 0})

    async with exchanging(tmp_path, rabbit) as exchange:
        await exchange.struck(wrong)


def skew(monkeypatch: pytest.MonkeyPatch, clock: Clock, shift_ms: Callable[[], int]) -> None:
    """Let the wall clock go wrong by ``shift_ms``, now and whenever that changes."""
    right = clock.wall_ms
    monkeypatch.setattr(clock, "wall_ms", lambda: right() + shift_ms())
