"""A private RabbitMQ: Debian's server on ports and folders of its own, killed in the end."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from demo.servers.programs import command_of, free_port
from shared.errors import UnavailableError

PROGRAMS: Final = Path("/usr/lib/rabbitmq/bin")
USER: Final = "rabbitmq"
VHOST: Final = "sanji"
CERTIFICATES: Final = "rabbitmq_auth_mechanism_ssl"
"""The plugin that lets clients log in by certificate."""
LOOPBACK: Final = "-kernel inet_dist_use_interface {127,0,0,1}"
START_SECONDS_MAX: Final = 240.0
"""A budget: on a machine that is busy with other things a start takes many times its 5 s."""

TOLD_CHARS_MAX: Final = 4000
"""Of the server's last words, where it could not be started."""

MISSING: Final = "RabbitMQ is missing: apt-get install rabbitmq-server"


def is_installed() -> bool:
    """Tell whether there is a server to start."""
    return (PROGRAMS / "rabbitmq-server").exists() and bool(shutil.which("epmd"))


@dataclass(frozen=True)
class Tls:
    """What a broker needs to speak AMQP over TLS as well, with logins by certificate.

    Attributes:
        port: Where it does.
        ca: PEM file of the authority that clients' certificates come from.
        certificate: PEM file of its own.
        key: PEM file of its private key.
    """

    port: int
    ca: Path
    certificate: Path
    key: Path


class RabbitServer:
    """One broker with its own epmd; ``start`` may be called again after ``kill``.

    Attributes:
        port: Where it speaks AMQP.
        figures_port: Where it tells its figures over HTTP, as Prometheus reads them; 0 for nowhere.
        definitions: What it is given at each start.
    """

    def __init__(
        self, folder: Path, definitions: dict[str, Any], *, port: int = 0, tls: Tls | None = None,
        has_figures: bool = False,
    ) -> None:  # fmt: skip
        """Prepare a broker that lives in ``folder``, which is given to its Debian user.

        Args:
            folder: Its user must be able to get there.
            definitions: Users, rights, queues.
            port: Where it shall listen; 0 for any free one.
            tls: None for without.
            has_figures: Let it tell its figures.
        """
        self.port = port or free_port()
        self.figures_port = free_port() if has_figures else 0
        self.definitions = definitions
        self._tls = tls
        self._folder = folder
        self._epmd_port = free_port()
        self._name = f"sanji{self.port}@localhost"
        self._epmd: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None
        folder.mkdir(exist_ok=True)

    @property
    def address(self) -> str:
        """Return the address of its virtual host."""
        return f"amqp://127.0.0.1:{self.port}/{VHOST}"

    @property
    def runs(self) -> bool:
        """True while its process is there."""
        return self._server is not None and self._server.poll() is None

    def start(self) -> None:
        """Start it and wait until it takes connections.

        Raises:
            UnavailableError: it does not start.
        """
        self.begin()
        self.wait()

    def begin(self) -> None:
        """Start it; to be called in the main thread, with which it dies.

        Raises:
            UnavailableError: it does not start.
        """
        if not is_installed():
            raise UnavailableError(MISSING)
        self._prepare()
        if self._epmd is None:
            epmd = ["epmd", "-port", str(self._epmd_port), "-address", "127.0.0.1"]
            self._epmd = self._run(epmd)
            _until(lambda: _listens(self._epmd_port), self._epmd, self._folder)
        self._server = self._run([str(PROGRAMS / "rabbitmq-server")])

    def wait(self) -> None:
        """Return once it takes connections: its definitions are loaded before.

        Raises:
            UnavailableError: it does not start.
        """
        ports = (self.port, self._tls.port) if self._tls else (self.port,)
        _until(lambda: all(map(_listens, ports)), self._server, self._folder)

    def kill(self) -> None:
        """End it as a power cut would: SIGKILL for the server and whatever it started."""
        if self._server is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._server.pid, signal.SIGKILL)
            self._server.wait()
            self._server = None
            _until(lambda: not _listens(self.port), None, self._folder)

    def wipe(self) -> None:
        """Kill it and throw its data away."""
        self.kill()
        shutil.rmtree(self._folder / "data")

    def stop(self) -> None:
        """Kill it and its epmd."""
        self.kill()
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()
            self._epmd = None

    def import_definitions(self, made: dict[str, Any]) -> None:
        """Let an operator import definitions into the running broker."""
        file = self._folder / "imported.json"
        file.write_text(json.dumps(made))
        file.chmod(0o644)
        self.ctl("import_definitions", str(file))

    def ctl(self, *arguments: str) -> str:
        """Return what ``rabbitmqctl`` says.

        Raises:
            UnavailableError: it refuses, or the broker does not answer.
        """
        command = [str(PROGRAMS / "rabbitmqctl"), "-n", self._name, "-q", *arguments]
        done = subprocess.run(
            command_of(USER, command, dies_by="KILL"), env=self._environment(), cwd=self._folder,
            check=False, capture_output=True, text=True, timeout=START_SECONDS_MAX,
        )  # fmt: skip
        if done.returncode:
            raise UnavailableError(f"rabbitmqctl {arguments[0]}: {done.stdout}{done.stderr}")
        return done.stdout

    def _prepare(self) -> None:
        for name in ("data", "log", "home"):
            (self._folder / name).mkdir(exist_ok=True, parents=True)
        (self._folder / "definitions.json").write_text(json.dumps(self.definitions))
        (self._folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            f"{self._tls_lines()}{self._figures_lines()}"
            f"load_definitions = {self._folder}/definitions.json\n"
            "log.file.level = warning\n"
        )
        wanted = {"rabbitmq_prometheus": self.figures_port, CERTIFICATES: self._tls}
        plugins = ",".join(name for name, why in wanted.items() if why)
        (self._folder / "enabled_plugins").write_text(f"[{plugins}].\n")
        if os.geteuid() == 0:
            for path in (self._folder, *self._folder.rglob("*")):
                shutil.chown(path, USER, USER)

    def _tls_lines(self) -> str:
        if self._tls is None:
            return ""
        return (
            f"listeners.ssl.1 = 127.0.0.1:{self._tls.port}\n"
            f"ssl_options.cacertfile = {self._tls.ca}\n"
            f"ssl_options.certfile = {self._tls.certificate}\n"
            f"ssl_options.keyfile = {self._tls.key}\n"
            "ssl_options.verify = verify_peer\n"
            "ssl_options.fail_if_no_peer_cert = false\n"
            "auth_mechanisms.1 = PLAIN\n"
            "auth_mechanisms.2 = EXTERNAL\n"
            "ssl_cert_login_from = common_name\n"
        )

    def _figures_lines(self) -> str:
        if not self.figures_port:
            return ""
        return f"prometheus.tcp.ip = 127.0.0.1\nprometheus.tcp.port = {self.figures_port}\n"

    def _environment(self) -> dict[str, str]:
        folder = str(self._folder)
        return {
            "PATH": os.environ["PATH"],
            "HOME": folder + "/home",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "NOTIFY_SOCKET": "/dev/null",  # as under systemd: no shell stands before the server
            "RABBITMQ_NODENAME": self._name,
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": folder + "/data",
            "RABBITMQ_LOG_BASE": folder + "/log",
            "RABBITMQ_CONFIG_FILE": folder + "/rabbitmq.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": folder + "/enabled_plugins",
            "RABBITMQ_CONF_ENV_FILE": folder + "/none",
            "RABBITMQ_SERVER_START_ARGS": "-start_epmd false " + LOOPBACK,
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none",
        }

    def _run(self, command: list[str]) -> subprocess.Popen[bytes]:
        with (self._folder / "out.txt").open("ab") as out:
            return subprocess.Popen(
                command_of(USER, command, dies_by="KILL"), env=self._environment(),
                cwd=self._folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True,
            )  # fmt: skip


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _until(
    holds: Callable[[], bool], process: subprocess.Popen[bytes] | None, folder: Path
) -> None:
    """Wait for a process that has no other way to say that it is ready."""
    last = time.monotonic() + START_SECONDS_MAX
    while not holds():
        ended = process is not None and process.poll() is not None
        if ended or time.monotonic() > last:
            why = "it ended" if ended else f"no answer in {START_SECONDS_MAX:g} s"
            raise UnavailableError(f"RabbitMQ did not start, {why}: {_last_words(folder)}")
        time.sleep(0.05)


def _last_words(folder: Path) -> str:
    """Return the end of what the server printed and logged."""
    files = (folder / "out.txt", *sorted((folder / "log").glob("*.log")))
    texts = ((file.name, file.read_text("utf-8", "replace")) for file in files if file.exists())
    return "\n".join(f"--- {name}\n{text[-TOLD_CHARS_MAX:]}" for name, text in texts)
