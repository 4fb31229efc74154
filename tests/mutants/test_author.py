"""A machine that computes wrongly: its author notices before anything is stored (5.5)."""

import asyncio
import random

import pytest

from shared.errors import InvalidError, StorageError
from shared.node.author import Draft
from shared.record.envelope import Envelope, unwrap, wrap
from shared.trust.keys import PublicKey, SigningKey
from tests.simulation.district import ROOT, District
from tests.simulation.virtual import run


class _Wrong:
    """A key on a machine that signs wrongly but checks rightly."""

    def __init__(self, key: SigningKey) -> None:
        self.public: PublicKey = key.public
        self._key = key

    def sign(self, payload: bytes, aad: bytes) -> bytes:
        envelope = unwrap(self._key.sign(payload, aad))
        return wrap(Envelope(envelope.kid, envelope.payload, bytes(64)))


def test_a_wrong_signature_is_noticed_before_the_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller hears of it, and nothing is in the log."""

    async def scenario() -> None:
        district = District(random.Random(1), None, broadcasting=False)
        await district.found()
        await asyncio.sleep(60)
        node = district.hosts[ROOT].node
        assert node is not None
        before = dict(node.log.feeds)
        monkeypatch.setattr(node.author, "_key", _Wrong(node.keys.signing))
        body = {"stream": "government", "category": "decision", "title": "t", "text": ""}
        with pytest.raises(StorageError, match="wrong signature"):
            await node.author.submit(Draft("notice.published.v1", ROOT + "*", body))
        assert node.log.feeds == before
        await district.end()

    run(scenario())


def test_a_body_that_nobody_could_read_is_not_signed() -> None:
    """It would keep its number for good and be shown to nobody (4.5)."""

    async def scenario() -> None:
        district = District(random.Random(1), None, broadcasting=False)
        await district.found()
        await asyncio.sleep(60)
        node = district.hosts[ROOT].node
        assert node is not None
        before = dict(node.log.feeds)
        with pytest.raises(InvalidError, match="stream"):
            await node.author.submit(Draft("notice.published.v1", ROOT + "*", {"title": "t"}))
        assert node.log.feeds == before
        await district.end()

    run(scenario())
