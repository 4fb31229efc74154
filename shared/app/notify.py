"""Tells the service manager how a node does (systemd's ``Type=notify``); else it says nothing."""

import os
import socket
from typing import Final

READY: Final = "READY=1"
STOPPING: Final = "STOPPING=1"

_VARIABLE: Final = "NOTIFY_SOCKET"


def notify(state: str) -> bool:
    """Send ``state`` to whoever started this process; returns whether somebody listens.

    Args:
        state: One of this module's states, as sd_notify(3) has them.
    """
    address = os.environ.get(_VARIABLE, "")
    if not address:
        return False
    if address.startswith("@"):  # an abstract socket
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.sendto(state.encode(), address)
    except OSError:
        return False  # to serve is more important than to say so
    return True
