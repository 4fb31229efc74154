"""The stack of docker-compose.yml, by hand: its plan, its commands, a real broker, a real database.

Only hosts, ports and folders are this machine's; everything else is what the files say.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo.found import DEFINITIONS, PASSWORD_FILE, found, read_stack
from demo.servers.postgresql import Server
from demo.supervisor import free_ports
from shared.app.control import ask
from shared.errors import SanjiError
from shared.node.home import Home
from tests.support.postgresql import PASSWORD
from tests.support.rabbit import RabbitServer

ROOT = Path(__file__).parents[2]
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))[
    "services"
]
SECONDS_MAX = 60


class Stack:
    """The nodes of the plan, as processes of this machine."""

    def __init__(self, folder: Path, plan: str) -> None:
        """Write the plan into ``folder``."""
        self.homes = folder / "h"
        self.broker = folder / "b"
        self.plan = folder / "stack.toml"
        self.plan.write_text(plan, "utf-8")
        self.processes: dict[str, subprocess.Popen[str]] = {}

    def serve(self, name: str) -> None:
        """Run the command of a service, in its home."""
        tier, command, *options = SERVICES[name]["command"]
        home = self.homes / name
        known = [str(home) if one == "/home/sanji/node" else one for one in options]
        start = f"from {tier}.cli import main; main()"
        around = {key: value for key, value in os.environ.items() if not key.startswith("SANJI_")}
        self.processes[name] = subprocess.Popen(
            [sys.executable, "-c", start, command, *known], cwd=ROOT, env=around, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def wait(self, name: str) -> None:
        """Return once a node serves."""
        output = self.processes[name].stdout
        assert output is not None
        said = ""
        for line in output:
            said += line
            if "serves at" in line:
                return
        raise AssertionError(said)

    async def act(self, name: str, act: str, **given: Any) -> dict[str, Any]:
        """Ask a node over its control socket."""
        socket = Home(self.homes / name).control_file
        return dict(await ask(socket, act, given, lambda _done, _total: None))

    async def arrives(self, name: str, rid: str) -> dict[str, Any]:
        """Wait until a node holds a record: there is no listening to another process."""
        async with asyncio.timeout(SECONDS_MAX):
            while True:
                try:
                    return await self.act(name, "show", rid=rid)
                except SanjiError:
                    await asyncio.sleep(0.05)

    def stop(self) -> None:
        """End all of them in order."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.communicate(timeout=30)


@pytest.fixture
def stack(
    tmp_path_factory: pytest.TempPathFactory, rabbit: RabbitServer,
    postgresql_server: Server,
) -> Iterator[Stack]:  # fmt: skip
    """The district, founded; nothing serves yet."""
    folder = tmp_path_factory.mktemp("s")
    url = postgresql_server.url(postgresql_server.new_name(), by_socket=False)
    postgresql_server.sql(f"CREATE DATABASE {Server.name(url)}", "postgres")
    (folder / "password").write_text(PASSWORD)
    plan = (ROOT / "deploy" / "stack.toml").read_text("utf-8")
    plan = plan.replace("postgresql://sanji@postgresql:5432/district", url)
    plan = plan.replace("/run/secrets/database_password", str(folder / "password"))
    plan = plan.replace("amqp://rabbitmq:5672/sanji", rabbit.address)
    plan = plan.replace('"0.0.0.0"', '"127.0.0.1"')
    names = [one.folder for one in read_stack(ROOT / "deploy" / "stack.toml")]
    for name, port in zip(names, free_ports(len(names), 26400), strict=True):
        head, mark, tail = plan.partition(f'home = "{name}"\n')
        tail = tail.replace("listen_host", f"listen_port = {port}\nlisten_host", 1)
        tail = tail.replace("/home/sanji/node", str(folder / "h" / name), 1)
        plan = (head + mark + tail).replace(f"ws://{name}:8340/", f"ws://127.0.0.1:{port}/")
    made = Stack(folder, plan)
    with ExitStack() as ending:
        # Its divisions get passwords of their own at the broker that other tests use after it.
        ending.callback(rabbit.import_definitions, rabbit.definitions)
        ending.callback(made.stop)
        yield made


@pytest.mark.slow
def test_the_stack_carries_a_notice_down_and_a_voice_up(stack: Stack, rabbit: RabbitServer) -> None:
    """Founded once, over broker and WebSocket mixed, with the district in PostgreSQL."""
    stack.broker.mkdir()
    plans = read_stack(stack.plan)
    assert asyncio.run(found(plans, stack.homes, stack.broker)) == 7
    assert asyncio.run(found(plans, stack.homes, stack.broker)) == 0
    rabbit.import_definitions(json.loads((stack.broker / DEFINITIONS).read_text()))
    assert (stack.homes / "village-a1" / PASSWORD_FILE).stat().st_mode & 0o777 == 0o600
    assert not (stack.homes / "district" / "log.db").exists()
    for one in plans:
        stack.serve(one.folder)
    for one in plans:
        stack.wait(one.folder)
    asyncio.run(check(stack, [one.folder for one in plans]))


async def check(stack: Stack, names: list[str]) -> None:
    """A notice reaches every node, a voice the district; each link goes as it was planned."""
    notice = await stack.act("district", "publish", title="停水", text="明天。", urgent=True)
    for name in names[1:]:
        await stack.arrives(name, notice["rid"])
    for village in ("village-a1", "village-b2"):
        voice = await stack.act(village, "file", kind="ask", text="什么时候来水？")
        await stack.arrives("district", voice["rid"])
    for name in names[1:]:
        (up,) = [
            link for link in (await stack.act(name, "status"))["links"]
            if link["peer"] == Home(stack.homes / name).identity().parent
        ]  # fmt: skip
        assert up["by"] == ("ws" if name == "village-b2" else "amqp")
