"""`verify` on a node that writes on meanwhile."""

from pathlib import Path

from shared.app import evidence
from shared.app.compose import open_node
from shared.app.membership import init_district
from shared.domain.notices.kinds import PUBLISHED
from shared.node.author import Draft
from shared.node.home import Home
from shared.record.feed import Feed
from shared.record.record import Record

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
