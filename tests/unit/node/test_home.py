"""The home of a node: key files, passphrase, lock, marker."""

from pathlib import Path

import pytest

from shared.errors import UnavailableError
from shared.node.home import PASSPHRASE_VARIABLE, Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty folder."""
    return Home(tmp_path)


@pytest.fixture
def passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file with the passphrase, named in the environment."""
    file = tmp_path / "passphrase"
    file.write_text("水 water 42\n", "utf-8")
    monkeypatch.setenv(PASSPHRASE_VARIABLE, str(file))
    return file


def test_keys_are_made_once_and_for_the_owner_only(home: Home) -> None:
    """The same keys at each call, in files that nobody else reads (protocol 4.6)."""
    first = home.keys()
    assert Home(home.path).keys() == first
    for name in ("signing.key", "sealing.key"):
        assert (home.path / name).stat().st_mode & 0o777 == 0o600
    assert first.signing.seed != first.sealing_seed
    assert repr(first).find(first.sealing_seed.hex()) == -1


def test_keys_under_a_passphrase(
    home: Home, passphrase: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They open with it alone; without it or with another the message says what to set."""
    keys = home.keys()
    for name in ("signing.key", "sealing.key"):
        assert b"ENCRYPTED" in (home.path / name).read_bytes()
    assert home.keys() == keys
    passphrase.write_text("another", "utf-8")
    with pytest.raises(UnavailableError, match=PASSPHRASE_VARIABLE):
        home.keys()
    monkeypatch.delenv(PASSPHRASE_VARIABLE)
    with pytest.raises(UnavailableError, match=PASSPHRASE_VARIABLE):
        home.keys()
    monkeypatch.setenv(PASSPHRASE_VARIABLE, str(home.path / "nowhere"))
    with pytest.raises(UnavailableError, match="nowhere"):
        home.keys()


def test_two_processes_do_not_share_a_home(home: Home) -> None:
    """The second is told; after the first has gone the next one may."""
    with home.lock(), pytest.raises(UnavailableError, match="another process"), home.lock():
        pass
    with home.lock():
        assert (home.path / "lock").exists()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"epoch": 1'])
def test_a_damaged_marker_is_none(home: Home, text: str) -> None:
    """What cannot be read is doubt enough (protocol 4.3)."""
    home.save_marker(b"12345678", 5)
    marker = home.marker()
    assert marker is not None
    assert (marker.epoch, marker.records) == (b"12345678".hex(), 5)
    (home.path / "marker.json").write_text(text, "utf-8")
    assert home.marker() is None
