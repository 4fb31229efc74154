"""Checking a printed notice by its number or its QR."""

import pytest

from shared.web.verify import read_number
from tests.unit.web.conftest import Desk


async def verdict(desk: Desk, number: str, status: int = 200) -> str:
    """Return the page that judges ``number``."""
    async with desk.client.get("/verify", params={"number": number}) as response:
        assert response.status == status
        return await response.text()


async def test_the_verdict_follows_the_notice(desk: Desk) -> None:
    """In force, corrected, withdrawn with its reason, expired."""
    now = desk.clock.wall_ms()
    rid = await desk.publish("停水", "周一")
    assert "是真的，现在有效" in await verdict(desk, rid.hex())
    await desk.correct(rid, "停水改期", "管道晚到")
    assert "是真的，后来更正过" in await verdict(desk, rid.hex())
    await desk.withdraw(rid, "不停了")
    page = await verdict(desk, rid.hex())
    assert "是真的，已经撤回" in page
    assert "不停了" in page
    market = await desk.publish("集市", "周六", expires_ms=now + 3_600_000)
    await desk.clock.advance(7200)
    assert "是真的，不再有效" in await verdict(desk, market.hex())


async def test_the_first_digits_and_the_scanned_address_suffice(desk: Desk) -> None:
    """As they stand on paper, in groups; an odd digit too many does no harm."""
    rid = (await desk.publish("停水")).hex()
    grouped = " ".join(rid[at : at + 4] for at in range(0, 16, 4))
    for typed in (grouped, grouped + " …", f"http://10.0.0.5:8340/verify/{rid}", rid[:17].upper()):
        assert "停水" in await verdict(desk, typed)


async def test_what_is_not_here_is_said(desk: Desk) -> None:
    """404 with what it can mean; noise is refused before it is looked for."""
    assert "这台机器上没有" in await verdict(desk, "ab" * 32, 404)
    for typed in ("水", "ab" * 7, "zz" * 32, "<script>"):
        page = await verdict(desk, typed, 400)
        assert "这不像记录号" in page
        assert "<script>" not in page
    async with desk.client.get("/verify/xyz") as response:
        assert response.status == 404


async def test_any_record_can_be_looked_up_but_tells_no_content(desk: Desk) -> None:
    """A receipt's number shows that the record is here, and nothing of its words."""
    record = next(iter(await desk.node.log.store.lane("trust")))
    page = await verdict(desk, record.rid.hex())
    assert "这条记录在这台机器上" in page


@pytest.mark.parametrize("text", ["", " ", "/", "ab" * 40, "ab cd"])
def test_what_cannot_be_a_number(text: str) -> None:
    """Too short, too long, nothing."""
    assert read_number(text) == ""
