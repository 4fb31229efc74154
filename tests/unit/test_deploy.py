"""What deploys a district is true: files that exist, commands and settings that we have."""

import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

import district.cli
import town.cli
import village.cli
from demo.found import DEFINITIONS, PASSWORD_FILE, read_stack
from shared.errors import InvalidError
from shared.node.settings import Settings, load_settings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
PLANS = {one.folder: one for one in read_stack(ROOT / "deploy" / "stack.toml")}
TIERS = {"district": district.cli.app, "town": town.cli.app, "village": village.cli.app}
TWO_IN_ONE = """
[340602]
name = "杜集区"
level = "district"
home = "d"
[340602100]
name = "朔里镇"
level = "town"
home = "d"
"""
nodes = pytest.mark.parametrize("name", sorted(PLANS))


def test_the_stack_is_what_was_promised() -> None:
    """A district, two towns, four villages, a broker, a database; each node has a service."""
    levels = [one.division.level.word for one in PLANS.values()]
    assert levels == ["district", *["town"] * 2, *["village"] * 4]
    assert set(SERVICES) == {*PLANS, "postgresql", "rabbitmq", "found"}


@nodes
def test_each_node_serves_its_own_home(name: str) -> None:
    """With the command of its tier, from its part of the volume, on a port of this machine."""
    service, plan = SERVICES[name], PLANS[name]
    tier, command, *options = service["command"]
    assert tier == plan.division.level.word
    assert command in get_command(TIERS[tier]).commands  # type: ignore[attr-defined]
    known = {flag for parameter in get_command(TIERS[tier]).commands[command].params  # type: ignore[attr-defined]
             for flag in parameter.opts}  # fmt: skip
    assert {one for one in options if one.startswith("--")} <= known
    (volume,) = service["volumes"]
    assert volume["volume"]["subpath"] == name
    assert options[options.index("--home") + 1] == volume["target"]
    (port,) = service["ports"]
    assert re.fullmatch(rf"127\.0\.0\.1:\d+:{load_settings(ROOT / 'none').listen_port}", port)


@nodes
def test_each_node_is_set_as_the_code_knows(tmp_path: Path, name: str) -> None:
    """Names and values; files lie where the container has them; hosts are services."""
    settings = PLANS[name].settings
    assert set(settings) <= set(Settings.model_fields)
    loaded = load_settings(tmp_path / "none", **settings)
    assert loaded.listen_host == "0.0.0.0"  # noqa: S104 - in the container's own network
    for file in filter(None, (loaded.broker_password_file, loaded.database_password_file)):
        known = [f"/run/secrets/{one}" for one in SERVICES[name].get("secrets", ())]
        assert file in [*known, f"{SERVICES[name]['volumes'][0]['target']}/{PASSWORD_FILE}"]
    addresses = [*loaded.addresses, *filter(None, (loaded.broker_url, loaded.database_url))]
    hosts = {re.sub(r"^\w+://(?:\w+@)?([^:/]+).*", r"\1", one) for one in addresses}
    assert hosts <= {name, "rabbitmq", "postgresql"}


@nodes
def test_nobody_special_serves(name: str) -> None:
    """Nothing may be written beside the home, no right is left, and it is asked how it does."""
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert (
        f":{load_settings(ROOT / 'none').listen_port}/health" in service["healthcheck"]["test"][-1]
    )
    assert all(SERVICES[other] for other in service["depends_on"])


def test_servers_are_asked_how_they_do() -> None:
    """Whoever depends on a healthy one depends on one that is asked."""
    for service in SERVICES.values():
        for other, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert SERVICES[other]["healthcheck"]["test"][0] == "CMD"


def test_only_this_machine_is_served() -> None:
    """Every port is published on loopback, and none twice."""
    published = [port for one in SERVICES.values() for port in one.get("ports", ())]
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert len({port.rsplit(":", 1)[0] for port in published}) == len(published)


def test_files_and_volumes_are_there() -> None:
    """Mounted files stand in the repository, named volumes in the file, secrets are made."""
    for service in SERVICES.values():
        for volume in service.get("volumes", ()):
            source = volume["source"] if isinstance(volume, dict) else volume.split(":")[0]
            assert (
                (ROOT / source).is_file()
                if source.startswith("./")
                else source in COMPOSE["volumes"]
            )
        assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"])


def test_who_founds_may_write() -> None:
    """The image has the folders over which its volumes are mounted, owned by its user."""
    image = (ROOT / "Dockerfile").read_text("utf-8")
    user = re.findall(r"^USER (\w+)$", image, re.MULTILINE)[0]
    owned = {
        folder
        for folders in re.findall(rf"install -d -o {user} -g {user} -m \d+ ([^&\\\n]+)", image)
        for folder in folders.split()
    }
    mounted = {one.split(":")[1] for one in SERVICES["found"]["volumes"] if one[0] != "."}
    assert mounted <= owned
    assert SERVICES["district"]["volumes"][0]["target"] in owned
    assert "deploy/secrets" in (ROOT / ".dockerignore").read_text("utf-8").split()


def test_the_broker_loads_what_is_written() -> None:
    """The definitions, where its volume lies."""
    conf = (ROOT / "deploy" / "rabbitmq" / "rabbitmq.conf").read_text("utf-8")
    (mounted,) = [one.split(":") for one in SERVICES["rabbitmq"]["volumes"] if "broker:" in one]
    assert f"load_definitions = {mounted[1]}/{DEFINITIONS}" in conf
    for line in filter(None, (re.sub("#.*", "", line).strip() for line in conf.splitlines())):
        assert re.fullmatch(r"[a-z_.]+ = \S.*", line)


def test_secrets_are_made_once(tmp_path: Path) -> None:
    """A second run keeps them; nobody else enters the folder."""
    script = tmp_path / "secrets.sh"
    script.write_bytes((ROOT / "deploy" / "secrets.sh").read_bytes())
    made = []
    for _ in range(2):
        subprocess.run(["/bin/sh", str(script)], check=True)
        made.append((tmp_path / "secrets" / "database_password").read_text())
    assert made[0] == made[1]
    assert len(made[0]) == 32
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700


def test_the_unit_starts_a_tier_that_tells() -> None:
    """The service manager waits for a node's word; the home lies where the unit may write."""
    unit = (ROOT / "deploy" / "systemd" / "sanji@.service").read_text("utf-8")
    assert "Type=notify" in unit
    (start,) = re.findall(r"^ExecStart=\S+\$\{TIER\} (\w+) --home (\S+)$", unit, re.MULTILINE)
    assert start[0] == "serve"
    assert start[1].startswith(
        "/var/lib/" + re.findall("^StateDirectory=(.*)$", unit, re.MULTILINE)[0]
    )


def test_nginx_passes_what_nodes_need() -> None:
    """The host that the browser wrote, and the upgrade of links."""
    conf = (ROOT / "deploy" / "nginx" / "sanji.conf").read_text("utf-8")
    assert conf.count("proxy_set_header Host $http_host;") == conf.count("proxy_pass ")
    (link,) = re.findall(r"location = /link \{(.*?)\n    \}", conf, re.DOTALL)
    assert "proxy_set_header Upgrade $http_upgrade;" in link
    assert conf.count("{") == conf.count("}")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[", "no plan"),
        ("340602 = 1", "no plan"),
        ('[340602]\nname = "x"\nlevel = "moon"\nhome = "d"', "no level"),
        ('[340602]\nname = "x"\nlevel = "town"\nhome = "d"', "0 districts"),
        (TWO_IN_ONE, "one home"),
    ],
)  # fmt: skip
def test_what_is_no_plan_is_said(tmp_path: Path, text: str, why: str) -> None:
    """In a line, before anything is made."""
    (tmp_path / "stack.toml").write_text(text, "utf-8")
    with pytest.raises(InvalidError, match=why):
        read_stack(tmp_path / "stack.toml")
