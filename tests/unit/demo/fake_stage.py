"""A stage without nodes: it takes down what the control page orders."""

import asyncio
import threading
from typing import Any

from aiohttp.test_utils import TestClient

from demo.control.room import Room
from demo.district import District, Division, read_district
from shared.errors import UnavailableError

SAME = {"Sec-Fetch-Site": "same-origin"}
TOWN = "340602100"
VILLAGE = "340602100201"


class FakeStage:
    """Takes down what it is asked for; all of its nodes are well."""

    def __init__(self) -> None:
        """Play the built-in district."""
        self.district: District = read_district()
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        self.cables: dict[str, dict[str, float]] = {}
        self.did: list[tuple[str, str]] = []
        self.filed = 0
        self.away: set[str] = set()
        self.urgent_held = 1
        self.fallen: tuple[Division, ...] = ()
        self.power: asyncio.Event | None = None

    async def ask(self, division: Division, act: str, **given: Any) -> dict[str, Any]:
        """Answer as a node does."""
        if division.code in self.away:
            raise UnavailableError("away")
        if act == "status":
            return self.status(division)
        self.asked.append((division.code, act, given))
        if act == "login_link":
            return {"path": f"/login/once/{given['who']}"}
        if act == "file":
            self.filed += 1
        lane = {"receipt": f"{division.label} 26-0001-5", "rid": "00"}
        return lane | {"audience": "^" if act == "file" else "340602*", "seq": 0}

    def status(self, division: Division) -> dict[str, Any]:
        """Return what a node says of itself."""
        peers = [division.parent] + [
            one.code for one in self.district.everybody if one.parent == division.code
        ]
        urgent = {"feed": "340602/0a/urgent/340602*", "count": self.urgent_held}
        return {
            "records": 7, "heads": [urgent],
            "links": [
                {"peer": peer, "backlog": 0, "in_flight": 0, "connected_since_ms": 1}
                for peer in peers if peer
            ],
            "counters": {"refused": 0, "duplicates_offered": 0, "accepted": 0},
        }  # fmt: skip

    async def cable(self, division: Division, **faults: float) -> None:
        """Take down faults of a line."""
        if division.code in self.away:
            raise UnavailableError("away")
        self.cables.setdefault(division.code, {}).update(faults)

    async def kill(self, division: Division) -> None:
        """Take down a kill."""
        self.did.append(("kill", division.code))

    def beside(self, division: Division) -> tuple[Division, ...]:
        """Return who lives in the same process: everybody is alone."""
        return (division,)

    def gone(self) -> tuple[Division, ...]:
        """Return whose process has ended by itself."""
        return self.fallen

    async def revive(self, division: Division) -> None:
        """Take down a start; it takes as long as there is no power."""
        if self.power is not None:
            await self.power.wait()
        self.fallen = ()
        self.did.append(("revive", division.code))

    async def flood(self, division: Division, texts: list[str], count: int) -> None:
        """Take down a flood."""
        assert texts
        self.did.append((f"flood {count}", division.code))

    async def carried(self) -> dict[str, list[int]]:
        """Return what lines carried: one has carried something."""
        return {VILLAGE: [3, 1, 2]}


class FakeBroker:
    """A broker that does nothing.

    Attributes:
        figures_port: Where it tells its figures: nobody is there.
        runs: Whether it is there.
        did: What was asked of it.
        begun: Set when it was started.
        ready: Set when it may take connections.
        fails: Whether it does not start.
    """

    def __init__(self) -> None:
        """Run."""
        self.figures_port = 1
        self.runs = True
        self.did: list[str] = []
        self.begun = asyncio.Event()
        self.ready = threading.Event()
        self.fails = False

    def kill(self) -> None:
        """Be gone."""
        self.runs = False
        self.did.append("kill")

    def wipe(self) -> None:
        """Be gone, with all data."""
        self.runs = False
        self.did.append("wipe")

    def begin(self) -> None:
        """Start."""
        self.did.append("begin")
        self.begun.set()
        if self.fails:
            raise UnavailableError("no room")
        self.runs = True

    def wait(self) -> None:
        """Take as long as the test wants."""
        assert self.ready.wait(20)


async def order(client: TestClient[Any, Any], act: str, link: str = "", value: object = 0) -> int:
    """Order something as the page does; returns the status."""
    answer = await client.post("/do", json={"act": act, "link": link, "value": value}, headers=SAME)
    return answer.status


def said(room: Room) -> str:
    """Return the newest event, in Chinese."""
    event = room.journal.last(1)[0]
    return event.msgid.format(**event.values)
