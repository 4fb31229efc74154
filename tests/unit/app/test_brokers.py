"""`district broker-definitions`, and the settings of a broker."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import district.cli
from broker.introduction import Identity
from shared.app.carriers import login_of, timing_of
from shared.errors import InvalidError
from shared.node.settings import Settings, load_settings
from tests.support.certificates import Authority
from tests.support.records import key_of

SECRET = "hushhush"


def test_definitions_are_written_for_the_owner_only(tmp_path: Path) -> None:
    """A second run keeps the passwords, so that it can be done whenever somebody joined."""
    home, file, folder = tmp_path / "d", tmp_path / "definitions.json", tmp_path / "passwords"

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(district.cli.app, list(arguments))
        assert result.exit_code == 0, result.output
        return result.output

    run("init", "--home", str(home), "--code", "340602", "--name", "杜集区")
    told = run("broker-definitions", "--home", str(home), str(file), "--passwords", str(folder))
    password = (folder / "340602").read_text().strip()
    again = run("broker-definitions", "--home", str(home), str(file), "--passwords", str(folder))
    made = json.loads(file.read_text())
    assert [user["name"] for user in made["users"]] == ["340602"]
    assert made["vhosts"] == [{"name": "sanji"}]
    assert (folder / "340602").read_text().strip() == password
    assert password not in told + again + file.read_text()
    assert "1 with a new password" in told
    assert "0 with a new password" in again
    modes = [path.stat().st_mode & 0o777 for path in (file, folder, folder / "340602")]
    assert modes == [0o600, 0o700, 0o600]


@pytest.mark.parametrize(
    ("longest", "pauses"), [(900.0, (0.5, 30.0)), (2.0, (0.5, 2.0)), (0.1, (0.1, 0.1))]
)
def test_a_relay_comes_back_no_later_than_its_children(
    tmp_path: Path, longest: float, pauses: tuple[float, float]
) -> None:
    """To a broker that was away; after half a minute at the latest, whatever children may."""
    settings = load_settings(tmp_path / "node.toml", backoff_seconds_max=longest)
    assert timing_of(settings).retry_seconds == pauses


@pytest.mark.parametrize(
    "given",
    [
        {"broker_url": f"amqp://me:{SECRET}@b/v"},
        {"addresses": ("ws://b/link", f"amqps://me:{SECRET}@b/v")},
        {"broker_url": f"amqp://{SECRET}@b/v"},
    ],
)
def test_a_password_in_an_address_is_refused_in_one_line(
    tmp_path: Path, given: dict[str, str]
) -> None:
    """It would be signed and told to everybody; and the refusal does not repeat it."""
    with pytest.raises(InvalidError, match="broker_password_file") as caught:
        load_settings(tmp_path / "node.toml", **given)
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value) + str(caught.value.__cause__)


def test_a_node_without_a_login_dials_no_broker(tmp_path: Path) -> None:
    """With one, it is the division's code that logs in unless a user is set."""
    me = Identity("340602", key_of(1))
    file = tmp_path / "password"
    file.write_text(SECRET)
    assert login_of(Settings(), me.code) is None
    plain = login_of(Settings(broker_password_file=str(file)), me.code)
    named = login_of(Settings(broker_password_file=str(file), broker_user="x"), me.code)
    assert plain is not None
    assert named is not None
    assert (plain.user, named.user) == (me.code, "x")


def test_a_relay_whose_certificate_nobody_would_see_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In clear no certificate is shown: said at once, with what to do, not tried for ever."""
    certificate, key = Authority(tmp_path).issue("340602")
    home = ("--home", str(tmp_path / "d"))
    run = CliRunner().invoke
    assert run(district.cli.app, ["init", *home, "--code", "340602", "--name", "区"]).exit_code == 0
    monkeypatch.setenv("SANJI_LISTEN_PORT", "0")
    monkeypatch.setenv("SANJI_BROKER_URL", "amqp://127.0.0.1/sanji")
    monkeypatch.setenv("SANJI_BROKER_CERTIFICATE", str(certificate))
    monkeypatch.setenv("SANJI_BROKER_KEY", str(key))
    refused = run(district.cli.app, ["serve", *home])
    assert refused.exit_code == 2
    assert "needs amqps" in refused.stderr
    assert "broker_password_file" in refused.stderr
    assert refused.stderr.count("\n") == 1
