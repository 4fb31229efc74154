"""Databases of the private PostgreSQL, opened as tests need them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection, MetaData

from shared.log.postgresql import PostgresqlDatabase, Session
from shared.log.postgresql_driver import new_engine
from shared.log.sql import SqlStore
from shared.log.store import Store
from shared.log.tables import LOG_TABLES
from tests.support.stores import Reopen

PASSWORD: Final = "s3cret-of-the-test"
OWNER: Final = "the node of the test"

Transact = Callable[[Callable[[Connection], Any]], Any]
"""Runs a transaction."""


async def open_database(url: str, *metadata: MetaData) -> PostgresqlDatabase:
    """Return the database of that URL."""
    return await PostgresqlDatabase.open(url, *metadata, owner=OWNER)


def reopen_postgresql(url: str) -> Reopen:
    """Return the ``Reopen`` of a database."""

    async def reopen(store: Store | None) -> Store:
        if store is not None:
            await store.close()
        return SqlStore(await open_database(url, LOG_TABLES))

    return reopen


@contextmanager
def transacting(url: str, *metadata: MetaData) -> Iterator[Transact]:
    """Open the database of that URL in this thread, where no event loop runs."""
    session = Session(new_engine(url), metadata, OWNER)
    session.open()
    yield session.transact
    session.close()
