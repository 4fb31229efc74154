"""The stage: the nodes' homes and processes, and how the story talks to them.

A node is driven only as its operator would drive it, through the control socket in its home. What
the nodes promise is written down outside them, at the moment they promise it.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from demo.district import District, Division
from demo.found import write_settings
from demo.parts import Parts
from demo.supervisor import HostProcess, Supervisor, free_ports
from shared.app.control import ask
from shared.errors import InvalidError, SanjiError
from shared.node.home import Home
from shared.record.feed import Feed, Level, is_holder

T = TypeVar("T")

NODES: Final = "nodes"
"""Folder of the homes, each named by its division's code."""
VILLAGE_PROCESSES: Final = 2
ASK_SECONDS_MAX: Final = 20.0
WAIT_SECONDS_MAX: Final = 60.0
"""A slow or busy machine is no failure; what has not come by then is not under way."""
POLL_SECONDS: Final = 0.1
SOCKET_PATH_BYTES_MAX: Final = 100
"""A Unix socket's path ends at 107 bytes on Linux, at 103 on others."""

PROMISES: Final = frozenset({"publish", "correct", "withdraw", "file", "answer", "rate"})
"""Acts whose answer is a promise: the record it names is kept and delivered."""

# An hour of custody in a second: the story cannot wait for a district's usual pace.
PACE: Final[dict[str, Any]] = {
    "answer_seconds_min": 0.5,
    "backoff_seconds_min": 0.1,
    "backoff_seconds_max": 1.0,
    "custody_urgent_seconds": 1.0,
    "custody_proof_seconds": 1.0,
    "custody_receipt_seconds": 1.0,
    "custody_beat_seconds": 5.0,
    "custody_late_seconds": 60.0,
}
HERE: Final[dict[str, Any]] = {
    "listen_host": "127.0.0.1",
    "addresses": (),
    "tls_certificate": "",
    "tls_key": "",
    "tls_ca": "",
}
"""Given in full, so that nobody's environment moves the story to another interface."""
NO_PARTS: Final = Parts()
"""WebSocket between the nodes, a file under each."""


class StoryError(SanjiError):
    """Something that the story expects did not happen."""


class Stage:
    """A district's nodes on this machine.

    Attributes:
        district: The divisions.
        folder: Where everything is written.
        parts: What the nodes stand on.
        supervisor: The processes.
    """

    def __init__(
        self,
        district: District,
        folder: Path,
        ports: Sequence[int] | None = None,
        pace: Mapping[str, Any] = PACE,
        parts: Parts = NO_PARTS,
    ) -> None:
        """Prepare ``folder``; nothing runs yet.

        Args:
            district: The divisions.
            folder: Where everything is written.
            ports: One a node, where they are known from before; else free ones are looked for.
            pace: Settings of all nodes.
            parts: What they stand on besides.

        Raises:
            InvalidError: the folder's name is too long for the control sockets.
            UnavailableError: there are no free ports.
        """
        self.district = district
        self.folder = folder
        self.parts = parts
        self._pace = pace
        longest = max(division.code for division in district.everybody)
        if len(bytes(self.home(longest).control_file)) > SOCKET_PATH_BYTES_MAX:
            raise InvalidError(f"{folder} is too long a path.", advice="Choose a shorter one.")
        ports = ports or free_ports(len(district.everybody))
        self.ports = dict(zip((d.code for d in district.everybody), ports, strict=True))
        (folder / "logs").mkdir(exist_ok=True)
        for division in district.everybody:
            if settings := parts.settings(division):
                write_settings(self.home(division.code), settings)
        self._given = folder / "given.jsonl"
        self._given.touch()
        self.supervisor = Supervisor(folder / "logs")

    def home(self, code: str) -> Home:
        """Return the home of the node of division ``code``."""
        return Home(self.folder / NODES / code)

    # --- processes -------------------------------------------------------------------------------

    def process_name(self, division: Division) -> str:
        """Return the name of the process that hosts ``division``: villages share two."""
        if division.level == Level.VILLAGE:
            towns = [town.code for town in self.district.towns]
            return f"villages-{towns.index(division.parent) % VILLAGE_PROCESSES + 1}"
        return f"{division.level.word}-{division.code}"

    def process(self, division: Division) -> HostProcess:
        """Return the process that hosts ``division``."""
        return self.supervisor.processes[self.process_name(division)]

    async def start_processes(self) -> None:
        """Start all processes, empty."""
        names = dict.fromkeys(self.process_name(d) for d in self.district.everybody)
        await asyncio.gather(*(self.supervisor.start(name) for name in names))

    async def serve(self, division: Division) -> None:
        """Let the node of ``division`` serve."""
        given = {**self._pace, **HERE, "listen_port": self.ports[division.code]}
        home = str(self.home(division.code).path)
        await self.process(division).order("serve", home=home, given=given)

    async def kill(self, division: Division) -> None:
        """End the process that hosts ``division`` by SIGKILL."""
        await self.process(division).kill()

    def beside(self, division: Division) -> tuple[Division, ...]:
        """Return who lives in the same process as ``division``, itself included."""
        name = self.process_name(division)
        return tuple(one for one in self.district.everybody if self.process_name(one) == name)

    def gone(self) -> tuple[Division, ...]:
        """Return one division of each process that has ended."""
        processes = self.supervisor.processes
        first = {self.process_name(one): one for one in reversed(self.district.everybody)}
        return tuple(one for name, one in first.items() if not processes[name].alive)

    async def revive(self, division: Division) -> None:
        """Start the process of ``division`` again, and let all who live there serve."""
        await self.supervisor.start(self.process_name(division))
        await asyncio.gather(*(self.serve(one) for one in self.beside(division)))

    async def flood(self, division: Division, texts: Sequence[str], count: int) -> None:
        """Let people at ``division`` say something ``count`` times; returns once it has begun."""
        await self.process(division).order(
            "flood", code=division.code, texts=list(texts), count=count
        )

    async def publish_until(self, division: Division, title: str, text: str, days: int) -> None:
        """Let ``division`` publish a notice that expires after ``days``."""
        await self.process(division).order(
            "publish_until", code=division.code, title=title, text=text, days=days
        )

    async def carried(self) -> dict[str, list[int]]:
        """Return what each line has carried since its process started: up, down, other."""
        processes = [one for one in self.supervisor.processes.values() if one.alive]
        told = await asyncio.gather(
            *(process.order("carried") for process in processes), return_exceptions=True
        )
        return {
            code: counts
            for lines in told
            if not isinstance(lines, BaseException)
            for code, counts in lines.items()
        }

    async def cable(self, division: Division, **faults: float) -> None:
        """Set faults of the line between ``division`` and its parent."""
        await self.process(division).order("cable", code=division.code, faults=faults)

    # --- nodes -----------------------------------------------------------------------------------

    async def ask(self, division: Division, act: str, **given: Any) -> dict[str, Any]:
        """Let a node do something, as a command would; a promise is written down.

        Raises:
            StoryError: the node does not answer in time.
            SanjiError: what the node refuses.
        """
        socket = self.home(division.code).control_file
        try:
            async with asyncio.timeout(ASK_SECONDS_MAX):
                told: dict[str, Any] = await ask(socket, act, given, lambda _done, _total: None)
        except TimeoutError:
            raise StoryError(f"{division.label} does not answer {act}.") from None
        except ConnectionError:
            raise StoryError(f"{division.label} went away during {act}.") from None
        if act in PROMISES:
            with self._given.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"rid": told["rid"], "node": division.code}) + "\n")
        return told

    async def statuses(self) -> dict[str, dict[str, Any]]:
        """Return the status of all nodes, by code."""
        everybody = self.district.everybody
        told = await asyncio.gather(*(self.ask(one, "status") for one in everybody))
        return dict(zip((one.code for one in everybody), told, strict=True))

    async def link(self, division: Division, peer: Division) -> dict[str, Any]:
        """Return what ``division`` says of its link to ``peer``; empty if it knows none."""
        status = await self.ask(division, "status")
        found: dict[str, Any] = next((x for x in status["links"] if x["peer"] == peer.code), {})
        return found

    async def until(
        self, what: str, look: Callable[[], Awaitable[T]], seconds: float = WAIT_SECONDS_MAX
    ) -> T:
        """Look again and again until there is something to see; return it.

        Args:
            what: The expectation, said when it fails.
            look: Returns something true when it is fulfilled; a node's refusal counts as not yet.
            seconds: How long it may take.

        Raises:
            StoryError: it took longer, or a process failed.
        """
        last = ""
        end = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < end:
            if failures := self.supervisor.failures():
                raise StoryError(f"while waiting that {what}: {failures[0]}")
            try:
                if found := await look():
                    return found
            except SanjiError as error:
                last = f" ({error})"
            await asyncio.sleep(POLL_SECONDS)
        raise StoryError(f"not within {seconds:g} s: {what}{last}")

    async def until_held(self, rids: Sequence[str], by: Sequence[Division], what: str) -> None:
        """Wait until each node of ``by`` holds each record of ``rids``."""
        missing = [(division, rid) for division in by for rid in rids]

        async def look() -> bool:
            found = await asyncio.gather(*(self._holds(d, rid) for d, rid in missing))
            missing[:] = [one for one, held in zip(missing, found, strict=True) if not held]
            return not missing

        try:
            await self.until(what, look)
        except StoryError as error:
            names = ", ".join(sorted({division.label for division, _ in missing})[:5])
            raise StoryError(f"{error}; missing at {names}") from error

    async def held_within(self, rids: Sequence[str], by: Division, seconds: float) -> int:
        """Return how many of ``rids`` a node holds: all, or as many as came in ``seconds``."""
        end = asyncio.get_running_loop().time() + seconds
        while True:
            held = sum([await self._holds(by, rid) for rid in rids])
            if held == len(rids) or asyncio.get_running_loop().time() > end:
                return held
            await asyncio.sleep(POLL_SECONDS)

    async def _holds(self, division: Division, rid: str) -> bool:
        try:
            return bool(await self.ask(division, "show", rid=rid))
        except StoryError:
            raise
        except SanjiError:
            return False

    async def until_equal(self) -> dict[str, dict[str, Any]]:
        """Wait until all holders of each feed hold the same; return the last statuses.

        Custody is left out: each delivery is stated, so that lane never comes to rest.
        """
        found: dict[str, dict[str, Any]] = {}

        async def look() -> bool:
            found.update(await self.statuses())
            return not unequal_feeds(found)

        try:
            await self.until("all holders of each feed hold the same", look)
        except StoryError as error:
            raise StoryError(f"{error}; such as {unequal_feeds(found)[:2]}") from error
        return found


def unequal_feeds(statuses: dict[str, dict[str, Any]]) -> list[str]:
    """Return the feeds, custody apart, of which not all holders hold the same head."""
    heads: dict[str, dict[str, str]] = {}
    for code, status in statuses.items():
        for head in status["heads"]:
            heads.setdefault(head["feed"], {})[code] = f"{head['count']} {head['rid']}"
    odd = []
    for name, held in heads.items():
        author, _, lane, audience = name.split("/")
        feed = Feed(author, b"", lane, audience)
        holders = {code for code in statuses if is_holder(feed, code)}
        if lane != "custody" and (holders != held.keys() or len(set(held.values())) != 1):
            odd.append(name)
    return odd
