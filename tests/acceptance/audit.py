"""An independent audit of the district that ``make story`` leaves behind.

    python tests/acceptance/audit.py DIR

It reads the nodes' databases, believes nothing and shares no line with the program: it imports the
standard library, cbor2 and python-cwt. So it is the protocol written down a second time; numbers
in parentheses are the protocol's sections. DIR holds

- ``nodes/<code>/log.db``: the log of each node, SQLite; it is only read;
- ``given.jsonl``: ``{"rid": hex, "node": code}`` for each record that a caller was told is
  accepted, written outside the nodes: whatever stands there must be found at every holder;
- ``story.json``: the figures that the story claims.

Exit code 0: all agrees. 1: problems, listed. 2: DIR cannot be audited at all.
"""

import functools
import hashlib
import json
import re
import sqlite3
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import cbor2
import cwt.cbor_processor
from cwt import COSE, COSEKey, VerifyError

INTEGER_MAX = 2**53 - 1
ROOT_EPOCH = bytes(8)
FOUNDED, CERTIFIED, OPENED = "district.founded.v1", "node.certified.v1", "epoch.opened.v1"
NOTICE, FILED, ANSWERED = "notice.published.v1", "feedback.filed.v1", "case.answered.v1"
CODE = re.compile(r"[0-9]{2,32}")
KIND = re.compile(r"[a-z]+(\.[a-z_]+)+\.v[1-9][0-9]*")
FIELDS = (int, str, bytes, str, str, int, bytes, int, str, int, bytes, list, dict)
COUNTERS = ("in_flight_at_kill", "duplicates_offered", "tampered_refused", "backlog_while_cut")
"""Counted by the running nodes: no log tells them, but at 0 the story has not tried its faults."""
PROBLEMS_SHOWN = 20
Json = dict[str, Any]


class FaultError(ValueError):
    """A rule that bytes or a record break; the message cites its section."""


class Feed(NamedTuple):
    """A gap-free sequence of records (3.2)."""

    author: str
    epoch: bytes
    lane: str
    audience: str

    def __str__(self) -> str:
        return f"{self.author}/{self.epoch.hex()[:8]}/{self.lane}/{self.audience}"


class Record(NamedTuple):
    """A header that follows section 2 to the byte; what it says is judged later."""

    cose: bytes
    rid: bytes
    kid: bytes
    feed: Feed
    seq: int
    prev: bytes
    kind: str
    body_size: int
    body_hash: bytes
    refs: list[bytes]

    def __str__(self) -> str:
        return f"{self.kind} {self.feed} #{self.seq}"


def require(fulfilled: object, fault: str) -> None:
    """Raise ``fault`` unless the rule is fulfilled."""
    if not fulfilled:
        raise FaultError(fault)


@functools.cache  # the same bytes are the same record, at whichever node
def read_record(cose: bytes) -> Record:
    """Return the record whose header is ``cose``: the fixed template, then its 13 fields."""
    try:
        _, _, payload, signature = cbor2.loads(cose).value
        # D2 84 | 4D A2 01 27 04 48 kid8 | A0 | bstr(header) | 58 40 sig64 (2.1). In a second
        # wrapping one signature would get a second rid, and its author would look like a forker.
        parts = (b"\xd2\x84\x4d\xa2\x01\x27\x04\x48", kid := cose[8:16], b"\xa0")
        again = b"".join((*parts, cbor2.dumps(payload), b"\x58\x40", signature))
        header = cbor2.loads(payload)
    except (cbor2.CBORError, AttributeError, ValueError, TypeError, RecursionError) as error:
        raise FaultError(f"no COSE_Sign1 over CBOR: {error} (2.1)") from error
    require(again == cose and len(signature) == 64, "not the fixed template (2.1)")
    fits = type(header) is list and tuple(map(type, header)) == FIELDS and header[0] == 1
    require(fits, "not the 13 fields of version 1 (2.2)")
    require(cbor2.dumps(in_order(header)) == payload, "not deterministic CBOR (2.2)")
    require(len(payload) <= 1024, "a header over 1 KiB (2.2)")
    _, author, epoch, lane, audience, seq, prev, at_ms, kind, size, digest, refs, ext = header
    numbers = all(0 <= number <= INTEGER_MAX for number in (seq, at_ms))
    require(numbers and 0 <= size <= 65536, "a number out of its range (2.2, 2.4)")
    require({len(prev), len(digest)} == {32}, "prev and body_hash have 32 bytes (2.2)")
    require(KIND.fullmatch(kind), f"{kind[:40]!r} is no kind (2.2)")
    good = all(type(ref) is bytes and len(ref) == 32 for ref in refs)
    require(good and len(refs) <= 8, "refs are up to 8 rids (2.2)")
    good = all(type(key) is int and 0 <= key <= INTEGER_MAX for key in ext)
    require(good, "ext has unsigned keys (2.2)")
    require(CODE.fullmatch(author) and len(epoch) == 8, "no code or no epoch (3.1, 2.2)")
    require(lane in {"trust", "urgent", "ordinary", "custody"}, f"{lane[:40]!r} is no lane (3.5)")
    code = audience.removesuffix("*")
    below = CODE.fullmatch(code) and code.startswith(author) and audience != author
    require(audience == "^" or below, f"audience {audience[:40]!r} does not suit {author} (3.3)")
    rid, feed = hashlib.sha256(cose).digest(), Feed(author, epoch, lane, audience)  # (2.3)
    return Record(cose, rid, kid, feed, seq, prev, kind, size, digest, refs)


def in_order(value: Any) -> Any:
    """Sort maps by the bytes of their keys; cbor2 does the rest of RFC 8949 §4.2.1."""
    if isinstance(value, dict):
        return {key: in_order(value[key]) for key in sorted(value, key=cbor2.dumps)}
    return [in_order(item) for item in value] if isinstance(value, list) else value


@functools.cache
def read_body(body: bytes) -> Json:
    """Return the object in ``body``: I-JSON with integers only (2.4)."""
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_names,
            parse_int=_integer,
            parse_float=_integer,
            parse_constant=_integer,
        )
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # fails for a lone surrogate
    except (ValueError, RecursionError) as error:
        raise FaultError(f"the body is not I-JSON: {error} (2.4)") from error
    require(isinstance(value, dict), "the body is no object (2.4)")
    return dict(value)


def _names(pairs: list[tuple[str, Any]]) -> Json:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a name stands twice")
    return dict(pairs)


def _integer(text: str) -> int:
    if abs(number := int(text)) > INTEGER_MAX:
        raise ValueError("a number beyond 2^53-1")
    return number


@functools.cache
def is_holder(feed: Feed, node: str) -> bool:
    """The author, all above it, the path down to CODE, and for CODE* all below it (3.4)."""
    author, _, _, audience = feed
    if audience == "^" or not node.startswith(author):
        return author.startswith(node)
    code = audience.removesuffix("*")
    return node == author or code.startswith(node) or (code != audience and node.startswith(code))


def _thaw(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_thaw(item) for item in value]
    if isinstance(value, cbor2.CBORTag):
        return cbor2.CBORTag(value.tag, _thaw(value.value))
    return {k: _thaw(v) for k, v in value.items()} if hasattr(value, "items") else value


# cbor2 6 decodes what stands below a tag to tuples; cwt 3.3 expects lists.
_PROCESSOR: Any = cwt.cbor_processor.CBORProcessor
_PROCESSOR._loads = lambda _, data: _thaw(cbor2.loads(data))


@functools.cache
def public_key(raw: bytes) -> Any:
    """Return an Ed25519 key for cwt, unless it can be written in two ways or binds nobody (2.3)."""
    p = 2**255 - 19
    y, d = int.from_bytes(raw, "little") & ~(1 << 255), -121665 * pow(121666, -1, p)
    # On -x² + y² = 1 + dx²y² these y, and no others, belong to points whose order divides 8.
    small = y * (y * y - 1) * (d * y**4 + 2 * y * y - 1) % p == 0
    require(len(raw) == 32 and y < p and not small, "a key is not canonical (2.3)")
    return COSEKey.new({1: 1, 2: hashlib.sha256(raw).digest()[:8], 3: -8, -1: 6, -2: raw})


@functools.cache  # a rid covers the signature: what verified once need not be verified again
def is_signed(cose: bytes, key: Any) -> bool:
    """Tell whether cwt takes the signature of ``cose`` for one of ``key`` (2.1)."""
    try:
        COSE.new(verify_kid=True).decode(cose, key, external_aad=b"sanji/record/v1")
    except (VerifyError, ValueError):
        return False
    return True


class Certificate(NamedTuple):
    """A division's key, as the record ``rid`` vouches for it (4.1, 4.2)."""

    rid: bytes
    division: str
    level: str
    key: Any


def read_certificate(rid: bytes, body: Json) -> Certificate:
    """Return the division and the key that a certifying ``body`` names."""
    division, level = str(body.get("division")), str(body.get("level"))
    good = CODE.fullmatch(division) and level in {"district", "town", "village"}
    require(good, "a certificate names a division and its level (4.2)")
    return Certificate(rid, division, level, public_key(bytes.fromhex(body["signing_key"])))


class Log:
    """One node's log: what it holds, and the trust that follows from that alone."""

    def __init__(self, code: str, problems: list[str]) -> None:
        self.code, self.problems = code, problems
        self.records: dict[bytes, Record] = {}
        self.copies: Counter[bytes] = Counter()
        self.bodies: dict[bytes, Json] = {}
        self.trunk: defaultdict[Feed, dict[int, Record]] = defaultdict(dict)
        self.anchor = b""
        self.certificates: dict[bytes, Certificate] = {}
        self.epochs: dict[tuple[str, bytes], tuple[bytes, Certificate]] = {}

    def expect(self, fulfilled: object, where: object, fault: object) -> None:
        """Note ``fault`` unless the rule is fulfilled."""
        if not fulfilled:
            self.problems.append(f"{self.code} {where}: {fault}")

    def head(self, feed: Feed) -> tuple[int, bytes]:
        """Return count and last rid of a feed, from its records."""
        by_seq = self.trunk.get(feed)
        return (max(by_seq) + 1, by_seq[max(by_seq)].rid) if by_seq else (0, b"")

    def read(self, database: Path) -> None:
        """Take in the database and judge all that needs no other node."""
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as file:
            file.execute("BEGIN")
            rows = file.execute("SELECT id, author, epoch, lane, audience FROM feed")
            feeds = {number: tuple(feed) for number, *feed in rows}
            cells = "feed_id, seq, rid, rid8, header_cose, salt, body"
            for row in file.execute(f"SELECT {cells} FROM record"):
                if record := self._take(feeds, row):
                    same = self.trunk[record.feed].setdefault(record.seq, record) == record
                    self.expect(same, record, "another record has this number, too (3.2)")
            for row in file.execute(f"SELECT {cells.replace('rid8', 'NULL')} FROM aside"):
                self._take(feeds, row)
            states = file.execute("SELECT id, key, count, rid, stopped FROM feed").fetchall()
        self._learn()
        for record in self.records.values():
            self._judge(record)
        for by_seq in self.trunk.values():
            self._chain(by_seq)
        for number, key, count, rid, stopped in states:
            feed, name = feeds[number], feeds[number]
            self.expect(key == cbor2.dumps(list(feed)), name, "key is not the feed's CBOR (5.2)")
            good = (count, rid) == self.head(feed)
            self.expect(good, name, f"count {count} and its rid are not those of the records (5.2)")
            self.expect(not stopped, name, "stopped: its author signed two of one number (5.6)")

    def _take(self, feeds: dict[int, Any], row: tuple[Any, ...]) -> Record | None:
        """Read a row: header, columns, body; None if it is no record at all."""
        feed_id, seq, rid, rid8, cose, salt, body = row
        try:
            record = read_record(cose)
        except FaultError as fault:
            self.expect(False, f"{feeds[feed_id]} #{seq}", fault)
            return None
        self.expect(rid == record.rid, record, "the stored rid is not the header's hash (2.3)")
        good = rid8 in (None, int.from_bytes(record.rid[:8], "big", signed=True))
        self.expect(good, record, "rid8 is not the beginning of the rid (2.3)")
        good = (feeds[feed_id], seq) == (record.feed, record.seq)
        self.expect(good, record, "stored in another feed or at another number than signed (3.2)")
        self.records[record.rid] = record
        self.copies[record.rid] += 1
        try:
            # Every copy is hashed. None may be missing: a story is too short for pruning (8.1).
            require(salt is not None and body is not None, "the body is missing (5.3)")
            good = len(salt) == 16 and hashlib.sha256(salt + body).digest() == record.body_hash
            require(good and len(body) == record.body_size, "the body is not the signed one (2.2)")
            self.bodies[record.rid] = read_body(body)
        except FaultError as fault:
            self.expect(False, record, fault)
        return record

    def _learn(self) -> None:
        """Build anchor → certificates → epochs; each is believed by the one before (4)."""
        rules = {FOUNDED: self._founded, CERTIFIED: self._certified, OPENED: self._opened}
        trust = [record for record in self.records.values() if record.feed[2] == "trust"]
        # From the top down and in order, so that whoever vouches is known before.
        trust.sort(key=lambda r: (len(r.feed[0]), r.feed[1] != ROOT_EPOCH, r.feed, r.seq))
        for record in trust:
            try:
                if record.kind in rules and record.rid in self.bodies:
                    rules[record.kind](record, self.bodies[record.rid])
            except FaultError as fault:
                self.expect(False, record, fault)

    def _founded(self, record: Record, body: Json) -> None:
        new = read_certificate(record.rid, body)
        root = (new.division, ROOT_EPOCH, "trust", new.division + "*")
        good = (record.feed, record.seq, record.prev) == (root, 0, bytes(32))
        require(good and new.level == "district", "not the root of a district (4.1)")
        require(is_signed(record.cose, new.key), "not signed by the key it names (4.1)")
        self.anchor, self.certificates[record.rid] = record.rid, new
        self.epochs[new.division, ROOT_EPOCH] = (bytes(32), new)

    def _certified(self, record: Record, body: Json) -> None:
        new, (author, *_, audience) = read_certificate(record.rid, body), record.feed
        _, issuer = self.epochs.get(record.feed[:2], (b"", None))
        vouched = issuer and issuer.level != "village" and is_signed(record.cose, issuer.key)
        require(vouched and audience == author + "*", "no relay vouches for this key (4.2)")
        parent, division = str(body.get("parent")), new.division
        line = division != parent and division.startswith(parent) and parent.startswith(author)
        require(line and new.level != "district", "not certified from above (4.2)")
        # The request is signed by the new key: nobody else can have asked for it.
        asked = cbor2.dumps([self.anchor, parent, division, bytes.fromhex(body["nonce"])])
        new.key.verify(b"sanji/join/v1" + asked, bytes.fromhex(body["proof"]))
        # Replacing a key takes the old key or the district; no story does it.
        known = any(other.division == division for other in self.certificates.values())
        require(not known, f"{division} is certified a second time (4.2)")
        self.certificates[record.rid] = new

    def _opened(self, record: Record, body: Json) -> None:
        own = self.certificates.get(record.prev)
        if own is None or own.rid.hex() != body.get("certificate"):
            raise FaultError("the epoch names no certificate that is here (4.3)")
        author, epoch, _, audience = record.feed
        good = (own.division, "^" if own.level == "village" else author + "*", 0)
        good_place = good == (author, audience, record.seq) and epoch != ROOT_EPOCH
        require(good_place, "an epoch begins the author's own trust feed (4.3)")
        require(is_signed(record.cose, own.key), "not signed by the certified key (4.3)")
        self.epochs[author, epoch] = (record.rid, own)

    def _judge(self, record: Record) -> None:
        """Compare a record with its author's certificate and with this node's entitlement."""
        entitled = is_holder(record.feed, self.code)
        self.expect(entitled, record, "misdelivered: this node is no holder (3.4)")
        _, author = self.epochs.get(record.feed[:2], (b"", None))
        if author is None:
            return self.expect(False, record, "no certificate and epoch here name its key (4.3)")
        self.expect(record.kid == author.key.kid, record, "kid is not the author's key (2.3)")
        good = is_signed(record.cose, author.key)
        self.expect(good, record, "the signature does not verify (2.1)")
        code = record.feed[3].removesuffix("*")
        known = any(other.division == code for other in self.certificates.values())
        good = code == "^" or (known and author.level != "village")
        return self.expect(good, record, "a leaf's, or nobody certified its audience (3.3)")

    def _chain(self, by_seq: dict[int, Record]) -> None:
        """Compare the numbers of a feed, and each prev (3.2, 2.2)."""
        feed = next(iter(by_seq.values())).feed
        hole = next((n for n, seq in enumerate(sorted(by_seq)) if n != seq), None)
        # Custody may begin anywhere: what no evidence cites of it is forgotten (4.7).
        good = hole is None or feed[2] == "custody"
        self.expect(good, feed, f"number {hole} is missing (3.2)")
        opened, own = self.epochs.get(feed[:2], (b"", None))
        for seq, record in by_seq.items():
            if before := by_seq.get(seq - 1):
                good = record.prev == before.rid
            elif own is not None and seq == 0:
                good = record.prev == (own.rid if record.rid == opened else opened)
            self.expect(good, record, "prev is not the rid before it (2.2, 4.3)")


def compare(logs: dict[str, Log], problems: list[str]) -> int:
    """Compare the logs with each other; return how many custody feeds are still under way."""
    top = logs[min(logs, key=len)]
    certified = {certificate.division for certificate in top.certificates.values()}
    problems += [f"{c}: a log or a certificate is missing (4.2)" for c in certified ^ logs.keys()]
    for log in logs.values():
        log.expect(log.anchor and log.anchor == top.anchor, "anchor", "not the district's (4.1)")
    custody_behind = 0
    for feed in sorted({feed for log in logs.values() for feed in log.trunk}):
        heads = {code: log.head(feed) for code, log in logs.items() if is_holder(feed, code)}
        if len(set(heads.values())) > 1:
            custody_behind += feed[2] == "custody"
            counts = ", ".join(f"{code} {count}" for code, (count, _) in heads.items())
            if feed[2] != "custody":  # statements about the last statements' lanes never end
                problems.append(f"{feed}: unequal, holders hold {counts} (3.2, 3.4)")
    return custody_behind


def find_lost(logs: dict[str, Log], given: Iterable[tuple[bytes, str]]) -> Iterator[str]:
    """Yield each accepted record that is not at every holder (1.3, 3.4)."""
    for rid, told_by in given:
        record = next((log.records[rid] for log in logs.values() if rid in log.records), None)
        holders = {told_by}
        if record is not None and record.feed[2] != "custody":
            holders |= {code for code in logs if is_holder(record.feed, code)}
        without = sorted(c for c in holders if c not in logs or rid not in logs[c].records)
        if without:
            yield f"{record or rid.hex()}: lost, accepted but not at {without} (1.3)"


def count_anew(logs: dict[str, Log]) -> dict[str, int]:
    """Count from the logs what the story claims."""
    kinds: defaultdict[str, dict[bytes, Record]] = defaultdict(dict)
    for log in logs.values():
        for rid, record in log.records.items():
            kinds[record.kind][rid] = record
    top, filed = logs[min(logs, key=len)], kinds[FILED]
    # refs begin with the subject: of an answer the filing, whose author wants to see it (10).
    answered = ((rid, filed.get(r.refs[0])) for rid, r in kinds[ANSWERED].items() if r.refs)
    holding = [(rid, logs.get(filing.feed[0])) for rid, filing in answered if filing]
    held = [(log.code, record) for log in logs.values() for record in log.records.values()]
    return {
        "nodes": len(logs),
        "notices_published": len(kinds[NOTICE]),
        "notices_held": sum(record.kind == NOTICE for _, record in held),
        "feedback_filed": len(filed),
        "feedback_at_district": sum(rid in top.records for rid in filed),
        "answers_at_village": sum(log is not None and rid in log.records for rid, log in holding),
        "misdelivered": sum(not is_holder(record.feed, code) for code, record in held),
        "stored_twice": sum(log.copies.total() - len(log.records) for log in logs.values()),
    }


def check_claims(story: Json, ours: dict[str, int], problems: list[str]) -> Iterator[str]:
    """Compare the story's figures with ours; yield the lines of a table."""
    yield f"{'figure':<24}{'story':>10}{'audit':>10}"
    for name in (*ours, *COUNTERS, "seconds"):
        theirs = story.get(name)
        yield f"{name:<24}{theirs!s:>10}{ours.get(name, '-')!s:>10}"
        if type(theirs) is not int and not (name == "seconds" and type(theirs) is float):
            problems.append(f"story.json: {name} is missing or no number")
        elif theirs != ours.get(name, theirs):
            problems.append(f"story.json: {name} is {theirs}, the logs say {ours[name]}")
        elif name in {"misdelivered", "stored_twice", "lost"} and theirs != 0:
            problems.append(f"story.json: {name} is {theirs} and must be 0")
        elif name in COUNTERS and theirs <= 0:
            problems.append(f"story.json: {name} is {theirs}: the story did not try it")


def audit(folder: Path) -> tuple[list[str], list[str]]:
    """Return the lines of the report and the problems."""
    started, problems = time.monotonic(), list[str]()
    try:
        story: Json = dict(json.loads((folder / "story.json").read_text("utf-8")))
        told = map(json.loads, (folder / "given.jsonl").read_text("utf-8").splitlines())
        given = {(bytes.fromhex(entry["rid"]), str(entry["node"])) for entry in told}
        paths = {path.parent.name: path for path in sorted(folder.glob("nodes/*/log.db"))}
        logs = {code: Log(code, problems) for code in paths}
        for code, log in logs.items():
            log.read(paths[code])
    except (OSError, ValueError, KeyError, TypeError, sqlite3.Error) as error:
        raise UnusableError(f"{type(error).__name__}: {error}") from error
    if not logs:
        raise UnusableError("there is no nodes/*/log.db")
    custody_behind = compare(logs, problems)
    lost = list(find_lost(logs, sorted(given)))
    problems += lost
    lines = list(check_claims(story, {**count_anew(logs), "lost": len(lost)}, problems))
    rows = sum(log.copies.total() for log in logs.values())
    bodies = sum(len(log.bodies) for log in logs.values())
    lines += [f"{'custody_behind':<24}{custody_behind:>20} feeds under way (4.7)"]
    lines += [f"{rows} records, {bodies} bodies, {is_signed.cache_info().currsize} signatures, "]
    lines[-1] += f"{len(given)} promises checked in {time.monotonic() - started:.1f} s"
    return lines, problems


def main(arguments: list[str]) -> int:
    """Audit the folder named on the command line; return the exit code."""
    try:
        lines, problems = audit(Path(*arguments))
    except UnusableError as error:
        sys.stderr.write(f"audit: {error}\n")
        return 2
    lines += [f"  {problem}" for problem in problems[:PROBLEMS_SHOWN]]
    lines += [f"audit: {len(problems)} problems" if problems else "audit: all agrees"]
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
