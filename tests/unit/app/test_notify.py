"""The service manager hears when a node serves."""

import socket
import tempfile
from pathlib import Path

import pytest

from shared.app.notify import READY, notify


@pytest.mark.parametrize("abstract", [False, True])
def test_ready_is_told(monkeypatch: pytest.MonkeyPatch, *, abstract: bool) -> None:
    """By a datagram to the socket that the environment names, a file or an abstract one."""
    folder = tempfile.mkdtemp(prefix="n")  # a short path: a socket's has 107 bytes
    address = f"@sanji{folder}" if abstract else f"{folder}/s"
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + address[1:] if address.startswith("@") else address)
        manager.settimeout(5)
        assert notify(READY)
        assert manager.recv(100) == b"READY=1"


def test_nobody_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Started by hand, or the manager is gone: the node serves all the same."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not notify(READY)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    assert not notify(READY)
