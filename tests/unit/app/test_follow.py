"""`follow` says "received" only where a node has signed that it holds the case."""

from pathlib import Path
from random import Random

import pytest

from shared.app import acts
from shared.app.compose import open_node
from shared.app.membership import init_district
from shared.domain.custody import view as custody
from shared.node.home import Home

CODE = "340602"


def no_progress(_done: int, _total: int) -> None:
    """Watch nothing."""


async def test_an_own_case_is_not_received_from_below(tmp_path: Path) -> None:
    """What the district takes down itself was filed there; it came by no hop."""
    home = Home(tmp_path / "d")
    await init_district(home, CODE, "杜集区")
    async with open_node(home) as node:
        filed = await acts.file(node, no_progress, kind="ask", text="问")
        told = await acts.follow(node, no_progress, receipt=filed["receipt"])
    assert told["stage"] == "filed"
    assert told["received_district_ms"] is None


@pytest.mark.parametrize("stated", [False, True])
async def test_received_needs_a_statement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, stated: bool
) -> None:
    """A node that holds a case from below says "received" once its own signature says so (4.7)."""
    home = Home(tmp_path / "d")
    await init_district(home, CODE, "杜集区")
    since = {CODE: Random(1).randrange(1, 1 << 40)} if stated else {}
    monkeypatch.setattr(custody, "held_since", lambda *_: since)
    async with open_node(home) as node:
        filed = await acts.file(node, no_progress, kind="ask", text="问")
        case = await acts._case(node, filed["receipt"])
        from_below = case._replace(author=CODE + "100", level=type(case.level)(1))

        async def found(*_: object) -> object:
            return from_below

        monkeypatch.setattr(acts, "_case", found)
        told = await acts.follow(node, no_progress, receipt=filed["receipt"])
    assert told["received_district_ms"] == since.get(CODE)
    assert told["stage"] == ("received_district" if stated else "filed")
