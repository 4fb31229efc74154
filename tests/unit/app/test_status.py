"""What a node tells of itself: links and carriers as figures, for people, and for Prometheus."""

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families

from demo.servers.programs import free_port
from shared.app.compose import serving
from shared.app.membership import init_district
from shared.app.metrics import METRICS, metrics_app
from shared.app.status import report
from shared.app.status_tables import show_status
from shared.errors import StorageError
from shared.link.carrier import CarrierState
from shared.log.store import BadFrame
from shared.node.home import Home
from shared.node.settings import load_settings
from tests.support.served import Served, served
from tests.support.trust import DISTRICT, TOWN, VILLAGE, VILLAGE_2

BROKER = "amqps://broker.example/sanji"
PEERS = [DISTRICT, VILLAGE, VILLAGE_2]


@pytest.fixture
async def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    """A town: its broker is full, one village linked over it, its own link to above is down."""
    async with served(tmp_path / TOWN, TOWN) as made:
        links = made.node.links
        monkeypatch.setattr(links, "backlog", {DISTRICT: 5, VILLAGE: 7, VILLAGE_2: 9}.get)
        for peer, by in ((DISTRICT, "amqps"), (VILLAGE, "amqps"), (VILLAGE_2, "wss")):
            links.state(peer).by, links.state(peer).opened = by, 3
        links.state(VILLAGE).connected_since_ms = 2_000
        relay = CarrierState(answers=True, address=BROKER, unconfirmed=4)
        dialler = CarrierState(answers=False, address=BROKER, trouble="cannot be [reached]")
        relay.connected(1_500)
        relay.lost("broken")
        relay.connected(2_500)
        relay.alarm = "low on memory"
        links.carriers += [relay, dialler, CarrierState(answers=False)]
        made.node.log.counters.accepted = 11
        await made.node.log.quarantine(BadFrame(1, VILLAGE, "not <CBOR>", b"secret"))
        yield made


async def test_each_carrier_has_its_links(town: Served) -> None:
    """Links above go over what dials, links below over what answers; what was never used is not
    told.
    """
    told = await report(town.node)
    common = {"scheme": "amqps", "address": BROKER}
    assert told["carriers"] == [
        common | {"answers": True, "connected_since_ms": 2_500, "reconnects": 1,
                  "unconfirmed": 4, "alarm": "low on memory", "trouble": "broken",
                  "links": 1, "backlog": 7},
        common | {"answers": False, "connected_since_ms": None, "reconnects": 0,
                  "unconfirmed": 0, "alarm": "", "trouble": "cannot be [reached]",
                  "links": 0, "backlog": 5},
    ]  # fmt: skip
    assert [one["reconnects"] for one in told["links"]] == [2, 2, 2]
    assert told["said_to_all"] == {"on": False, "records": 0}


async def test_status_is_printed_for_people(
    town: Served, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each carrier has a row, with why the broker takes nothing; brackets stay what they are."""
    monkeypatch.setattr("shared.app.status_tables.out.width", 200)
    status = await report(town.node)
    show_status(status)
    shown = capsys.readouterr().out
    assert "said once" not in shown
    rows = [line.split("│")[1:-1] for line in shown.splitlines() if BROKER in line]
    assert [[cell.strip() for cell in (row[0], *row[2:])] for row in rows] == [
        [f"answers at {BROKER}", "1", "4", "7", "the broker is low on memory"],
        [f"dials {BROKER}", "0", "0", "5", "cannot be [reached]"],
    ]
    assert "listening" not in shown
    assert "by-pass" not in shown
    listening = {"to": DISTRICT, "since_ms": 0, "records": 2, "trouble": ""}
    because = {"ancestor": TOWN, "reason": "no_beat"}
    show_status(status | {
        "carriers": [], "said_to_all": {"on": True, "records": 3}, "listening": listening,
        "bypass": {"to": DISTRICT, "since_ms": 0, "because": because},
    })  # fmt: skip
    shown = capsys.readouterr().out
    assert f"by-pass to {DISTRICT} since " in shown
    assert f"because of {TOWN}: no beat" in shown
    assert f"listening to {DISTRICT} since " in shown
    assert BROKER not in shown
    assert "said once to all below: 3 records" in shown


async def scraped(node: Any, accept: str = "") -> tuple[str, str]:
    """Return what Prometheus gets: type and text."""
    async with (
        TestClient(TestServer(metrics_app(node))) as client,
        client.get("/metrics", headers={"Accept": accept}) as response,
    ):
        assert response.status == 200
        return response.headers["Content-Type"], await response.text()


async def test_metrics_are_the_figures_of_status(town: Served) -> None:
    """Each metric is there, and says what the status says; nothing of what was quarantined."""
    kind, text = await scraped(town.node)
    assert kind.startswith("text/plain")
    families = list(text_string_to_metric_families(text))
    assert len(families) == len(METRICS)
    assert {sample.name for one in families for sample in one.samples} == {
        metric.name for metric in METRICS
    }
    seen = {(sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
            for one in families for sample in one.samples}  # fmt: skip
    relay, dialler = (BROKER, "amqps", "answers"), (BROKER, "amqps", "dials")
    assert seen["sanji_records_accepted_total",] == 11
    assert seen["sanji_quarantine_frames",] == 1
    assert [seen["sanji_link_up", peer] for peer in PEERS] == [0, 1, 0]
    assert [seen["sanji_link_backlog_records", peer] for peer in PEERS] == [5, 7, 9]
    assert [seen["sanji_carrier_blocked", *one] for one in (relay, dialler)] == [1, 0]
    assert [seen["sanji_carrier_backlog_records", *one] for one in (relay, dialler)] == [7, 5]
    assert seen["sanji_carrier_unconfirmed_messages", *relay] == 4
    assert seen["sanji_carrier_reconnects_total", *relay] == 1
    since = "sanji_carrier_connected_timestamp_seconds"
    assert seen[since, *relay] == 2.5
    assert (since, *dialler) not in seen
    assert "secret" not in text
    assert "CBOR" not in text


async def test_who_asks_for_openmetrics_gets_it(town: Served) -> None:
    """Prometheus asks so; the text ends as that format demands."""
    kind, text = await scraped(town.node, "application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    assert text.endswith("# EOF\n")
    assert "sanji_records_accepted_total 11.0\n" in text


async def test_figures_that_cannot_be_read_are_no_zeros(
    town: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is told while the database is away: Prometheus notes that the node is not well."""

    async def fails() -> None:
        raise StorageError("the disk is gone.")

    monkeypatch.setattr(town.node.log.store, "refusals", fails)
    async with (
        TestClient(TestServer(metrics_app(town.node))) as client,
        client.get("/metrics") as response,
    ):
        assert response.status == 503
        assert "the disk is gone." in await response.text()


async def test_a_node_tells_metrics_where_it_is_set(tmp_path: Path) -> None:
    """There, and not among its pages; its web server is a carrier that answers."""
    home, port = Home(tmp_path / "d"), free_port()
    home.path.mkdir()
    await init_district(home, DISTRICT, "杜集区")
    settings = load_settings(home.settings_file, listen_port=0, metrics_listen=f"127.0.0.1:{port}")
    async with serving(home, settings) as node, ClientSession() as session:
        (web,) = (await report(node))["carriers"]
        assert (web["scheme"], web["answers"], web["links"]) == ("ws", True, 0)
        async with session.get(f"http://127.0.0.1:{port}/metrics") as response:
            assert f'sanji_carrier_connected{{address="{web["address"]}"' in await response.text()
        async with session.get(web["address"].replace("ws:", "http:")[:-4] + "metrics") as response:
            assert response.status == 404


def test_who_tells_no_metrics_does_not_load_the_library() -> None:
    """A village has little memory."""
    code = "import sys, village.cli; print('prometheus_client' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
