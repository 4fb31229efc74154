"""The parent's side of replacing a key (protocol 4.2)."""

from dataclasses import replace
from pathlib import Path

import pytest

from shared.errors import NotFoundError, RefusedError
from shared.trust.rotation import make_key_request
from tests.support.records import key_of
from tests.support.served import served
from tests.support.trust import TOWN, VILLAGE, VILLAGE_2, small_district

SMALL = small_district()


async def test_the_parent_certifies_what_both_keys_signed(tmp_path: Path) -> None:
    """Once, however often it is asked; nothing that one of them did not sign."""
    async with served(tmp_path / TOWN, TOWN) as town:
        log, registrar = town.node.log, town.node.registrar
        old = log.roster.certificate_of(VILLAGE)
        assert old is not None
        keys = (key_of(2), key_of(9))
        good = make_key_request(SMALL.founded.rid, TOWN, old, keys, bytes(16))
        before = log.state(old.issuer).count
        for bad in (
            replace(good, consent=bytes(64)), replace(good, proof=bytes(64)),
            replace(good, anchor=bytes(32)), replace(good, replaces=bytes(32)),
        ):  # fmt: skip
            with pytest.raises(RefusedError, match="did not agree"):
                await registrar.answer(bad.encode())
        for bad in (replace(good, division=VILLAGE_2), replace(good, parent=VILLAGE)):
            with pytest.raises(NotFoundError, match="not certified by this node"):
                await registrar.answer(bad.encode())
        assert log.state(old.issuer).count == before
        answers = [await registrar.answer(good.encode()) for _ in range(2)]
        assert answers[0] == answers[1]
        assert log.state(old.issuer).count == before + 1
        new = log.roster.certificate_of(VILLAGE)
        assert new is not None
        assert (new.key, new.label, new.level) == (key_of(9).public, old.label, old.level)
        thief = make_key_request(SMALL.founded.rid, TOWN, old, (key_of(2), key_of(8)), bytes(16))
        with pytest.raises(RefusedError):
            await registrar.answer(thief.encode())
