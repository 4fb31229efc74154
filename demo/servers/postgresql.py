"""A private PostgreSQL: Debian's server on a port and in a folder of its own."""

import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import Final

from sqlalchemy import make_url

from demo.servers.programs import command_of, free_port
from shared.errors import UnavailableError

FOLDERS: Final = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda one: one.parent.name)
USER: Final = "postgres"
START_SECONDS_MAX: Final = 60.0
STOP_SECONDS_MAX: Final = 60.0
POLL_SECONDS: Final = 0.02
MISSING: Final = "PostgreSQL is missing: apt-get install postgresql"

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

    def __init__(
        self, password: str, *, fsync: bool = False, tls: tuple[Path, Path] | None = None
    ) -> None:
        """Make the data and start it.

        Args:
            password: Of ``sanji``.
            fsync: Flush, for who kills more than processes.
            tls: PEM files of its certificate and private key, of which it takes copies; None for
                without.

        Raises:
            UnavailableError: it is not installed, or does not start.
        """
        if not is_installed():
            raise UnavailableError(MISSING)
        self.folder = Path(tempfile.mkdtemp(prefix="sanji-pg-"))
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = count(1)
        self._options: tuple[str, ...] = (
            f"--port={self.port}", "--listen_addresses=127.0.0.1", f"--fsync={fsync}",
            f"--unix_socket_directories={self.folder}", "--shared_buffers=16MB",
            "--max_connections=20",
        )  # fmt: skip
        try:
            self._make_data(password)
            if tls is not None:
                self._take_tls(*tls)
            self.start()
        except BaseException:
            self.remove()
            raise

    def _make_data(self, password: str) -> None:
        file = self.folder / "password"
        file.write_text(password + "\n")
        if os.geteuid() == 0:  # the server refuses root
            shutil.chown(self.folder, USER, USER)
            shutil.chown(file, USER, USER)
        self._run(
            "initdb", f"--pgdata={self._data}", "--username=sanji", "--encoding=UTF8", *_LOCALE,
            "--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={file}", "--no-sync",
        )  # fmt: skip

    def _take_tls(self, certificate: Path, key: Path) -> None:
        """Copy both under the names that the server looks for, and let nobody in without TLS."""
        for file, name in ((certificate, "server.crt"), (key, "server.key")):
            copy = self._data / name
            shutil.copyfile(file, copy)
            copy.chmod(0o600)
            if os.geteuid() == 0:
                shutil.chown(copy, USER, USER)
        self._options += ("--ssl=on",)
        rules = self._data / "pg_hba.conf"
        rules.write_text(rules.read_text().replace("\nhost ", "\nhostssl "))

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        """Start it, again perhaps, and wait until it answers.

        To be called in the main thread, with which it dies.

        Raises:
            UnavailableError: it does not start.
        """
        command = [_tool("postgres"), "-D", str(self._data), *self._options]
        with (self.folder / "log").open("ab") as log:
            began = log.tell()
            process = subprocess.Popen(
                command_of(USER, command, dies_by="INT"), cwd="/", stdout=log, stderr=log
            )
        last = time.monotonic() + START_SECONDS_MAX
        while b"ready to accept connections" not in (said := self._said(began)):
            if process.poll() is not None or time.monotonic() > last:
                process.kill()
                process.wait()
                raise UnavailableError(f"PostgreSQL does not start: {said[-2000:].decode()}")
            time.sleep(POLL_SECONDS)
        self._process = process

    def _said(self, since: int) -> bytes:
        return (self.folder / "log").read_bytes()[since:]

    def kill(self) -> None:
        """Kill all its processes at once; its folder stays."""
        if self._process is None:
            return
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        pids = (self._process.pid, *map(int, children.read_text().split()))
        ends = [os.pidfd_open(pid) for pid in pids]
        for end in ends:
            signal.pidfd_send_signal(end, signal.SIGKILL)
        for end in ends:  # until the last has let the shared memory go
            select.select([end], [], [])
            os.close(end)
        self._process.wait(STOP_SECONDS_MAX)
        self._process = None

    def stop(self) -> None:
        """Stop it in order, which ends its connections."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(STOP_SECONDS_MAX)
            self._process = None

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
        """Return what the server answers, as psql prints it.

        Raises:
            UnavailableError: it refuses.
        """
        return self._run("psql", "-qAtX", "-c", statement, *self._where, "-d", database)

    @property
    def _where(self) -> tuple[str, ...]:
        return f"--host={self.folder}", f"--port={self.port}", "--username=sanji"

    def _run(self, tool: str, *arguments: str) -> str:
        done = subprocess.run(
            command_of(USER, [_tool(tool), *arguments]), cwd="/", capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        if done.returncode:
            raise UnavailableError(f"{tool}: {done.stderr}")
        return done.stdout.strip()


def _tool(name: str) -> str:
    return str(FOLDERS[-1] / name)
