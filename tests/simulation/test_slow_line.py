"""A line of 4 KiB a second, in virtual time: what is large is slow, and nothing else."""

import asyncio
from random import Random

from shared.domain.notices.kinds import PUBLISHED
from shared.node.author import Draft
from tests.simulation.district import ROOT, District
from tests.simulation.virtual import run

TOWN = ROOT + "100"
BYTES_PER_SECOND = 4 * 1024
NOTICES, NOTICE_LETTERS = 200, 1500
LETTERS = [chr(code) for code in range(0x4E00, 0x9FA5)]
"""By chance they hardly pack: nearly 2 of the 3 bytes of each remain."""


async def _large_notices_over_a_thin_line() -> tuple[float, int]:
    """Return the seconds that they took, and how often the link was opened."""
    chance = Random(7)
    district = District(chance, None, broadcasting=False)
    await district.found()
    await district.join(TOWN)
    top, town = district.hosts[ROOT].node, district.hosts[TOWN].node
    assert top is not None
    assert town is not None
    cable = district.cables[TOWN]
    cable.cut = True
    for _ in range(NOTICES):
        text = "".join(chance.choices(LETTERS, k=NOTICE_LETTERS))
        body = {"stream": "party", "category": "decision", "title": "题", "text": text}
        await top.author.submit(Draft(PUBLISHED, ROOT + "*", body))
    opened = town.links.state(ROOT).opened
    cable.throttle_bytes_per_second = BYTES_PER_SECOND
    began = asyncio.get_running_loop().time()
    cable.cut = False
    (feed,) = (one for one in top.log.feeds if one.lane == "ordinary")
    changed = asyncio.Event()
    town.log.subscribe(lambda _feeds: changed.set())
    while town.log.state(feed).count < NOTICES:
        changed.clear()
        await changed.wait()
    seconds = asyncio.get_running_loop().time() - began
    opened = town.links.state(ROOT).opened - opened
    await district.end()
    return seconds, opened


def test_large_records_arrive_over_a_thin_line() -> None:
    """About as fast as the line carries them, over one link, which is never given up."""
    seconds, opened = run(_large_notices_over_a_thin_line())
    carried = 3 * NOTICES * NOTICE_LETTERS
    assert opened == 1
    assert seconds < 1.25 * carried / BYTES_PER_SECOND
