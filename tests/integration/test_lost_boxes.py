"""A box is lost with its disk, and another one goes on in its place, at each of the three tiers."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from shared.app import acts, evidence
from shared.app.backup import back_up
from shared.app.backup_file import Backup, heads_of
from shared.app.compose import open_node
from shared.app.membership import init_district, join
from shared.app.restore import restore
from shared.app.rotation import rotate
from shared.errors import RefusedError
from shared.node.home import Home, Identity, Keys
from shared.record.feed import Feed
from tests.support.tiers import DISTRICT, LABELS, PARENTS, TOWN, VILLAGE, Tiers, only

FURTHER = 20
"""Records that the box says after its backup."""

WAYS = {TOWN: only("ws"), VILLAGE: only("ws")}


class Boxes(Tiers):
    """Three tiers over WebSocket; whoever is dialled keeps its port when it is replaced."""

    def __init__(self, root: Path) -> None:
        """Name their homes; each takes any free port at first."""
        super().__init__(root, "")
        self._ports: dict[str, int] = {}

    async def stop(self, code: str) -> None:
        """Stop one, and remember at which port it was dialled."""
        for address in self.nodes[code].log.roster.addresses_of(code):
            self._ports[code] = urlsplit(address).port or 0
        await super().stop(code)

    async def say(self, code: str, count: int) -> set[str]:
        """Publish ``count`` notices; returns their rids."""
        told = [
            await self.act(code, "publish", title=f"第{n}号", text="正文") for n in range(count)
        ]
        return {one["rid"] for one in told}

    async def lose(self, code: str) -> None:
        """Stop a box and take its disk away."""
        await self.stop(code)
        shutil.rmtree(self.homes[code].path)

    async def again(self, code: str) -> None:
        """Serve what stands in the place of a lost box."""
        await self.serve(code, WAYS.get(code), listen_port=self._ports.get(code, 0))

    def scope(self, at: str) -> dict[Feed, tuple[int, bytes]]:
        """Return the heads of all feeds that ``at`` holds, custody aside, which never ends."""
        return {
            feed: (state.count, state.rid)
            for feed, state in self.nodes[at].log.feeds.items()
            if feed.lane != "custody" and state.count
        }

    def own(self, at: str, author: str) -> dict[Feed, tuple[int, bytes]]:
        """Return those of them that are ``author``'s."""
        return {feed: head for feed, head in self.scope(at).items() if feed.author == author}

    async def checked(self) -> None:
        """Check that all hold the same, nothing forked and nothing is damaged."""
        await self.settled()
        for code, node in self.nodes.items():
            assert (await self.act(code, "verify"))["problems"] == []
            assert not node.log.forks
            assert node.log.counters.refused == 0


@asynccontextmanager
async def boxes(root: Path) -> AsyncIterator[Boxes]:
    """Serve a district, a town and a village."""
    async with Boxes(root) as made:
        await made.start(WAYS)
        yield made


def of(home: Home) -> tuple[Identity, Keys]:
    """Return what a keys file of this home would hold."""
    return home.identity(), home.keys()


def silent(_what: str, _done: int, _total: int) -> None:
    """Show no progress."""


@pytest.mark.parametrize("code", [VILLAGE, TOWN, DISTRICT])
async def test_a_lost_box_comes_back_from_its_backup(tmp_path: Path, code: str) -> None:
    """What it said after the backup comes back from a neighbour, and what it says next goes on.

    The box starts without a line and speaks at once: in a new epoch, so that nothing can fork.
    """
    beside = PARENTS.get(code, TOWN)
    async with boxes(tmp_path) as tiers:
        said = await tiers.say(code, 3)
        file = str(tmp_path / "backup")
        told = await tiers.act(code, "backup", path=file)
        said |= await tiers.say(code, FURTHER)
        await tiers.settled()
        before = tiers.own(code, code)
        identity, keys = of(tiers.homes[code])
        others = set(tiers.nodes) - {code}
        for other in others:
            await tiers.stop(other)
        await tiers.lose(code)
        back = await restore(tiers.homes[code], Path(file), identity, keys, silent)
        assert back["records"] == told["records"]
        await tiers.again(code)
        lacked = [feed for feed, head in before.items() if tiers.own(code, code).get(feed) != head]
        offline = await tiers.say(code, 1)
        for other in sorted(others):
            await tiers.again(other)
        await tiers.when(lambda: before.items() <= tiers.own(code, code).items())
        said |= offline | await tiers.say(code, 2)
        await tiers.checked()
        assert lacked
        assert tiers.own(code, code) == tiers.own(beside, code)
        for rid in said:
            assert (await tiers.nodes[code].log.find(bytes.fromhex(rid))).record.rid.hex() == rid
        status = await tiers.act(code, "status")
        assert status["epoch"] not in {feed.epoch.hex() for feed in before}
        counted = sum(one["count"] for one in status["heads"])
        assert counted == status["records"] > told["records"] + FURTHER


@pytest.mark.parametrize("code", [VILLAGE, TOWN])
async def test_a_lost_box_without_a_backup_is_replaced_with_its_keys(
    tmp_path: Path, code: str
) -> None:
    """A new invitation and the old keys: all of its scope comes back, counted, and it goes on."""
    parent = PARENTS[code]
    async with boxes(tmp_path) as tiers:
        for one in (DISTRICT, TOWN, VILLAGE):
            await tiers.say(one, 3)
        filed = await tiers.act(code, "file", kind="ask", text="水？")
        await tiers.settled()
        before = tiers.scope(code)
        kept = of(tiers.homes[code])
        await tiers.lose(code)
        invited = await tiers.act(parent, "invite", code=code, label=LABELS[code])
        with pytest.raises(RefusedError, match="join --keys"):
            await join(Home(tmp_path / "thief"), invited["token"])
        await join(tiers.homes[code], invited["token"], kept=kept)
        await tiers.again(code)
        await tiers.when(lambda: before.items() <= tiers.scope(code).items())
        again = await tiers.act(code, "file", kind="ask", text="电？")
        await tiers.checked()
        assert again["receipt"] != filed["receipt"]
        assert tiers.scope(code).keys() > before.keys()


async def test_keys_of_one_do_not_join_for_another(tmp_path: Path) -> None:
    """Neither are the keys of one taken for another, nor is a certified one renamed."""
    async with boxes(tmp_path) as tiers:
        kept = of(tiers.homes[TOWN])
        with pytest.raises(RefusedError, match="same label"):
            await tiers.act(TOWN, "invite", code=VILLAGE, label="王庄")
        invited = await tiers.act(TOWN, "invite", code=VILLAGE, label=LABELS[VILLAGE])
        with pytest.raises(RefusedError, match="one division"):
            await join(Home(tmp_path / "new"), invited["token"], kept=kept)


async def test_a_backup_is_made_while_the_node_writes(tmp_path: Path) -> None:
    """It holds one state: no record twice, none half, and nobody waits for it."""
    async with boxes(tmp_path) as tiers:
        file = tmp_path / "backup"
        told, said = await asyncio.gather(
            tiers.act(DISTRICT, "backup", path=str(file)), tiers.say(DISTRICT, 10)
        )
        identity, keys = of(tiers.homes[DISTRICT])
        back = await restore(Home(tmp_path / "copy"), file, identity, keys, silent)
        assert back["records"] == told["records"]
        assert len(said) == 10


async def test_a_backup_out_of_postgresql_is_restored_into_a_file(
    tmp_path: Path, postgresql_url: str
) -> None:
    """The file is the same whatever database the log lay in."""
    old, new, file = Home(tmp_path / "old"), Home(tmp_path / "new"), tmp_path / "backup"
    old.path.mkdir()
    old.settings_file.write_text(f"database_url = {json.dumps(postgresql_url)}\n")
    await init_district(old, DISTRICT, LABELS[DISTRICT])
    async with open_node(old) as node:
        for _ in range(3):
            await acts.publish(node, lambda _done, _total: None, title="通知", text="正文")
        await back_up(node, old, file, lambda _done, _total: None)
    back = await restore(new, file, *of(old), silent)
    kept = Backup(file).manifest
    async with open_node(new) as node:
        heads = set(heads_of(node.log))
        found = await evidence.verify(node.log, lambda _done, _total: None)
    assert set(kept.heads) <= heads
    assert found["problems"] == []
    assert back["records"] == kept.records >= 5


async def test_a_backup_older_than_all_who_joined(tmp_path: Path) -> None:
    """The district does not know its only town any more; a bundle of the town's tells it.

    The bundle is signed by the key whose certificate is inside.
    """
    file = tmp_path / "backup"
    async with Boxes(tmp_path) as tiers:
        await tiers.start({})
        await tiers.act(DISTRICT, "backup", path=str(file))
        kept = of(tiers.homes[DISTRICT])
        invited = await tiers.act(DISTRICT, "invite", code=TOWN, label=LABELS[TOWN])
        await join(tiers.homes[TOWN], invited["token"])
        await tiers.again(TOWN)
        await tiers.settled()
        await tiers.lose(DISTRICT)
        await restore(tiers.homes[DISTRICT], file, *kept, silent)
        await tiers.again(DISTRICT)
        assert tiers.nodes[DISTRICT].log.roster.certificate_of(TOWN) is None
        bundle = await tiers.act(TOWN, "export", to=DISTRICT, folder=str(tmp_path))
        taken = await tiers.act(DISTRICT, "import", path=bundle["file"])
        assert (taken["gaps"], taken["refused"]) == (0, 0)
        await tiers.say(TOWN, 1)
        await tiers.checked()
        assert await tiers.linked_by(TOWN, DISTRICT) == "ws"


@pytest.mark.parametrize("with_backup", [True, False])
async def test_a_box_comes_back_under_the_key_that_replaced_its_first(
    tmp_path: Path, *, with_backup: bool
) -> None:
    """Files made after the rotation bring it back; the keys of before do not."""
    file = tmp_path / "backup"
    async with boxes(tmp_path) as tiers:
        await tiers.say(VILLAGE, 2)
        await tiers.settled()
        old = of(tiers.homes[VILLAGE])
        await tiers.stop(VILLAGE)
        await rotate(tiers.homes[VILLAGE])
        await tiers.again(VILLAGE)
        await tiers.say(VILLAGE, 2)
        await tiers.settled()
        kept, before = of(tiers.homes[VILLAGE]), tiers.scope(VILLAGE)
        await tiers.act(VILLAGE, "backup", path=str(file))
        await tiers.lose(VILLAGE)
        home = tiers.homes[VILLAGE]
        if with_backup:
            with pytest.raises(RefusedError, match="not signed by these keys"):
                await restore(home, file, *old, silent)
            await restore(home, file, *kept, silent)
        else:
            invited = await tiers.act(TOWN, "invite", code=VILLAGE, label=LABELS[VILLAGE])
            with pytest.raises(RefusedError, match="other keys"):
                await join(Home(tmp_path / "old"), invited["token"], kept=old)
            await join(home, invited["token"], kept=kept)
        await tiers.again(VILLAGE)
        await tiers.say(VILLAGE, 1)
        await tiers.when(lambda: before.items() <= tiers.scope(VILLAGE).items())
        await tiers.checked()
