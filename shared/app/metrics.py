"""The figures of ``status`` as Prometheus reads them: ``GET /metrics``.

Only a node that is asked for metrics imports this module, and with it the library.
``docs/reference/metrics.md`` lists the metrics; a test compares the two.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from aiohttp import web
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from shared.app.status import report
from shared.errors import StorageError
from shared.node.node import Node

Family = GaugeMetricFamily | CounterMetricFamily
Value = Callable[[dict[str, Any]], float | None]

LABELS: Final = {"": (), "links": ("peer",), "carriers": ("scheme", "side", "address")}
"""What tells the things apart of which a metric has a value each, by where ``status`` has them."""


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: Its name.
        about: What it says, for who reads the figures.
        value: Its value, from the status or a part of it; None while it has none.
        each: Of which part of the status it has a value each; empty: one of the whole.
    """

    name: str
    about: str
    value: Value
    each: str = ""

    @property
    def family(self) -> Family:
        """It, without values."""
        kind = CounterMetricFamily if self.name.endswith("_total") else GaugeMetricFamily
        return kind(self.name, self.about, labels=LABELS[self.each])


def _counter(name: str) -> Value:
    return lambda status: float(status["counters"][name])


def _figure(name: str) -> Value:
    return lambda part: float(part[name])


def _is_connected(part: dict[str, Any]) -> float:
    return float(part["connected_since_ms"] is not None)


def _connected_seconds(part: dict[str, Any]) -> float | None:
    since_ms = part["connected_since_ms"]
    return None if since_ms is None else since_ms / 1000


_link, _carrier = partial(Metric, each="links"), partial(Metric, each="carriers")

METRICS: Final = (
    Metric("sanji_records", "Records held.", _figure("records")),
    Metric("sanji_quarantine_frames", "Refused frames that are kept to be looked at.",
           lambda status: len(status["quarantine"])),
    Metric("sanji_missing_records", "Records that others vouch for and that are not here.",
           lambda status: sum(one["records"] for one in status["missing"])),
    Metric("sanji_records_accepted_total", "Records taken in from others.", _counter("accepted")),
    Metric("sanji_records_duplicate_total", "Records offered that were held already.",
           _counter("duplicates_offered")),
    Metric("sanji_runs_gap_total", "Runs of records that did not connect.", _counter("gaps")),
    Metric("sanji_runs_refused_total", "Runs and frames with bad bytes, hashes or signatures.",
           _counter("refused")),
    Metric("sanji_forks_total", "Forks found or proven to this node.", _counter("forks")),
    Metric("sanji_said_to_all_records_total", "Records said once to all below.",
           lambda status: status["said_to_all"]["records"]),
    _link("sanji_link_up", "1 while the link is open, else 0.", _is_connected),
    _link("sanji_link_backlog_records", "Records that the peer lacks.", _figure("backlog")),
    _link("sanji_link_in_flight_records", "Records sent that the peer does not yet say it holds.",
          _figure("in_flight")),
    _link("sanji_link_opened_total", "How often the link opened.", _figure("opened")),
    _link("sanji_link_bad_frames_total", "Frames of the peer that were refused.",
          _figure("bad_frames")),
    _carrier("sanji_carrier_connected", "1 while it is connected, else 0.", _is_connected),
    _carrier("sanji_carrier_connected_timestamp_seconds", "Unix time since when; none while not.",
             _connected_seconds),
    _carrier("sanji_carrier_reconnects_total", "How often it was connected again.",
             _figure("reconnects")),
    _carrier("sanji_carrier_unconfirmed_messages",
             "Messages given to the broker that it has not confirmed.", _figure("unconfirmed")),
    _carrier("sanji_carrier_blocked", "1 while the broker's alarm blocks it, else 0.",
             lambda carrier: float(bool(carrier["alarm"]))),
    _carrier("sanji_carrier_links", "Open links over it.", _figure("links")),
    _carrier("sanji_carrier_backlog_records", "Records that wait for it.", _figure("backlog")),
)  # fmt: skip


class StatusCollector(Collector):
    """Makes metrics of one status."""

    def __init__(self, status: dict[str, Any]) -> None:
        """Tell of ``status``, as ``shared.app.status.report`` returns it."""
        self._status = status

    def collect(self) -> Iterable[Family]:
        """Return all metrics with their values."""
        return map(self._filled, METRICS)

    def _filled(self, metric: Metric) -> Family:
        family = metric.family
        for labels, part in self._parts(metric.each):
            value = metric.value(part)
            if value is not None:
                family.add_metric(labels, value)
        return family

    def _parts(self, each: str) -> Iterator[tuple[list[str], dict[str, Any]]]:
        if not each:
            yield [], self._status
            return
        for part in self._status[each]:
            named = {"side": "answers" if part.get("answers") else "dials"} | part
            yield [named[label] for label in LABELS[each]], part


def metrics_app(node: Node) -> web.Application:
    """Return the web server that tells the metrics of ``node``, and nothing else."""

    async def tell(request: web.Request) -> web.Response:
        try:
            status = await report(node)
        except StorageError as error:
            raise web.HTTPServiceUnavailable(text=f"{error}\n") from error
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        body = encode(StatusCollector(status))
        return web.Response(body=body, headers={"Content-Type": content_type})

    app = web.Application()
    app.router.add_get("/metrics", tell)
    return app
