"""The evidence file of a notice, for everybody; of nothing else."""

import re

from shared.domain.evidence import Proof, decode_evidence, prove
from tests.unit.web.conftest import Desk


async def fetched(desk: Desk, rid: bytes, status: int = 200) -> bytes:
    """Return what stands at the address of a record's evidence."""
    async with desk.client.get(f"/verify/{rid.hex()}.evidence") as response:
        assert response.status == status
        if status == 200:
            assert response.content_type == "application/cbor"
            assert rid.hex()[:16] in response.headers["Content-Disposition"]
        return await response.read()


async def proof_of(desk: Desk, rid: bytes) -> Proof:
    """Return what the file that the page gives proves."""
    return prove(decode_evidence(await fetched(desk, rid)))


async def test_the_verdict_leads_to_a_file_that_proves_the_notice(desk: Desk) -> None:
    """As the QR leads: number, verdict, file; it rests on the node's anchor."""
    rid = await desk.publish("停水", "周一")
    page = await desk.page(f"/verify/{rid.hex()}")
    assert re.findall(r'href="(/verify/[^"]+)"', page) == [f"/verify/{rid.hex()}.evidence"]
    proof = await proof_of(desk, rid)
    assert (proof.record.rid, proof.anchor) == (rid, desk.node.identity.anchor)
    assert proof.record.body is not None
    assert "周一" in proof.record.body.decode()
    assert f"{rid.hex()}.evidence" not in await desk.page(f"/notice/{rid.hex()}")


async def test_a_withdrawn_notice_goes_without_its_words(desk: Desk) -> None:
    """Its page shows them no more; that it was said can still be proven."""
    rid = await desk.publish("停水", "周一")
    await desk.withdraw(rid, "不停了")
    proof = await proof_of(desk, rid)
    assert (proof.record.rid, proof.record.body) == (rid, None)


async def test_only_notices_are_given_away(desk: Desk) -> None:
    """A record of trust is here, but no notice; a prefix and noise name nothing."""
    record = next(iter(await desk.node.log.store.lane("trust")))
    await fetched(desk, record.rid, 404)
    await fetched(desk, b"x" * 32, 404)
    await fetched(desk, (await desk.publish("停水"))[:8], 404)


async def test_a_kiosk_offers_no_file(desk: Desk) -> None:
    """Nobody takes one home from there."""
    rid = await desk.publish("停水", "周一")
    kiosk = {"Cookie": f"look-{desk.node.identity.division}=zh.0.k"}
    async with desk.client.get(f"/verify/{rid.hex()}", headers=kiosk) as response:
        page = await response.text()
    assert "是真的" in page
    assert ".evidence" not in page
