"""A node whose database lies behind TLS: which server it believes, and what is said of others."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import district.cli
from demo.servers import postgresql
from demo.servers.postgresql import Server
from tests.support import services
from tests.support.certificates import Authority
from tests.support.postgresql import PASSWORD


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signs the server's certificate, which is for ``localhost``."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server(authority: Authority) -> Iterator[Server]:
    """A server that speaks TLS."""
    services.need(postgresql.is_installed(), postgresql.MISSING)
    made = Server(PASSWORD, tls=authority.issue("postgresql"))
    yield made
    made.remove()


class Place:
    """A home whose settings name a database.

    Attributes:
        path: Of the home.
    """

    def __init__(self, path: Path, server: Server) -> None:
        """Choose a new database of ``server``."""
        self.path = path
        self._port = server.port
        self._database = server.name(server.new_database())
        path.mkdir()

    def run(self, options: str, *command: str, host: str = "localhost") -> Result:
        """Run a command with that database URL in ``node.toml``."""
        (self.path / "password").write_text(PASSWORD + "\n")
        url = f"postgresql://sanji@{host}:{self._port}/{self._database}{options}"
        (self.path / "node.toml").write_text(
            f"database_url = '{url}'\ndatabase_password_file = '{self.path}/password'\n"
        )
        result = CliRunner().invoke(
            district.cli.app, [command[0], "--home", str(self.path), *command[1:]]
        )
        assert PASSWORD not in result.output
        return result

    def found(self, options: str, host: str = "localhost") -> Result:
        """Let a district begin there."""
        return self.run(options, "init", "--code", "340602", "--name", "杜集区", host=host)


@pytest.fixture
def place(tmp_path: Path, server: Server) -> Place:
    """A home without a node."""
    return Place(tmp_path / "d", server)


def test_a_server_that_proves_itself_is_believed(place: Place, authority: Authority) -> None:
    """By its authority and its name; in clear it would let nobody in."""
    options = f"?ssl=verify-full&sslrootcert={authority.ca}"
    assert "refuses the account" in refused(place.found("?ssl=disable"))
    assert place.found(options).exit_code == 0
    assert place.run(options, "verify").exit_code == 0


def refused(result: Result) -> str:
    """Return what a command said that could not open the database."""
    assert (result.exit_code, result.stderr.count("\n")) == (6, 1)
    return result.stderr


def test_another_authority_is_not_believed(place: Place, tmp_path: Path) -> None:
    """The same name, signed by somebody else."""
    ca = Authority(tmp_path).ca
    said = refused(place.found(f"?ssl=verify-full&sslrootcert={ca}"))
    assert "certificate is not trusted" in said
    assert "Check sslrootcert" in said


def test_another_host_is_not_believed(place: Place, authority: Authority) -> None:
    """The certificate is for a name, which only verify-full compares."""
    options = f"?ssl=verify-full&sslrootcert={authority.ca}"
    assert "not valid for '127.0.0.1'" in refused(place.found(options, host="127.0.0.1"))
    by_authority = options.replace("verify-full", "verify-ca")
    assert place.found(by_authority, host="127.0.0.1").exit_code == 0


def test_a_file_that_is_no_authority_is_named(place: Place, tmp_path: Path) -> None:
    """Missing, or something else."""
    (tmp_path / "text").write_text("no certificate")
    for name in ("nowhere", "text"):
        said = refused(place.found(f"?ssl=verify-full&sslrootcert={tmp_path / name}"))
        assert f"{tmp_path / name}, the database server's authority, cannot be used" in said


def test_a_server_in_clear_is_refused(
    place: Place, authority: Authority, postgresql_server: Server
) -> None:
    """Whoever asks for TLS gets nothing less."""
    clear = Place(place.path.with_name("clear"), postgresql_server)
    for options in (f"?ssl=verify-full&sslrootcert={authority.ca}", "?ssl=require"):
        assert "rejected SSL upgrade" in refused(clear.found(options))
    assert clear.found("?ssl=disable").exit_code == 0
