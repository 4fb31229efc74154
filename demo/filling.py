"""The first start of the demo: people publish, say, answer and rate, as their nodes let them."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from demo.content import Notice, Voice, read_content
from demo.district import Division
from demo.stage import Stage


async def fill(stage: Stage, console: Console) -> None:
    """Let everything happen that ``demo/data/content.json`` tells.

    Raises:
        SanjiError: a node refuses, or something does not arrive.
    """
    notices, said = read_content()
    await with_progress(console, "notices", [_notice(stage, one) for one in notices])
    villages = stage.district.villages
    voices = [
        _voice(stage, villages[number * 7 % len(villages)], one) for number, one in enumerate(said)
    ]
    await with_progress(console, "voices", voices)


async def with_progress(
    console: Console, what: str, works: Sequence[Coroutine[Any, Any, None]], at_once: int = 64
) -> None:
    """Do all ``works``, so many at once, and show how many are done."""
    columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn())
    mute = not console.is_terminal
    turns = asyncio.Semaphore(at_once)
    with Progress(*columns, console=console, transient=True, disable=mute) as progress:
        bar = progress.add_task(what, total=len(works))

        async def counted(work: Coroutine[Any, Any, None]) -> None:
            async with turns:
                await work
            progress.advance(bar)

        async with asyncio.TaskGroup() as tasks:
            for work in works:
                tasks.create_task(counted(work))


def _speaker(stage: Stage, by: str) -> Division:
    district = stage.district
    if by == "district":
        return district.top
    level, number = by.rstrip("0123456789"), int(by[-1])
    many, place = (district.towns, number) if level == "town" else (district.villages, number * 9)
    return many[place % len(many)]


async def _notice(stage: Stage, one: Notice) -> None:
    speaker = _speaker(stage, one.by)
    if one.days:
        await stage.publish_until(speaker, one.title, one.text, one.days)
        return
    told = await stage.ask(
        speaker, "publish", title=one.title, text=one.text, category=one.category,
        urgent=one.urgent,
    )  # fmt: skip
    if one.corrected:
        await stage.ask(
            speaker, "correct", rid=told["rid"], title=one.title,
            text=one.text.replace("186", "185"), reason=one.corrected,
        )  # fmt: skip
    if one.withdrawn:
        await stage.ask(speaker, "withdraw", rid=told["rid"], reason=one.withdrawn)


async def _voice(stage: Stage, village: Division, one: Voice) -> None:
    filed = await stage.ask(
        village, "file", kind=one.kind, topic=one.topic, text=one.text, place=one.place
    )
    if not one.answer:
        return
    town = next(t for t in stage.district.towns if t.code == village.parent)
    await stage.until_held([filed["rid"]], [town], f"{town.label} holds what was said")
    told = await stage.ask(town, "answer", receipt=filed["receipt"], text=one.answer)
    if one.score:
        await stage.until_held([told["rid"]], [village], f"{village.label} holds the answer")
        await stage.ask(village, "rate", receipt=filed["receipt"], score=one.score)
