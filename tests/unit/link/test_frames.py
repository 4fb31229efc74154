"""Heads and Chunk as bytes: limits, restoration, signatures."""

import hashlib
import struct
from dataclasses import replace
from typing import Any

import cbor2
import pytest
import zstandard

from shared.errors import FaultError
from shared.link.frames import (
    Chunk,
    Entry,
    Heads,
    Mode,
    State,
    decode_frame,
    encode_chunk,
    encode_entry,
    encode_heads,
    root_of,
)
from shared.log.store import ForkProof
from shared.record.envelope import HEADS_AAD, RECORD_AAD, unwrap, wrap
from shared.record.header import encode_header
from shared.record.limits import (
    CHUNK_BYTES_MAX,
    CHUNK_RECORDS_MAX,
    CHUNK_UNPACKED_BYTES_MAX,
    FRAME_BYTES_MAX,
    INTEGER_MAX,
)
from shared.record.record import Record
from shared.record.run import Run, check_run
from tests.support.records import feed_of, key_of, record_of, run_of
from tests.support.trust import signed

FEED, OTHER = feed_of(), feed_of("340602100")
RUN = run_of(FEED, 3)
SESSION = b"session1"
KEYS = (key_of().public,)
ENTRIES = (
    Entry(FEED, 3, RUN.records[2].rid[:16]),
    Entry(OTHER, 0, b""),
    Entry(feed_of(lane="urgent"), 9, bytes(16), State.STOPPED),
    Entry(feed_of(lane="trust"), 1, bytes(16), State.FULL),
)
FORK = ForkProof(FEED, 2, RUN.records[2].header_cose, record_of(FEED, 2, text="x").header_cose)
HEADS = Heads(
    "340602", "340602100", SESSION, 5, b"session2", 4, ask=True,
    root=root_of(map(encode_entry, ENTRIES)), mode=Mode.ALL, entries=ENTRIES, forks=(FORK,),
)  # fmt: skip
Z = zstandard.ZstdCompressor()


def packed(value: Any) -> bytes:
    """Return a chunk frame around the CBOR of ``value``."""
    return cbor2.dumps([1, SESSION, 1, Z.compress(cbor2.dumps(value))])


def unpacked(frame: bytes) -> Any:
    """Return the runs in a chunk frame as plain values."""
    return cbor2.loads(zstandard.decompress(cbor2.loads(frame)[3]))


def chunk_of(*runs: Run) -> Chunk:
    """Return a chunk of ``runs``."""
    return Chunk(SESSION, 1, runs)


def runs_in(frame: bytes) -> tuple[Run, ...]:
    """Return the runs that a chunk frame holds."""
    chunk = decode_frame(frame, KEYS)
    assert isinstance(chunk, Chunk)
    return chunk.runs


def refuse(frame: bytes, match: str | None = None) -> None:
    """Expect ``frame`` to be a fault."""
    with pytest.raises(FaultError, match=match):
        decode_frame(frame, KEYS)


# --- Heads ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", list(Mode))
def test_heads_round_trip(mode: Mode) -> None:
    """Heads come back as they were sent, entries and forks beside them (5.2, 5.6)."""
    heads = replace(HEADS, mode=mode)
    assert decode_frame(encode_heads(heads, key_of()), KEYS) == heads
    assert decode_frame(encode_heads(heads, key_of()), (key_of(4).public, *KEYS)) == heads


def test_heads_payload() -> None:
    """What is signed is [1, from, to, session, n, peer_session, seen, ask, root] (5.2)."""
    envelope = unwrap(cbor2.loads(encode_heads(HEADS, key_of()))[1])
    assert key_of().public.verifies(envelope, b"sanji/heads/v1")
    assert cbor2.loads(envelope.payload) == [
        1, "340602", "340602100", SESSION, 5, b"session2", 4, True, HEADS.root,
    ]  # fmt: skip


def test_root_is_over_the_entries() -> None:
    """The root is SHA-256 over all entries in order; count, rid and state show in it (5.2)."""
    encoded = [cbor2.dumps([list(e.feed), e.count, e.rid16, e.state.name.lower()]) for e in ENTRIES]
    assert [*map(encode_entry, ENTRIES)] == encoded
    assert HEADS.root == hashlib.sha256(b"".join(encoded)).digest()
    assert root_of([]) == hashlib.sha256().digest()
    assert root_of(encoded) != root_of(reversed(encoded))


def test_equal_roots_are_told_in_few_bytes() -> None:
    """Heads without entries stay far below 400 bytes for a round trip (protocol 5.4)."""
    assert len(encode_heads(replace(HEADS, entries=(), forks=()), key_of())) < 200


def test_heads_signed_by_another() -> None:
    """Heads are taken only from the neighbour whose key is known (protocol 5.2)."""
    refuse(encode_heads(HEADS, key_of(1)), "not signed")
    with pytest.raises(FaultError, match="not signed"):
        decode_frame(encode_heads(HEADS, key_of()), ())


def test_signature_of_a_record_is_none_of_heads() -> None:
    """A signature made for a record does not serve for Heads, nor the reverse (2.1, 5.2)."""
    payload = unwrap(cbor2.loads(encode_heads(HEADS, key_of()))[1]).payload
    refuse(cbor2.dumps([0, key_of().sign(payload, RECORD_AAD), 0, [], []]), "not signed")


def heads_with(at: int, value: Any) -> bytes:
    """Return a frame of Heads, rightly signed, with one signed field replaced."""
    fields = cbor2.loads(unwrap(cbor2.loads(encode_heads(HEADS, key_of()))[1]).payload)
    fields[at] = value
    return cbor2.dumps([0, key_of().sign(cbor2.dumps(fields), HEADS_AAD), 0, [], []])


@pytest.mark.parametrize(
    ("at", "value"),
    [(0, 2), (0, True), (0, 1.0), (1, "x"), (1, 5), (2, ""), (3, bytes(7)),
     (3, bytes(9)), (4, -1), (4, True), (4, INTEGER_MAX + 1), (5, bytes(7)), (6, -1),
     (6, False), (6, 0.5), (7, 1), (7, None), (8, bytes(31)), (8, None)],
)  # fmt: skip
def test_fields_of_heads(at: int, value: Any) -> None:
    """A field of Heads of another type or length is a fault, though it is signed (5.2)."""
    refuse(heads_with(at, value))


def test_heads_limits_inside() -> None:
    """No session of the peer heard yet, and the greatest counters, are in order (5.2)."""
    for at, value in ((5, b""), (4, INTEGER_MAX), (6, 0)):
        assert isinstance(decode_frame(heads_with(at, value), KEYS), Heads)


def beside(mode: Any, entries: Any, forks: Any) -> bytes:
    """Return a frame of Heads with other things beside the signed part."""
    signed_part = cbor2.loads(encode_heads(HEADS, key_of()))[1]
    return cbor2.dumps([0, signed_part, mode, entries, forks])


@pytest.mark.parametrize(
    "entry",
    [
        [list(FEED), 0, bytes(16), "ok"],
        [list(FEED), 1, b"", "ok"],
        [list(FEED), 1, bytes(15), "ok"],
        [list(FEED), 1, bytes(32), "ok"],
        [list(FEED), -1, bytes(16), "ok"],
        [list(FEED), True, bytes(16), "ok"],
        [list(FEED), 1, bytes(16), "OK"],
        [list(FEED), 1, bytes(16), 0],
        [list(FEED)[:3], 1, bytes(16), "ok"],
        [["340602", bytes(8), "ordinary", "34"], 1, bytes(16), "ok"],
        [list(FEED), 1, bytes(16)],
        [],
        None,
    ],
    ids=range(13),
)
def test_malformed_entry(entry: Any) -> None:
    """An entry is [feed, count, rid16, state], with no rid for count 0 (protocol 5.2)."""
    refuse(beside(2, [entry], []))


def test_malformed_beside_heads() -> None:
    """Modes, lists and fork proofs of another form are faults (protocol 5.2, 5.6)."""
    for mode in (-1, 3, "all", None, True, 1.0):
        refuse(beside(mode, [], []))
    refuse(beside(0, {}, []))
    refuse(beside(0, [], {}))
    for fork in (None, [], [list(FEED), -1, b"", b""], [list(FEED), 1, b"", None],
                 [list(FEED), 1, b"", b"", b""], ["x", 1, b"", b""]):  # fmt: skip
        refuse(beside(0, [], [fork]))


# --- Chunk ---------------------------------------------------------------------------------------


def with_extras() -> Run:
    """Return a run whose records have references, extensions and all sizes of bodies."""
    records, prev = list[Record](), bytes(32)
    for seq in range(6):
        body = {"text": "字" * (seq * 97)}
        refs = [bytes([n]) * 32 for n in range(seq)]
        ext = {seq + 300: [seq, None], 2: {9: b"", 8: "t"}} if seq % 2 else {}
        records.append(
            signed(FEED, seq, prev, "notice.published.v1", body, key_of(), refs=refs, ext=ext)
        )
        prev = records[-1].rid
    return Run(FEED, 0, tuple(records))


def test_lean_restoration_is_verbatim() -> None:
    """What a chunk leaves out is restored to the very bytes that were signed (1.2, 5.3)."""
    runs = (with_extras(), run_of(OTHER, 4, 7), run_of(feed_of(lane="custody"), 1, 3))
    came = runs_in(encode_chunk(chunk_of(*runs)))
    assert came == runs
    for run in came:
        check_run(run)
        for record in run.records:
            fresh = Record(record.header_cose, record.salt, record.body)
            assert fresh.header == record.header
            assert fresh.envelope == record.envelope


def test_lean_leaves_out_what_is_known() -> None:
    """prev, body size, hash and the feed are not sent for the second and later (5.3)."""
    (run,) = unpacked(encode_chunk(chunk_of(RUN)))
    assert [len(item) for item in run[2]] == [3, 7, 7]
    sent = cbor2.dumps(run[2][1:])
    for record in RUN.records[1:]:
        assert record.header.prev not in sent
        assert record.header.body_hash not in sent


def test_altered_lean_record_fails_its_signature() -> None:
    """A changed field restores to other bytes, which no signature covers (protocol 5.3)."""
    for at, value in ((1, 5), (2, "notice.corrected.v1"), (3, [bytes(32)]), (4, {1: 1})):
        value_runs = unpacked(encode_chunk(chunk_of(RUN)))
        value_runs[0][2][2][at] = value
        (run,) = runs_in(packed(value_runs))
        assert run.records[:2] == RUN.records[:2]
        assert not KEYS[0].verifies(run.records[2].envelope, RECORD_AAD)


def test_record_without_body_travels_verbatim() -> None:
    """A redacted or pruned record keeps its header; the next ones follow it (5.3, 8.1)."""
    records = list(RUN.records)
    records[1] = replace(records[1], salt=None, body=None)
    run = Run(FEED, 0, tuple(records))
    assert runs_in(encode_chunk(chunk_of(run))) == (run,)


@pytest.mark.parametrize(
    "item",
    [
        [bytes(63), 5, "a.b.v1", [], {}, bytes(16), b"{}"],
        [b"", 5, "a.b.v1", [], {}, bytes(16), b"{}"],
        [bytes(64), True, "a.b.v1", [], {}, bytes(16), b"{}"],
        [bytes(64), -1, "a.b.v1", [], {}, bytes(16), b"{}"],
        [bytes(64), 5, "A.v1", [], {}, bytes(16), b"{}"],
        [bytes(64), 5, "a.b.v1", [bytes(31)], {}, bytes(16), b"{}"],
        [bytes(64), 5, "a.b.v1", [], {-1: 0}, bytes(16), b"{}"],
        [bytes(64), 5, "a.b.v1", [], {1: 0.5}, bytes(16), b"{}"],
        [bytes(64), 5, "a.b.v1", [], {1: bytes(1024)}, bytes(16), b"{}"],
        [bytes(64), 5, "a.b.v1", [], {}, bytes(15), b"{}"],
        [bytes(64), 5, "a.b.v1", [], {}, bytes(16), bytes(65537)],
        [bytes(64), 5, "a.b.v1", [], {}, None, None],
        [bytes(64), 5, "a.b.v1", []],
        [b"", None],
        [None, None, None],
        [b"", "salt", None],
        {},
        0,
    ],
    ids=range(18),
)
def test_malformed_record(item: Any) -> None:
    """A record in a run is verbatim or lean, each of its fields in its range (2.2, 5.3)."""
    runs = unpacked(encode_chunk(chunk_of(RUN)))
    runs[0][2].append(item)
    refuse(packed(runs))


def test_first_record_is_verbatim() -> None:
    """Nothing stands before the first of a run that it could be restored from (5.3)."""
    runs = unpacked(encode_chunk(chunk_of(RUN)))
    del runs[0][2][0]
    refuse(packed(runs), "verbatim")


def test_lean_after_a_header_that_is_none() -> None:
    """A record is not restored after bytes that are no record (protocol 2.1, 5.3)."""
    runs = unpacked(encode_chunk(chunk_of(RUN)))
    runs[0][2][0][0] += b"\x00"
    refuse(packed(runs), "template")


@pytest.mark.parametrize(
    "runs",
    [
        {}, None, [0], [[]], [[list(FEED), 0, []]], [[list(FEED), 0]],
        [[list(FEED), -1, [[b"", None, None]]]], [[list(FEED), True, [[b"", None, None]]]],
        [[list(FEED)[:2], 0, [[b"", None, None]]]], [[list(FEED), 0, {}]],
    ],
    ids=range(10),
)  # fmt: skip
def test_malformed_runs(runs: Any) -> None:
    """A run is [feed, first_seq, records] with at least one record (protocol 5.3)."""
    refuse(packed(runs))


def test_feed_stands_once_in_a_chunk() -> None:
    """Two runs of one feed in a chunk are a fault (protocol 5.3)."""
    frame = encode_chunk(chunk_of(RUN, run_of(OTHER, 1), run_of(FEED, 1, 3, RUN.records[2].rid)))
    refuse(frame, "twice")


def test_records_in_a_chunk_are_limited() -> None:
    """A chunk holds at most 256 records, however they are spread over feeds (5.3)."""
    run = run_of(FEED, CHUNK_RECORDS_MAX)
    assert runs_in(encode_chunk(chunk_of(run))) == (run,)
    refuse(encode_chunk(chunk_of(run, run_of(OTHER, 1))), "256")
    refuse(encode_chunk(chunk_of(run_of(FEED, CHUNK_RECORDS_MAX + 1))), "256")


def test_packed_bytes_of_a_chunk_are_limited() -> None:
    """A chunk has at most 256 KiB as it travels (protocol 5.3)."""
    noise = b"".join(hashlib.sha256(b"%d" % n).digest() for n in range(CHUNK_BYTES_MAX // 32))
    value = cbor2.dumps([noise])
    frame = Z.compress(value)
    assert len(frame) > CHUNK_BYTES_MAX
    refuse(cbor2.dumps([1, SESSION, 1, frame]), "larger")


def test_unpacked_bytes_of_a_chunk_are_limited() -> None:
    """A small chunk that unpacks to more than 4 MiB is refused before it is unpacked (5.3)."""
    bomb = Z.compress(bytes(CHUNK_UNPACKED_BYTES_MAX + 1))
    assert len(bomb) < 1000
    refuse(cbor2.dumps([1, SESSION, 1, bomb]), "larger")
    refuse(cbor2.dumps([1, SESSION, 1, Z.compress(bytes(CHUNK_UNPACKED_BYTES_MAX))]))


def zstd_frame(claimed: int, block_bytes: int, blocks: int) -> bytes:
    """Return a zstd frame that claims a size and holds runs of zeros of another."""
    head = bytes.fromhex("28b52ffd") + b"\x80" + b"\x38" + struct.pack("<I", claimed)
    block = [
        struct.pack("<I", int(n == blocks - 1) | 1 << 1 | block_bytes << 3)[:3] + b"\x00"
        for n in range(blocks)
    ]
    return head + b"".join(block)


@pytest.mark.parametrize(("claimed", "blocks"), [(1, 2000), (1000, 60_000), (131_073, 2)])
def test_chunk_that_lies_about_its_size(claimed: int, blocks: int) -> None:
    """A frame that unpacks to more or less than it claims does not fill the memory (5.3)."""
    refuse(cbor2.dumps([1, SESSION, 1, zstd_frame(claimed, 131_072, blocks)]))
    assert zstandard.decompress(zstd_frame(131_072, 131_072, 1)) == bytes(131_072)


def test_chunk_of_unknown_size() -> None:
    """A packed size must be stated: without it nothing could be refused beforehand (5.3)."""
    writer = zstandard.ZstdCompressor(write_content_size=False)
    refuse(cbor2.dumps([1, SESSION, 1, writer.compress(b"\x80")]), "larger")


@pytest.mark.parametrize("data", [b"", b"abc", Z.compress(b"\x80")[:-1], b"\x28\xb5\x2f\xfd"])
def test_chunk_that_is_not_zstd(data: bytes) -> None:
    """Bytes that zstd cannot read are a fault of the link and nothing else (5.3, 5.5)."""
    refuse(cbor2.dumps([1, SESSION, 1, data]))


def test_chunk_with_bytes_left_over() -> None:
    """Nothing follows the packed runs, neither bytes nor a second frame (protocol 5.3)."""
    one = Z.compress(b"\x80")
    assert decode_frame(cbor2.dumps([1, SESSION, 1, one]), KEYS) == chunk_of()
    for more in (b"\x00", one):
        refuse(cbor2.dumps([1, SESSION, 1, one + more]))


def test_session_and_number_of_a_chunk() -> None:
    """A chunk has a session of 8 bytes and a number from the same counter (protocol 5.3)."""
    for session, n in ((bytes(7), 1), (bytes(9), 1), (SESSION, -1), (SESSION, True), (SESSION, "")):
        refuse(cbor2.dumps([1, session, n, Z.compress(b"\x80")]))


def test_frame_size_is_limited() -> None:
    """A frame beyond the limit is refused unread (protocol 5.3)."""
    refuse(bytes(FRAME_BYTES_MAX + 1), "larger")


def test_bytes_after_a_frame() -> None:
    """Nothing follows a frame: what nobody reads could carry anything."""
    for frame in (encode_heads(HEADS, key_of()), encode_chunk(chunk_of(RUN))):
        decode_frame(frame, KEYS)
        refuse(frame + bytes(1), "left over")


def test_what_equals_a_number_is_none() -> None:
    """The sort of a frame and the version are integers; true and 1.0 equal 1 only to Python."""
    for sort in (True, 1.0):
        refuse(cbor2.dumps([sort, SESSION, 1, Z.compress(b"\x80")]), "neither")
    signed_part = cbor2.loads(encode_heads(HEADS, key_of()))[1]
    for sort in (False, 0.0):
        refuse(cbor2.dumps([sort, signed_part, 0, [], []]), "neither")


@pytest.mark.parametrize("value", [[], [2, b"", 0, b""], [0], [1], 0, {}, "heads", None], ids=repr)
def test_neither_heads_nor_chunk(value: Any) -> None:
    """There are two frames; anything else is a fault (protocol 5.1)."""
    refuse(cbor2.dumps(value))


@pytest.mark.parametrize("place", range(5))
def test_no_restored_record_is_unreadable(place: int) -> None:
    """What is restored reads again, also if its author signed something else (2.1, 2.2)."""
    prev = RUN.records[0]
    header = RUN.records[1].header._replace(prev=prev.rid)
    fields = cbor2.loads(encode_header(header))
    at_ms = fields[7] = header.claimed_at_ms if place else True
    cose = key_of().sign(cbor2.dumps(fields), RECORD_AAD)
    if place:  # a signature of another length, which a good successor would vouch for
        size = (0, 63, 65, 128)[place - 1]
        cose = wrap(unwrap(cose)._replace(signature=bytes(size)))
    odd = Record(cose, RUN.records[1].salt, RUN.records[1].body)
    runs = unpacked(encode_chunk(chunk_of(RUN)))
    runs[0][2][1][0] = cose[-64:] if not place else bytes((0, 63, 65, 128)[place - 1])
    runs[0][2][1][1] = at_ms
    runs[0][2][2:] = [[record_of(FEED, 2, odd.rid).header_cose, None, None]]
    refuse(packed(runs))
    with pytest.raises(FaultError):
        _ = odd.header
