"""Views wait out a disk that cannot be written, and go on by themselves."""

import asyncio
from pathlib import Path

import pytest

from shared.domain.notices import view
from shared.errors import StorageError
from shared.node.views import RETRY_SECONDS, Views
from tests.support.served import served
from tests.support.trust import VILLAGE


async def test_a_full_disk_does_not_end_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages stay, and what was written meanwhile shows once there is room."""
    async with served(tmp_path, VILLAGE) as made:
        views = made.node.views
        assert views is not None
        tries: asyncio.Queue[None] = asyncio.Queue()

        async def full(_: Views) -> int:
            tries.put_nowait(None)
            raise StorageError("The disk is full.")

        with monkeypatch.context() as patch:
            patch.setattr(Views, "catch_up", full)
            await made.act("publish", title="停水", text="明天。")
            async with asyncio.timeout(20):
                await tries.get()  # of whoever published
                await tries.get()
                await made.clock.advance(RETRY_SECONDS)
                await tries.get()
        await made.catch_up()
        (row,) = await views.query(lambda conn: view.page(conn, 9))
        assert row.title == "停水"
