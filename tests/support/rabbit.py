"""A private RabbitMQ: Debian's server on ports and folders of its own, killed in the end."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from broker.rabbitmq.definitions import definitions, password_hash
from broker.rabbitmq.login import Login
from shared.record.feed import Level
from tests.support.certificates import Authority

PROGRAMS: Final = Path("/usr/lib/rabbitmq/bin")
USER: Final = "rabbitmq"
VHOST: Final = "sanji"
ADMIN: Final = "admin"
LOOPBACK: Final = "-kernel inet_dist_use_interface {127,0,0,1}"
START_SECONDS_MAX: Final = 60.0

HAS_RABBITMQ: Final = (PROGRAMS / "rabbitmq-server").exists() and bool(shutil.which("epmd"))


def free_port() -> int:
    """Return a port of this machine that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RabbitServer:
    """One broker with its own epmd; ``start`` may be called again after ``kill``.

    Attributes:
        port: Where it speaks AMQP.
        tls_port: Where it does over TLS, with a certificate for ``localhost``.
        authority: Who signed that certificate; clients that show one need one from there.
        definitions: What it is given at each start.
    """

    def __init__(self, folder: Path, definitions: dict[str, Any]) -> None:
        """Prepare a broker that lives in ``folder``, which is given to its Debian user."""
        self.port = free_port()
        self.tls_port = free_port()
        self.definitions = definitions
        self._folder = folder
        self._epmd_port = free_port()
        self._name = f"sanji{self.port}@localhost"
        self._epmd: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._as_user = os.geteuid() == 0
        folder.mkdir(exist_ok=True)
        self.authority = Authority(folder)
        self._certificate, self._key = self.authority.issue("broker")

    @property
    def address(self) -> str:
        """Return the address of its virtual host."""
        return f"amqp://127.0.0.1:{self.port}/{VHOST}"

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        self.begin()
        self.wait()

    def begin(self) -> None:
        """Start it; to be called in the main thread, with which it dies."""
        self._prepare()
        if self._epmd is None:
            epmd = ["epmd", "-port", str(self._epmd_port), "-address", "127.0.0.1"]
            self._epmd = self._run(epmd)
            _until(lambda: _listens(self._epmd_port), self._epmd, self._folder)
        self._server = self._run([str(PROGRAMS / "rabbitmq-server")])

    def wait(self) -> None:
        """Return once it takes connections: its definitions are loaded before."""
        ports = (self.port, self.tls_port)
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
        """Return what ``rabbitmqctl`` says."""
        command = [str(PROGRAMS / "rabbitmqctl"), "-n", self._name, "-q", *arguments]
        done = subprocess.run(
            self._command(command), env=self._environment(), cwd=self._folder, check=False,
            capture_output=True, text=True, timeout=START_SECONDS_MAX,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _prepare(self) -> None:
        for name in ("data", "log", "home"):
            (self._folder / name).mkdir(exist_ok=True, parents=True)
        (self._folder / "definitions.json").write_text(json.dumps(self.definitions))
        (self._folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}\n"
            f"ssl_options.cacertfile = {self.authority.ca}\n"
            f"ssl_options.certfile = {self._certificate}\n"
            f"ssl_options.keyfile = {self._key}\n"
            "ssl_options.verify = verify_peer\n"
            "ssl_options.fail_if_no_peer_cert = false\n"
            f"load_definitions = {self._folder}/definitions.json\n"
            "log.file.level = warning\n"
        )
        (self._folder / "enabled_plugins").write_text("[].\n")
        if self._as_user:
            for path in (self._folder, *self._folder.rglob("*")):
                shutil.chown(path, USER, USER)

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

    def _command(self, command: Iterable[str]) -> list[str]:
        user = [f"--reuid={USER}", f"--regid={USER}", "--init-groups"] if self._as_user else []
        return ["setpriv", *user, "--pdeathsig=KILL", *command]

    def _run(self, command: list[str]) -> subprocess.Popen[bytes]:
        with (self._folder / "out.txt").open("ab") as out:
            return subprocess.Popen(
                self._command(command), env=self._environment(), cwd=self._folder,
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
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
            raise AssertionError(f"RabbitMQ did not start: {(folder / 'out.txt').read_text()}")
        time.sleep(0.05)


def password_of(code: str) -> str:
    """Return the password by which a division logs in at the brokers of tests."""
    return f"{code}-is-here"


def login(server: RabbitServer, code: str) -> Login:
    """Return how division ``code`` logs in at ``server``."""
    del server
    return Login(code, password_of(code))


def definitions_for(divisions: dict[str, Level]) -> dict[str, Any]:
    """Return the definitions that our command would write, and an administrator's beside them."""
    hashes = {code: password_hash(password_of(code), b"salt") for code in (*divisions, ADMIN)}
    made = definitions(divisions, hashes, VHOST)
    everything = {"user": ADMIN, "vhost": VHOST, "configure": ".*", "write": ".*", "read": ".*"}
    made["users"].append({
        "name": ADMIN, "password_hash": hashes[ADMIN],
        "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": "administrator",
    })  # fmt: skip
    made["permissions"].append(everything)
    return made
