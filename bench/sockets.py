"""Bytes on this process's TCP connections, as the kernel counts them: the same for any carrier."""

import os
import socket
import struct
from collections.abc import Collection, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

_TCP_INFO_BYTES: Final = 136
_COUNTERS: Final = struct.Struct("120xQQ")
"""``tcpi_bytes_acked`` and ``tcpi_bytes_received`` of ``struct tcp_info``, Linux 4.1 and later."""


def moved_bytes(ports: Collection[int]) -> tuple[int, int]:
    """Return the bytes sent and received on open connections from here to these ports.

    Payload of TCP: what the carrier adds is in it, headers of IP and TCP are not.
    """
    sent = received = 0
    for one in _own_sockets():
        with closing(one), suppress(OSError):  # some are not of TCP, or not connected
            if one.getpeername()[1] in ports:
                info = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
                out, came = _COUNTERS.unpack_from(info)
                sent, received = sent + out, received + came
    return sent, received


def _own_sockets() -> Iterator[socket.socket]:
    """Yield a second handle of each internet socket that is open in this process."""
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # it was closed meanwhile
            if not str(entry.readlink()).startswith("socket:"):
                continue
            one = socket.socket(fileno=os.dup(int(entry.name)))
            if one.family in (socket.AF_INET, socket.AF_INET6):
                yield one
            else:
                one.close()
