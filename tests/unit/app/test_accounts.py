"""Accounts of staff: they come with the node, and a command sets new passwords."""

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from aiohttp import ClientSession
from typer import Typer
from typer.testing import CliRunner, Result

import district.cli
import town.cli
import village.cli
from shared.app import commands, control
from shared.app.compose import serving
from shared.app.membership import init_district
from shared.app.people import set_account
from shared.errors import InvalidError, StorageError
from shared.node import accounts
from shared.node.accounts import Accounts
from shared.node.home import Home
from shared.node.node import Node
from shared.node.settings import Settings, load_settings

CODE = "340602"


def run(app: Typer, *arguments: str) -> Result:
    """Run a command."""
    return CliRunner().invoke(app, list(arguments))


def handed_out(home: Path) -> dict[str, str]:
    """Return the passwords that were written down, by name."""
    lines = (home / "accounts.txt").read_text("utf-8").splitlines()
    return dict(line.split("\t") for line in lines)


def roles(home: Path) -> dict[str, str]:
    """Return the role of each account in the home."""
    return {one["name"]: one["role"] for one in json.loads((home / "accounts.json").read_bytes())}


def quick(home: Home) -> Settings:
    """Return settings with any free port."""
    return load_settings(home.settings_file, listen_port=0)


async def ask(home: Home, act: str, **given: str) -> dict[str, str]:
    """Let the serving node do an act."""
    told = await control.ask(home.control_file, act, given, lambda _done, _total: None)
    return dict(told)


async def until_addressed(node: Node) -> None:
    """Wait until the node has said where it is reached: whoever it invites has to know."""
    heard = asyncio.Event()
    stop = node.log.subscribe(lambda _feeds: heard.set())
    async with asyncio.timeout(10):
        while not node.log.roster.addresses_of(node.identity.division):
            await heard.wait()
            heard.clear()
    stop()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A founded district that does not serve."""
    path = tmp_path / "d"
    result = run(district.cli.app, "init", "--home", str(path), "--code", CODE, "--name", "杜集区")
    assert result.exit_code == 0
    assert f"Passwords are in {path}/accounts.txt: hand them out and delete the file." in (
        result.stdout
    )
    return path


def test_a_district_begins_with_its_accounts(home: Path) -> None:
    """One for each role, written once for its owner only, and nowhere in clear but on that list."""
    assert roles(home) == {"dispatcher": "dispatcher", "drafter": "drafter"}
    written = handed_out(home)
    assert set(written) == set(roles(home))
    for name in ("accounts.json", "accounts.txt"):
        assert (home / name).stat().st_mode & 0o777 == 0o600
    held = Accounts(Home(home))
    for name, password in written.items():
        assert [len(group) for group in password.split("-")] == [4, 4, 4, 4]
        assert not set(password) & set("il1o0")
        assert held.check(name, password) == held.get(name)
        assert password not in (home / "accounts.json").read_text("utf-8")
        assert password not in repr(held.get(name))


async def test_who_joins_begins_with_accounts(tmp_path: Path) -> None:
    """A town's and a village's, by their roles; the command says where the passwords are."""
    above = Home(tmp_path / "d")
    await init_district(above, CODE, "杜集区")
    expected = (
        (town.cli.app, "340602100", "朔里镇", {"handler", "clerk"}),
        (village.cli.app, "340602100201", "沈集", {"clerk"}),
    )
    for app, code, name, made in expected:
        path = str(tmp_path / name)
        async with serving(above, quick(above)) as node:
            await until_addressed(node)
            token = (await ask(above, "invite", code=code, label=name))["token"]
            result = await asyncio.to_thread(run, app, "join", "--home", path, token)
        assert result.exit_code == 0, result.output
        assert f"Passwords are in {path}/accounts.txt" in result.stdout
        assert set(roles(tmp_path / name)) == set(handed_out(tmp_path / name)) == made
        above = Home(tmp_path / name)


def test_the_command_sets_a_new_password(home: Path) -> None:
    """The old one is worth nothing; the new one is printed once and kept as a hash."""
    old = handed_out(home)["drafter"]
    told = json.loads(
        run(district.cli.app, "account", "--home", str(home), "drafter", "--json").stdout
    )
    held = Accounts(Home(home))
    assert held.check("drafter", old) is None
    assert held.check("drafter", told["password"]) is not None
    assert told["password"] not in (home / "accounts.json").read_text("utf-8")
    assert (home / "accounts.json").stat().st_mode & 0o777 == 0o600


def test_the_command_makes_an_account(home: Path) -> None:
    """With a role of this tier; another is refused, and so is a name that nobody can type."""
    at = ("account", "--home", str(home))
    assert run(district.cli.app, *at, "孙婷", "--role", "drafter").exit_code == 0
    assert roles(home)["孙婷"] == "drafter"
    refused = [
        run(district.cli.app, *at, "王海燕", "--role", "handler"),
        run(district.cli.app, *at, " ", "--role", "drafter"),
        run(district.cli.app, *at, "孙婷 ", "--role", "drafter"),
        run(district.cli.app, *at, "a\nb", "--role", "drafter"),
        run(district.cli.app, *at, "名" * (accounts.NAME_CHARS_MAX + 1), "--role", "drafter"),
    ]
    assert [one.exit_code for one in refused] == [2] * len(refused)
    assert all(one.stderr.count("\n") == 1 for one in refused)
    assert set(roles(home)) == {"dispatcher", "drafter", "孙婷"}


async def test_a_new_password_keeps_the_role(tmp_path: Path) -> None:
    """Who drafts goes on drafting; only a role that is named changes it."""
    home = Home(tmp_path)
    await init_district(home, "340602", "杜集区")
    assert (await set_account(home, "王", "drafter"))["role"] == "drafter"
    assert (await set_account(home, "王", ""))["role"] == "drafter"
    assert (await set_account(home, "李", ""))["role"] == "dispatcher"


async def test_a_serving_node_knows_the_new_password_at_once(tmp_path: Path) -> None:
    """The command reaches it by its socket, and so does the link for the demo's control page."""
    home = Home(tmp_path / "d")
    await init_district(home, CODE, "杜集区")
    old = handed_out(home.path)["drafter"]
    async with serving(home, quick(home)) as node:
        result = await asyncio.to_thread(
            run, district.cli.app, "account", "--home", str(home.path), "drafter", "--json"
        )
        new = json.loads(result.stdout)["password"]
        await until_addressed(node)
        base = node.log.roster.addresses_of(CODE)[0].replace("ws:", "http:").removesuffix("/link")
        path = (await ask(home, "login_link", who="drafter"))["path"]
        async with ClientSession(headers={"Sec-Fetch-Site": "same-origin"}) as browser:
            statuses = []
            for password in (old, new):
                form = {"name": "drafter", "password": password}
                async with browser.post(f"{base}/login", data=form) as answer:
                    statuses.append(answer.status)
            async with browser.get(base + path, allow_redirects=False) as answer:
                assert f"staff-{CODE}" in answer.cookies
    assert statuses == [403, 200]


def test_two_commands_at_once_lose_nothing(tmp_path: Path) -> None:
    """Each works in its own thread of the serving node."""
    held = Accounts(Home(tmp_path))

    async def many() -> list[str]:
        names = (f"n{number}" for number in range(12))
        return await asyncio.gather(*(asyncio.to_thread(held.renew, n, "clerk") for n in names))

    passwords = asyncio.run(many())
    again = Accounts(Home(tmp_path))
    for number, password in enumerate(passwords):
        assert again.check(f"n{number}", password) is not None


def test_accounts_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full list takes no further name, but new passwords for those in it."""
    monkeypatch.setattr(accounts, "ACCOUNTS_MAX", 1)
    held = Accounts(Home(tmp_path))
    held.renew("a", "clerk")
    held.renew("a", "clerk")
    with pytest.raises(InvalidError):
        held.renew("b", "clerk")


def test_a_damaged_list_is_named(home: Path) -> None:
    """Nobody comes in by a mistake in a file, and the operator hears which."""
    for text in ("{", "[1]", '[{"name": "x"}]'):
        (home / "accounts.json").write_text(text, "utf-8")
        with pytest.raises(StorageError, match=r"accounts\.json"):
            Accounts(Home(home))


def test_an_unknown_name_costs_as_much_as_a_known_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One hash is checked for either, with the same costs."""
    held = Accounts(Home(tmp_path))
    held.renew("drafter", "drafter")
    checked: list[str] = []
    real = accounts.HASHER

    class Spy:
        def verify(self, known: str, password: str) -> bool:
            checked.append(known)
            return real.verify(known, password)

    known = held.get("drafter").hash
    monkeypatch.setattr(accounts, "HASHER", Spy())
    assert held.check("drafter", "wrong") is None
    assert held.check("nobody", "wrong") is None
    assert checked == [known, accounts.NOBODY]
    assert known.split("$")[:4] == accounts.NOBODY.split("$")[:4]


@pytest.fixture
def diagnostics() -> Iterator[None]:
    """Put structlog back as it was."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def test_a_traceback_in_the_journal_holds_no_password(
    diagnostics: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Variables stay out of it, and its lines are there."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory())
    commands._diagnose("info")

    def broken(password: str) -> None:
        raise ValueError(len(password))

    try:
        broken("x7" * 20)
    except ValueError:
        structlog.get_logger().exception("a request failed")
    said = capsys.readouterr().out
    assert "in broken" in said
    assert "x7" * 20 not in said
    assert structlog.get_logger().is_enabled_for(logging.INFO)
