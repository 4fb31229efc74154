"""What `backup`, `backup-keys` and `restore` write, and what they refuse."""

import hashlib
import json
import resource
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import district.cli
import town.cli
from shared.app.backup_file import Backup, append_manifest
from shared.errors import SanjiError
from shared.node.home import PASSPHRASE_VARIABLE, Home, Keys
from shared.node.keys_file import pack_keys

CODE = "340602"
PASSPHRASE = "four words nobody says"


def run(*arguments: str) -> Result:
    """Run a command of the district."""
    return CliRunner().invoke(district.cli.app, list(arguments))


@dataclass(frozen=True)
class Kept:
    """A district, its backup and its keys.

    Attributes:
        home: Where it lives.
        backup: Its backup.
        keys: Its keys file.
        passphrase: The file with their passphrase.
    """

    home: Home
    backup: Path
    keys: Path
    passphrase: Path

    def restore(self, to: Path, *, backup: Path | None = None, keys: Path | None = None) -> Result:
        """Restore into ``to``, from these or from others."""
        given = ("--keys", str(keys or self.keys), "--passphrase-file", str(self.passphrase))
        return run("restore", "--home", str(to), str(backup or self.backup), *given)


def kept(root: Path, code: str = CODE) -> Kept:
    """Found a district that says something, and keep it."""
    root.mkdir()
    home, backup, keys, passphrase = (root / n for n in ("home", "backup", "keys", "passphrase"))
    passphrase.write_text(PASSPHRASE + "\n")
    notice = root / "notice.md"
    notice.write_text("# 通知\n\n正文\n", "utf-8")
    at = ("--home", str(home))
    for command in (
        ("init", *at, "--code", code, "--name", "杜集区"),
        ("publish", *at, str(notice)),
        ("token", *at, "program"),
        ("backup", *at, str(backup)),
        ("backup-keys", *at, str(keys), "--passphrase-file", str(passphrase)),
    ):
        assert run(*command).exit_code == 0
    return Kept(Home(home), backup, keys, passphrase)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """A district and its backup, which tests only read."""
    return kept(tmp_path_factory.mktemp("kept") / "box")


def left(folder: Path) -> set[str]:
    """Return the names in a folder."""
    return {one.name for one in folder.iterdir()}


def test_a_node_comes_back_with_all_that_was_kept(box: Kept, tmp_path: Path) -> None:
    """Records, keys, accounts and tokens; what it says is of a new epoch; `verify` is content.

    The marker is not: it would say that this box wrote the last records.
    """
    result = box.restore(tmp_path / "new")
    new = Home(tmp_path / "new")
    kept = Backup(box.backup).manifest
    assert result.exit_code == 0, result.output
    assert new.marker() is None
    assert new.keys() == box.home.keys()
    assert new.identity() == box.home.identity()
    for name in ("accounts.json", "tokens.json"):
        assert (new.path / name).read_bytes() == (box.home.path / name).read_bytes()
    assert {one.stat().st_mode & 0o77 for one in new.path.iterdir()} == {0}
    said = run("publish", "--home", str(new.path), str(box.home.path.parent / "notice.md"))
    assert said.exit_code == 0, said.output
    assert json.loads(run("verify", "--home", str(new.path), "--json").stdout)["problems"] == []
    after = json.loads(run("status", "--home", str(new.path), "--json").stdout)
    heads = {(one["count"], one["rid"]) for one in after["heads"]}
    assert after["epoch"] != kept.epoch.hex()
    assert {(count, rid.hex()) for _, count, rid in kept.heads} < heads
    assert after["records"] > kept.records > 0


def test_keys_are_never_in_a_backup(box: Kept) -> None:
    """Neither as they are nor as PEM; both files are for their owner only."""
    data, keys = box.backup.read_bytes(), box.home.keys()
    for secret in (keys.signing.seed, keys.sealing_seed, b"PRIVATE KEY"):
        assert secret not in data
        assert secret not in box.keys.read_bytes().replace(b"ENCRYPTED PRIVATE KEY", b"")
    assert box.backup.stat().st_mode & 0o777 == box.keys.stat().st_mode & 0o777 == 0o600


def test_restored_keys_are_under_the_passphrase_of_the_new_box(
    box: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where keys have to lie under one, those that come back do."""
    own = tmp_path / "own"
    own.write_text("another passphrase")
    keys = box.home.keys()
    monkeypatch.setenv(PASSPHRASE_VARIABLE, str(own))
    assert box.restore(tmp_path / "new").exit_code == 0
    assert b"ENCRYPTED" in (tmp_path / "new" / "signing.key").read_bytes()
    assert Home(tmp_path / "new").keys() == keys


def read_whole(path: Path, box: Kept) -> None:
    """Read a backup as `restore` does."""
    backup = Backup(path)
    backup.check(box.home.identity(), box.home.keys().signing.public)
    for _ in backup.parts(lambda _done, _total: None):
        pass


def test_no_byte_can_be_altered_and_none_be_missing(box: Kept, tmp_path: Path) -> None:
    """Each byte behind the copy, and some of it: altered or cut off there, it is refused."""
    data, file = box.backup.read_bytes(), tmp_path / "other"
    copy_bytes = Backup(box.backup).manifest.size
    read_whole(box.backup, box)
    for at in (*range(0, copy_bytes, 997), *range(copy_bytes, len(data))):
        altered = data[:at] + bytes((data[at] ^ 0x41,)) + data[at + 1 :]
        for bad in (altered, data[:at], data[:at] + data[at + 1 :]):
            file.write_bytes(bad)
            with pytest.raises(SanjiError):
                read_whole(file, box)


@pytest.mark.parametrize(
    ("damage", "code", "says"),
    [
        (lambda _data: b"", 2, "too short"),
        (lambda _data: b"\0" * 4096, 2, "its end is missing"),
        (lambda data: data[:-1], 2, "its end is missing"),
        (lambda data: data[:5000] + b"X" + data[5001:], 2, "was altered"),
        (lambda data: data[1:], 2, "was altered"),
    ],
    ids=["empty", "zeros", "cut", "altered", "beheaded"],
)
def test_garbage_is_refused_in_a_line(
    box: Kept, tmp_path: Path, damage: Callable[[bytes], bytes], code: int, says: str
) -> None:
    """It says what is wrong, and leaves nothing behind."""
    file = tmp_path / "file"
    file.write_bytes(damage(box.backup.read_bytes()))
    refused(box.restore(tmp_path / "new", backup=file), code, says)
    assert left(tmp_path) == {"file"}


def refused(result: Result, code: int, says: str) -> None:
    """Check that a command refused in one line."""
    assert result.exit_code == code, result.output
    assert says in result.stderr
    assert result.stderr.count("\n") == 1


def test_what_belongs_to_others_is_refused(box: Kept, tmp_path: Path) -> None:
    """Another division's or district's backup or keys, another tier's command, a wrong word."""
    namesake, stranger = kept(tmp_path / "namesake"), kept(tmp_path / "stranger", "340603")
    new = tmp_path / "new"
    refused(box.restore(new, backup=stranger.backup), 3, "backup of 340603")
    refused(box.restore(new, backup=namesake.backup), 3, "another district")
    refused(box.restore(new, keys=namesake.keys), 3, "another district")
    refused(box.restore(new, keys=box.backup), 2, "no keys file")
    refused(replace(box, passphrase=box.keys).restore(new), 3, "this passphrase")
    given = [str(box.backup), "--keys", str(box.keys), "--passphrase-file", str(box.passphrase)]
    town_says = CliRunner().invoke(town.cli.app, ["restore", "--home", str(new), *given])
    refused(town_says, 3, "keys of a district, not of a town")
    refused(box.restore(new, backup=tmp_path / "missing"), 4, "there is no")
    assert not new.exists()


def test_keys_of_another_box_are_refused(box: Kept, tmp_path: Path) -> None:
    """A keys file that names this district but holds other keys opens nothing."""
    namesake = kept(tmp_path / "namesake")
    value = json.loads(namesake.keys.read_text())
    value["identity"] = json.loads(box.keys.read_text())["identity"]
    (tmp_path / "keys").write_text(json.dumps(value))
    refused(box.restore(tmp_path / "new", keys=tmp_path / "keys"), 3, "not signed by these keys")
    half = box.home.keys()
    half = Keys(half.signing, namesake.home.keys().sealing_seed)
    (tmp_path / "keys").write_bytes(pack_keys(box.home.identity(), half, PASSPHRASE.encode()))
    refused(box.restore(tmp_path / "new", keys=tmp_path / "keys"), 3, "not the certified ones")
    assert not (tmp_path / "new").exists()


def signed_anew(box: Kept, path: Path, *changes: str) -> Path:
    """Write a backup whose copy was changed before the node signed it."""
    manifest = Backup(box.backup).manifest
    path.write_bytes(box.backup.read_bytes()[: manifest.size])
    with sqlite3.connect(path) as connection:
        for change in changes:
            connection.execute(change)
    connection.close()
    data = path.read_bytes()
    new = replace(manifest, size=len(data), sha256=hashlib.sha256(data).digest())
    with path.open("r+b") as file:
        append_manifest(file, new, box.home.keys().signing)
    return path


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ("PRAGMA user_version = 77", 6, "its layout is 77"),
        ("UPDATE record SET body = x'7b7d' WHERE seq = 0 AND salt IS NOT NULL", 6, "is damaged"),
        ("DELETE FROM record WHERE seq = 0", 6, "is damaged"),
        ("UPDATE note SET value = x'0101010101010101' WHERE name = 'epoch'", 2, "another log"),
        ("DROP TABLE record", 6, "missing"),
    ],
    ids=["layout", "body", "record", "epoch", "table"],
)
def test_each_record_is_checked_before_the_home_exists(
    box: Kept, tmp_path: Path, change: str, code: int, says: str
) -> None:
    """A good signature over a bad copy does not help it."""
    bad = signed_anew(box, tmp_path / "bad", change)
    refused(box.restore(tmp_path / "new", backup=bad), code, says)
    assert left(tmp_path) == {"bad"}


def test_a_home_that_is_not_empty_is_left_alone(box: Kept, tmp_path: Path) -> None:
    """Only settings may be there, and none that name another database."""
    new = tmp_path / "new"
    new.mkdir()
    (new / "log.db").write_bytes(b"something")
    refused(box.restore(new), 3, "not empty: there is log.db")
    assert left(new) == {"log.db"}
    (new / "log.db").rename(new / "node.toml")
    (new / "node.toml").write_text('database_url = "postgresql://a@127.0.0.1/b"\n')
    refused(box.restore(new), 3, "migrate-store")
    (new / "node.toml").write_text("listen_port = 8399\n")
    assert left(new) == {"node.toml"}
    (new / ".restoring-killed").mkdir()
    (new / ".restoring-killed" / "signing.key").write_bytes(b"half a key")
    assert box.restore(new).exit_code == 0
    assert ".restoring-killed" not in left(new)


def test_two_do_not_restore_into_one_home(box: Kept, tmp_path: Path) -> None:
    """The second is told that the first is at it."""
    new = Home(tmp_path / "new")
    new.prepare()
    with new.lock():
        refused(box.restore(new.path), 5, "another process works in")
        assert left(new.path) == {"lock"}
    assert box.restore(new.path).exit_code == 0


def test_what_a_killed_backup_has_left_is_taken_away(box: Kept, tmp_path: Path) -> None:
    """The next one of that name begins anew."""
    (tmp_path / ".file.part").write_bytes(b"half a copy")
    assert run("backup", "--home", str(box.home.path), str(tmp_path / "file")).exit_code == 0
    read_whole(tmp_path / "file", box)
    assert left(tmp_path) == {"file"}


def test_nothing_is_overwritten(box: Kept) -> None:
    """What is there already stays as it is."""
    data, keys = box.backup.read_bytes(), box.keys.read_bytes()
    at = ("--home", str(box.home.path))
    refused(run("backup", *at, str(box.backup)), 3, "is there already")
    word = ("--passphrase-file", str(box.passphrase))
    refused(run("backup-keys", *at, str(box.keys), *word), 3, "is there already")
    assert (box.backup.read_bytes(), box.keys.read_bytes()) == (data, keys)


def test_a_full_disk_leaves_nothing_and_says_so(box: Kept, tmp_path: Path) -> None:
    """The copy is larger than what a file may have here; nor does a restore leave anything."""
    folder = tmp_path / "stick"
    folder.mkdir()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        backed_up = run("backup", "--home", str(box.home.path), str(folder / "backup"))
        restored = box.restore(tmp_path / "new")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    refused(backed_up, 6, "backup was not written")
    refused(restored, 5, "cannot be written")
    assert left(folder) == set()
    assert left(tmp_path) == {"stick"}


def test_a_folder_that_is_not_there_is_said(box: Kept, tmp_path: Path) -> None:
    """A mistyped path is a line, no traceback."""
    at = ("--home", str(box.home.path))
    word = ("--passphrase-file", str(box.passphrase))
    refused(run("backup", *at, str(tmp_path / "no" / "file")), 5, "was not written")
    refused(run("backup-keys", *at, str(tmp_path / "no" / "file"), *word), 5, "cannot be written")


def test_a_passphrase_is_wanted_that_protects(box: Kept, tmp_path: Path) -> None:
    """None, or a short one, writes nothing."""
    at, short = ("--home", str(box.home.path), str(tmp_path / "keys")), tmp_path / "short"
    short.write_text("secret")
    refused(run("backup-keys", *at), 2, "--passphrase-file")
    refused(run("backup-keys", *at, "--passphrase-file", str(short)), 2, "fewer than 12")
    assert left(tmp_path) == {"short"}
