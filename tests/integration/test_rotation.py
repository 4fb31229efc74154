"""A village's key is replaced: cut short at its worst moment, it works on with the old one."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from demo.trace import act, is_head, until
from shared.app import rotation
from shared.app.membership import init_district, join
from shared.app.rotation import rotate
from shared.errors import RefusedError, UnavailableError
from shared.node.home import Home
from tests.integration.test_three_tiers import DISTRICT, TOWN, VILLAGE, Three


class CrashError(Exception):
    """The box lost its current."""


@asynccontextmanager
async def village_of(three: Three) -> AsyncIterator[None]:
    """Serve the village while the block runs."""
    async with AsyncExitStack() as stack:
        await three.serve(stack, VILLAGE)
        yield


async def file(three: Three) -> str:
    """File something in the serving village; returns its receipt once the district has it."""
    filed = await act(three.homes[VILLAGE], "file", kind="ask", text="自来水什么时候通？")
    await until(three.nodes[DISTRICT], is_head(three.nodes[DISTRICT], filed["rid"]))
    return str(filed["receipt"])


async def test_a_village_goes_over_to_a_new_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The certificate is here and the key not yet in place: both ways to go on are open."""
    three = Three(tmp_path)
    home = three.homes[VILLAGE]
    async with AsyncExitStack() as stack:
        await init_district(three.homes[DISTRICT], DISTRICT, "杜集区")
        await three.serve(stack, DISTRICT)
        await invited(three, DISTRICT, TOWN, "朔里镇")
        await three.serve(stack, TOWN)
        await invited(three, TOWN, VILLAGE, "沈集")
        old_key = home.keys().signing.public
        async with village_of(three):
            receipts = [await file(three)]
            with pytest.raises(UnavailableError, match="another process"):
                await rotate(home)
        with monkeypatch.context() as crash:
            crash.setattr(Home, "go_over", _crash)
            with pytest.raises(CrashError):
                await rotate(home)
        async with village_of(three):
            assert three.nodes[VILLAGE].keys.signing.public == old_key
            assert three.nodes[VILLAGE].guard.unasked() == ()
            receipts.append(await file(three))
        with monkeypatch.context() as offline:
            offline.setattr(rotation, "ask_once", _crash)
            certificate = await rotate(home)
        async with village_of(three):
            receipts.append(await file(three))
            assert three.nodes[VILLAGE].keys.signing.public == certificate.key
            roster = three.nodes[TOWN].log.roster
            assert roster.keys_of(VILLAGE) == (certificate.key,)
            for receipt in receipts:
                await act(three.homes[DISTRICT], "follow", receipt=receipt)
            checked = await act(three.homes[DISTRICT], "verify")
            assert checked["problem_count"] == 0
            assert three.nodes[DISTRICT].log.revised == 0
    assert certificate.key != old_key
    assert home.owner() == old_key.raw.hex()
    with pytest.raises(UnavailableError, match="does not answer"):
        await rotate(home)
    assert home.keys().signing.public == certificate.key
    with pytest.raises(RefusedError, match="only a village"):
        await rotate(three.homes[TOWN])


async def invited(three: Three, parent: str, code: str, label: str) -> None:
    """Let ``code`` join."""
    node = three.nodes[parent]
    await until(node, lambda: bool(node.log.roster.addresses_of(parent)))
    token = (await act(three.homes[parent], "invite", code=code, label=label))["token"]
    await join(three.homes[code], token)


def _crash(*_: object) -> None:
    raise CrashError
