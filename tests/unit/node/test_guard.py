"""Keys certified in a division's name: its alarm, the district's word (protocol 4.2)."""

from pathlib import Path

import pytest

from demo.trace import until
from shared.app.keys import report
from shared.app.status import report as status
from shared.app.status_tables import show_status
from shared.errors import InvalidError, RefusedError, StorageError
from shared.node.guard import RETRY_SECONDS
from shared.node.node import Node
from shared.trust.kinds import DISOWNED
from shared.web.banner import alarm
from shared.web.i18n import Catalogue
from tests.support.records import key_of
from tests.support.replacing import replacing
from tests.support.served import Served, served
from tests.support.trust import DISTRICT, TOWN, VILLAGE, small_district

SMALL = small_district()
UNASKED = replacing(SMALL.village_certified.rid, 9, None)
NUMBER = UNASKED.rid.hex()[:16]


def disowns(node: Node) -> bool:
    """Tell whether the node holds the village's word against the certificate."""
    return all(node.log.roster.is_disowned(one) for one in node.log.roster.unconfirmed())


async def page_of(made: Served) -> str:
    """Return the first page."""
    async with made.client.get("/") as response:
        return await response.text()


async def test_who_is_certified_unasked_raises_an_alarm(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On its pages, in its status and in a record that reaches the district; once."""
    async with (
        served(tmp_path / VILLAGE, VILLAGE) as village,
        served(tmp_path / DISTRICT, DISTRICT) as district,
    ):
        assert "有人冒用本单位的名义" not in await page_of(village)
        await village.accept(UNASKED)
        await until(village.node, lambda: disowns(village.node))
        assert f"给别的密钥发了证书（{NUMBER}）" in await page_of(village)
        line = alarm(village.node.guard.unasked(), Catalogue().words("en"))
        assert line is not None
        assert f"another key was certified ({NUMBER})" in line.rest
        show_status(await status(village.node))
        assert f"ALARM: {TOWN} certified another key" in capsys.readouterr().out
        own = village.node.log.state(SMALL.village_opened.header.feed)
        await village.accept(UNASKED, replacing(UNASKED.rid, 10, 9, place=(
            UNASKED.header.feed, 3, UNASKED.rid)))  # fmt: skip
        await until(village.node, lambda: disowns(village.node))
        own_now = village.node.log.state(SMALL.village_opened.header.feed)
        assert own_now.count == own.count + 1
        stored = await village.node.log.find(own_now.rid)
        assert stored.record.header.kind == DISOWNED

        await district.hear(village)
        show_status(await status(district.node))
        shown = capsys.readouterr().out
        assert f"{VILLAGE}: {NUMBER} by {TOWN}; the division DISOWNS it" in shown
        assert report(district.node)["unasked"] == []
        assert "有人冒用" not in await page_of(district)


async def test_an_alarm_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing ends because the alarm cannot be written yet; it is written later."""
    async with served(tmp_path / VILLAGE, VILLAGE) as village:
        submit = village.node.author.submit

        async def full(_draft: object) -> None:
            raise StorageError("The disk is full.")

        monkeypatch.setattr(village.node.author, "submit", full)
        await village.accept(UNASKED)
        await village.clock.advance(RETRY_SECONDS * 2)
        assert not disowns(village.node)
        monkeypatch.setattr(village.node.author, "submit", submit)
        await village.clock.advance(RETRY_SECONDS * 2)
        await until(village.node, lambda: disowns(village.node))


async def test_the_district_confirms(tmp_path: Path) -> None:
    """The certificate of a lost key's successor counts by one command of the district."""
    async with (
        served(tmp_path / DISTRICT, DISTRICT) as district,
        served(tmp_path / TOWN, TOWN) as town,
    ):
        later = replacing(UNASKED.rid, 10, None, place=(UNASKED.header.feed, 3, UNASKED.rid))
        await district.accept(UNASKED, later)
        with pytest.raises(RefusedError, match="does not count"):
            await district.act("confirm", rid=later.rid.hex())
        with pytest.raises(InvalidError, match="no certificate that waits"):
            await district.act("confirm", rid=SMALL.village_certified.rid.hex())
        told = await district.act("confirm", rid=NUMBER)
        assert told["in_force"] is True
        assert told["kid"] == key_of(9).public.kid.hex()
        assert [one["certificate"] for one in report(district.node)["unconfirmed"]] == [
            later.rid.hex()
        ]
        with pytest.raises(RefusedError, match="only the district"):
            await town.act("confirm", rid=NUMBER)
        await town.accept(UNASKED)
        await town.hear(district)
        found = town.node.log.roster.certificate_of(VILLAGE)
        assert found is not None
        assert found.key == key_of(9).public
