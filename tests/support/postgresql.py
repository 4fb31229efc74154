"""A PostgreSQL server of the tests' own, in a folder of its own, on a port of its own."""

import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, MetaData, make_url

from shared.log.postgresql import PostgresqlDatabase, Session
from shared.log.postgresql_driver import new_engine
from shared.log.sql import SqlStore
from shared.log.store import Store
from shared.log.tables import LOG_TABLES
from tests.support.stores import Reopen

FOLDERS: Final = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda one: one.parent.name)
PASSWORD: Final = "s3cret-of-the-test"
OWNER: Final = "the node of the test"
STOP_SECONDS_MAX: Final = 60.0
MISSING: Final = "PostgreSQL is missing: apt-get install postgresql"

Transact = Callable[[Callable[[Connection], Any]], Any]
"""Runs a transaction."""

# Another order than the bytes', so that a query which leaves the order to the database shows.
_LOCALE: Final = ("--locale-provider=icu", "--icu-locale=zh-CN", "--locale=C.UTF-8")


def is_installed() -> bool:
    """Tell whether there is a server to start."""
    return bool(FOLDERS)


class Server:
    """A private server; its superuser ``sanji`` needs a password over TCP and none by socket.

    Attributes:
        port: Where it listens, on 127.0.0.1 and in ``folder``.
        folder: Its data and its socket.
    """

    def __init__(self, *, fsync: bool = False) -> None:
        """Make the data; ``fsync`` for tests that kill more than processes."""
        self.folder = Path(tempfile.mkdtemp(prefix="sanji-pg-"))
        self.port = _free_port()
        self._process: subprocess.Popen[str] | None = None
        self._numbers = count(1)
        password = self.folder / "password"
        password.write_text(PASSWORD + "\n")
        if os.geteuid() == 0:  # the server refuses root
            shutil.chown(self.folder, "postgres", "postgres")
            shutil.chown(password, "postgres", "postgres")
        self._run(
            "initdb", f"--pgdata={self._data}", "--username=sanji", "--encoding=UTF8", *_LOCALE,
            "--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={password}", "--no-sync",
        )  # fmt: skip
        self._options = (
            f"--port={self.port}", "--listen_addresses=127.0.0.1", f"--fsync={fsync}",
            f"--unix_socket_directories={self.folder}", "--shared_buffers=16MB",
            "--max_connections=20",
        )  # fmt: skip
        self.start()

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        """Start it, again perhaps, and wait until it answers."""
        self._process = process = subprocess.Popen(
            [*_as_server("--pdeathsig=INT"), _tool("postgres"), "-D", self._data, *self._options],
            cwd="/", stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if "ready to accept connections" in line:
                break
        else:
            raise RuntimeError("".join(said))
        self._reader = threading.Thread(target=process.stderr.read)
        self._reader.start()

    def kill(self) -> None:
        """Kill all its processes at once; its folder stays."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        pids = (self._process.pid, *map(int, children.read_text().split()))
        ends = [os.pidfd_open(pid) for pid in pids]
        for end in ends:
            signal.pidfd_send_signal(end, signal.SIGKILL)
        for end in ends:  # until the last has let the shared memory go
            select.select([end], [], [])
            os.close(end)
        self._wait()

    def stop(self) -> None:
        """Stop it in order, which ends its connections."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._wait()

    def _wait(self) -> None:
        process, self._process = self._process, None
        assert process is not None
        assert process.stderr is not None
        process.wait(STOP_SECONDS_MAX)
        self._reader.join()
        process.stderr.close()

    def remove(self) -> None:
        """Stop it and throw its data away."""
        self.stop()
        shutil.rmtree(self.folder)

    def new_database(self) -> str:
        """Return the URL of a new, empty database."""
        name = self.new_name()
        self.sql(f"CREATE DATABASE {name}", "postgres")
        return self.url(name)

    def new_name(self) -> str:
        """Return a name that no database has."""
        return f"t{next(self._numbers)}"

    @staticmethod
    def name(url: str) -> str:
        """Return the name of the database that ``new_database`` made."""
        return str(make_url(url).database)

    def url(self, name: str, *, by_socket: bool = True) -> str:
        """Return the URL of a database."""
        if by_socket:
            return f"postgresql://sanji@/{name}?host={self.folder}&port={self.port}"
        return f"postgresql://sanji@127.0.0.1:{self.port}/{name}"

    def sql(self, statement: str, database: str) -> str:
        """Return what the server answers, as psql prints it."""
        return self._run("psql", "-qAtX", "-c", statement, *self._where, "-d", database)

    @property
    def _where(self) -> tuple[str, ...]:
        return f"--host={self.folder}", f"--port={self.port}", "--username=sanji"

    def _run(self, tool: str, *arguments: str) -> str:
        done = subprocess.run(
            [*_as_server(), _tool(tool), *arguments], cwd="/", capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout.strip()


def _tool(name: str) -> str:
    return str(FOLDERS[-1] / name)


def _as_server(*options: str) -> tuple[str, ...]:
    """Return the beginning of a command that runs as Debian's user of the server."""
    if os.geteuid() == 0:
        options = ("--reuid=postgres", "--regid=postgres", "--clear-groups", *options)
    return ("setpriv", *options)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


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
