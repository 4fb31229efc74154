"""2,000 records under way in both directions, a fault in their midst, and an audit of all logs.

A thousand notices go down, of which every fifth is for one village alone, and a thousand voices go
up. The fault strikes after the first of them have arrived at the far ends, while at least
``IN_FLIGHT_MIN`` of each direction are written and not there yet.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from demo.servers.rabbitmq import VHOST
from shared.app import acts
from tests.acceptance import audit
from tests.support.broker_line import BrokerLine
from tests.support.rabbit import RabbitServer
from tests.support.tiers import (
    DISTRICT,
    TOWN,
    VILLAGE,
    VILLAGE_2,
    Tiers,
    only,
)

EACH_WAY: Final = 1000
"""Records in each direction."""

IN_FLIGHT_MIN: Final = 250
"""Records of each direction that are on their way when the fault strikes."""

FEW: Final = 256
"""So many records arrive while a fault lasts that lets some pass: at least one chunk."""

WAYS: Final = {TOWN: only("amqp"), VILLAGE: only("amqp"), VILLAGE_2: only("amqp")}

Fault = Callable[["Exchange"], Awaitable[None]]
"""What happens in their midst; it returns when it is over."""

Given = list[tuple[bytes, str]]
"""What callers were told is accepted: rid and who told them."""


class Exchange:
    """A district in which much is said.

    Attributes:
        tiers: Its nodes.
        line: Over which all of them reach the broker.
        server: The broker.
        given: What callers were told is accepted.
        logs: What is audited, by division: a file of SQLite, or the rows of another database.
        opened_before: Connections that the line had taken when the fault struck.
    """

    def __init__(self, tiers: Tiers, line: BrokerLine, server: RabbitServer) -> None:
        """Nothing is said yet."""
        self.tiers = tiers
        self.line = line
        self.server = server
        self.given: Given = []
        self.opened_before = 0
        self.logs: dict[str, Path | list[audit.Rows]] = {
            code: home.database_file for code, home in tiers.homes.items()
        }

    async def struck(self, fault: Fault) -> None:
        """Say all, let ``fault`` happen while it is under way, and wait until all have all.

        The line stands still until all is said, so that the fault finds the same on any machine.
        In the end one more record goes each way, over links that the fault did not spare.
        """
        with self.line.held():
            await asyncio.gather(self.notices(), self.voices())
        await self.tiers.when(self.is_arriving)
        waiting = self.under_way()
        assert min(waiting) >= IN_FLIGHT_MIN, f"down, up: {waiting}"
        self.opened_before = self.line.opened
        await fault(self)
        await self.tiers.settled()
        await self.notice(EACH_WAY)
        await self.voice(EACH_WAY, VILLAGE_2)
        await self.tiers.settled()

    async def notices(self) -> None:
        """Let the district publish as much as there has to be; returns when all is stored there."""
        for_whom = ("" if number % 5 else VILLAGE for number in range(EACH_WAY))
        await asyncio.gather(*(self.notice(number, to) for number, to in enumerate(for_whom)))

    async def voices(self) -> None:
        """Let people speak in both villages; returns when all is stored there."""
        turns = ((VILLAGE, VILLAGE_2)[number % 2] for number in range(EACH_WAY))
        await asyncio.gather(*(self.voice(number, at) for number, at in enumerate(turns)))

    async def notice(self, number: int, to: str = "") -> None:
        """Let the district publish, to everybody or to one division."""
        title, text = f"通知{number}", "请各村注意防火。" * 5
        self._note(DISTRICT, await acts.publish(self._node(DISTRICT), _mute, title=title, text=text,
                                                to=to))  # fmt: skip

    async def voice(self, number: int, village: str) -> None:
        """Let somebody speak in a village."""
        text = f"第{number}件事：村口的路灯不亮。"
        filed = await acts.file(self._node(village), _mute, kind="help", text=text)
        self._note(village, filed)

    def is_arriving(self) -> bool:
        """Tell whether the first notices or voices are at the far end."""
        return any(self._held(at, author) for at, author in _FAR_ENDS)

    def under_way(self) -> tuple[int, int]:
        """Return how many records are written and not at the far end: notices down, voices up.

        Of the notices, what the village lacks that has to hold all of them.
        """
        notices = self._held(DISTRICT, DISTRICT) - self._held(VILLAGE, DISTRICT)
        voices = sum(
            self._held(village, village) - self._held(DISTRICT, village)
            for village in (VILLAGE, VILLAGE_2)
        )
        return notices, voices

    async def arrived(self, count: int) -> None:
        """Wait until ``count`` of the records that are under way now have arrived."""
        left = sum(self.under_way()) - count
        await self.tiers.when(lambda: sum(self.under_way()) <= left)

    async def ctl(self, *arguments: str) -> str:
        """Let the broker's operator do something; see ``rabbitmqctl``."""
        return await asyncio.to_thread(self.server.ctl, *arguments)

    def _held(self, at: str, author: str) -> int:
        feeds = self._node(at).log.feeds.items()
        return sum(s.count for f, s in feeds if (f.author, f.lane) == (author, "ordinary"))

    def _node(self, code: str) -> Any:
        return self.tiers.nodes[code]

    def _note(self, at: str, told: dict[str, Any]) -> None:
        self.given.append((bytes.fromhex(told["rid"]), at))


_FAR_ENDS: Final = (
    (VILLAGE, DISTRICT), (VILLAGE_2, DISTRICT), (DISTRICT, VILLAGE), (DISTRICT, VILLAGE_2),
)  # fmt: skip


def _mute(_done: int, _total: int) -> None:
    """Nobody looks at the progress."""


def reached_over(line: BrokerLine) -> str:
    """Return the broker's address at the near end of ``line``."""
    return f"amqp://127.0.0.1:{line.port}/{VHOST}"


@asynccontextmanager
async def exchanging(
    root: Path,
    server: RabbitServer,
    settings: dict[str, dict[str, Any]] | None = None,
    district: str = "",
) -> AsyncIterator[Exchange]:
    """A district with a town and two villages over ``server``; audited after the block.

    Args:
        root: Where the homes are.
        server: The broker.
        settings: What is set otherwise than usual, by division.
        district: Lines of the district's ``node.toml``.
    """
    async with BrokerLine(server.port) as line, Tiers(root, reached_over(line)) as tiers:
        await tiers.start(WAYS, settings, district)
        exchange = Exchange(tiers, line, server)
        yield exchange
    assert len(exchange.given) > 2 * EACH_WAY
    logs = {
        code: audit.rows_of_file(log) if isinstance(log, Path) else log
        for code, log in exchange.logs.items()
    }
    assert findings(logs, exchange.given) == NOTHING_FOUND


NOTHING_FOUND: Final[dict[str, list[str]]] = {
    "lost": [], "stored twice": [], "misdelivered": [], "other": [],
}  # fmt: skip


def findings(
    databases: dict[str, list[audit.Rows]], given: Iterable[tuple[bytes, str]]
) -> dict[str, list[str]]:
    """Return what the independent auditor finds in the logs, read by its own SQL.

    Args:
        databases: The rows that the auditor reads, by division.
        given: What callers were told is accepted; it must be at all holders, with equal heads.
    """
    problems: list[str] = []
    logs = {code: audit.Log(code, problems) for code in databases}
    for code, log in logs.items():
        log.read(*databases[code])
    audit.compare(logs, problems)
    return {
        "lost": list(audit.find_lost(logs, given)),
        "stored twice": [
            f"{code}: {log.records[rid]}, {copies} times"
            for code, log in logs.items()
            for rid, copies in log.copies.items()
            if copies > 1
        ],
        "misdelivered": [one for one in problems if "misdelivered" in one],
        "other": [one for one in problems if "misdelivered" not in one],
    }
