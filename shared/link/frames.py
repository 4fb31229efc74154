"""The two frames of a link, Heads and Chunk, as bytes (protocol 5.2, 5.3).

``Heads  = CBOR [0, header_cose, mode, entries, forks]``
``Chunk  = CBOR [1, session, n, zstd(CBOR runs)]``

Inside a run a record stands verbatim, ``[header_cose, salt, body]``, or lean,
``[signature, claimed_at_ms, kind, refs, ext, salt, body]``: what the run and the record before it
already say is restored, and a wrong restoration fails the signature like any other altered byte.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Any, Final

import zstandard

from shared.errors import FaultError
from shared.log.store import ForkProof
from shared.record import cbor
from shared.record.body import SALT_BYTES, body_hash
from shared.record.envelope import HEADS_AAD, Envelope, unwrap, wrap
from shared.record.feed import Feed, check_code, feed_from
from shared.record.header import Header, check_header, encode_header
from shared.record.limits import (
    CHUNK_BYTES_MAX,
    CHUNK_RECORDS_MAX,
    CHUNK_UNPACKED_BYTES_MAX,
    FRAME_BYTES_MAX,
    INTEGER_MAX,
)
from shared.record.record import Record
from shared.record.run import Run
from shared.trust.keys import PublicKey, SigningKey

SESSION_BYTES: Final = 8
TO_ALL: Final = bytes(SESSION_BYTES)
"""The session of a Chunk that is for every neighbour below (protocol 5.8)."""
RID16_BYTES: Final = 16
ZSTD_LEVEL: Final = 3
ROOT_BYTES: Final = 32

_VERSION: Final = 1
_HEADS: Final = 0
_CHUNK: Final = 1
_HEADS_FIELDS: Final = 5
_VERBATIM_FIELDS: Final = 3
_LEAN_FIELDS: Final = 7
_LEAN_TYPES: Final = (bytes, int, str, list, dict, bytes, bytes)
_LEAN_LENGTHS: Final = (64, SALT_BYTES)
_HEADS_PAYLOAD_BYTES_MAX: Final = 512


class State(IntEnum):
    """How an entry's feed stands at its sender; on the wire the lower-case name."""

    OK = 0
    STOPPED = 1
    FULL = 2


@dataclass(frozen=True, slots=True)
class Entry:
    """What the sender holds of one feed.

    Attributes:
        feed: The feed.
        count: Records held, 0 = none.
        rid16: First 16 bytes of the rid of record ``count - 1``; empty for 0.
        state: ok; stopped = I hold the proof of a fork; full = a limit of mine.
    """

    feed: Feed
    count: int
    rid16: bytes
    state: State = State.OK


class Mode(IntEnum):
    """Which entries stand beside a Heads."""

    NONE = 0
    CHANGED = 1
    ALL = 2


@dataclass(frozen=True)
class Heads:
    """A sender's statement of what it holds; bookkeeping, not evidence (protocol 5.2).

    Attributes:
        sender: Code of the sender.
        receiver: Code of the receiver.
        session: 8 random bytes chosen when the link opened.
        n: Counter of frames in that session.
        peer_session: The receiver's session as last heard; empty if none.
        seen: Highest n received in ``peer_session``, 0 = none.
        ask: "Answer even if equal."
        root: SHA-256 over the entries of all feeds of which both are holders.
        mode: Which entries stand beside it.
        entries: Those entries.
        forks: Proofs the receiver may lack.
    """

    sender: str
    receiver: str
    session: bytes
    n: int
    peer_session: bytes
    seen: int
    ask: bool
    root: bytes
    mode: Mode = Mode.NONE
    entries: tuple[Entry, ...] = ()
    forks: tuple[ForkProof, ...] = ()


@dataclass(frozen=True)
class Chunk:
    """Runs of records on their way.

    Attributes:
        session: The sender's session; ``TO_ALL`` of what is said to all below at once.
        n: Counter of frames in it; 0 there.
        runs: In the order of protocol 5.3.
    """

    session: bytes
    n: int
    runs: tuple[Run, ...]


def encode_entry(entry: Entry) -> bytes:
    """Return the bytes that the root is taken over."""
    return cbor.encode(_entry_value(entry))


def root_of(encoded_entries: Iterable[bytes]) -> bytes:
    """Return the root of entries, given encoded and in order of their feeds' keys."""
    digest = hashlib.sha256()
    for encoded in encoded_entries:
        digest.update(encoded)
    return digest.digest()


def encode_heads(heads: Heads, key: SigningKey) -> bytes:
    """Return the frame, signed by ``key``."""
    payload = cbor.encode(
        [_VERSION, heads.sender, heads.receiver, heads.session, heads.n, heads.peer_session,
         heads.seen, heads.ask, heads.root]
    )  # fmt: skip
    entries = [_entry_value(entry) for entry in heads.entries]
    forks = [[list(fork.feed), fork.seq, fork.first, fork.second] for fork in heads.forks]
    return cbor.encode([_HEADS, key.sign(payload, HEADS_AAD), int(heads.mode), entries, forks])


def encode_chunk(chunk: Chunk) -> bytes:
    """Return the frame; the caller keeps to the limits (see ``shared.node.packing``)."""
    return cbor.encode_flat([_CHUNK, chunk.session, chunk.n, _packed(chunk.runs)])


@lru_cache(maxsize=4)
def _packed(runs: tuple[Run, ...]) -> bytes:
    """Return what is the same in a Chunk for each neighbour; most get it one after the other."""
    values = [[list(run.feed), run.first_seq, _lean_records(run)] for run in runs]
    return zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(cbor.encode_flat(values))


def decode_frame(data: bytes, keys: Sequence[PublicKey]) -> Heads | Chunk:
    """Return the frame in ``data``; Heads must be signed by one of the sender's ``keys``.

    Raises:
        FaultError: too large, malformed, beyond a limit, or wrongly signed.
    """
    if len(data) > FRAME_BYTES_MAX:
        raise FaultError("a frame larger than the limit")
    match cbor.decode_loose(data):
        case [tag, bytes(signed), mode, list(entries), list(forks)] if cbor.is_number(tag, _HEADS):
            return _heads(signed, mode, entries, forks, keys)
        case [tag, bytes(session), int(n), bytes(packed)] if (
            cbor.is_number(tag, _CHUNK) and len(session) == SESSION_BYTES
        ):
            return Chunk(session, _counter(n), _runs(packed))
        case _:
            raise FaultError("neither Heads nor Chunk")


def is_heads(data: bytes) -> bool:
    """Tell by its first two bytes whether a frame says to be a Heads; nothing is checked."""
    return data[:2] == bytes((0x80 + _HEADS_FIELDS, _HEADS))


def _heads(
    signed: bytes, mode: object, entries: list[Any], forks: list[Any], keys: Sequence[PublicKey]
) -> Heads:
    envelope = unwrap(signed, _HEADS_PAYLOAD_BYTES_MAX)
    if not any(key.verifies(envelope, HEADS_AAD) for key in keys):
        raise FaultError("Heads not signed by the neighbour")
    if type(mode) is not int or mode not in tuple(Mode):
        raise FaultError("unknown mode of Heads")
    match cbor.decode(envelope.payload):
        case [version, str(sender), str(receiver), bytes(session), int(n), bytes(peer_session),
              int(seen), bool(ask), bytes(root)] if (
            cbor.is_number(version, _VERSION) and len(session) == SESSION_BYTES
        ):  # fmt: skip
            pass
        case _:
            raise FaultError("not the fields of Heads")
    if len(root) != ROOT_BYTES or len(peer_session) not in (0, SESSION_BYTES):
        raise FaultError("a field of Heads has the wrong length")
    return Heads(
        check_code(sender), check_code(receiver), session, _counter(n), peer_session,
        _counter(seen), ask, root, Mode(mode),
        tuple(_entry(value) for value in entries), tuple(_fork(value) for value in forks),
    )  # fmt: skip


def _entry_value(entry: Entry) -> list[Any]:
    return [list(entry.feed), entry.count, entry.rid16, entry.state.name.lower()]


def _entry(value: Any) -> Entry:
    match value:
        case [feed, int(count), bytes(rid16), ("ok" | "stopped" | "full") as state]:
            if len(rid16) != (RID16_BYTES if _counter(count) else 0):
                raise FaultError("an entry's rid has 16 bytes, none for count 0")
            return Entry(feed_from(feed), count, rid16, State[state.upper()])
        case _:
            raise FaultError("an entry is [feed, count, rid16, state]")


def _fork(value: Any) -> ForkProof:
    match value:
        case [feed, int(seq), bytes(first), bytes(second)]:
            return ForkProof(feed_from(feed), _counter(seq), first, second)
        case _:
            raise FaultError("a fork is [feed, seq, header, header]")


def _counter(value: int) -> int:
    if type(value) is bool or not 0 <= value <= INTEGER_MAX:
        raise FaultError("a counter is an integer from 0 to 2^53-1")
    return value


def _lean_records(run: Run) -> list[list[Any]]:
    """The first record verbatim, the others lean where their body is there."""
    first = run.records[0]
    items: list[list[Any]] = [[first.header_cose, first.salt, first.body]]
    for record in run.records[1:]:
        if record.body is None:
            items.append([record.header_cose, None, None])
            continue
        header = record.header
        items.append(
            [record.envelope.signature, header.claimed_at_ms, header.kind, list(header.refs),
             header.ext, record.salt, record.body]
        )  # fmt: skip
    return items


def _runs(packed: bytes) -> tuple[Run, ...]:
    unpacker = zstandard.ZstdDecompressor().decompressobj()
    try:
        size = zstandard.frame_content_size(packed)
        if not 0 <= size <= CHUNK_UNPACKED_BYTES_MAX or len(packed) > CHUNK_BYTES_MAX:
            raise FaultError("a chunk larger than the limit")
        unpacked = unpacker.decompress(packed)
    except zstandard.ZstdError as error:
        raise FaultError(f"a chunk that cannot be unpacked: {error}") from error
    if len(unpacked) != size or unpacker.unused_data:
        raise FaultError("a chunk with bytes left over")
    value = cbor.decode_loose(unpacked, max_depth=12)
    if type(value) is not list:
        raise FaultError("a chunk is a list of runs")
    runs = tuple(_run(item) for item in value)
    if len({run.feed for run in runs}) != len(runs):
        raise FaultError("a feed stands twice in a chunk")
    if sum(len(run.records) for run in runs) > CHUNK_RECORDS_MAX:
        raise FaultError(f"a chunk holds at most {CHUNK_RECORDS_MAX} records")
    return runs


def _run(value: Any) -> Run:
    match value:
        case [feed_value, int(first_seq), [*items]] if items:
            feed = feed_from(feed_value)
        case _:
            raise FaultError("a run is [feed, first_seq, records]")
    records: list[Record] = []
    for seq, item in enumerate(items, _counter(first_seq)):
        if type(item) is list and len(item) == _VERBATIM_FIELDS:
            records.append(_verbatim(item))
        elif type(item) is list and len(item) == _LEAN_FIELDS and records:
            records.append(_restored(feed, seq, records[-1], item))
        else:
            raise FaultError("a record is verbatim or, after the first, lean")
    return Run(feed, first_seq, tuple(records))


def _verbatim(item: list[Any]) -> Record:
    match item:
        case [bytes(header_cose), bytes() | None as salt, bytes() | None as body]:
            return Record(header_cose, salt, body)
        case _:
            raise FaultError("not [header, salt, body]")


def _restored(feed: Feed, seq: int, before: Record, item: list[Any]) -> Record:
    if tuple(map(type, item)) != _LEAN_TYPES:
        raise FaultError("not the fields of a lean record")
    signature, at_ms, kind, refs, ext, salt, body = item
    if (len(signature), len(salt)) != _LEAN_LENGTHS:
        raise FaultError("a signature has 64 bytes, a salt 16")
    header = Header(
        feed, seq, before.rid, at_ms, kind, len(body), body_hash(salt, body), tuple(refs), ext
    )
    envelope = Envelope(before.envelope.kid, encode_header(check_header(header)), signature)
    record = Record(wrap(envelope), salt, body)
    # Both are what these bytes decode to; not decoding them again saves a third of the time.
    record.__dict__["header"] = header
    record.__dict__["envelope"] = envelope
    return record
