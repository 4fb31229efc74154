"""The straight line: what storing a chunk costs at least, with the same libraries.

Unpacks a chunk, restores the headers, checks hashes, chain and one signature a run, and inserts all
in one flushed transaction. It trusts lengths, types, feeds and authors, knows one author and no
forks, and is of use for nothing else than to be compared with.
"""

import hashlib
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import cbor2
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

# The same columns, indexes and settings as the product's (shared/log/tables.py, database.py).
_TABLE: Final = """
CREATE TABLE record (
    arrival INTEGER PRIMARY KEY AUTOINCREMENT, feed_id INTEGER NOT NULL, seq BIGINT NOT NULL,
    rid BLOB NOT NULL, rid8 BIGINT NOT NULL, header_cose BLOB NOT NULL, salt BLOB, body BLOB,
    stored_at_ms BIGINT NOT NULL, UNIQUE (feed_id, seq)
);
CREATE INDEX record_rid8 ON record (rid8);
CREATE TABLE feed (id INTEGER PRIMARY KEY, count BIGINT, rid BLOB);
INSERT INTO feed VALUES (1, 0, x'');
"""
_SETTINGS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA wal_autocheckpoint = 8000",
)
_INSERT: Final = (
    "INSERT INTO record (feed_id, seq, rid, rid8, header_cose, salt, body, stored_at_ms)"
    " VALUES (1, ?, ?, ?, ?, ?, ?, 0)"
)
_PROTECTED: Final = bytes.fromhex("4da201270448")
_SIGNED: Final = b"\x84\x6aSignature1"
_AAD: Final = cbor2.dumps(b"sanji/record/v1")


class BrokenError(Exception):
    """A chunk is not what its author signed: the baseline was fed with something else."""


def open_file(path: Path) -> sqlite3.Connection:
    """Return a new database at ``path`` with the one table it needs."""
    connection = sqlite3.connect(path, isolation_level=None)
    for setting in _SETTINGS:
        connection.execute(setting)
    connection.executescript(_TABLE)
    return connection


def store(connection: sqlite3.Connection, frames: Iterable[bytes], key: bytes, prev: bytes) -> int:
    """Check and store ``frames``, one transaction each.

    Args:
        connection: From ``open_file``.
        frames: Chunks of one feed, from its record 0 on, one run each.
        key: The author's public key, 32 bytes.
        prev: What record 0 follows, 32 bytes.

    Returns:
        How many records were stored.

    Raises:
        BrokenError: a chain or a signature is wrong.
    """
    public, unpacker = Ed25519PublicKey.from_public_bytes(key), zstandard.ZstdDecompressor()
    protected = _PROTECTED + hashlib.sha256(key).digest()[:8]
    stored = 0
    for frame in frames:
        ((feed, first_seq, items),) = cbor2.loads(unpacker.decompress(cbor2.loads(frame)[3]))
        rows: list[tuple[Any, ...]] = []
        payload = signature = b""
        for seq, item in enumerate(items, first_seq):
            if seq == first_seq:
                header_cose, salt, body = item
                payload, signature = cbor2.loads(header_cose).value[2:]
                fields = cbor2.loads(payload)
                if fields[6] != prev or fields[10] != hashlib.sha256(salt + body).digest():
                    raise BrokenError("a chunk does not follow the one before")
            else:
                signature, at_ms, kind, refs, ext, salt, body = item
                digest = hashlib.sha256(salt + body).digest()
                payload = cbor2.dumps(
                    [1, *feed, seq, prev, at_ms, kind, len(body), digest, refs, ext]
                )
                bare = cbor2.dumps(payload)
                header_cose = b"\xd2\x84" + protected + b"\xa0" + bare + b"\x58\x40" + signature
            prev = hashlib.sha256(header_cose).digest()
            rid8 = int.from_bytes(prev[:8], "big", signed=True)
            rows.append((seq, prev, rid8, header_cose, salt, body))
        # The last one vouches for all before it: each names the hash of its predecessor.
        public.verify(signature, _SIGNED + protected + _AAD + cbor2.dumps(payload))
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(_INSERT, rows)
        connection.execute("UPDATE feed SET count = ?, rid = ?", (first_seq + len(rows), prev))
        connection.execute("COMMIT")
        stored += len(rows)
    return stored
