"""A node on SQLite whose links go by WebSocket loads nothing that only others need."""

import subprocess
import sys
from pathlib import Path

ONLY_OTHERS = (
    "aio_pika", "aiormq", "alembic", "asyncpg", "prometheus_client", "rich.progress", "segno",
    "sqlalchemy.dialects.postgresql", "sqlalchemy.ext.asyncio",
)  # fmt: skip
SERVE = """
import asyncio, pathlib, sys
import village.cli
from shared.app.compose import serving
from shared.app.membership import init_district
from shared.node.home import Home
from shared.node.settings import load_settings

async def serve():
    home = Home(pathlib.Path(sys.argv[1]))
    await init_district(home, "340602", "杜集区")
    async with serving(home, load_settings(home.settings_file, listen_port=0)):
        print("loaded:", *sys.modules)

asyncio.run(serve())
"""


def test_what_only_others_need_is_not_loaded(tmp_path: Path) -> None:
    """A village's computer has little memory: broker, PostgreSQL, metrics, QR and bars wait."""
    done = subprocess.run(
        [sys.executable, "-c", SERVE, str(tmp_path / "d")],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    loaded = done.stdout.partition("loaded:")[2].split()
    assert {"aiohttp", "sqlalchemy.dialects.sqlite", "village.pages"} <= set(loaded)
    assert [name for name in ONLY_OTHERS if name in loaded] == []
