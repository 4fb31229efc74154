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


class Line:
    """What is stored so far, and what the next chunk has to follow."""

    def __init__(self, connection: sqlite3.Connection, key: bytes, prev: bytes) -> None:
        """Store through ``connection``, from ``open_file``.

        Args:
            connection: Where to.
            key: The author's public key, 32 bytes.
            prev: What record 0 follows, 32 bytes.
        """
        self._connection = connection
        self._prev = prev
        self._public = Ed25519PublicKey.from_public_bytes(key)
        self._protected = _PROTECTED + hashlib.sha256(key).digest()[:8]
        self._unpacker = zstandard.ZstdDecompressor()

    def take(self, frame: bytes) -> int:
        """Check and store the next chunk, of one run, in one transaction.

        Returns:
            How many records were stored.

        Raises:
            BrokenError: the chain is wrong.
            InvalidSignature: the signature is.
        """
        packed = self._unpacker.decompress(cbor2.loads(frame)[3])
        ((feed, first_seq, items),) = cbor2.loads(packed)
        prev, protected = self._prev, self._protected
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
        self._public.verify(signature, _SIGNED + protected + _AAD + cbor2.dumps(payload))
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany(_INSERT, rows)
        held = (first_seq + len(rows), prev)
        self._connection.execute("UPDATE feed SET count = ?, rid = ?", held)
        self._connection.execute("COMMIT")
        self._prev = prev
        return len(rows)


def store(connection: sqlite3.Connection, frames: Iterable[bytes], key: bytes, prev: bytes) -> int:
    """Check and store ``frames``, chunks of one feed from its record 0 on; see ``Line``.

    Returns:
        How many records were stored.
    """
    line = Line(connection, key, prev)
    return sum(map(line.take, frames))
