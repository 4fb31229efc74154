"""An independent audit of the district that ``make story`` leaves behind.

    python tests/acceptance/audit.py DIR

It reads the nodes' databases, believes nothing and shares no line with the program: it imports the
standard library, cbor2, python-cwt and, for a database on a server, asyncpg. So it is the protocol
written down a second time; numbers in parentheses are the protocol's sections. DIR holds

- ``nodes/<code>/log.db``: the log of each node, SQLite; it is only read;
- ``databases.json``, perhaps: ``{code: URL}`` of the nodes whose log lies in PostgreSQL instead;
- ``given.jsonl``: ``{"rid": hex, "node": code}`` for each record that a caller was told is
  accepted, written outside the nodes: whatever stands there must be found at every holder;
- ``story.json``: the figures that the story claims.

Exit code 0: all agrees. 1: problems, listed. 2: DIR cannot be audited at all.
"""

import asyncio
import functools
import hashlib
import importlib
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
SELECTS = (
    "SELECT author, epoch, lane, audience, id, key, count, rid, stopped FROM feed",
    "SELECT feed_id, seq, rid, header_cose, salt, body, rid8 FROM record",
    "SELECT feed_id, seq, rid, header_cose, salt, body FROM aside",
)
COUNTERS = ("in_flight_at_kill", "duplicates_offered", "tampered_refused", "backlog_while_cut")
"""Counted by the running nodes: no log tells them, but at 0 the story has not tried its faults."""
PROBLEMS_SHOWN = 20
Json = dict[str, Any]
Rows = list[tuple[Any, ...]]


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
    _, author, epoch, lane, audience, seq, prev, at_ms, kind, size, digest, refs, ext = header
    good = all(type(key) is int and 0 <= key <= INTEGER_MAX for key in ext)
    require(good, "ext has unsigned keys (2.2)")
    # cbor2 writes shortest forms and keeps a map in its order, which has to be the sorted one.
    good = cbor2.dumps(header) == payload and list(ext) == sorted(ext)
    require(good and len(payload) <= 1024, "not deterministic CBOR, or over 1 KiB (2.2)")
    numbers = all(0 <= number <= INTEGER_MAX for number in (seq, at_ms))
    require(numbers and 0 <= size <= 65536, "a number out of its range (2.2, 2.4)")
    require({len(prev), len(digest)} == {32}, "prev and body_hash have 32 bytes (2.2)")
    require(KIND.fullmatch(kind), f"{kind[:40]!r} is no kind (2.2)")
    good = all(type(ref) is bytes and len(ref) == 32 for ref in refs)
    require(good and len(refs) <= 8, "refs are up to 8 rids (2.2)")
    require(CODE.fullmatch(author) and len(epoch) == 8, "no code or no epoch (3.1, 2.2)")
    require(lane in {"trust", "urgent", "ordinary", "custody"}, f"{lane[:40]!r} is no lane (3.5)")
    code = audience.removesuffix("*")
    below = CODE.fullmatch(code) and code.startswith(author) and audience != author
    require(audience == "^" or below, f"audience {audience[:40]!r} does not suit {author} (3.3)")
    rid, feed = hashlib.sha256(cose).digest(), Feed(author, epoch, lane, audience)  # (2.3)
    return Record(cose, rid, kid, feed, seq, prev, kind, size, digest, refs)


@functools.cache
def read_body(body: bytes) -> Json:
    """Return the object in ``body``: I-JSON with integers only (2.4)."""
    try:
        text = body.decode("utf-8")
        value = json.loads(
            text, object_pairs_hook=_names, parse_int=_int, parse_float=_int, parse_constant=_int
        )
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # fails for a lone surrogate
    except (ValueError, RecursionError) as error:
        raise FaultError(f"the body is not I-JSON: {error} (2.4)") from error
    require(isinstance(value, dict), "the body is no object (2.4)")
    return dict(value)


def _names(pairs: list[tuple[str, Any]]) -> Json:
    require(len(dict(pairs)) == len(pairs), "a name stands twice")
    return dict(pairs)


def _int(text: str) -> int:
    require(abs(int(text)) <= INTEGER_MAX, "a number beyond 2^53-1")
    return int(text)


@functools.cache
def is_holder(feed: Feed, node: str) -> bool:
    """The author, all above it, the path down to CODE, and for CODE* all below it (3.4)."""
    author, _, _, audience = feed
    if audience == "^" or not node.startswith(author):
        return author.startswith(node)
    code = audience.removesuffix("*")
    return node == author or code.startswith(node) or (code != audience and node.startswith(code))


def _loads(_: object, data: bytes) -> Any:
    value = cbor2.loads(data)
    if not isinstance(value, cbor2.CBORTag):
        return value
    return cbor2.CBORTag(value.tag, [v if type(v) is bytes else dict(v) for v in value.value])


# cbor2 6 gives what stands below a tag as tuples and frozen maps; cwt 3.3 wants lists and dicts.
PROCESSOR: Any = cwt.cbor_processor.CBORProcessor
PROCESSOR._loads = _loads


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


def rows_of_file(database: Path) -> list[Rows]:
    """Return the rows of the three tables, from one moment of a SQLite file."""
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as file:
        file.execute("BEGIN")
        return [file.execute(select).fetchall() for select in SELECTS]


async def rows_of_server(url: str) -> list[Rows]:
    """Return the same from a PostgreSQL server."""
    asyncpg: Any = importlib.import_module("asyncpg")  # who audits files only needs no driver
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return [[tuple(row) for row in await connection.fetch(one)] for one in SELECTS]
    except asyncpg.PostgresError as error:
        raise ValueError(error) from error  # no log to audit, as a file that is none
    finally:
        await connection.close()


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

    def read(self, states: Rows, records: Rows, aside: Rows) -> None:
        """Take in the rows of the three tables and judge all that needs no other node."""
        feeds = {row[4]: Feed(*row[:4]) for row in states}
        for row in records:
            if record := self._take(feeds[row[0]], *row[1:]):
                first = self.trunk[record.feed].setdefault(record.seq, record)
                self.expect(first == record, record, "two records have this number (3.2)")
        for row in aside:
            self._take(feeds[row[0]], *row[1:])
        self._learn()
        for record in self.records.values():
            self._judge(record)
        for feed, by_seq in self.trunk.items():
            self._chain(feed, by_seq)
        for *_, number, key, count, rid, stopped in states:
            feed = feeds[number]
            self.expect(key == cbor2.dumps([*feed]), feed, "its key is not its CBOR (5.2)")
            good = (count, rid) == self.head(feed)
            self.expect(good, feed, f"count {count} and its rid are not those of the records (5.2)")
            self.expect(not stopped, feed, "stopped: its author signed two of one number (5.6)")

    def _take(self, feed: Feed, seq: int, rid: bytes, cose: bytes, *rest: Any) -> Record | None:
        """Read a row: header, columns, body; None if it is no record at all."""
        salt, body, *rid8 = rest
        try:
            record = read_record(cose)
        except FaultError as fault:
            self.expect(False, f"{feed} #{seq}", fault)
            return None
        self.expect(rid == record.rid, record, "the stored rid is not the header's hash (2.3)")
        good = rid8 in ([], [int.from_bytes(record.rid[:8], "big", signed=True)])
        self.expect(good, record, "rid8 is not the beginning of the rid (2.3)")
        good = (feed, seq) == (record.feed, record.seq)
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
        trust = [record for record in self.records.values() if record.feed.lane == "trust"]
        # From the top down and in order, so that whoever vouches is known before.
        trust.sort(key=lambda r: (len(r.feed.author), r.feed.epoch != ROOT_EPOCH, r.feed, r.seq))
        for record in trust:
            try:
                if record.kind in rules and record.rid in self.bodies:
                    rules[record.kind](record, self.bodies[record.rid])
            except (ValueError, KeyError, TypeError) as fault:
                self.expect(False, record, fault)
            except VerifyError:
                self.expect(False, record, "the new key has not asked for this (4.2)")

    def _founded(self, record: Record, body: Json) -> None:
        new = read_certificate(record.rid, body)
        root = Feed(new.division, ROOT_EPOCH, "trust", new.division + "*")
        good = (record.feed, record.seq, record.prev) == (root, 0, bytes(32))
        require(good and new.level == "district", "not the root of a district (4.1)")
        require(is_signed(record.cose, new.key), "not signed by the key it names (4.1)")
        self.anchor, self.certificates[record.rid] = record.rid, new
        self.epochs[new.division, ROOT_EPOCH] = (bytes(32), new)

    def _certified(self, record: Record, body: Json) -> None:
        new, (author, epoch, _, audience) = read_certificate(record.rid, body), record.feed
        _, issuer = self.epochs.get((author, epoch), (b"", None))
        vouched = issuer and issuer.level != "village" and is_signed(record.cose, issuer.key)
        require(vouched and audience == author + "*", "no relay vouches for this key (4.2)")
        parent, division = str(body.get("parent")), new.division
        line = division != parent and division.startswith(parent) and parent.startswith(author)
        require(line and new.level != "district", "not certified from above (4.2)")
        # The request is signed by the new key: nobody else can have asked for it.
        asked = cbor2.dumps([self.anchor, parent, division, bytes.fromhex(body["nonce"])])
        new.key.verify(b"sanji/join/v1" + asked, bytes.fromhex(body["proof"]))
        # Replacing a key takes the old key or the district; no story does it.
        require(division not in self.divisions(), f"{division} is certified twice (4.2)")
        self.certificates[record.rid] = new

    def _opened(self, record: Record, body: Json) -> None:
        own = self.certificates.get(record.prev)
        if own is None or own.rid.hex() != body["certificate"]:
            raise FaultError("the epoch names no certificate that is here (4.3)")
        audience = "^" if own.level == "village" else own.division + "*"
        good = record.feed == Feed(own.division, record.feed.epoch, "trust", audience)
        good = good and record.seq == 0 and record.feed.epoch != ROOT_EPOCH
        require(good, "an epoch begins the author's own trust feed (4.3)")
        require(is_signed(record.cose, own.key), "not signed by the certified key (4.3)")
        self.epochs[record.feed[:2]] = (record.rid, own)

    def divisions(self) -> set[str]:
        """Return the divisions that this log has certificates of."""
        return {certificate.division for certificate in self.certificates.values()}

    def _judge(self, record: Record) -> None:
        """Compare a record with its author's certificate and with this node's entitlement."""
        entitled = is_holder(record.feed, self.code)
        self.expect(entitled, record, "misdelivered: this node is no holder (3.4)")
        _, author = self.epochs.get(record.feed[:2], (b"", None))
        if author is None:
            self.expect(False, record, "no certificate and epoch here name its key (4.3)")
            return
        self.expect(record.kid == author.key.kid, record, "kid is not the author's key (2.3)")
        signed = is_signed(record.cose, author.key)
        self.expect(signed, record, "the signature does not verify (2.1)")
        code = record.feed.audience.removesuffix("*")
        good = code == "^" or (author.level != "village" and code in self.divisions())
        self.expect(good, record, "from a leaf, or to nobody that is certified (3.3)")

    def _chain(self, feed: Feed, by_seq: dict[int, Record]) -> None:
        """Compare the numbers of a feed, and each prev (3.2, 2.2)."""
        hole = next((n for n, seq in enumerate(sorted(by_seq)) if n != seq), None)
        # Custody may begin anywhere: what no evidence cites of it is forgotten (4.7).
        good = hole is None or feed.lane == "custody"
        self.expect(good, feed, f"number {hole} is missing (3.2)")
        opened, own = self.epochs.get(feed[:2], (b"", None))
        for seq, record in by_seq.items():
            prev = record.prev
            if before := by_seq.get(seq - 1):
                prev = before.rid
            elif seq == 0 and own:
                prev = own.rid if record.rid == opened else opened
            self.expect(record.prev == prev, record, "prev is not the rid before it (2.2, 4.3)")


def compare(logs: dict[str, Log], problems: list[str]) -> int:
    """Compare the logs with each other; return how many custody feeds are still under way."""
    top = logs[min(logs, key=len)]
    odd = sorted(top.divisions() ^ logs.keys())
    astray = [code for code, log in logs.items() if log.anchor != top.anchor]
    # First, because these explain many others.
    problems[:0] = [f"{code}: its log or its certificate is missing (4.2)" for code in odd]
    problems[:0] = [f"{code}: its anchor is not the district's (4.1)" for code in astray]
    custody_behind = 0
    for feed in sorted({feed for log in logs.values() for feed in log.trunk}):
        heads = {code: log.head(feed) for code, log in logs.items() if is_holder(feed, code)}
        equal = len(set(heads.values())) <= 1
        if feed.lane == "custody":  # each delivery is stated, so this lane never comes to rest
            custody_behind += not equal
        elif not equal:
            counts = ", ".join(f"{code} {count}" for code, (count, _) in heads.items())
            problems.append(f"{feed}: unequal, its holders hold {counts} (3.2, 3.4)")
    return custody_behind


def find_lost(logs: dict[str, Log], given: Iterable[tuple[bytes, str]]) -> Iterator[str]:
    """Yield each accepted record that is not at every holder (1.3, 3.4)."""
    for rid, told_by in given:
        record = next((log.records[rid] for log in logs.values() if rid in log.records), None)
        holders = {told_by}
        if record is not None and record.feed.lane != "custody":
            holders |= {code for code in logs if is_holder(record.feed, code)}
        without = sorted(c for c in holders if c not in logs or rid not in logs[c].records)
        if without:
            yield f"{record or rid.hex()}: lost, accepted but not at {without} (1.3)"


def count_anew(logs: dict[str, Log]) -> dict[str, int]:
    """Count from the logs what the story claims."""
    held = [(code, record) for code, log in logs.items() for record in log.records.values()]
    kinds: defaultdict[str, dict[bytes, Record]] = defaultdict(dict)
    for _, record in held:
        kinds[record.kind][record.rid] = record
    top, filed = logs[min(logs, key=len)], kinds[FILED]
    # refs begin with the subject: of an answer the filing, whose author wants to see it (10).
    subjects = {rid: filed.get(r.refs[0]) for rid, r in kinds[ANSWERED].items() if r.refs}
    answers = [(f.feed.author, rid) for rid, f in subjects.items() if f is not None]
    return {
        "nodes": len(logs),
        "notices_published": len(kinds[NOTICE]),
        "notices_held": sum(record.kind == NOTICE for _, record in held),
        "feedback_filed": len(filed),
        "feedback_at_district": sum(rid in top.records for rid in filed),
        "answers_at_village": len({*answers} & {(code, record.rid) for code, record in held}),
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


def main(folder: Path) -> int:
    """Audit what the story left in ``folder``; return the exit code."""
    started, problems = time.monotonic(), list[str]()
    try:
        story: Json = dict(json.loads((folder / "story.json").read_text("utf-8")))
        told = map(json.loads, (folder / "given.jsonl").read_text("utf-8").splitlines())
        given = sorted({(bytes.fromhex(one["rid"]), str(one["node"])) for one in told})
        servers = folder / "databases.json"
        urls: dict[str, str] = json.loads(servers.read_text("utf-8")) if servers.exists() else {}
        paths = {path.parent.name: path for path in folder.glob("nodes/*/log.db")}
        require(paths, "there is no nodes/*/log.db")
        both = sorted(paths.keys() & urls.keys())
        require(not both, f"{both} have a log.db and a database")
        logs = {code: Log(code, problems) for code in sorted((*paths, *urls))}
        for code, log in logs.items():
            url = urls.get(code)
            log.read(*(asyncio.run(rows_of_server(url)) if url else rows_of_file(paths[code])))
    except (OSError, ValueError, KeyError, TypeError, sqlite3.Error) as error:
        sys.stderr.write(f"audit: {folder} cannot be audited: {type(error).__name__}: {error}\n")
        return 2
    custody_behind = compare(logs, problems)
    problems += (lost := list(find_lost(logs, given)))
    lines = list(check_claims(story, {**count_anew(logs), "lost": len(lost)}, problems))
    rows = sum(log.copies.total() for log in logs.values())
    bodies = sum(len(log.bodies) for log in logs.values())
    lines += [f"{'custody_behind':<24}{custody_behind:>20} feeds (4.7)"]
    lines += [f"{rows} records, {bodies} bodies, {is_signed.cache_info().currsize} signatures and"]
    lines[-1] += f" {len(given)} promises checked in {time.monotonic() - started:.1f} s"
    lines += [f"  {problem}" for problem in problems[:PROBLEMS_SHOWN]]
    lines += [f"audit: {len(problems)} problems" if problems else "audit: all agrees"]
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(Path(*sys.argv[1:])))
