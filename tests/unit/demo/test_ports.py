"""The block of ports of a district beside another one that runs."""

import os
from contextlib import ExitStack
from socket import AF_INET, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET, socket

from demo.supervisor import PORT_BLOCKS_TRIED_MAX, free_ports

BASE = 26600 + 200 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


def test_a_whole_district_that_listens_is_passed_by() -> None:
    """More ports in a row than there are tries: the story starts beside a running demo."""
    first = free_ports(PORT_BLOCKS_TRIED_MAX + 20, BASE).start
    count = PORT_BLOCKS_TRIED_MAX + 10
    with ExitStack() as taken:
        for port in range(first, first + count):
            one = taken.enter_context(socket(AF_INET, SOCK_STREAM))
            one.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
            one.bind(("127.0.0.1", port))
            one.listen()
        assert free_ports(10, first).start == first + count
