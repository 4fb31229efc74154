"""Villages by-pass a town that is dead, cut off, or keeps all to itself; in virtual time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from functools import lru_cache
from random import Random
from typing import Final
from unittest.mock import patch

import pytest
import structlog

from shared.domain.cases.kinds import FILED
from shared.domain.custody.lacks import Reason
from shared.domain.notices.kinds import PUBLISHED
from shared.node import links
from shared.node.author import Draft
from shared.node.node import Node
from shared.record.feed import UPWARD
from shared.record.record import Record
from shared.trust.keys import PublicKey
from tests.simulation.district import DAY, HOUR, ROOT, District
from tests.simulation.history import History
from tests.simulation.misfits import Withholding
from tests.simulation.virtual import run

TOWN: Final = ROOT + "100"
GOOD_TOWN: Final = ROOT + "101"
VILLAGES: Final = (TOWN + "200", TOWN + "201")
HAPPY: Final = GOOD_TOWN + "200"

OPENS_WITHIN: Final = (26 + 6 + 1) * HOUR
"""26 h of nothing, up to 6 h of jitter, a look each 16 min."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Say little, check each signature once, and let relays withhold that shall."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    known = lru_cache(maxsize=None)(PublicKey.verifies_bytes)
    with (
        patch.object(PublicKey, "verifies_bytes", known),
        patch.object(links, "Conversation", Withholding),
        patch.object(Withholding, "towns", set()),
    ):
        yield
    structlog.configure(**before)


class Place:
    """A district with two towns, one of which will go bad."""

    def __init__(self) -> None:
        """Prepare; ``found`` sets all up."""
        self.district = District(Random(11), None, broadcasting=False)

    async def found(self) -> None:
        """Set all up and let a calm day pass."""
        await self.district.found()
        for code in (TOWN, GOOD_TOWN, *VILLAGES, HAPPY):
            await self.district.join(code)
        await asyncio.sleep(DAY)

    def node(self, code: str) -> Node:
        """Return the running node of a division."""
        node = self.district.hosts[code].node
        assert node is not None
        return node

    async def file(self, code: str) -> Record:
        """Let somebody in a village say something."""
        written = await self.node(code).author.submit(
            Draft(FILED, UPWARD, History._filing, numbered="receipt/26")
        )
        return written.record

    async def publish(self) -> Record:
        """Let the district say something to all."""
        body = {"stream": "government", "category": "decision", "title": "题", "text": "公告"}
        return (await self.node(ROOT).author.submit(Draft(PUBLISHED, ROOT + "*", body))).record

    def holds(self, code: str, record: Record) -> bool:
        """Tell whether a division holds ``record``."""
        return self.district.hosts[code].disk.holds(record.rid)

    def has_receipt(self, filing: Record) -> bool:
        """Tell whether the village holds the district's own word that it holds ``filing``."""
        code = filing.header.feed.author
        bypasser = self.node(code).bypasser
        assert bypasser is not None
        feed, seq = filing.header.feed.key.hex(), filing.header.seq
        return not any(
            (one.ancestor, one.reason, one.what) == (ROOT, Reason.NO_RECEIPT, feed)
            and one.progress <= seq
            for one in bypasser.lacks.now()
        )

    def bypassing(self) -> set[str]:
        """Return the divisions whose by-pass is open."""
        nodes = [host.node for host in self.district.running() if host.node]
        return {
            node.log.me for node in nodes if node.bypasser and node.bypasser.since_ms is not None
        }


Fault = Callable[[Place], Awaitable[None]]


async def _dies(place: Place) -> None:
    place.district.hosts[TOWN].crash()


async def _lives(place: Place) -> None:
    await place.district.hosts[TOWN].boot()


async def _is_cut_off(place: Place) -> None:
    place.district.cables[TOWN].cut = True


async def _is_mended(place: Place) -> None:
    place.district.cables[TOWN].cut = False


async def _withholds(place: Place) -> None:
    Withholding.towns.add(TOWN)
    await _restarts(place)


async def _withholds_no_more(place: Place) -> None:
    Withholding.towns.clear()
    await _restarts(place)


async def _restarts(place: Place) -> None:
    place.district.hosts[TOWN].crash()
    await asyncio.sleep(1)
    await place.district.hosts[TOWN].boot()


async def _bad_and_good_again(bad: Fault, good: Fault) -> None:
    place = Place()
    await place.found()
    assert not place.bypassing()
    await bad(place)
    filings = [await place.file(code) for code in VILLAGES]
    notice = await place.publish()
    await asyncio.sleep(25 * HOUR)
    assert not any(place.holds(ROOT, filing) for filing in filings)
    assert not any(place.holds(code, notice) for code in VILLAGES)
    assert place.holds(HAPPY, notice)
    await asyncio.sleep(OPENS_WITHIN - 25 * HOUR)
    assert place.bypassing() == set(VILLAGES)
    assert all(place.holds(ROOT, filing) for filing in filings)
    assert all(place.holds(code, notice) for code in VILLAGES)
    assert all(place.has_receipt(filing) for filing in filings)

    # For some days it stays bad: each trial ends with the by-pass open again, and nothing is lost.
    for _ in range(4):
        filings.append(await place.file(VILLAGES[0]))
        await asyncio.sleep(DAY)
    assert all(place.holds(ROOT, filing) for filing in filings[:-1])

    await good(place)
    await asyncio.sleep(8 * DAY + 12 * HOUR)
    assert not place.bypassing()
    states = [place.node(ROOT).links.state(code) for code in VILLAGES]
    assert all(state.connected_since_ms is None for state in states)
    last = [await place.file(code) for code in VILLAGES]
    await asyncio.sleep(2 * DAY)
    assert all(place.holds(ROOT, filing) for filing in (*filings, *last))
    assert not place.bypassing()
    assert not place.district.problems
    await place.district.end()


@pytest.mark.parametrize(
    ("bad", "good"),
    [(_dies, _lives), (_is_cut_off, _is_mended), (_withholds, _withholds_no_more)],
    ids=["dead", "cut off", "withholding"],
)
def test_villages_by_pass_a_bad_town_until_it_is_good_again(bad: Fault, good: Fault) -> None:
    """What they say reaches the district and what it says reaches them within the set time; the
    village of a good town links to nobody else.
    """
    run(_bad_and_good_again(bad, good))
