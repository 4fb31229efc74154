"""Waits that a fault would fill with minutes are shortened; what is waited for is the same."""

from dataclasses import replace
from typing import Final

import pytest

from broker.rabbitmq import carrier, relay, wire
from broker.rabbitmq.timing import Timing
from shared.app import carriers

STREAM_SECONDS: Final = 0.5
"""Until a relay declares its stream again, and a child hears it again."""

QUICK: Final = Timing(
    handshake_seconds=3.0, stream_seconds=STREAM_SECONDS, retry_seconds=(0.05, 0.5)
)

HEARTBEAT_SECONDS: Final = 1
"""Between client and broker; after two that are missed a connection counts as dead."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up a silent handshake, dial again, miss a heartbeat, seek a stream: all sooner."""
    for module in (carrier, relay):
        monkeypatch.setattr(module, "Timing", lambda: QUICK)
    usual = carriers.timing_of
    monkeypatch.setattr(
        carriers, "timing_of", lambda given: replace(usual(given), stream_seconds=STREAM_SECONDS)
    )
    monkeypatch.setattr(wire, "HEARTBEAT_SECONDS", HEARTBEAT_SECONDS)
