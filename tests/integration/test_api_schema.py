"""The JSON API does what its own description says, asked thousands of ways."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, events, from_schema

from tests.support.trust import DISTRICT, VILLAGE
from tests.unit.app.test_api import program

EXAMPLES = 20
"""Of each kind, for each operation: what a person waits for."""


@contextmanager
def served(path: Path, code: str) -> Iterator[tuple[str, str]]:
    """Serve a node in a thread of its own; yields the address and a token."""
    told: list[tuple[str, str]] = []
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    ended = asyncio.Event()

    async def work() -> None:
        async with program(path, code) as made:
            told.append((str(made.client.make_url("/api/v1")), made.token))
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(work(),))
    thread.start()
    try:
        assert ready.wait(20)
        yield told[0]
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()


def settings(token: str) -> SchemathesisConfig:
    """All checks. The same key for another body is a request that fits and is refused: 422."""
    accepted = ["2xx", "401", "403", "404", "409", "422"]
    return SchemathesisConfig.from_dict({
        "seed": 1,
        "continue-on-failure": True,
        "headers": {"Authorization": f"Bearer {token}"},
        "checks": {"positive_data_acceptance": {"expected-statuses": accepted}},
        "generation": {"max-examples": EXAMPLES, "deterministic": True, "database": "none"},
    })  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("code", [DISTRICT, VILLAGE])
def test_the_api_is_what_it_says(tmp_path: Path, code: str) -> None:
    """No failure of the server, no answer that is not described, nothing unfit accepted."""
    failures: list[str] = []
    asked: Counter[str] = Counter()
    with served(tmp_path / "node", code) as (url, token):
        schema = schemathesis.openapi.from_url(f"{url}/openapi.json", config=settings(token))
        for event in from_schema(schema).execute():
            if isinstance(event, events.ScenarioFinished):
                for case in event.recorder.cases.values():
                    asked[case.value.operation.label] += 1
                for checks in event.recorder.checks.values():
                    failures += [
                        f"{check.name}: {check.failure_info.failure}"
                        for check in checks
                        if check.status is Status.FAILURE and check.failure_info
                    ]
            elif isinstance(event, events.NonFatalError | events.FatalError):
                failures.append(str(event))
    assert failures == []
    assert len(asked) == schema.statistic.operations.total
