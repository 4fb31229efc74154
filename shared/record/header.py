"""The header of a record: what is signed (protocol 2.2)."""

import re
from functools import lru_cache
from typing import Any, Final, NamedTuple

from shared.errors import FaultError
from shared.record import cbor
from shared.record.feed import Feed, check_feed
from shared.record.limits import (
    BODY_BYTES_MAX,
    HEADER_BYTES_MAX,
    INTEGER_MAX,
    KIND_CHARS_MAX,
    REFS_MAX,
)

VERSION: Final = 1
RID_BYTES: Final = 32
NO_PREV: Final = bytes(RID_BYTES)

_HASH_HEAD: Final = cbor.head(2, RID_BYTES)
_NO_REFS: Final = cbor.head(4, 0)
_NO_EXT: Final = cbor.encode({})

_KIND = re.compile(r"[a-z]+(\.[a-z_]+)+\.v[1-9][0-9]{0,3}")
_TYPES: Final = (int, str, bytes, str, str, int, bytes, int, str, int, bytes, list, dict)


class Header(NamedTuple):
    """One record's signed statement about itself.

    Attributes:
        feed: Author, epoch, lane and audience.
        seq: Number in the feed, from 0.
        prev: rid of seq - 1; for seq 0 what protocol 2.2 names. 32 bytes.
        claimed_at_ms: The author's clock, Unix ms UTC; shown, never decisive (protocol 1.4).
        kind: For example ``notice.published.v1``.
        body_size: Bytes of the body.
        body_hash: SHA-256(salt || body), 32 bytes.
        refs: Up to 8 rids of records this one speaks about; the first is its subject.
        ext: Map with unsigned keys; unknown ones are kept and relayed.
    """

    feed: Feed
    seq: int
    prev: bytes
    claimed_at_ms: int
    kind: str
    body_size: int
    body_hash: bytes
    refs: tuple[bytes, ...] = ()
    ext: dict[int, Any] = {}  # noqa: RUF012 - never changed in place; a NamedTuple has no factory


def encode_header(header: Header) -> bytes:
    """Return the signed payload, deterministic CBOR.

    Written out item by item: each record that comes, goes or is shown passes here, and the library
    takes three times as long.

    Args:
        header: In its ranges (see ``check_header``).

    Raises:
        FaultError: the header would be larger than 1 KiB.
    """
    feed, seq, prev, at_ms, kind, size, digest, refs, ext = header
    payload = b"".join(
        (
            _encoded_feed(feed),
            cbor.head(0, seq),
            _HASH_HEAD,
            prev,
            cbor.head(0, at_ms),
            _encoded_kind(kind),
            cbor.head(0, size),
            _HASH_HEAD,
            digest,
            cbor.encode_flat(list(refs)) if refs else _NO_REFS,
            cbor.encode(ext) if ext else _NO_EXT,
        )
    )
    if len(payload) > HEADER_BYTES_MAX:
        raise FaultError("a header has at most 1 KiB")
    return payload


@lru_cache(maxsize=4096)
def _encoded_feed(feed: Feed) -> bytes:
    """Return how a header in ``feed`` begins: the head of the list, the version, the feed."""
    return cbor.head(4, len(_TYPES)) + b"".join(map(cbor.encode_flat, (VERSION, *feed)))


@lru_cache(maxsize=1024)
def _encoded_kind(kind: str) -> bytes:
    return cbor.encode_flat(kind)


def decode_header(payload: bytes) -> Header:
    """Return the header that ``payload`` encodes, every field checked.

    Raises:
        FaultError: too long, not deterministic, another version, or a field out of its range.
    """
    if len(payload) > HEADER_BYTES_MAX:
        raise FaultError("a header has at most 1 KiB")
    value = cbor.decode_loose(payload)
    if type(value) is not list or tuple(map(type, value)) != _TYPES:
        raise FaultError("not the fields of a version 1 header")
    version, author, epoch, lane, audience, seq, prev, at_ms, kind, size, digest, refs, ext = value
    if version != VERSION:
        raise FaultError(f"record version {version} is not known here")
    header = Header(
        check_feed(Feed(author, epoch, lane, audience)),
        seq, prev, at_ms, kind, size, digest, tuple(refs), ext,
    )  # fmt: skip
    if encode_header(check_header(header)) != payload:
        raise FaultError("not in deterministic CBOR")
    return header


def check_header(header: Header) -> Header:
    """Return ``header`` if each field is in its range; the feed is taken as checked.

    Raises:
        FaultError: saying which field is wrong.
    """
    if not (0 <= header.seq <= INTEGER_MAX and 0 <= header.claimed_at_ms <= INTEGER_MAX):
        raise FaultError("seq and time are integers from 0 to 2^53-1")
    if not 0 <= header.body_size <= BODY_BYTES_MAX:
        raise FaultError("a body has at most 64 KiB")
    if len(header.prev) != RID_BYTES or len(header.body_hash) != RID_BYTES:
        raise FaultError("prev and body hash have 32 bytes")
    if not _is_kind(header.kind):
        raise FaultError(f"{header.kind[:40]!r} is not a kind")
    if header.refs or header.ext:
        _check_refs_and_ext(header)
    return header


@lru_cache(maxsize=1024)
def _is_kind(kind: str) -> bool:
    return len(kind) <= KIND_CHARS_MAX and _KIND.fullmatch(kind) is not None


def _check_refs_and_ext(header: Header) -> None:
    if len(header.refs) > REFS_MAX:
        raise FaultError("a record refers to at most 8 others")
    if any(type(ref) is not bytes or len(ref) != RID_BYTES for ref in header.refs):
        raise FaultError("each ref has 32 bytes")
    for key, value in header.ext.items():
        if type(key) is not int or not 0 <= key <= INTEGER_MAX:
            raise FaultError("ext has unsigned keys")
        cbor.check_plain(value)
