"""Founds a whole district from a file, once, without a network between its nodes.

``python -m demo.found STACK.toml HOMES BROKER``: a home for each node below HOMES, with its
settings as ``node.toml`` and its password at the broker, and in BROKER the broker's definitions.
All nodes serve on loopback while they join; in the end each relay says where it will really be
found, and those below it know. What is founded already is left alone.
"""

import asyncio
import json
import sys
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from demo.district import District, Division, district_of
from demo.servers.rabbitmq import VHOST
from demo.trace import act, until
from shared.app.brokers import write_definitions
from shared.app.compose import serving
from shared.app.membership import init_district, join
from shared.errors import InvalidError, SanjiError
from shared.node.home import Home
from shared.node.node import Node
from shared.node.settings import load_settings
from shared.record.feed import Level, is_above

DEFINITIONS: Final = "broker-definitions.json"
PASSWORDS: Final = "passwords"
PASSWORD_FILE: Final = "broker_password"  # noqa: S105 - a name
FAILED: Final = 1
FILE_BYTES_MAX: Final = 1024 * 1024

QUICK: Final[dict[str, Any]] = {
    "listen_host": "127.0.0.1",
    "listen_port": 0,
    "addresses": (),
    "broker_url": "",
    "broker_password_file": "",
    "answer_seconds_min": 0.3,
    "backoff_seconds_min": 0.05,
    "backoff_seconds_max": 0.5,
}
"""While they join, all are on this machine."""


@dataclass(frozen=True)
class Planned:
    """A node that shall be.

    Attributes:
        division: Which one.
        folder: Name of its home.
        settings: What its ``node.toml`` says.
    """

    division: Division
    folder: str
    settings: dict[str, Any]


def read_stack(path: Path) -> list[Planned]:
    """Return the nodes that the file at ``path`` plans, the higher levels first.

    Raises:
        InvalidError: it cannot be read, or plans no whole district; one line.
    """
    try:
        data = path.read_bytes()[: FILE_BYTES_MAX + 1]
        plans = tomllib.loads(data.decode())
        folders = {code: str(one["home"]) for code, one in plans.items()}
        settings = {code: dict(one.get("settings", {})) for code, one in plans.items()}
        rows = [
            Division(code, str(one["name"]), Level.of(str(one["level"])), _parent(code, plans))
            for code, one in plans.items()
        ]
    except OSError as error:
        raise InvalidError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidError(f"{path} is no plan of a district: {error}.") from None
    if len(set(folders.values())) != len(folders):
        raise InvalidError(f"{path} gives two nodes one home.")
    district: District = district_of(rows)
    return [Planned(one, folders[one.code], settings[one.code]) for one in district.everybody]


def _parent(code: str, codes: Mapping[str, Any]) -> str:
    """Return the nearest code above ``code``; empty for none."""
    return max((other for other in codes if is_above(other, code)), key=len, default="")


async def found(plans: Sequence[Planned], homes: Path, broker: Path) -> int:
    """Found what is planned; returns how many nodes were made, 0 if all were there.

    Args:
        plans: The higher levels first.
        homes: Gets a folder for each.
        broker: Gets the broker's definitions.

    Raises:
        SanjiError: something cannot be made.
    """
    made = {one.division.code: Home(homes / one.folder) for one in plans}
    new = [one for one in plans if not made[one.division.code].exists()]
    if not new:
        return 0
    for one in new:
        write_settings(made[one.division.code], one.settings)
    async with AsyncExitStack() as stack:
        nodes = {
            one.division.code: await _join(stack, one, made, is_new=one in new) for one in plans
        }
        for one in plans:
            if told := one.settings.get("addresses"):
                await nodes[one.division.code].state_addresses(tuple(told))
        for one in plans:
            await _knows_where(nodes[one.division.code], one, plans)
    levels = {one.division.code: one.division.level.word for one in plans}
    write_definitions(levels, broker / DEFINITIONS, homes / PASSWORDS, VHOST)
    (broker / DEFINITIONS).chmod(0o644)  # the broker's own user reads it: hashes, no passwords
    for code, home in made.items():
        home.write(PASSWORD_FILE, (homes / PASSWORDS / code).read_bytes())
    return len(new)


async def _join(
    stack: AsyncExitStack, one: Planned, made: Mapping[str, Home], *, is_new: bool
) -> Node:
    """Found the district or let a node join, and serve it on this machine."""
    code, label, parent = one.division.code, one.division.label, one.division.parent
    home = made[code]
    if is_new and not parent:
        await init_district(home, code, label)
    elif is_new:
        invited = await act(made[parent], "invite", code=code, label=label)
        await join(home, invited["token"])
    settings = load_settings(home.settings_file, **QUICK)
    node = await stack.enter_async_context(serving(home, settings))
    if one.division.level is not Level.VILLAGE:
        await _reachable(node)
    return node


async def _reachable(node: Node) -> None:
    me = node.identity.division
    await until(node, lambda: bool(node.log.roster.addresses_of(me)))


async def _knows_where(node: Node, one: Planned, plans: Sequence[Planned]) -> None:
    """Wait until a node has heard where its parent will be."""
    above = next((p for p in plans if p.division.code == one.division.parent), None)
    if above is not None and (told := tuple(above.settings.get("addresses", ()))):
        await until(node, lambda: node.log.roster.addresses_of(above.division.code) == told)


def write_settings(home: Home, settings: Mapping[str, Any]) -> None:
    """Make a home, if need be, and write what its ``node.toml`` says."""
    if not home.exists():
        home.prepare()
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in settings.items()]
    home.write(home.settings_file.name, "".join(lines).encode())


def main() -> int:
    """Found; returns the exit code."""
    try:
        if len(sys.argv) != 4:  # noqa: PLR2004 - three arguments
            raise InvalidError("usage: python -m demo.found STACK.toml HOMES BROKER")
        path, homes, broker = map(Path, sys.argv[1:])
        made = asyncio.run(found(read_stack(path), homes, broker))
    except (SanjiError, ExceptionGroup) as error:
        sys.stderr.write(f"found: {' '.join(str(error).split())}\n")
        return FAILED
    sys.stdout.write(f"{made} nodes were founded.\n" if made else "all nodes are there.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
