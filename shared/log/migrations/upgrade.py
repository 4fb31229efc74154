"""Alembic in the process: carries the tables forward over the connection that has them open."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

FOLDER: Final = Path(__file__).parent


def configuration(connection: Connection | None = None) -> Config:
    """Return what Alembic reads from a file elsewhere."""
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Bring the tables to ``revision`` in the transaction of ``connection``."""
    command.upgrade(configuration(connection), revision)
