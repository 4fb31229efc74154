"""What is read from outside, and the rows of RabbitMQ beside WebSocket."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench import __main__ as program
from bench import broadcast, carried, rabbit
from bench.broadcast import Broadcasts
from bench.carried import Carried
from bench.chunks import Chunks
from bench.context import FULL, QUICK, Context, Measure, Sizes
from bench.figures import Cost, Row
from bench.sockets import moved_bytes
from bench.straight_broker import Straight

COUNTERS = """
#{[{protocol,amqp091}] =>
      #{consumers => 7,messages_confirmed_total => 5,
        messages_received_confirm_total => 40,messages_received_total => 41},
  [{protocol,stream}] => #{messages_received_confirm_total => 1, messages_received_total =>
          3}}
"""


def given(sizes: Sizes) -> Context:
    """Return what a measurement of these sizes is given, without chunks."""
    return Context(sizes, Chunks(b"", b"", b"", (), (), sizes.stored), lambda _line: None)


def test_published_messages_are_summed_over_protocols() -> None:
    """Only what was published counts, not what was confirmed or delivered."""
    assert rabbit.published_in(COUNTERS) == 44


def test_cpu_clock_counts_another_process() -> None:
    """Busy or not, it never counts more than there was time; a process that ended has none."""
    began = time.monotonic()
    busy = "import sys; sum(range(300_000)); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", busy], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdout.readline()
        used = time.clock_gettime(rabbit.cpu_clock_of(other.pid))
        assert 0 < used < (os.cpu_count() or 1) * (time.monotonic() - began)
        other.stdin.close()
        other.wait()
        with pytest.raises(OSError, match="such process"):
            rabbit.cpu_clock_of(other.pid)


async def test_bytes_are_counted_where_a_line_was_dialled() -> None:
    """Payload both ways, of lines to these ports only; looking leaves nothing open."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(3) * 2)
        await writer.drain()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    handles = open_handles()
    before = moved_bytes([port])
    writer.write(b"abc")
    await reader.readexactly(6)
    after = moved_bytes([port])
    assert (after[0] - before[0], after[1] - before[1]) == (3, 6)
    assert moved_bytes([]) == (0, 0)
    assert open_handles() == handles
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()


def open_handles() -> int:
    """Return how many files and sockets this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def by_name(rows: Sequence[Row]) -> dict[str, Row]:
    """Return rows by what they name."""
    return {row.what: row for row in rows}


def test_rows_of_the_carriers() -> None:
    """Rates, µs and bytes a record; ratios to what stands beside; the goal is one of full size."""
    over_broker = [Carried(Cost(2.0, 1.0), 0.5, 5_000_000)]
    web = [Carried(Cost(1.0, 0.5), 0.0, 2_500_000)]
    straight = [Straight(Cost(1.0, 0.4), 0.1)]
    rows = by_name(carried.rows_of(given(FULL), over_broker, web, straight))
    rate = rows["5,000 notices over 2 links, RabbitMQ"]
    assert (rate.median, rate.ratio, rate.is_met) == (2_500, 0.25, False)
    assert rows["5,000 notices over 2 links, WebSocket"].ratio == 2
    cpu = rows["5,000 notices over 2 links, RabbitMQ, CPU of the nodes"]
    assert (cpu.median, cpu.ratio) == (200, 2)
    broker = rows["5,000 notices over 2 links, RabbitMQ, CPU of the broker"]
    assert (broker.median, broker.ratio) == (100, 10)
    moved = rows["5,000 notices over 2 links, RabbitMQ, on all lines"]
    assert (moved.median, moved.ratio) == (1_000, 2)
    line = rows["straight line over RabbitMQ, CPU a link"]
    assert (line.median, line.is_met) == (20, True)
    quick = carried.rows_of(given(QUICK), over_broker, web, straight)
    assert quick[0].goal is None


def test_rows_of_a_broadcast() -> None:
    """The broker's CPU time beside that of bare queues; messages and bytes by notices."""
    ours = Broadcasts([0.03, 0.05, 0.04, 0.04], messages=400, sent=8_000)
    rows = broadcast.rows_of(given(FULL), ours, [0.01, 0.02, 0.03])
    assert [row.median for row in rows] == [40, 100, 2_000, 20]
    assert (rows[0].ratio, rows[0].ratio_to) == (2, "message to 50 bare queues")


async def test_without_a_broker_its_rows_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason says what to install; the other measurements go on."""

    async def other(_given: Context) -> list[Row]:
        return [Row("x", "s", [1.0])]

    monkeypatch.setattr("bench.rabbit.rabbitmq.is_installed", lambda: False)
    rows: list[Row] = []
    skipped: dict[str, str] = {}
    chosen: dict[str, Measure] = {"rabbitmq": carried.measure, "other": other}
    await program._measure(chosen, QUICK, rows, skipped)
    assert skipped == {"rabbitmq": "RabbitMQ is missing: apt-get install rabbitmq-server"}
    assert [row.what for row in rows] == ["x"]
