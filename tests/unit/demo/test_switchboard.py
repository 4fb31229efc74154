"""What the control page orders of a stage, and what its people say in the background."""

import asyncio
from random import Random
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from demo.content import read_talk
from demo.control import switchboard
from demo.control.room import Room
from demo.control.switchboard import FLOOD_RECORDS, LOSS
from demo.control.traffic import RATE_MAX, Traffic
from tests.unit.demo.fake_stage import TOWN, VILLAGE, FakeStage, order, said


async def test_a_line_is_cut_and_mended(
    client: TestClient[Any, Any], stage: FakeStage, room: Room
) -> None:
    """Once each; the state follows the order, and the events tell it."""
    assert await order(client, "cut", VILLAGE) == 204
    assert await order(client, "cut", VILLAGE) == 204
    assert stage.cables[VILLAGE] == {"cut": True, "loss": 0.0}
    assert len(room.journal.last()) == 1
    await room.glance()
    told = (await (await client.get("/state")).json())["links"][VILLAGE]
    assert (told["state"], told["on"], told["word"]) == ("cut", False, "! 断了 0 秒")
    await order(client, "heal", VILLAGE)
    assert stage.cables[VILLAGE]["cut"] is False
    await room.glance()
    assert (await (await client.get("/state")).json())["links"][VILLAGE]["state"] == "equal"
    assert said(room) == "您接通了 沈集村"


async def test_all_villages_of_a_town_are_cut_and_all_is_mended(
    client: TestClient[Any, Any], stage: FakeStage, room: Room
) -> None:
    """Chosen by any link of it."""
    await order(client, "cut-town", VILLAGE)
    cut = {code for code, faults in stage.cables.items() if faults["cut"]}
    town = next(one for one in stage.district.towns if one.code == TOWN)
    assert cut == {one.code for one in stage.district.villages_of(town)}
    await order(client, "heal-all")
    assert not any(faults["cut"] for faults in stage.cables.values())
    assert said(room) == "全部接通，13 条线修好了"


async def test_half_the_frames_are_lost_and_then_none(
    client: TestClient[Any, Any], stage: FakeStage
) -> None:
    """The same button takes it back."""
    await order(client, "lose", VILLAGE)
    assert stage.cables[VILLAGE]["loss"] == LOSS
    await order(client, "lose", VILLAGE)
    assert stage.cables[VILLAGE]["loss"] == 0


async def test_a_record_is_altered_and_sent(client: TestClient[Any, Any], stage: FakeStage) -> None:
    """The town publishes to that village only, so that something goes over the line."""
    await order(client, "alter", VILLAGE)
    assert stage.cables[VILLAGE]["alter"] == 1
    ((by, act, given),) = stage.asked
    assert (by, act, given["to"]) == (TOWN, "publish", VILLAGE)


async def test_nothing_is_altered_on_a_cut_line(
    client: TestClient[Any, Any], stage: FakeStage, room: Room
) -> None:
    """Nothing would go over it; the page says what to do first."""
    await order(client, "cut", VILLAGE)
    await order(client, "alter", VILLAGE)
    assert stage.asked == []
    assert said(room) == "沈集村的线不通，先接通再试"


async def test_a_village_is_flooded(client: TestClient[Any, Any], stage: FakeStage) -> None:
    """The chosen one, or the first of the chosen town."""
    await order(client, "flood", VILLAGE)
    await order(client, "flood", TOWN)
    assert stage.did == [
        (f"flood {FLOOD_RECORDS}", VILLAGE),
        (f"flood {FLOOD_RECORDS}", "340602100003"),
    ]


async def test_a_town_is_killed_and_comes_back(
    client: TestClient[Any, Any], stage: FakeStage, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By itself; a line that was cut meanwhile is cut when it is back."""
    monkeypatch.setattr(switchboard, "RESTART_SECONDS", 0.0)
    stage.power = asyncio.Event()
    await order(client, "kill", VILLAGE)
    await order(client, "kill", TOWN)
    assert stage.did == [("kill", TOWN)]
    await room.glance()
    states = (await (await client.get("/state")).json())["links"]
    assert (states[TOWN]["state"], states[VILLAGE]["state"]) == ("off", "down")
    await order(client, "cut", TOWN)
    assert TOWN not in stage.cables
    stage.power.set()
    await room.switchboard.settled()
    assert stage.did == [("kill", TOWN), ("revive", TOWN)]
    assert stage.cables[TOWN]["cut"] is True
    assert said(room) == "朔里镇回来了，接着传"


async def test_a_process_that_ends_by_itself_is_brought_back(
    stage: FakeStage, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever killed it: the next look finds it, once."""
    monkeypatch.setattr(switchboard, "RESTART_SECONDS", 0.0)
    stage.fallen = (stage.district.towns[0],)
    await room.glance()
    await room.glance()
    await room.switchboard.settled()
    assert stage.did == [("revive", stage.district.towns[0].code)]
    assert [one.values["place"] for one in room.journal.last()] == ["高岳街道", "高岳街道"]


async def test_an_urgent_notice_and_a_voice_are_followed(
    client: TestClient[Any, Any], stage: FakeStage, room: Room
) -> None:
    """Their arrival is told once the heads of those they go to say so."""
    await order(client, "urgent")
    await order(client, "voice", VILLAGE)
    assert [(by, act, given.get("urgent", False)) for by, act, given in stage.asked] == [
        ("340602", "publish", True), (VILLAGE, "file", False),
    ]  # fmt: skip
    await room.glance()
    assert "56 个村都收到了" in said(room)
    assert "新民情 沈集村 26-0001-5" in {
        one.msgid.format(**one.values) for one in room.journal.last()
    }


async def test_what_waits_for_a_line_is_told_once(
    client: TestClient[Any, Any], stage: FakeStage, room: Room, clock: list[int]
) -> None:
    """And its arrival when the line is back, however much later."""
    stage.urgent_held = 0
    await order(client, "urgent")
    for _ in range(3):
        clock[0] += switchboard.SLOW_MS
        await room.glance()
    told = [one.msgid for one in room.journal.last()]
    assert told.count("{what}：还有 {count} 处在等，线通了就到") == 1
    stage.urgent_held = 1
    await room.glance()
    assert said(room).endswith("56 个村都收到了，用了 15 秒")


async def test_what_cannot_be_done_is_told(
    client: TestClient[Any, Any], stage: FakeStage, room: Room
) -> None:
    """Among the events; the page goes on."""
    stage.away.add(VILLAGE)
    assert await order(client, "voice", VILLAGE) == 204
    assert said(room) == "没做成：away"


async def test_the_pace_is_set_within_bounds(client: TestClient[Any, Any], room: Room) -> None:
    """By the slider; pausing keeps it."""
    await order(client, "rate", value=500)
    assert room.traffic.rate == RATE_MAX
    await order(client, "rate", value=-1)
    assert room.traffic.rate == 0
    paused = []
    for act in ("pause", "go"):
        await order(client, act)
        paused.append(room.traffic.paused)
    assert paused == [True, False]


async def test_people_act_only_while_somebody_watches(stage: FakeStage, room: Room) -> None:
    """So that no disk fills while nobody is there."""
    flows = [room.traffic.flows]
    page = room.open_page()
    flows.append(room.traffic.flows)
    room.close_page(page)
    flows.append(room.traffic.flows)
    assert flows == [False, True, False]


async def test_people_file_answer_rate_and_publish(stage: FakeStage) -> None:
    """A hundred acts hold all four, each by whom it belongs to; a node that is away is no error."""
    traffic = Traffic(stage, read_talk(), Random(5))
    for _ in range(100):
        await traffic.act()
    acts = {act for _, act, _ in stage.asked}
    assert acts == {"file", "answer", "rate", "publish"}
    assert all(len(by) == 9 for by, act, _ in stage.asked if act == "answer")
    assert all(len(by) == 12 for by, act, _ in stage.asked if act in {"file", "rate"})
