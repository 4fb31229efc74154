"""The vectors of evidence files: good ones, and bad ones that each break a rule (protocol 9.1)."""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final

import cbor2

from shared.app.evidence_command import told
from shared.domain.evidence import FORMAT, decode_evidence, prove
from shared.record.body import body_hash, decode_body, encode_body
from shared.record.envelope import RECORD_AAD, Envelope, wrap
from shared.record.feed import ROOT_EPOCH, UPWARD, Feed
from shared.record.header import NO_PREV, encode_header
from shared.record.record import Record
from shared.trust.invitation import proof_message
from tests.vectors.make import (
    DISTRICT,
    EPOCHS,
    START_MS,
    TOWN,
    VILLAGE,
    Vector,
    record,
    records,
    run,
    sealing_key,
    signing_key,
)

MADE: Final = records()
CHAIN: Final = tuple(MADE[name] for name in (
    "district-founded", "epoch-opened", "node-certified", "epoch-opened-town",
    "node-certified-village", "epoch-opened-village",
))  # fmt: skip
"""Each stands on the one before."""

FILING, RECEIPT, NOTICE = MADE["feedback"], MADE["custody"], MADE["notice"]
AGAIN: Final = MADE["node-certified-again"]
TO_TOWN: Final = Feed(DISTRICT, EPOCHS[DISTRICT], "custody", TOWN)


def pack(
    bases: Sequence[Record],
    said: Sequence[Record],
    statements: Sequence[Record] = (),
    **other: Any,
) -> bytes:
    """Return a file as it comes, right or wrong; ``other`` are form, salt and body."""
    fields = {"form": FORMAT, "salt": said[0].salt, "body": said[0].body} | other
    return cbor2.dumps(
        [
            fields["form"], [_item(one) for one in bases], [one.header_cose for one in said],
            fields["salt"], fields["body"], [_item(one) for one in statements],
        ]
    )  # fmt: skip


def _item(one: Record) -> list[bytes | None]:
    return [one.header_cose, one.salt, one.body]


def rewritten(one: Record, body: bytes, key: str) -> Record:
    """Return ``one`` with another body, signed by the key of that name."""
    assert one.salt is not None
    header = one.header._replace(body_size=len(body), body_hash=body_hash(one.salt, body))
    return Record(signing_key(key).sign(encode_header(header), RECORD_AAD), one.salt, body)


def replaced(one: Record, old: str, new: str, key: str) -> Record:
    """Return ``one`` with another word in its body, signed by the key of that name."""
    assert one.body is not None
    assert one.body.count(old.encode()) == 1
    return rewritten(one, one.body.replace(old.encode(), new.encode()), key)


def unsigned(one: Record) -> Record:
    """Return ``one`` with a signature that is none."""
    return replace(one, header_cose=one.header_cose[:-1] + bytes((one.header_cose[-1] ^ 1,)))


def stated(
    of: Record,
    count: int,
    *,
    feed: Feed = TO_TOWN,
    use: str = "receipt",
    base: Record = CHAIN[1],
    more: tuple[Feed, ...] = (),
) -> Record:
    """Return a statement that names ``of`` as the head of its feed."""
    held = [[*_words(one), count, of.rid.hex(), START_MS + 90_000, 0]
            for one in (*more, of.header.feed)]  # fmt: skip
    return record(feed, 0, base.rid, "custody.stated.v1", {"use": use, "held": held})


def _words(feed: Feed) -> list[str]:
    return [feed.author, feed.epoch.hex(), feed.lane, feed.audience]


def with_bad_signature() -> tuple[Record, ...]:
    """Return two notices of the town, the first with a bad signature of its own."""
    first = unsigned(run().records[0])
    body = {"stream": "village", "category": "finance", "title": "后一条", "text": "后一条"}
    return first, record(run().feed, 1, first.rid, "notice.published.v1", body)


def by_nobody() -> Record:
    """Return an anchor under a key of order 1, for which this signature is good for any bytes."""
    key = b"\x01" + bytes(31)
    body = {
        "division": DISTRICT, "label": "无名区", "level": "district", "signing_key": key.hex(),
        "sealing_key": sealing_key("town").hex(), "recovery_hash": sha256(b"none").hexdigest(),
    }  # fmt: skip
    root = Feed(DISTRICT, ROOT_EPOCH, "trust", f"{DISTRICT}*")
    made = record(root, 0, NO_PREV, "district.founded.v1", body)
    signature = b"\x01" + bytes(63)
    envelope = Envelope(sha256(key).digest()[:8], made.envelope.payload, signature)
    return replace(made, header_cose=wrap(envelope))


def stranger() -> tuple[Record, ...]:
    """Return another district of the same code: its founding record and its opening."""
    body = {
        "division": DISTRICT, "label": "冒名区", "level": "district",
        "signing_key": signing_key("town").public.raw.hex(),
        "sealing_key": sealing_key("town").hex(), "recovery_hash": sha256(b"none").hexdigest(),
    }  # fmt: skip
    root = Feed(DISTRICT, ROOT_EPOCH, "trust", f"{DISTRICT}*")
    raw = record(root, 0, NO_PREV, "district.founded.v1", body)
    assert raw.body is not None
    founded = rewritten(raw, raw.body, "town")
    top = Feed(DISTRICT, EPOCHS[DISTRICT], "trust", f"{DISTRICT}*")
    told_by = {"certificate": founded.rid.hex()}
    opened = record(top, 0, founded.rid, "epoch.opened.v1", told_by)
    assert opened.body is not None
    return founded, rewritten(opened, opened.body, "town")


def renewed(certificate: Record) -> tuple[Record, Record]:
    """Return an opening of the village under its next keys, and a filing in that epoch."""
    epoch = bytes.fromhex("5757575757575757")
    trust = Feed(VILLAGE, epoch, "trust", UPWARD)
    told_by = {"certificate": certificate.rid.hex(), "follows": EPOCHS[VILLAGE].hex()}
    opened = record(trust, 0, certificate.rid, "epoch.opened.v1", told_by)
    opened = rewritten(opened, opened.body or b"", "village-next")
    filed = record(trust._replace(lane="ordinary"), 0, opened.rid, "feedback.filed.v1", {})
    return opened, rewritten(filed, filed.body or b"", "village-next")


def silent() -> Record:
    """Return the village's next certificate without the old key's consent."""
    body = decode_body(AGAIN.body or b"")
    return rewritten(AGAIN, encode_body({**body, "consent": None}), "town")


def confirmed(certificate: Record) -> Record:
    """Return the district's word on a certificate."""
    said = {"certificate": certificate.rid.hex()}
    return record(CHAIN[2].header.feed, 2, CHAIN[2].rid, "node.confirmed.v1", said)


def under_next_keys(*bases: Record) -> bytes:
    """Return a filing under the certificate that stands last in ``bases``."""
    opened, filed = renewed(bases[-1])
    return pack([*CHAIN[:4], *bases, opened], [filed])


def good() -> dict[str, bytes]:
    """Return files that prove something, by what they are."""
    town = run().records
    return {
        "a filing that the district holds": pack(CHAIN, [FILING], [RECEIPT]),
        "a filing without its words": pack(CHAIN, [FILING], [RECEIPT], salt=None, body=None),
        "a notice that nobody else holds": pack(CHAIN[:2], [NOTICE]),
        "a notice with the two that lead to the head stated": pack(
            CHAIN[:4], town, [stated(town[2], 3)]
        ),
        "a notice that its successor vouches for": pack(CHAIN[:4], with_bad_signature()),
        "a certificate": pack(CHAIN[:4], [CHAIN[4]]),
        "the founding record": pack(CHAIN[:1], [CHAIN[0]]),
        "a filing under keys to which the old one consents": under_next_keys(CHAIN[4], AGAIN),
        "a filing under keys that the district confirmed": under_next_keys(
            CHAIN[4], confirmed(silent()), silent()
        ),
    }


def bad() -> dict[str, bytes]:
    """Return files that prove nothing, by what is wrong with them."""
    return {**_bad_forms(), **_bad_chains(), **_bad_runs(), **_bad_statements()}


def _bad_forms() -> dict[str, bytes]:
    whole = pack(CHAIN, [FILING], [RECEIPT])
    fields = cbor2.loads(whole)
    longer = [*fields[1][0], None]
    return {
        "nothing": b"",
        "cut short": whole[:-1],
        "a byte more": whole + b"\x00",
        "another version": pack(CHAIN, [FILING], form="sanji/evidence/v2"),
        "a field more": cbor2.dumps([*fields, []]),
        "a long form of a length": b"\x98\x06" + whole[1:],
        "an indefinite length": b"\x9f" + whole[1:] + b"\xff",
        "a salt without a body": pack(CHAIN, [FILING], body=None),
        "words as text": pack(CHAIN, [FILING], body=FILING.body and FILING.body.decode()),
        "other words": pack(CHAIN, [FILING], body=FILING.body and FILING.body[:-1] + b" "),
        "no chain": pack((), [FILING]),
        "nothing said": cbor2.dumps([*fields[:2], [], *fields[3:]]),
        "a record with a field more": cbor2.dumps([FORMAT, [longer, *fields[1][1:]], *fields[2:]]),
        "bytes for statements": cbor2.dumps([*fields[:5], b""]),
    }  # fmt: skip


def _bad_chains() -> dict[str, bytes]:
    town, village = CHAIN[2], CHAIN[4]
    assert village.body is not None
    # Another key of the village's code, which asked for it: the town may say so, once.
    other = {
        "division": VILLAGE, "label": "另一个村", "level": "village", "parent": TOWN,
        "signing_key": signing_key("recovery").public.raw.hex(),
        "sealing_key": sealing_key("recovery").hex(), "nonce": "00" * 16,
        "proof": signing_key("recovery").sign_bytes(
            proof_message(CHAIN[0].rid, TOWN, VILLAGE, bytes(16))
        ).hex(),
    }  # fmt: skip
    rival = record(village.header.feed, 2, village.rid, "node.certified.v1", other)

    weak = by_nobody()
    consent = decode_body(AGAIN.body or b"")["consent"]
    other_consent = replaced(AGAIN, consent, consent[::-1], "town")
    said = {"certificate": silent().rid.hex()}
    by_town = record(village.header.feed, 2, village.rid, "node.confirmed.v1", said)

    def instead(at: int, one: Record) -> bytes:
        return pack([*CHAIN[:at], one, *CHAIN[at + 1 :]], [FILING])

    return {
        "an opening missing": pack([*CHAIN[:3], *CHAIN[4:]], [FILING]),
        "a certificate missing": pack([*CHAIN[:4], CHAIN[5]], [FILING]),
        "no opening of the author": pack(CHAIN[:5], [FILING]),
        "the chain from below": pack(CHAIN[::-1], [FILING]),
        "a link of the chain twice": pack([*CHAIN, CHAIN[5]], [FILING]),
        "two certificates of one division": pack([*CHAIN, rival], [FILING]),
        "another district above": pack([*stranger(), *CHAIN[2:]], [FILING]),
        "next keys without a word": under_next_keys(CHAIN[4], silent()),
        "next keys alone": under_next_keys(AGAIN),
        "next keys to which another consents": under_next_keys(CHAIN[4], other_consent),
        "next keys that were confirmed too late": pack(
            [*CHAIN[:5], silent(), confirmed(silent())], [FILING]
        ),
        "two that replace one": under_next_keys(CHAIN[4], AGAIN, confirmed(silent()), silent()),
        "a confirmation of nothing": pack([*CHAIN, confirmed(silent())], [FILING]),
        "a confirmation by the town": pack([*CHAIN[:5], by_town, silent()], [FILING]),
        "a notice in the chain": pack([*CHAIN, NOTICE], [FILING]),
        "a certificate with a bad signature": instead(4, unsigned(village)),
        "a certificate by another key": instead(4, rewritten(village, village.body, "village")),
        "a certificate for a key that did not ask": instead(
            4, replaced(village, decode_body(village.body)["nonce"], "00" * 16, "town")
        ),
        "a town as village": instead(2, replaced(town, '"town"', '"village"', "district")),
        "a level that is none": instead(4, replaced(village, '"village"', '"hamlet"', "town")),
        "a name twice": instead(4, replaced(village, '{"d', '{"label":"x","d', "town")),
        "an opening under another certificate": instead(
            5, replaced(CHAIN[5], village.rid.hex(), town.rid.hex(), "village")
        ),
        "an anchor that is none": pack(CHAIN[1:], [FILING]),
        "a key that binds nobody": pack([weak], [weak]),
    }


def _bad_runs() -> dict[str, bytes]:
    town, other = run().records, run(other=True).records
    first, second = with_bad_signature()
    return {
        "a bad signature": pack(CHAIN, [unsigned(FILING)]),
        "a bad signature that nobody vouches for": pack(CHAIN[:4], [first, unsigned(second)]),
        "a last successor that is not signed": pack(CHAIN[:4], [town[0], unsigned(town[1])]),
        "another key": pack(CHAIN, [rewritten(FILING, FILING.body or b"", "town")]),
        "a successor missing": pack(CHAIN[:4], [town[0], town[2]]),
        "a successor of another branch": pack(CHAIN[:4], [town[0], other[1], town[2]]),
        "a successor of another feed": pack(CHAIN[:4], [town[0], NOTICE]),
        "another beginning": pack(
            CHAIN, [record(FILING.header.feed, 0, CHAIN[4].rid, "feedback.filed.v1", {})]
        ),
        "an unsigned record of the trust lane": pack(CHAIN[:4], [unsigned(CHAIN[4])]),
    }


def _bad_statements() -> dict[str, bytes]:
    town, other = run().records, run(other=True).records
    upward = record(
        Feed(TOWN, EPOCHS[TOWN], "ordinary", UPWARD), 0, CHAIN[3].rid, "notice.published.v1", {}
    )
    village = Feed(VILLAGE, EPOCHS[VILLAGE], "custody", UPWARD)
    all_below = Feed(DISTRICT, EPOCHS[DISTRICT], "custody", f"{DISTRICT}*")
    own = Feed(TOWN, EPOCHS[TOWN], "custody", UPWARD)
    ordinary = Feed(DISTRICT, EPOCHS[DISTRICT], "ordinary", TOWN)
    no_feed = Feed(TOWN, EPOCHS[TOWN], "ordinary", DISTRICT)

    boast = replaced(stated(town[0], 1), "receipt", "boast", "district")

    def says(*statements: Record, of: Sequence[Record] = town[:1]) -> bytes:
        return pack(CHAIN, of, statements)

    return {
        "a statement with a bad signature": says(unsigned(stated(town[0], 1))),
        "a statement about another branch": says(stated(other[2], 3), of=town),
        "a statement beyond the run": says(stated(town[2], 3)),
        "a statement with another count": says(stated(town[0], 2)),
        "a statement about another feed": says(RECEIPT),
        "a beat": says(stated(town[0], 1, feed=all_below, use="beat")),
        "a receipt for all": says(stated(town[0], 1, feed=all_below)),
        "a proof downward": says(stated(town[0], 1, use="proof")),
        "the author's own statement": says(
            stated(town[0], 1, feed=own, use="proof", base=CHAIN[3])
        ),
        "a statement of one that is no holder": says(
            stated(upward, 1, feed=village, use="proof", base=CHAIN[5]), of=[upward]
        ),
        "a statement in another lane": says(stated(town[0], 1, feed=ordinary)),
        "a statement about what cannot be a feed": says(
            stated(town[0], 1, more=(no_feed,))
        ),
        "a statement that is none": says(boast),
        "a filing as statement": pack(CHAIN, [FILING], [FILING]),
        "a statement of an unknown": pack(CHAIN[:4], [NOTICE], [
            stated(NOTICE, 1, feed=village, use="proof", base=CHAIN[5])
        ]),
    }  # fmt: skip


def evidence_vector() -> Vector:
    """Return all of them: what each proves, None if nothing."""
    files: list[Vector] = [
        {"is": name, "proves": told(prove(decode_evidence(data))), "data": data.hex()}
        for name, data in good().items()
    ]
    files += [{"is": name, "proves": None, "data": data.hex()} for name, data in bad().items()]
    return {"file": "evidence", "is": "evidence files", "files": files}
