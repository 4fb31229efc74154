"""``make trace``: one voice from a village to the district and its answer back, step by step.

Runs three real nodes on loopback in a temporary folder and prints what happened to one record:
where in the code, which bytes, how large, how many milliseconds after it was said.
"""

import asyncio
import inspect
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import structlog
from rich.console import Console
from rich.table import Table

from broker.websocket_connection import WebSocketConnection
from shared.app import acts, control
from shared.app.compose import serving
from shared.app.membership import init_district, join
from shared.domain.cases import view as cases_view
from shared.link.frames import Chunk, encode_chunk
from shared.log.accept import accept
from shared.log.sql import SqlStore
from shared.log.store import record_bytes
from shared.node.author import Author
from shared.node.conversation import Conversation
from shared.node.custodian import Custodian
from shared.node.home import Home
from shared.node.node import Node
from shared.node.settings import load_settings
from shared.record.header import encode_header
from shared.record.record import Record
from shared.record.run import Run
from shared.trust.keys import SigningKey

DISTRICT, TOWN, VILLAGE = "340602", "340602100", "340602100201"
LABELS: Final = {DISTRICT: "杜集区", TOWN: "朔里镇", VILLAGE: "沈集"}
WAIT_SECONDS_MAX: Final = 60
ROOT: Final = Path(__file__).parents[1]


class Trace:
    """The steps as they are told."""

    def __init__(self) -> None:
        """Begin with an empty table."""
        self.table = Table("step", "where", "what", "bytes", "ms", title="one voice 一条声音")
        self._began = time.perf_counter()
        self._number = 0

    def begin(self) -> None:
        """Start the clock: now somebody speaks."""
        self._began = time.perf_counter()

    def step(self, what: str, code: Callable[..., Any], size: int | None = None) -> None:
        """Add a step that the function ``code`` does."""
        self._number += 1
        elapsed_ms = (time.perf_counter() - self._began) * 1000
        shown = "" if size is None else f"{size:,}"
        self.table.add_row(str(self._number), where(code), what, shown, f"{elapsed_ms:.1f}")


def where(code: Callable[..., Any]) -> str:
    """Return ``file:line`` of a function, relative to the project."""
    function = inspect.unwrap(code)
    file = Path(inspect.getsourcefile(function) or "").resolve()
    return f"{file.relative_to(ROOT)}:{inspect.getsourcelines(function)[1]}"


def annotated(record: Record) -> Table:
    """Return the bytes of a record, each part with its meaning (protocol 2.1, 2.2)."""
    table = Table(
        "bytes", "meaning", title=f"record {record.rid.hex()[:16]}…", title_justify="left"
    )
    cose, header = record.header_cose, record.header
    table.add_row(cose[:2].hex(" "), "COSE_Sign1: tag 18, array of 4")
    table.add_row(cose[2:16].hex(" "), "protected: algorithm -8 (EdDSA), kid = SHA-256(key)[:8]")
    table.add_row(cose[16:17].hex(" "), "unprotected: empty")
    payload = record.envelope.payload
    table.add_row(payload[:24].hex(" ") + " …", f"header, {len(payload)} bytes of CBOR:")
    for name, value in header._asdict().items():
        table.add_row("", f"  {name} = {value.hex() if isinstance(value, bytes) else value}")
    table.add_row(cose[-66:-52].hex(" ") + " …", "signature: 58 40, 64 bytes Ed25519")
    table.add_row((record.salt or b"").hex(" "), "salt of the body")
    table.add_row((record.body or b"").decode(), "body, I-JSON")
    return table


async def act(home: Home, name: str, **given: Any) -> Any:
    """Do an act through the node's control socket, as a command does."""
    return await control.ask(home.control_file, name, given, lambda _done, _total: None)


async def until(node: Node, holds: Callable[[], bool]) -> None:
    """Wait until ``holds`` after some change of the node's log."""
    woken = asyncio.Event()
    stop = node.log.subscribe(lambda _feeds: woken.set())
    try:
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while not holds():
                await woken.wait()
                woken.clear()
    finally:
        stop()


def is_head(node: Node, rid: str) -> Callable[[], bool]:
    """Return a condition: a feed of ``node`` ends with the record ``rid``."""
    return lambda: any(state.rid.hex() == rid for state in node.log.feeds.values())


def received(node: Node, author: str) -> Callable[[], bool]:
    """Return a condition: ``node`` holds a receipt by ``author`` for the village."""
    return lambda: any(
        feed.lane == "custody" and (feed.author, feed.audience) == (author, VILLAGE)
        for feed in node.log.feeds
    )


async def start(stack: AsyncExitStack, root: Path) -> tuple[dict[str, Home], dict[str, Node]]:
    """Found, invite, join and serve three nodes."""
    homes = {code: Home(root / code) for code in LABELS}
    nodes: dict[str, Node] = {}

    async def serve(code: str) -> None:
        settings = load_settings(homes[code].settings_file, listen_port=0)
        nodes[code] = await stack.enter_async_context(serving(homes[code], settings))

    await init_district(homes[DISTRICT], DISTRICT, LABELS[DISTRICT])
    await serve(DISTRICT)
    for parent, code in ((DISTRICT, TOWN), (TOWN, VILLAGE)):
        await until(nodes[parent], _is_reachable(nodes[parent], parent))
        invited = await act(homes[parent], "invite", code=code, label=LABELS[code])
        await join(homes[code], invited["token"])
        await serve(code)
    return homes, nodes


def _is_reachable(node: Node, code: str) -> Callable[[], bool]:
    return lambda: bool(node.log.roster.addresses_of(code))


async def journey(homes: dict[str, Home], nodes: dict[str, Node], trace: Trace) -> Record:
    """Let one voice travel; returns its record."""
    village, town, district = nodes[VILLAGE], nodes[TOWN], nodes[DISTRICT]
    trace.begin()
    trace.step("somebody speaks; the act makes the receipt's secret", acts.file)
    filed = await act(homes[VILLAGE], "file", kind="ask", text="自来水什么时候通？")
    record = (await village.log.find(bytes.fromhex(filed["rid"]))).record
    trace.step("header and body are encoded", encode_header, len(record.envelope.payload))
    trace.step("signed, and the own signature checked", SigningKey.sign, len(record.header_cose))
    trace.step(f"numbered {filed['receipt']}, group commit", Author.submit)
    trace.step("flushed; only now the person is told", SqlStore.commit, record_bytes(record))
    frame = encode_chunk(Chunk(bytes(8), 1, (Run(record.header.feed, 0, (record,)),)))
    trace.step("packed into a chunk for the town", Conversation.run, len(frame))
    trace.step("carried", WebSocketConnection.send, len(frame))
    await until(town, is_head(town, filed["rid"]))
    trace.step("the town has verified and flushed it", accept)
    await until(district, is_head(district, filed["rid"]))
    trace.step("the district has verified and flushed it", accept)
    await until(village, received(village, DISTRICT))
    trace.step("the district's signed receipt is in the village: 已到区里", Custodian.run)
    told = await act(homes[TOWN], "answer", receipt=filed["receipt"], text="下周三通水。")
    trace.step("the town answers", acts.answer)
    await until(village, is_head(village, told["rid"]))
    trace.step("the answer is in the village", accept)
    seen = await act(homes[VILLAGE], "follow", receipt=filed["receipt"], secret=filed["secret"])
    trace.step(f"folded and read with the secret: {seen['answers'][0]['text']}", cases_view.fold)
    return record


async def main() -> None:
    """Run the journey and print it."""
    trace = Trace()
    with tempfile.TemporaryDirectory(prefix="sanji-trace-") as folder:
        async with AsyncExitStack() as stack:
            homes, nodes = await start(stack, Path(folder))
            record = await journey(homes, nodes, trace)
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(annotated(record))
    console.print(trace.table)


if __name__ == "__main__":
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(40),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    asyncio.run(main())
