"""The chapters of the story, in order; each says in words what it does and does it."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from demo.district import District, Division
from demo.plot import ANSWERS, ONE_VILLAGE, RURAL, TOWN_ONLY, URGENT, VOICES, Plot
from demo.stage import Stage, StoryError
from shared.errors import SanjiError

JOINS_AT_ONCE: Final = 12
"""Each makes a home and two databases' worth of flushes; more only wait for the disk."""

BURST: Final = 300
BURST_OF_TOWN: Final = 60
ASKS_AT_ONCE: Final = 24
IN_FLIGHT_WANTED: Final = 20
SLOW_SECONDS: Final = 0.4
LOSSY_NOTICES: Final = 8
LOSSY_SECONDS: Final = 8.0
PAUSE_SECONDS: Final = 0.15


async def everybody_joins(plot: Plot) -> None:
    """The district is founded; towns and villages join by invitation, each where it will live."""
    stage, top = plot.stage, plot.cast.district
    await stage.start_processes()
    everybody = stage.district.everybody
    columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn())
    mute = not plot.console.is_terminal
    with Progress(*columns, console=plot.console, transient=True, disable=mute) as progress:
        bar = progress.add_task("joining", total=len(everybody))
        home = str(stage.home(top.code).path)
        await stage.process(top).order("found", home=home, code=top.code, label=top.label)
        await stage.serve(top)
        progress.advance(bar)
        turns = asyncio.Semaphore(JOINS_AT_ONCE)

        async def one(division: Division, parent: Division) -> None:
            async with turns:
                await _join(stage, division, parent)
            progress.advance(bar)

        await _all(*(one(town, top) for town in stage.district.towns))
        by_code = {town.code: town for town in stage.district.towns}
        await _all(*(one(v, by_code[v.parent]) for v in _taking_turns(stage.district)))
    processes = len(stage.supervisor.processes)
    plot.say(f"{len(everybody)} nodes in {processes} processes, each with its own keys and log;")
    plot.say(f"pages from http://127.0.0.1:{stage.ports[top.code]} on.")
    await stage.until_equal()
    plot.say("Everybody knows everybody whom it has to trust.")


def _taking_turns(district: District) -> list[Division]:
    """Return the villages, one of each town after the other, so that no town is a bottleneck."""
    return sorted(district.villages, key=lambda village: (village.code[::-1][:3], village.code))


async def _join(stage: Stage, division: Division, parent: Division) -> None:
    invitation = await stage.ask(parent, "invite", code=division.code, label=division.label)
    home = str(stage.home(division.code).path)
    await stage.process(division).order("join", home=home, token=invitation["token"])
    await stage.serve(division)


async def a_village_is_cut_off(plot: Plot) -> None:
    """A line breaks; notices are published, and the cut-off village takes down two voices."""
    stage, cast = plot.stage, plot.cast
    await stage.cable(cast.cut, cut=True)
    plot.say(f"The line of {cast.cut.label} is cut.")
    to_all = await _publish(plot, plot.notice)
    to_town = await _publish(plot, TOWN_ONLY, to=cast.town.code)
    to_one = await _publish(plot, ONE_VILLAGE, to=cast.altered.code)
    urgent = await _publish(plot, URGENT, urgent=True)
    below = [d for d in stage.district.everybody if d is not cast.cut]
    await stage.until_held([urgent, to_all], below, "all but the cut-off village hold the notices")
    inside = [v for v in stage.district.villages_of(cast.town) if v is not cast.cut]
    await stage.until_held([to_town], inside, f"{cast.town.label} and its villages hold theirs")
    await stage.until_held([to_one], [cast.altered], f"{cast.altered.label} holds its notice")
    plot.say(f"{len(below)} nodes hold the notice «{plot.notice[0]}» and the urgent one.")
    for kind, text, place in VOICES:
        filed = await stage.ask(cast.cut, "file", kind=kind, text=text, place=place)
        plot.cases.append(filed)
        plot.say(f"Cut off, {cast.cut.label} takes down a voice: receipt {filed['receipt']}.")
    backlog = await stage.until("the cut-off village has a backlog", lambda: _backlog(plot))
    plot.counted["backlog_while_cut"] = backlog
    plot.say(f"{backlog} records wait at both ends of its line.")
    await stage.cable(cast.cut, cut=False)
    await stage.until_held([to_all, to_town, urgent], [cast.cut], "the healed village catches up")
    rids = [case["rid"] for case in plot.cases]
    await stage.until_held(rids, [cast.town, cast.district], "town and district hold both voices")
    plot.say("The line heals: what waited has arrived, up and down.")


async def _publish(plot: Plot, notice: tuple[str, str], **how: Any) -> str:
    title, text = notice
    told = await plot.stage.ask(plot.cast.district, "publish", title=title, text=text, **how)
    return str(told["rid"])


async def _backlog(plot: Plot) -> int:
    """Return what waits at the two ends of the cut line, once both ends know it is cut."""
    cut, town = plot.cast.cut, plot.cast.town
    up, down = await plot.stage.link(cut, town), await plot.stage.link(town, cut)
    if up["connected_since_ms"] or down["connected_since_ms"]:
        return 0
    return int(up["backlog"] + down["backlog"])


async def both_are_answered(plot: Plot) -> None:
    """The town answers one case, the district the other; the village sees and rates both."""
    stage, cast = plot.stage, plot.cast
    for by, case, text in zip((cast.town, cast.district), plot.cases, ANSWERS, strict=True):
        told = await stage.ask(by, "answer", receipt=case["receipt"], text=text)
        plot.say(f"{by.label} answers {case['receipt']}.")
        await stage.until_held([told["rid"]], [cast.cut], "the answer is at the village")
        seen = await stage.ask(cast.cut, "follow", receipt=case["receipt"], secret=case["secret"])
        if [answer["text"] for answer in seen["answers"]] != [text]:
            raise StoryError(f"{cast.cut.label} does not see the answer to {case['receipt']}.")
        rated = await stage.ask(cast.cut, "rate", receipt=case["receipt"], score="satisfied")
        await stage.until_held([rated["rid"]], [by], "the rating is where the answer came from")
        plot.say(f"{cast.cut.label} reads it with the receipt's secret and rates it: 满意.")


async def a_line_is_bad(plot: Plot) -> None:
    """Half the frames of a line are lost, then all come twice; elsewhere a record is altered."""
    await _half_are_lost(plot)
    await _all_come_twice(plot)
    await _alter_one(plot)


async def _half_are_lost(plot: Plot) -> None:
    """Publish to the village behind the bad line; what is not through in time comes afterwards."""
    stage, lossy = plot.stage, plot.cast.lossy
    before = await _fates(plot)
    await stage.cable(lossy, loss=0.5)
    rids = []
    for number in range(1, LOSSY_NOTICES + 1):
        title = f"线路不好时的通知第{number}号"
        rids.append(await _publish(plot, (title, RURAL[1]), to=lossy.code))
        await asyncio.sleep(PAUSE_SECONDS)  # so that they travel in frames of their own
    # Chance decides how long such a line takes; the story has a minute.
    crossed = await stage.held_within(rids, lossy, LOSSY_SECONDS)
    after = await _fates(plot)
    await stage.cable(lossy, loss=0.0)
    lost, passed = (after[fate] - before[fate] for fate in ("lost", "passed"))
    if not lost:
        raise StoryError(f"no frame was lost on the line of {lossy.label}.")
    plot.say(f"On the line of {lossy.label} {lost} of {lost + passed} frames are lost;")
    plot.say(f"{crossed} of {len(rids)} notices cross it all the same within {LOSSY_SECONDS:g} s.")
    await stage.until_held(rids, [lossy], "all notices arrive once the bad line is mended")
    plot.say("Then it is mended: all have arrived.")


async def _all_come_twice(plot: Plot) -> None:
    stage, lossy = plot.stage, plot.cast.lossy
    ends = (lossy, plot.cast.town)
    await stage.cable(lossy, duplicate=1.0)
    rid = await _publish(plot, ("线路重复时的通知", RURAL[1]), to=lossy.code)

    async def offered() -> int:
        return await _counter(stage, ends, "duplicates_offered")

    found = await stage.until("a record is offered twice", offered)
    await stage.until_held([rid], [lossy], "the notice arrives over the stuttering line")
    await stage.cable(lossy, duplicate=0.0)
    plot.say(f"Then every frame on it comes twice. Records offered again: {found}.")


async def _fates(plot: Plot) -> Counter[str]:
    """Return what the cable of the bad line has done to frames so far."""
    lossy = plot.cast.lossy
    return Counter(await plot.stage.process(lossy).order("counters", code=lossy.code))


async def _alter_one(plot: Plot) -> None:
    stage, victim = plot.stage, plot.cast.altered
    ends = (victim, plot.cast.killed)
    before = await _counter(stage, ends, "refused")
    await stage.cable(victim, alter=1)
    rid = await _publish(plot, RURAL, to=victim.code)

    async def refused() -> bool:
        return await _counter(stage, ends, "refused") > before

    await stage.until("the altered record is refused", refused)
    await stage.until_held([rid], [victim], "the record arrives unaltered")
    shown = await stage.ask(victim, "show", rid=rid)
    if shown["body"]["text"] != RURAL[1] or not shown["own_signature"]:
        raise StoryError(f"{victim.label} holds other words than were published.")
    # Counted now: this town's counters end with its process in the next chapter.
    plot.counted["tampered_refused"] = await _counter(stage, ends, "refused") - before
    plot.say(f"A record altered on the line of {victim.label} was refused, and came again whole.")


async def _counter(stage: Stage, ends: Sequence[Division], name: str) -> int:
    told = await asyncio.gather(*(stage.ask(end, "status") for end in ends))
    return sum(int(status["counters"][name]) for status in told)


async def a_town_is_killed(plot: Plot) -> None:
    """The town's process is killed with records on their way to it, and comes back."""
    stage, cast = plot.stage, plot.cast
    await stage.cable(cast.killed, delay_seconds=SLOW_SECONDS)
    bursts = asyncio.gather(
        _burst(stage, cast.district, BURST, to=cast.killed.code),
        _burst(stage, cast.killed, BURST_OF_TOWN),
    )
    try:
        in_flight = await stage.until("records are in flight", lambda: _in_flight(plot))
        await stage.process(cast.killed).kill()
        plot.counted["in_flight_at_kill"] = in_flight
        plot.say(f"{cast.killed.label} is killed with {in_flight} records in flight to it.")
        from_district, from_town = await bursts
    finally:
        bursts.cancel()
    plot.say(f"The district went on: it accepted {len(from_district)} notices for that town;")
    plot.say(f"the town had accepted {len(from_town)} of its own before it was killed.")
    await stage.supervisor.start(stage.process_name(cast.killed))
    await stage.serve(cast.killed)
    below = [cast.killed, *stage.district.villages_of(cast.killed)]
    rids = from_district[-1:] + from_town
    await stage.until_held(rids, below, "all below hold what was accepted")
    plot.say("It comes back and goes on; everything accepted is there and below it.")


async def _in_flight(plot: Plot) -> int:
    link = await plot.stage.link(plot.cast.district, plot.cast.killed)
    found = int(link.get("in_flight", 0))
    return found if found >= IN_FLIGHT_WANTED else 0


async def _burst(stage: Stage, by: Division, count: int, to: str = "") -> list[str]:
    """Publish many notices at once; returns the rids of those that were accepted."""
    turns = asyncio.Semaphore(ASKS_AT_ONCE)

    async def one(number: int) -> str:
        async with turns:
            try:
                title = f"{by.label}通知第{number}号"
                told = await stage.ask(by, "publish", title=title, text=RURAL[1], to=to)
            except SanjiError:
                return ""  # it was killed meanwhile: nothing was promised
        return str(told["rid"])

    return [rid for rid in await asyncio.gather(*map(one, range(1, count + 1))) if rid]


async def all_are_equal(plot: Plot) -> None:
    """The district comes to rest: all holders of a feed hold the same."""
    statuses = await plot.stage.until_equal()
    plot.counted["duplicates_offered"] = sum(
        status["counters"]["duplicates_offered"] for status in statuses.values()
    )
    by = plot.stage.parts.carrier.by
    others = [one.label for one in plot.stage.district.everybody[1:]
              if _uplink(statuses[one.code], one)["by"] != by]  # fmt: skip
    if others:
        raise StoryError(f"the links of {', '.join(others[:5])} do not go by {by}.")
    records = sum(status["records"] for status in statuses.values())
    plot.say(f"{len(statuses)} nodes hold {records:,} records; every head agrees.")
    plot.say(f"All {len(statuses) - 1} links go by {by}.")


def _uplink(status: dict[str, Any], division: Division) -> dict[str, Any]:
    """Return what a node says of its link to its parent."""
    return next(link for link in status["links"] if link["peer"] == division.parent)


async def _all(*works: Any) -> None:
    """Run all; the first failure ends the others."""
    async with asyncio.TaskGroup() as tasks:
        for work in works:
            tasks.create_task(work)


CHAPTERS: Final = (
    ("By invitation", everybody_joins),
    ("Cut off", a_village_is_cut_off),
    ("Answered", both_are_answered),
    ("A bad line", a_line_is_bad),
    ("Killed", a_town_is_killed),
    ("At rest", all_are_equal),
)
