"""The vectors, made anew: the same keys, salts and times give the same bytes every time."""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

import cbor2
import zstandard

from shared.link.frames import (
    Chunk,
    Entry,
    Heads,
    Mode,
    State,
    encode_chunk,
    encode_entry,
    encode_heads,
    root_of,
)
from shared.record.body import body_hash, encode_body
from shared.record.envelope import RECORD_AAD, unwrap
from shared.record.feed import ROOT_EPOCH, UPWARD, Feed, Level
from shared.record.header import NO_PREV, Header, encode_header
from shared.record.record import Record
from shared.record.run import Run
from shared.trust.invitation import Invitation, consent_message, proof_message
from shared.trust.keys import SigningKey, sealing_public

DISTRICT: Final = "340602"
TOWN: Final = "340602100"
VILLAGE: Final = "340602100201"
EPOCHS: Final = {
    DISTRICT: bytes.fromhex("d1d1d1d1d1d1d1d1"),
    TOWN: bytes.fromhex("0707070707070707"),
    VILLAGE: bytes.fromhex("5656565656565656"),
}
START_MS: Final = 1_780_000_000_000
NAMES: Final = {DISTRICT: "district", TOWN: "town", VILLAGE: "village"}

Vector = dict[str, Any]


def signing_key(name: str) -> SigningKey:
    """Return the key of that name: its seed is SHA-256 of ``sanji vector key NAME``."""
    return SigningKey(sha256(f"sanji vector key {name}".encode()).digest())


def sealing_key(name: str) -> bytes:
    """Return the public sealing key of that name, made in the same way."""
    return sealing_public(sha256(f"sanji vector sealing key {name}".encode()).digest())


def record(
    feed: Feed,
    seq: int,
    prev: bytes,
    kind: str,
    body: Mapping[str, Any],
    *,
    refs: tuple[bytes, ...] = (),
    ext: Mapping[int, Any] | None = None,
) -> Record:
    """Return one record, signed by its author's key."""
    salt = sha256(f"sanji vector salt {kind} {seq}".encode()).digest()[:16]
    raw = encode_body(dict(body))
    header = Header(
        feed, seq, prev, START_MS + seq, kind, len(raw), body_hash(salt, raw), refs,
        dict(ext or {}),
    )  # fmt: skip
    key = signing_key(NAMES[feed.author])
    return Record(key.sign(encode_header(header), RECORD_AAD), salt, raw)


def _keyed(code: str, label: str, level: Level, name: str = "") -> dict[str, Any]:
    name = name or NAMES[code]
    return {
        "division": code,
        "label": label,
        "level": level.word,
        "signing_key": signing_key(name).public.raw.hex(),
        "sealing_key": sealing_key(name).hex(),
    }


def _certified(
    anchor: bytes, parent: str, code: str, label: str, level: Level, name: str = ""
) -> dict[str, Any]:
    nonce = sha256(f"sanji vector nonce {name or code}".encode()).digest()[:16]
    proof = signing_key(name or NAMES[code]).sign_bytes(proof_message(anchor, parent, code, nonce))
    named = _keyed(code, label, level, name)
    return {**named, "parent": parent, "nonce": nonce.hex(), "proof": proof.hex()}


def _replaced(anchor: bytes, old: Record, parent: str) -> dict[str, Any]:
    """Return the body of a certificate that gives the division of ``old`` its next keys."""
    was = json.loads(old.body or b"")
    code, name = was["division"], f"{NAMES[was['division']]}-next"
    asked = consent_message(
        anchor, code, old.rid, signing_key(name).public.raw, sealing_key(name)
    )  # fmt: skip
    return {
        **_certified(anchor, parent, code, was["label"], Level.of(was["level"]), name),
        "replaces": old.rid.hex(),
        "consent": signing_key(NAMES[code]).sign_bytes(asked).hex(),
    }


def _feed(author: str, lane: str, audience: str) -> Feed:
    return Feed(author, EPOCHS[author], lane, audience)


def _trust() -> dict[str, Record]:
    recovery = signing_key("recovery").public.raw
    founded = record(
        Feed(DISTRICT, ROOT_EPOCH, "trust", f"{DISTRICT}*"), 0, NO_PREV, "district.founded.v1",
        {**_keyed(DISTRICT, "烈山区", Level.DISTRICT),
         "recovery_hash": sha256(recovery).hexdigest()},
    )  # fmt: skip
    top = _feed(DISTRICT, "trust", f"{DISTRICT}*")
    opened = record(top, 0, founded.rid, "epoch.opened.v1", {"certificate": founded.rid.hex()})
    certified = record(
        top, 1, opened.rid, "node.certified.v1",
        _certified(founded.rid, DISTRICT, TOWN, "宋疃镇", Level.TOWN),
    )  # fmt: skip
    middle = _feed(TOWN, "trust", f"{TOWN}*")
    town = record(middle, 0, certified.rid, "epoch.opened.v1", {"certificate": certified.rid.hex()})
    village_certified = record(
        middle, 1, town.rid, "node.certified.v1",
        _certified(founded.rid, TOWN, VILLAGE, "袁庄村", Level.VILLAGE),
    )  # fmt: skip
    leaf = record(
        _feed(VILLAGE, "trust", UPWARD), 0, village_certified.rid, "epoch.opened.v1",
        {"certificate": village_certified.rid.hex()},
    )  # fmt: skip
    return {
        "district-founded": founded, "epoch-opened": opened, "node-certified": certified,
        "epoch-opened-town": town, "node-certified-village": village_certified,
        "epoch-opened-village": leaf,
    }  # fmt: skip


def records() -> dict[str, Record]:
    """Return the vectors that are single records, by name, each after what it stands on."""
    trust = _trust()
    notice = record(
        _feed(DISTRICT, "urgent", f"{DISTRICT}*"), 0, trust["epoch-opened"].rid,
        "notice.published.v1",
        {"stream": "government", "category": "urgent", "title": "暴雨蓝色预警",
         "text": "今晚到明天有暴雨，请转移低洼处人员。"},
    )  # fmt: skip
    feedback = record(
        _feed(VILLAGE, "ordinary", UPWARD), 0, trust["epoch-opened-village"].rid,
        "feedback.filed.v1",
        {"receipt": "26-0001-5", "channel": "kiosk", "kind": "help", "text": "村东头的路灯坏了。",
         "receipt_key": sealing_key("receipt").hex()},
        refs=(notice.rid,), ext={7: "kept", 300: [1, None]},
    )  # fmt: skip
    custody = record(
        _feed(DISTRICT, "custody", VILLAGE), 0, trust["epoch-opened"].rid, "custody.stated.v1",
        {"use": "receipt",
         "held": [[*_held(feedback.header.feed), 1, feedback.rid.hex(), START_MS + 60_000, 0]]},
    )  # fmt: skip
    top, middle = (_feed(code, "trust", f"{code}*") for code in (DISTRICT, TOWN))
    replaced = record(
        middle, 2, trust["node-certified-village"].rid, "node.certified.v1",
        _replaced(trust["district-founded"].rid, trust["node-certified-village"], TOWN),
    )  # fmt: skip
    confirmed = record(
        top, 2, trust["node-certified"].rid, "node.confirmed.v1",
        {"certificate": replaced.rid.hex()},
    )  # fmt: skip
    disowned = record(
        _feed(VILLAGE, "trust", UPWARD), 1, trust["epoch-opened-village"].rid, "node.disowned.v1",
        {"certificate": sha256(b"sanji vector certificate unasked").hexdigest()},
    )  # fmt: skip
    return {
        **trust, "notice": notice, "feedback": feedback, "custody": custody,
        "node-certified-again": replaced, "node-confirmed": confirmed, "node-disowned": disowned,
    }  # fmt: skip


def _held(feed: Feed) -> list[str]:
    return [feed.author, feed.epoch.hex(), feed.lane, feed.audience]


def run(*, other: bool = False) -> Run:
    """Return three notices of the town; the other branch differs from number 1 on."""
    feed, prev = _feed(TOWN, "ordinary", f"{TOWN}*"), records()["epoch-opened-town"].rid
    made = list[Record]()
    for seq in range(3):
        text = "另一个分支" if other and seq else f"第{seq}号"
        body = {"stream": "village", "category": "finance", "title": text, "text": text}
        made.append(record(feed, seq, prev, "notice.published.v1", body))
        prev = made[-1].rid
    return Run(feed, 0, tuple(made))


def _feed_value(feed: Feed) -> list[str]:
    return [feed.author, feed.epoch.hex(), feed.lane, feed.audience]


def _record_vector(name: str, one: Record) -> Vector:
    header = one.header
    return {
        "file": name,
        "is": "record",
        "signed_by": NAMES[header.feed.author],
        "feed": _feed_value(header.feed),
        "seq": header.seq,
        "prev": header.prev.hex(),
        "claimed_at_ms": header.claimed_at_ms,
        "kind": header.kind,
        "body_size": header.body_size,
        "body_hash": header.body_hash.hex(),
        "refs": [ref.hex() for ref in header.refs],
        "payload": one.envelope.payload.hex(),
        "header_cose": one.header_cose.hex(),
        "rid": one.rid.hex(),
        **_body(one),
    }


def _body(one: Record) -> Vector:
    assert one.salt is not None
    assert one.body is not None
    return {"salt": one.salt.hex(), "body": one.body.hex(), "body_text": one.body.decode()}


def _short(one: Record) -> Vector:
    return {"header_cose": one.header_cose.hex(), "rid": one.rid.hex(), **_body(one)}


def _chunk_vector() -> Vector:
    runs = (run(), Run(records()["notice"].header.feed, 0, (records()["notice"],)))
    frame = encode_chunk(Chunk(bytes.fromhex("5e55105e55105e55"), 3, runs))
    kind, session, n, packed = cbor2.loads(frame)
    return {
        "file": "chunk",
        "is": "chunk",
        "type": kind,
        "session": session.hex(),
        "n": n,
        "unpacked": zstandard.decompress(packed).hex(),
        "runs": [
            {"feed": _feed_value(one.feed), "first_seq": one.first_seq,
             "rids": [item.rid.hex() for item in one.records]}
            for one in runs
        ],
    }  # fmt: skip


def heads() -> Heads:
    """Return the Heads of the town for its village: one feed in order, one stopped."""
    entries = tuple(
        sorted(
            (
                Entry(run().feed, 3, run().records[2].rid[:16], State.STOPPED),
                Entry(records()["notice"].header.feed, 1, records()["notice"].rid[:16]),
            ),
            key=lambda entry: entry.feed.key,
        )
    )
    return Heads(
        TOWN, VILLAGE, bytes.fromhex("5e55105e55105e55"), 4, bytes.fromhex("0123456789abcdef"), 17,
        ask=True, root=root_of(map(encode_entry, entries)), mode=Mode.ALL, entries=entries,
    )  # fmt: skip


def _heads_vector() -> Vector:
    frame = encode_heads(heads(), signing_key("town"))
    envelope = unwrap(cbor2.loads(frame)[1])
    entries = heads().entries
    return {
        "file": "heads",
        "is": "heads",
        "signed_by": "town",
        "payload": envelope.payload.hex(),
        "entries": [
            [_feed_value(one.feed), one.count, one.rid16.hex(), one.state.name.lower()]
            for one in entries
        ],
        "encoded_entries": [encode_entry(one).hex() for one in entries],
        "root": heads().root.hex(),
        "frame": frame.hex(),
    }


def invitation() -> Invitation:
    """Return the town's invitation of its village."""
    return Invitation(
        records()["district-founded"].rid, TOWN, signing_key("town").public.raw,
        ((TOWN, "ws://192.168.7.2:8722/link"), (DISTRICT, "wss://qu.example/link")),
        VILLAGE, "袁庄村", Level.VILLAGE, sha256(b"sanji vector secret").digest()[:16],
        START_MS + 14 * 86_400_000,
    )  # fmt: skip


def _invitation_vector() -> Vector:
    made = invitation()
    return {
        "file": "invitation",
        "is": "invitation",
        "anchor": made.anchor.hex(),
        "parent": made.parent,
        "parent_key": made.parent_key.hex(),
        "addresses": [list(pair) for pair in made.addresses],
        "division": made.division,
        "label": made.label,
        "level": made.level.word,
        "secret": made.secret.hex(),
        "expires_ms": made.expires_ms,
        "token": made.token(),
    }


def _run_vector() -> Vector:
    one = run()
    return {
        "file": "run",
        "is": "run",
        "signed_by": "town",
        "feed": _feed_value(one.feed),
        "first_seq": one.first_seq,
        "records": [_short(item) for item in one.records],
    }


def _fork_vector() -> Vector:
    first, second = run().records[1], run(other=True).records[1]
    return {
        "file": "fork",
        "is": "fork",
        "signed_by": "town",
        "feed": _feed_value(run().feed),
        "seq": 1,
        "first": _short(first),
        "second": _short(second),
    }


def _keys_vector() -> Vector:
    names = (*NAMES.values(), "recovery", "village-next")
    return {
        "file": "keys",
        "is": "keys",
        "keys": {
            name: {"seed": signing_key(name).seed.hex(),
                   "public": signing_key(name).public.raw.hex(),
                   "kid": signing_key(name).public.kid.hex()}
            for name in names
        },
    }  # fmt: skip


def wire_vectors() -> dict[str, Vector]:
    """Return the vectors of records and frames by the name of their file, without its ending."""
    made = [
        _keys_vector(),
        *(_record_vector(name, one) for name, one in records().items()),
        _run_vector(),
        _fork_vector(),
        _chunk_vector(),
        _heads_vector(),
        _invitation_vector(),
    ]
    return {vector["file"]: vector for vector in made}
