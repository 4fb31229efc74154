"""`verify` on a node that writes on meanwhile."""

from pathlib import Path

import pytest

from shared.app import evidence
from shared.app.compose import open_node
from shared.app.membership import init_district
from shared.domain.notices.kinds import PUBLISHED
from shared.log.log import Log
from shared.log.memory import MemoryStore
from shared.node.author import Draft
from shared.node.home import Home
from shared.record.feed import UPWARD, Feed
from shared.record.record import Record
from shared.record.run import Run
from tests.support.records import key_of
from tests.support.trust import DISTRICT, EPOCH, TOWN, signed, small_district

CODE = "340602"
BODY = {"stream": "government", "category": "decision", "title": "通知", "text": "正文"}


async def test_records_written_meanwhile_are_no_problem(tmp_path: Path) -> None:
    """Each feed is checked up to the head that it had; what comes later is the next check's."""
    home = Home(tmp_path / "d")
    await init_district(home, CODE, "杜集区")
    async with open_node(home) as node:
        draft = Draft(PUBLISHED, CODE + "*", BODY)
        await node.author.submit(draft)
        read = node.log.store.read

        async def write_then_read(
            feed: Feed, first_seq: int, records_max: int, bytes_max: int
        ) -> list[Record]:
            await node.author.submit(draft)
            return await read(feed, first_seq, records_max, bytes_max)

        node.log.store.read = write_then_read  # type: ignore[method-assign]
        result = await evidence.verify(node.log, lambda _done, _total: None)
    assert result["problems"] == []
    assert result["records"] >= 3


async def test_a_custody_feed_may_begin_late_and_have_holes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is forgotten of that lane is no problem (protocol 4.7); a false record behind it is."""
    small = small_district()
    log = Log(DISTRICT, MemoryStore(), small.founded.rid)
    await log.open()
    for one in small.records:
        await log.accept([Run(one.header.feed, one.header.seq, (one,))], 7)
    feed, key = Feed(TOWN, EPOCH, "custody", UPWARD), key_of(1)
    prev, written = small.town_opened.rid, list[Record]()
    for seq in range(9):
        written.append(signed(feed, seq, prev, "custody.receipt.v1", {"held": []}, key))
        prev = written[-1].rid
    for first, end in ((2, 5), (6, 9)):
        await log.accept([Run(feed, first, tuple(written[first:end]))], 7)
    assert log.state(feed).count == 9
    assert (await evidence.verify(log, lambda _done, _total: None))["problems"] == []
    twin = signed(feed, 7, b"x" * 32, "custody.receipt.v1", {"held": []}, key)
    written[7] = twin
    read = log.store.read

    async def altered(name: Feed, first_seq: int, records_max: int, bytes_max: int) -> list[Record]:
        if name == feed and first_seq == 5:
            return written[6:9]
        return await read(name, first_seq, records_max, bytes_max)

    monkeypatch.setattr(log.store, "read", altered)
    found = await evidence.verify(log, lambda _done, _total: None)
    assert [one.rpartition(": ")[2] for one in found["problems"]] == [
        "the chain is broken before it"
    ] * 2
