"""Gathering evidence from what a node holds: who states it, what vouches for it, what stays out."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from shared.domain.evidence import Proof, decode_evidence, encode_evidence, prove
from shared.domain.notices.kinds import PUBLISHED
from shared.errors import RefusedError
from shared.node import evidence
from shared.node.evidence import gather_evidence
from shared.record.feed import Feed, Level
from shared.record.record import Record
from shared.record.run import Run
from shared.trust.invitation import consent_message
from tests.support.records import key_of
from tests.support.served import Served, served, stated
from tests.support.trust import (
    DISTRICT,
    EPOCH,
    TOWN,
    VILLAGE,
    certified_body,
    opened,
    signed,
    small_district,
    trust_feed,
)

NOTICES = Feed(TOWN, EPOCH, "ordinary", TOWN + "*")


@pytest.fixture
async def village(tmp_path: Path) -> AsyncIterator[Served]:
    """A village."""
    async with served(tmp_path / "v", VILLAGE) as made:
        yield made


@pytest.fixture
async def district(tmp_path: Path) -> AsyncIterator[Served]:
    """Its district."""
    async with served(tmp_path / "d", DISTRICT) as made:
        yield made


async def proof_of(made: Served, rid: bytes) -> Proof:
    """Return what the gathered file proves."""
    return prove(decode_evidence(await gather_evidence(made.node, rid)))


async def filed(made: Served, count: int) -> list[bytes]:
    """File so many things; return their rids."""
    return [
        bytes.fromhex((await made.act("file", kind="help", text=f"第{n}件"))["rid"])
        for n in range(count)
    ]


async def heard(village: Served, district: Served) -> None:
    """Let the district hear the village and say so, and the village hear that."""
    await district.hear(village)
    await stated(district, VILLAGE)
    await village.hear(district)


def notice(seq: int, prev: bytes) -> Record:
    """Return a notice of the town."""
    body = {"stream": "village", "category": "finance", "title": f"{seq}", "text": ""}
    return signed(NOTICES, seq, prev, PUBLISHED, body, key_of(1))


async def test_a_statement_of_a_later_head_is_reached_by_headers(
    village: Served, district: Served
) -> None:
    """Of what follows only the headers go along; the last needs none, none is held by nobody."""
    rids = await filed(village, 3)
    assert (await proof_of(village, rids[0])).holders == ()
    await heard(village, district)
    files = [decode_evidence(await gather_evidence(village.node, rid)) for rid in rids]
    assert [len(one.run.records) for one in files] == [3, 2, 1]
    assert all(one.body is None for file in files for one in file.run.records[1:])
    for file in files:
        assert [one.certificate.division for one in prove(file).holders] == [DISTRICT]
        assert [one.division for one in prove(file).path] == [VILLAGE, TOWN, DISTRICT]
    assert encode_evidence(files[2]) == await gather_evidence(district.node, rids[2])


async def test_a_statement_too_far_away_is_left_out(
    village: Served, district: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file takes so many headers; the record is proven all the same."""
    monkeypatch.setattr(evidence, "RUN_RECORDS_MAX", 2)
    rids = await filed(village, 3)
    await heard(village, district)
    assert [len((await proof_of(village, rid)).holders) for rid in rids] == [0, 1, 1]


async def test_statements_make_room(
    village: Served, district: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that would be too large is written without them."""
    (rid,) = await filed(village, 1)
    await heard(village, district)
    whole = len(await gather_evidence(village.node, rid))
    monkeypatch.setattr("shared.domain.evidence.EVIDENCE_BYTES_MAX", whole - 1)
    assert (await proof_of(village, rid)).holders == ()


async def test_a_bad_signature_is_vouched_for_by_what_follows(district: Served) -> None:
    """Alone it proves nothing; the first good signature behind it goes along (5.5)."""
    bad = notice(0, small_district().town_opened.rid)
    bad = replace(bad, header_cose=bad.header_cose[:-1] + bytes((bad.header_cose[-1] ^ 1,)))
    second = notice(1, bad.rid)
    third = notice(2, second.rid)
    await district.node.log.accept([Run(NOTICES, 0, (bad, second, third))], 7)
    data = await gather_evidence(district.node, bad.rid)
    assert [one.rid for one in decode_evidence(data).run.records] == [bad.rid, second.rid]
    assert prove(decode_evidence(data)).record.rid == bad.rid


@pytest.mark.parametrize("by_key", [True, False])
async def test_replaced_keys_bring_what_replaced_them(district: Served, by_key: bool) -> None:
    """The old certificate goes along, and the district's word where the old key says nothing."""
    small, new = small_district(), key_of(9)
    body = certified_body(small.founded.rid, TOWN, VILLAGE, Level.VILLAGE, new)
    old = small.village_certified
    keys = [bytes.fromhex(body[name]) for name in ("signing_key", "sealing_key")]
    consent = key_of(2).sign_bytes(consent_message(small.founded.rid, VILLAGE, old.rid, *keys))
    body |= {"replaces": old.rid.hex(), "consent": consent.hex() if by_key else None}
    again = signed(trust_feed(TOWN, Level.TOWN), 2, old.rid, "node.certified.v1", body, key_of(1))
    said = {"certificate": again.rid.hex()}
    word = signed(trust_feed(DISTRICT, Level.DISTRICT), 2, small.town_certified.rid,
                  "node.confirmed.v1", said, key_of(0))  # fmt: skip
    later = opened(VILLAGE, Level.VILLAGE, again.rid, new, epoch=b"the next")
    await district.accept(again, *(() if by_key else (word,)), later)
    file = decode_evidence(await gather_evidence(district.node, later.rid))
    bases = [one.rid for one in file.bases]
    expected = [old.rid, again.rid] if by_key else [old.rid, word.rid, again.rid]
    assert [rid for rid in bases if rid in {old.rid, word.rid, again.rid}] == expected
    assert prove(file).path[0].rid == again.rid


async def test_a_certificate_that_does_not_count_proves_nothing(district: Served) -> None:
    """What is signed under it is held, and refused as evidence: others would take it for good."""
    small = small_district()
    body = certified_body(small.founded.rid, TOWN, VILLAGE, Level.VILLAGE, key_of(9))
    feed = trust_feed(TOWN, Level.TOWN)
    rival = signed(feed, 2, small.village_certified.rid, "node.certified.v1", body, key_of(1))
    false = opened(VILLAGE, Level.VILLAGE, rival.rid, key_of(9), epoch=b"rival..!")
    await district.accept(rival, false)
    assert (await district.node.log.find(false.rid)).record == false
    with pytest.raises(RefusedError, match="does not count"):
        await gather_evidence(district.node, false.rid)
    # That the town certified it can be shown to anybody.
    assert (await proof_of(district, rival.rid)).path[0].division == TOWN
