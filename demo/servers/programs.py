"""What the private servers share: free ports, another user, an end with who began them."""

import os
import socket
from collections.abc import Iterable


def free_port() -> int:
    """Return a port of this machine that nobody uses."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def command_of(user: str, command: Iterable[str], *, dies_by: str = "") -> list[str]:
    """Return ``command`` as Debian's ``user`` of a server runs it, where root starts it.

    Args:
        user: Name of the user and of its group.
        command: Program and arguments.
        dies_by: Signal, such as ``KILL``, that it gets when the thread that starts it ends.
    """
    options = [f"--pdeathsig={dies_by}"] if dies_by else []
    if os.geteuid() == 0:
        options += [f"--reuid={user}", f"--regid={user}", "--init-groups"]
    return ["setpriv", *options, *command]
