"""The accounts of a node's staff, as the command line sets them: while it serves and while not."""

import asyncio
from contextlib import suppress
from typing import Any, Final

from shared.app import control
from shared.app.acts import Act, Progress
from shared.errors import InvalidError
from shared.node.accounts import ROLES, Accounts
from shared.node.home import Home
from shared.node.node import Node
from shared.record.feed import Level
from shared.web.staff import Staff

SET: Final = "account"
LINK: Final = "login_link"


def staff_acts(staff: Staff) -> dict[str, Act]:
    """Return the acts of a node that serves: its login has to know them at once."""

    async def account(node: Node, _progress: Progress, *, who: str, role: str) -> dict[str, Any]:
        told = await asyncio.to_thread(_set, staff.accounts, node.identity.level, who, role)
        staff.forget(who)
        return told

    async def login_link(_node: Node, _progress: Progress, *, who: str) -> dict[str, Any]:
        return {"path": staff.link_for(who)}

    return {SET: account, LINK: login_link}


async def set_account(home: Home, name: str, role: str) -> dict[str, Any]:
    """Give ``name`` a new password and a role; returns both.

    Raises:
        InvalidError: this tier has no such role, or the name breaks a limit.
        UnavailableError: another process works in the home.
    """
    identity = home.identity()
    if home.control_file.exists():
        with suppress(control.NotServingError):
            given = {"who": name, "role": role}
            told = await control.ask(home.control_file, SET, given, lambda _done, _total: None)
            return dict(told)
    with home.lock():
        return _set(Accounts(home), identity.level, name, role)


def _set(accounts: Accounts, level: Level, name: str, role: str) -> dict[str, Any]:
    held = accounts.get(name).role if name in accounts else ""
    role = role or held or (name if name in ROLES[level] else ROLES[level][0])
    if role not in ROLES[level]:
        raise InvalidError(f"a {level.word} has the roles {', '.join(ROLES[level])}.")
    return {"name": name, "role": role, "password": accounts.renew(name, role)}
