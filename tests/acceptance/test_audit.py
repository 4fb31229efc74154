"""The auditor finds what is planted, and nothing in a district that is as it should be."""

import ast
import asyncio
import json
import shutil
import sqlite3
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import cbor2
import pytest

from demo.servers.postgresql import Server
from shared.log.sql import SqlStore
from shared.log.sql_write import rid8_of
from shared.log.store import Batch
from shared.log.tables import LOG_TABLES
from shared.record.body import body_hash, encode_body
from shared.record.envelope import RECORD_AAD, rid_of
from shared.record.feed import ROOT_EPOCH, UPWARD, Feed, Level, is_holder
from shared.record.header import NO_PREV, Header, encode_header
from shared.record.record import Record
from shared.record.run import Run
from shared.trust.invitation import proof_message
from shared.trust.keys import SigningKey
from shared.trust.kinds import CERTIFIED, FOUNDED, OPENED
from tests.support.postgresql import open_database
from tests.support.records import START_MS, key_of
from tests.support.stores import open_sql

AUDITOR = Path(__file__).with_name("audit.py")
DISTRICT, TOWN, WEST, EAST = "340602", "340602100", "340602100201", "340602100202"
CODES = (DISTRICT, TOWN, WEST, EAST)
NOTICE, FILED, ANSWERED = "notice.published.v1", "feedback.filed.v1", "case.answered.v1"
CUSTODY = "custody.stated.v1"

Json = dict[str, Any]


def epoch_of(code: str) -> bytes:
    """Return the one epoch of a node."""
    return sha256(code.encode()).digest()[:8]


def level_of(code: str) -> Level:
    """Return the level of one of ``CODES``."""
    return Level((len(code) - 6) // 3)


def record_of(
    feed: Feed,
    seq: int,
    prev: bytes,
    kind: str,
    body: bytes,
    refs: tuple[bytes, ...] = (),
    key: SigningKey | None = None,
) -> Record:
    """Return a record of any content, signed by its author or by ``key``."""
    salt = sha256(body).digest()[:16]
    header = Header(feed, seq, prev, START_MS, kind, len(body), body_hash(salt, body), refs)
    signer = key or key_of(CODES.index(feed.author))
    return Record(signer.sign(encode_header(header), RECORD_AAD), salt, body)


@dataclass
class World:
    """All that is said in a small district, whoever holds it."""

    feeds: dict[Feed, list[tuple[int, Record]]] = field(default_factory=lambda: defaultdict(list))
    opened: dict[str, bytes] = field(default_factory=dict)
    certified: dict[str, bytes] = field(default_factory=dict)

    def say(self, feed: Feed, kind: str, body: Json, *refs: bytes, first_seq: int = 0) -> bytes:
        """Append a record to its feed and return its rid."""
        if self.feeds[feed]:
            last_seq, last = self.feeds[feed][-1]
            seq, prev = last_seq + 1, last.rid
        elif kind == FOUNDED:
            seq, prev = 0, NO_PREV
        elif kind == OPENED:
            seq, prev = 0, self.certified[feed.author]
        else:
            seq, prev = first_seq, self.opened[feed.author]
        record = record_of(feed, seq, prev, kind, encode_body(body), refs)
        self.feeds[feed].append((seq, record))
        return record.rid

    def say_as(self, code: str, audience: str, kind: str, body: Json, *refs: bytes) -> bytes:
        """Append to an ordinary feed."""
        return self.say(Feed(code, epoch_of(code), "ordinary", audience), kind, body, *refs)


def keyed(code: str) -> Json:
    """Return what a certificate says about the keys of ``code``."""
    key = key_of(CODES.index(code))
    return {
        "division": code,
        "label": f"单位{CODES.index(code)}",
        "level": level_of(code).word,
        "signing_key": key.public.raw.hex(),
        "sealing_key": bytes(31).hex() + "01",
    }


def request_of(anchor: bytes, parent: str, code: str) -> Json:
    """Return the rest of a certificate: what the new key has signed."""
    nonce = sha256(parent.encode()).digest()[:16]
    proof = key_of(CODES.index(code)).sign_bytes(proof_message(anchor, parent, code, nonce))
    return {"parent": parent, "nonce": nonce.hex(), "proof": proof.hex()}


def trust_feed(code: str) -> Feed:
    """Return the trust feed of a node's epoch."""
    audience = UPWARD if level_of(code) == Level.VILLAGE else code + "*"
    return Feed(code, epoch_of(code), "trust", audience)


def make_world() -> World:
    """Return a district that has published, filed, answered and stated."""
    world = World()
    root = Feed(DISTRICT, ROOT_EPOCH, "trust", DISTRICT + "*")
    anchor = world.say(root, FOUNDED, {**keyed(DISTRICT), "recovery_hash": bytes(32).hex()})
    world.certified[DISTRICT] = anchor
    for code, parent in zip(CODES, (None, DISTRICT, TOWN, TOWN), strict=True):
        if parent is not None:
            body = {**keyed(code), **request_of(anchor, parent, code)}
            world.certified[code] = world.say(trust_feed(parent), CERTIFIED, body)
        opening = {"certificate": world.certified[code].hex()}
        world.opened[code] = world.say(trust_feed(code), OPENED, opening)
    for number in range(3):
        world.say_as(DISTRICT, DISTRICT + "*", NOTICE, {"title": f"通知{number}"})
    world.say_as(TOWN, TOWN + "*", NOTICE, {"title": "赶集", "count": -1})
    world.say_as(DISTRICT, WEST, NOTICE, {"title": "只给一个村"})
    roads = world.say_as(WEST, UPWARD, FILED, {"text": "路灯坏了"})
    world.say_as(WEST, UPWARD, FILED, {"text": "还没有修"})
    water = world.say_as(EAST, UPWARD, FILED, {"text": "水管漏了"})
    world.say_as(DISTRICT, WEST, ANSWERED, {"text": "已修好"}, roads)
    world.say_as(TOWN, EAST, ANSWERED, {"text": "明天修"}, water)
    for code in (WEST, EAST):
        custody = Feed(code, epoch_of(code), "custody", UPWARD)
        for number in range(2):
            world.say(custody, CUSTODY, {"count": number}, first_seq=5)
    return world


STORY: Json = {
    "nodes": 4,
    "notices_published": 5,
    "notices_held": 3 * 4 + 4 + 3,
    "feedback_filed": 3,
    "feedback_at_district": 3,
    "answers_at_village": 2,
    "misdelivered": 0,
    "stored_twice": 0,
    "lost": 0,
    "in_flight_at_kill": 7,
    "duplicates_offered": 1,
    "tampered_refused": 2,
    "backlog_while_cut": 3,
    "seconds": 12.5,
}


async def write(world: World, folder: Path) -> None:
    """Write what the story leaves behind; of the custody of EAST the district lacks the last."""
    for code in CODES:
        (folder / "nodes" / code).mkdir(parents=True)
        await hold(open_sql(folder / "nodes" / code / "log.db"), world, code)
    given = [
        {"rid": record.rid.hex(), "node": feed.author}
        for feed, said in world.feeds.items()
        for _, record in said
        if feed.lane == "ordinary"
    ]
    lines = "".join(json.dumps(line) + "\n" for line in given)
    (folder / "given.jsonl").write_text(lines, encoding="utf-8")
    (folder / "story.json").write_text(json.dumps(STORY), encoding="utf-8")


async def hold(store: SqlStore, world: World, code: str) -> None:
    """Let a node take in what it is entitled to."""
    batch = Batch(START_MS)
    for feed, said in world.feeds.items():
        behind = code == DISTRICT and (feed.author, feed.lane) == (EAST, "custody")
        records = tuple(record for _, record in said[: -1 if behind else None])
        if is_holder(feed, code):
            batch.runs.append(Run(feed, said[0][0], records))
    await store.commit(batch)
    await store.close()


WORLD = make_world()


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The district as it should be; tests work on copies."""
    folder = tmp_path_factory.mktemp("clean")
    asyncio.run(write(WORLD, folder))
    return folder


@dataclass(frozen=True)
class Scene:
    """A copy of the district, in which a fault can be planted."""

    folder: Path

    def sql(self, code: str, statement: str, *values: object) -> None:
        """Run a statement in the database of one node."""
        path = self.folder / "nodes" / code / "log.db"
        with closing(sqlite3.connect(path)) as connection, connection:
            assert connection.execute(statement, values).rowcount > 0, "nothing was planted"

    def insert(self, code: str, feed_id: int, seq: int, record: Record) -> None:
        """Add a row to a trunk, and no more."""
        self.sql(
            code,
            "INSERT INTO record (feed_id, seq, rid, rid8, header_cose, salt, body, stored_at_ms) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, 1)",
            feed_id, seq, record.rid, rid8_of(record.rid), record.header_cose, record.salt,
            record.body,
        )  # fmt: skip

    def exchange(self, old: Record, new: Record, *codes: str) -> None:
        """Put ``new`` in the place of ``old``, the last of its feed, at all holders or at some."""
        for code in codes or [code for code in CODES if is_holder(old.header.feed, code)]:
            self.sql(
                code,
                "UPDATE record SET rid=?, rid8=?, header_cose=?, salt=?, body=? WHERE rid=?",
                new.rid, rid8_of(new.rid), new.header_cose, new.salt, new.body, old.rid,
            )  # fmt: skip
            self.sql(code, "UPDATE feed SET rid=? WHERE rid=?", new.rid, old.rid)

    def claim(self, **figures: object) -> None:
        """Change what the story claims; None takes a figure away."""
        story = {**STORY, **figures}
        text = json.dumps({name: value for name, value in story.items() if value is not None})
        (self.folder / "story.json").write_text(text, encoding="utf-8")

    def audit(self) -> tuple[int, str]:
        """Run the auditor and return its exit code and what it printed."""
        done = subprocess.run(
            [sys.executable, str(AUDITOR), str(self.folder)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def scene(clean: Path, tmp_path: Path) -> Scene:
    """A fresh copy."""
    return Scene(shutil.copytree(clean, tmp_path / "copy"))


def of_feed(author: str, audience: str, lane: str = "ordinary") -> list[Record]:
    """Return the records of a feed."""
    feed = Feed(author, epoch_of(author), lane, audience)
    return [record for _, record in WORLD.feeds[feed]]


NOTICES = of_feed(DISTRICT, DISTRICT + "*")
FILINGS = of_feed(WEST, UPWARD)
EAST_FILING = of_feed(EAST, UPWARD)[0]
TOWN_CERTIFICATE = of_feed(DISTRICT, DISTRICT + "*", "trust")[-1]
(ROOT,) = (record for feed, ((_, record), *_) in WORLD.feeds.items() if feed.epoch == ROOT_EPOCH)
EAST_CERTIFICATE = of_feed(TOWN, TOWN + "*", "trust")[-1]


def again(old: Record, **changes: Any) -> Record:
    """Return ``old`` signed anew by its author (or ``key``) with some things changed."""
    header = old.header
    told: Json = {
        "feed": header.feed, "seq": header.seq, "prev": header.prev, "kind": header.kind,
        "body": old.body, "refs": header.refs, **changes,
    }  # fmt: skip
    return record_of(**told)


def flipped(data: bytes | None, at: int) -> bytes:
    """Return ``data`` with one bit changed."""
    assert data is not None
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


# --- the faults -----------------------------------------------------------------------------------


def flip_body(scene: Scene) -> None:
    """One node holds another body."""
    body = flipped(NOTICES[1].body, 12)
    scene.sql(TOWN, "UPDATE record SET body = ? WHERE rid = ?", body, NOTICES[1].rid)


def flip_salt(scene: Scene) -> None:
    """One node holds another salt."""
    salt = flipped(NOTICES[1].salt, 0)
    scene.sql(WEST, "UPDATE record SET salt = ? WHERE rid = ?", salt, NOTICES[1].rid)


def drop_body(scene: Scene) -> None:
    """One node has lost a body."""
    scene.sql(EAST, "UPDATE record SET salt = NULL, body = NULL WHERE rid = ?", NOTICES[0].rid)


def flip_signature(scene: Scene) -> None:
    """All nodes hold the same record with a bad signature."""
    old = NOTICES[-1]
    scene.exchange(old, Record(flipped(old.header_cose, -1), old.salt, old.body))


def sign_as_another(scene: Scene) -> None:
    """A village's record is signed by its neighbour."""
    scene.exchange(FILINGS[-1], again(FILINGS[-1], key=key_of(CODES.index(EAST))))


def borrow_kid(scene: Scene) -> None:
    """A record is signed by another key, under the author's kid."""
    forged = again(FILINGS[-1], key=key_of(CODES.index(EAST)))
    kid = FILINGS[-1].envelope.kid
    cose = forged.header_cose[:8] + kid + forged.header_cose[16:]
    scene.exchange(FILINGS[-1], Record(cose, forged.salt, forged.body))


def wrap_again(scene: Scene) -> None:
    """A record stands in another wrapping of the same signature."""
    old = NOTICES[-1]
    # The signature's length in two bytes instead of one: the same message to any COSE library.
    cose = old.header_cose[:-66] + b"\x59\x00\x40" + old.header_cose[-64:]
    scene.exchange(old, Record(cose, old.salt, old.body))


def mark_unprotected(scene: Scene) -> None:
    """A carrier has written something beside the signature."""
    old = NOTICES[-1]
    cose = old.header_cose[:16] + b"\xa1\x04\x41\x00" + old.header_cose[17:]
    scene.exchange(old, Record(cose, old.salt, old.body))


def break_prev(scene: Scene) -> None:
    """The author's last record follows none that exists."""
    scene.exchange(NOTICES[-1], again(NOTICES[-1], prev=NOTICES[0].rid))


def begin_elsewhere(scene: Scene) -> None:
    """A feed begins with another rid than that of its epoch."""
    scene.exchange(EAST_FILING, again(EAST_FILING, prev=NO_PREV))


def drop_record(scene: Scene) -> None:
    """One node lacks a number."""
    scene.sql(WEST, "DELETE FROM record WHERE rid = ?", NOTICES[1].rid)


def drop_tail(scene: Scene) -> None:
    """One node lacks the end of a feed, and says so consistently."""
    scene.sql(EAST, "DELETE FROM record WHERE rid = ?", NOTICES[2].rid)
    scene.sql(
        EAST, "UPDATE feed SET count = 2, rid = ? WHERE rid = ?", NOTICES[1].rid, NOTICES[2].rid
    )


def overstate(scene: Scene) -> None:
    """A feed's row claims more than the records."""
    scene.sql(TOWN, "UPDATE feed SET count = 9 WHERE rid = ?", NOTICES[2].rid)


def stop_feed(scene: Scene) -> None:
    """A node has found a fork."""
    scene.sql(TOWN, "UPDATE feed SET stopped = 1 WHERE rid = ?", NOTICES[2].rid)


def change_key_column(scene: Scene) -> None:
    """A feed stands under a key that is not its name."""
    scene.sql(TOWN, "UPDATE feed SET key = ? WHERE rid = ?", b"\x84", NOTICES[2].rid)


def deliver_sideways(scene: Scene) -> None:
    """A village holds what another village has filed."""
    feed = EAST_FILING.header.feed
    scene.sql(
        WEST,
        "INSERT INTO feed (id, key, author, epoch, lane, audience, count, rid, stopped, since_ms) "
        "VALUES (99, ?, ?, ?, ?, ?, 1, ?, 0, 1)",
        feed.key, *feed, EAST_FILING.rid,
    )  # fmt: skip
    scene.insert(WEST, 99, 0, EAST_FILING)


def misplace(scene: Scene) -> None:
    """A record stands in the rows of another feed."""
    scene.sql(
        DISTRICT,
        "UPDATE record SET feed_id = (SELECT id FROM feed WHERE rid = ?) WHERE rid = ?",
        FILINGS[-1].rid, NOTICES[2].rid,
    )  # fmt: skip


def promise_unknown(scene: Scene) -> None:
    """A caller was told of a record that nobody holds."""
    with (scene.folder / "given.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"rid": "ab" * 32, "node": WEST}) + "\n")


def lose_at_district(scene: Scene) -> None:
    """A filing never reached the district."""
    scene.sql(DISTRICT, "DELETE FROM record WHERE rid = ?", FILINGS[-1].rid)


def set_aside_again(scene: Scene) -> None:
    """A record of the trunk stands aside as well."""
    scene.sql(
        TOWN,
        "INSERT INTO aside (rid, feed_id, seq, header_cose, salt, body) "
        "SELECT rid, feed_id, seq, header_cose, salt, body FROM record WHERE rid = ?",
        NOTICES[0].rid,
    )


def set_aside_junk(scene: Scene) -> None:
    """What stands aside is no record."""
    scene.sql(
        TOWN,
        "INSERT INTO aside (rid, feed_id, seq, header_cose, salt, body) "
        "SELECT ?, feed_id, seq, ?, salt, body FROM record WHERE rid = ?",
        rid_of(b"junk"), b"junk", NOTICES[0].rid,
    )  # fmt: skip


def change_rid(scene: Scene) -> None:
    """A row stands under another rid."""
    scene.sql(WEST, "UPDATE record SET rid = ? WHERE rid = ?", bytes(32), NOTICES[0].rid)


def change_rid8(scene: Scene) -> None:
    """A row cannot be found by its index."""
    scene.sql(WEST, "UPDATE record SET rid8 = rid8 + 1 WHERE rid = ?", NOTICES[0].rid)


def certify_unasked(scene: Scene) -> None:
    """A town certifies a key whose holder has not asked for it."""
    assert EAST_CERTIFICATE.body is not None
    body = json.loads(EAST_CERTIFICATE.body)
    body["proof"] = flipped(bytes.fromhex(body["proof"]), 3).hex()
    scene.exchange(EAST_CERTIFICATE, again(EAST_CERTIFICATE, body=encode_body(body)))


def certify_by_village(scene: Scene) -> None:
    """A certificate is signed by a village in the town's name."""
    key = key_of(CODES.index(WEST))
    scene.exchange(EAST_CERTIFICATE, again(EAST_CERTIFICATE, key=key))


def address_nobody(scene: Scene) -> None:
    """A notice goes to a division that nobody has certified."""
    feed = Feed(TOWN, epoch_of(TOWN), "ordinary", TOWN + "299")
    record = record_of(feed, 0, WORLD.opened[TOWN], NOTICE, b"{}")
    for code in (DISTRICT, TOWN):
        scene.sql(
            code,
            "INSERT INTO feed (id, key, author, epoch, lane, audience, count, rid, stopped, "
            "since_ms) VALUES (99, ?, ?, ?, ?, ?, 1, ?, 0, 1)",
            feed.key, *feed, record.rid,
        )  # fmt: skip
        scene.insert(code, 99, 0, record)


def lose_a_node(scene: Scene) -> None:
    """A certified node has left no log."""
    shutil.rmtree(scene.folder / "nodes" / EAST)


def lose_base(scene: Scene) -> None:
    """One node holds a feed, but not the epoch on which it stands."""
    scene.sql(DISTRICT, "DELETE FROM record WHERE rid = ?", WORLD.opened[EAST])


def take_number_twice(scene: Scene) -> None:
    """Two records of one number stand in a log, the second in the rows of another feed."""
    second = again(NOTICES[1], body=b"{}")
    with closing(sqlite3.connect(scene.folder / "nodes" / TOWN / "log.db")) as connection:
        (feed_id,) = connection.execute(
            "SELECT feed_id FROM record WHERE rid = ?", (WORLD.opened[TOWN],)
        ).fetchone()
    scene.insert(TOWN, feed_id, 9, second)


def certify_twice(scene: Scene) -> None:
    """A town gives a village's code to another key."""
    key = key_of(CODES.index(WEST))
    assert EAST_CERTIFICATE.body is not None
    asked = json.loads(EAST_CERTIFICATE.body)
    message = proof_message(WORLD.certified[DISTRICT], TOWN, WEST, bytes.fromhex(asked["nonce"]))
    body = {**asked, "division": WEST, "signing_key": key.public.raw.hex()}
    body["proof"] = key.sign_bytes(message).hex()
    scene.exchange(EAST_CERTIFICATE, again(EAST_CERTIFICATE, body=encode_body(body)))


def found_by_another(scene: Scene) -> None:
    """The root record is signed by another key than it names."""
    scene.exchange(ROOT, again(ROOT, key=key_of(9)))


def found_elsewhere(scene: Scene) -> None:
    """One village stands on a district of its own, with the same code and key."""
    assert ROOT.body is not None
    body = json.loads(ROOT.body) | {"label": "另一个区"}
    scene.exchange(ROOT, again(ROOT, body=encode_body(body)), WEST)


def certifying(old: Record, **changes: str) -> Callable[[Scene], None]:
    """Return a fault: a signed certificate or root says something that it may not."""

    def certify(scene: Scene) -> None:
        assert old.body is not None
        scene.exchange(old, again(old, body=encode_body(json.loads(old.body) | changes)))

    return certify


def opening(**changes: Any) -> Callable[[Scene], None]:
    """Return a fault: an epoch is opened by another key or at another place."""

    def open_epoch(scene: Scene) -> None:
        old = of_feed(EAST, UPWARD, "trust")[0]
        scene.exchange(old, again(old, **changes))

    return open_epoch


def signing(place: int, value: object) -> Callable[[Scene], None]:
    """Return a fault: the author has signed a header with another value at one place."""

    def sign(scene: Scene) -> None:
        old = NOTICES[-1]
        fields = cbor2.loads(old.envelope.payload)
        fields[place : place + 1] = [] if value is None else [value]
        exchange_header(scene, cbor2.dumps(fields))

    return sign


def sign_long_number(scene: Scene) -> None:
    """The author has signed a header that is CBOR, but not its one deterministic form."""
    exchange_header(scene, NOTICES[-1].envelope.payload.replace(b"\x8d\x01", b"\x8d\x18\x01", 1))


def exchange_header(scene: Scene, payload: bytes) -> None:
    """Put what the district has signed in the place of its last notice."""
    old = NOTICES[-1]
    scene.exchange(old, Record(key_of().sign(payload, RECORD_AAD), old.salt, old.body))


def writing(body: bytes) -> Callable[[Scene], None]:
    """Return a fault: the author has signed a body that may not be."""

    def write_body(scene: Scene) -> None:
        scene.exchange(NOTICES[-1], again(NOTICES[-1], body=body))

    return write_body


def claiming(**figures: object) -> Callable[[Scene], None]:
    """Return a fault: the story says something else."""

    def claim(scene: Scene) -> None:
        scene.claim(**figures)

    return claim


FAULTS: list[tuple[str, Callable[[Scene], None], str]] = [
    ("body", flip_body, "the body is not the signed one (2.2)"),
    ("salt", flip_salt, "the body is not the signed one (2.2)"),
    ("no body", drop_body, "the body is missing (5.3)"),
    ("float", writing(b'{"yuan":1.5}'), "the body is not I-JSON"),
    ("name twice", writing(b'{"a":1,"a":2}'), "a name stands twice (2.4)"),
    ("half a character", writing(b'{"a":"\\ud800"}'), "the body is not I-JSON"),
    ("no UTF-8", writing(b'{"a":"\xff"}'), "the body is not I-JSON"),
    ("large number", writing(b'{"a":9007199254740992}'), "a number beyond 2^53-1 (2.4)"),
    ("array", writing(b"[]"), "the body is no object (2.4)"),
    ("version", signing(0, 2), "not the 13 fields of version 1 (2.2)"),
    ("field missing", signing(12, None), "not the 13 fields of version 1 (2.2)"),
    ("true as seq", signing(5, value=True), "not the 13 fields of version 1 (2.2)"),
    ("author", signing(1, "34O602"), "no code or no epoch (3.1, 2.2)"),
    ("epoch", signing(2, bytes(7)), "no code or no epoch (3.1, 2.2)"),
    ("lane", signing(3, "fast"), "'fast' is no lane (3.5)"),
    ("audience", signing(4, "3406*"), "does not suit 340602 (3.3)"),
    ("audience itself", signing(4, DISTRICT), "does not suit 340602 (3.3)"),
    ("seq below 0", signing(5, -1), "a number out of its range (2.2, 2.4)"),
    ("time", signing(7, 2**53), "a number out of its range (2.2, 2.4)"),
    ("body size", signing(9, 65537), "a number out of its range (2.2, 2.4)"),
    ("short prev", signing(6, bytes(31)), "prev and body_hash have 32 bytes (2.2)"),
    ("kind", signing(8, "Notice.v1"), "'Notice.v1' is no kind (2.2)"),
    ("nine refs", signing(11, [bytes(32)] * 9), "refs are up to 8 rids (2.2)"),
    ("short ref", signing(11, [bytes(31)]), "refs are up to 8 rids (2.2)"),
    ("text key", signing(12, {"a": 1}), "ext has unsigned keys (2.2)"),
    ("unsorted ext", signing(12, {2: 1, 1: 1}), "not deterministic CBOR, or over 1 KiB (2.2)"),
    ("long header", signing(12, {1: bytes(900)}), "not deterministic CBOR, or over 1 KiB (2.2)"),
    ("long number", sign_long_number, "not deterministic CBOR, or over 1 KiB (2.2)"),
    ("signature", flip_signature, "the signature does not verify (2.1)"),
    ("other signer", sign_as_another, "kid is not the author's key (2.3)"),
    ("borrowed kid", borrow_kid, "the signature does not verify (2.1)"),
    ("wrapping", wrap_again, "not the fixed template (2.1)"),
    ("unprotected", mark_unprotected, "not the fixed template (2.1)"),
    ("prev", break_prev, "prev is not the rid before it (2.2, 4.3)"),
    ("first prev", begin_elsewhere, "prev is not the rid before it (2.2, 4.3)"),
    ("gap", drop_record, "number 1 is missing (3.2)"),
    ("tail", drop_tail, "unequal, its holders hold"),
    ("tail, promised", drop_tail, f"lost, accepted but not at ['{EAST}']"),
    ("count", overstate, "count 9 and its rid are not those of the records (5.2)"),
    ("fork", stop_feed, "stopped: its author signed two of one number (5.6)"),
    ("feed key", change_key_column, "its key is not its CBOR (5.2)"),
    ("sideways", deliver_sideways, "misdelivered: this node is no holder (3.4)"),
    ("misplaced", misplace, "stored in another feed or at another number than signed (3.2)"),
    ("promise", promise_unknown, "lost, accepted but not at"),
    ("lost on the way", lose_at_district, f"lost, accepted but not at ['{DISTRICT}']"),
    ("twice", set_aside_again, "stored_twice is 0, the logs say 1"),
    ("junk aside", set_aside_junk, "no COSE_Sign1 over CBOR"),
    ("rid", change_rid, "the stored rid is not the header's hash (2.3)"),
    ("rid8", change_rid8, "rid8 is not the beginning of the rid (2.3)"),
    ("unasked", certify_unasked, "the new key has not asked for this (4.2)"),
    ("level", certifying(EAST_CERTIFICATE, level="hamlet"), "names a division and its level (4.2)"),
    ("no key", certifying(EAST_CERTIFICATE, signing_key="zz"), "non-hexadecimal number"),
    ("second key", certify_twice, f"{WEST} is certified twice (4.2)"),
    ("root level", certifying(ROOT, level="town"), "not the root of a district (4.1)"),
    ("root key", found_by_another, "not signed by the key it names (4.1)"),
    ("other root", found_elsewhere, f"{WEST}: its anchor is not the district's (4.1)"),
    ("no epoch", lose_base, "no certificate and epoch here name its key (4.3)"),
    ("late epoch", opening(seq=1), "an epoch begins the author's own trust feed (4.3)"),
    ("stolen epoch", opening(key=key_of(9)), "not signed by the certified key (4.3)"),
    ("number twice", take_number_twice, "two records have this number (3.2)"),
    (
        "small key",
        certifying(EAST_CERTIFICATE, signing_key="01" + bytes(31).hex()),
        "a key is not canonical (2.3)",
    ),
    ("forged", certify_by_village, "no relay vouches for this key (4.2)"),
    ("not above", certifying(TOWN_CERTIFICATE, parent="990000"), "not certified from above (4.2)"),
    (
        "no base",
        opening(body=encode_body({"certificate": bytes(32).hex()})),
        "the epoch names no certificate that is here (4.3)",
    ),
    ("no addressee", address_nobody, "to nobody that is certified (3.3)"),
    ("no log", lose_a_node, "its log or its certificate is missing (4.2)"),
    ("held", claiming(notices_held=20), "notices_held is 20, the logs say 19"),
    ("answers", claiming(answers_at_village=1), "answers_at_village is 1, the logs say 2"),
    ("claims lost", claiming(lost=1), "lost is 1, the logs say 0"),
    ("untried", claiming(tampered_refused=0), "tampered_refused is 0: the story did not try it"),
    ("no kill", claiming(in_flight_at_kill=None), "in_flight_at_kill is missing or no number"),
    ("no time", claiming(seconds=None), "seconds is missing or no number"),
]


@pytest.mark.parametrize(
    ("plant", "told"), [fault[1:] for fault in FAULTS], ids=[f[0] for f in FAULTS]
)
def test_planted_fault_is_found(scene: Scene, plant: Callable[[Scene], None], told: str) -> None:
    """Whatever differs from the protocol is named, and the audit fails."""
    plant(scene)
    code, printed = scene.audit()
    assert told in printed
    assert code == 1


def test_faithful_district_passes(scene: Scene) -> None:
    """Nothing is found where nothing is wrong; custody that is still under way is only told."""
    code, printed = scene.audit()
    assert code == 0, printed
    assert "audit: all agrees" in printed
    assert "custody_behind                             1 feeds" in printed


def test_database_is_only_read(scene: Scene) -> None:
    """The auditor leaves the evidence as it was."""
    before = {path: path.read_bytes() for path in scene.folder.glob("nodes/*/log.db")}
    scene.audit()
    assert {path: path.read_bytes() for path in before} == before


def test_a_log_on_a_server_is_read(
    scene: Scene, postgresql_server: Server, postgresql_url: str
) -> None:
    """As strictly as a file: all agrees, and then a body that was changed is found."""

    async def move() -> None:
        await hold(SqlStore(await open_database(postgresql_url, LOG_TABLES)), WORLD, DISTRICT)

    asyncio.run(move())
    shutil.rmtree(scene.folder / "nodes" / DISTRICT)
    (scene.folder / "databases.json").write_text(json.dumps({DISTRICT: postgresql_url}))
    code, printed = scene.audit()
    assert code == 0, printed
    change = r"UPDATE record SET body = '\x7b7d' WHERE seq = 1"
    postgresql_server.sql(change, Server.name(postgresql_url))
    code, printed = scene.audit()
    assert "the body is not the signed one" in printed
    assert code == 1


def test_no_log_lies_in_two_places(scene: Scene) -> None:
    """Whichever were read, the other could hold something else."""
    (scene.folder / "databases.json").write_text(json.dumps({TOWN: "postgresql:///none"}))
    code, printed = scene.audit()
    assert "have a log.db and a database" in printed
    assert code == 2


@pytest.mark.parametrize("missing", ["story.json", "given.jsonl", "nodes"])
def test_incomplete_folder_is_refused(scene: Scene, missing: str) -> None:
    """Without figures, promises or logs there is no verdict, but one line that says why."""
    path = scene.folder / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    code, printed = scene.audit()
    assert code == 2
    assert printed.count("\n") == 1


def test_foreign_database_is_refused(scene: Scene) -> None:
    """A file that is no log ends the audit; it is no finding about the protocol."""
    (scene.folder / "nodes" / TOWN / "log.db").write_bytes(b"no database")
    assert scene.audit()[0] == 2


def test_auditor_shares_nothing_with_the_program() -> None:
    """It imports the standard library, cbor2 and cwt; else it would only repeat our mistakes."""
    names = set()
    for node in ast.walk(ast.parse(AUDITOR.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names.add(node.module or "")
    foreign = {name.partition(".")[0] for name in names} - sys.stdlib_module_names
    assert foreign == {"cbor2", "cwt"}
