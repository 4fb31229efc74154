"""What is encoded decodes to itself; whatever else comes is a fault and nothing worse."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import cbor2
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.errors import FaultError, InvalidError
from shared.link.frames import (
    Chunk,
    Entry,
    Heads,
    Mode,
    State,
    decode_frame,
    encode_chunk,
    encode_heads,
)
from shared.log.accept import NOTHING, Accepted, Gap, Refused, accept
from shared.log.store import ForkProof
from shared.record import cbor
from shared.record.body import body_hash, decode_body, encode_body
from shared.record.envelope import RECORD_AAD, Envelope, unwrap, wrap
from shared.record.feed import LANES, Feed, Level, feed_from
from shared.record.header import Header, decode_header, encode_header
from shared.record.limits import BODY_BYTES_MAX, INTEGER_MAX, REFS_MAX
from shared.record.record import Record, check_body
from shared.record.run import Run, check_run
from shared.trust.invitation import Invitation, read_request, read_token
from tests.support.frames import FEED, SESSION, chunk_frame, heads_frame
from tests.support.records import feed_of, key_of, record_of, run_of
from tests.support.trust import small_district

KEYS = (key_of().public,)
SMALL = small_district()

counters = st.integers(0, INTEGER_MAX)
rids = st.binary(min_size=32, max_size=32)
codes = st.text("0123456789", min_size=2, max_size=16)
names = st.from_regex(r"[a-z]{1,9}(\.[a-z_]{1,9}){1,3}\.v[1-9][0-9]{0,3}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
plain = st.none() | st.booleans() | st.integers(-INTEGER_MAX, INTEGER_MAX) | texts
scalars = plain | st.binary(max_size=12)
extensions = st.dictionaries(
    counters,
    scalars | st.lists(scalars, max_size=3) | st.dictionaries(scalars, scalars, max_size=3),
    max_size=3,
)


@st.composite
def feeds(draw: st.DrawFn) -> Feed:
    """Draw a feed with any well-formed fields."""
    author = draw(codes)
    below = st.text("0123456789", min_size=1, max_size=9)
    audience = draw(
        st.just("^") | st.just(author + "*") | below.map(lambda more: author + more)
        | below.map(lambda more: f"{author}{more}*")
    )  # fmt: skip
    epoch = draw(st.binary(min_size=8, max_size=8))
    return Feed(author, epoch, draw(st.sampled_from(LANES)), audience)


@st.composite
def headers(draw: st.DrawFn) -> Header:
    """Draw a header with every field in its range; its extension may be too long."""
    return Header(
        draw(feeds()), draw(counters), draw(rids), draw(counters), draw(names),
        draw(st.integers(0, BODY_BYTES_MAX)), draw(rids),
        tuple(draw(st.lists(rids, max_size=REFS_MAX))), draw(extensions),
    )  # fmt: skip


@st.composite
def runs(draw: st.DrawFn) -> Run:
    """Draw a run of records that are chained and signed, some without their body."""
    feed, first_seq = draw(feeds()), draw(st.integers(0, 2**40))
    records, prev = list[Record](), draw(rids)
    for seq in range(first_seq, first_seq + draw(st.integers(1, 4))):
        body = encode_body({"text": draw(texts)})
        salt = draw(st.binary(min_size=16, max_size=16))
        header = Header(
            feed, seq, prev, draw(counters), draw(names), len(body), body_hash(salt, body),
            tuple(draw(st.lists(rids, max_size=2))), draw(extensions),
        )  # fmt: skip
        cose = key_of().sign(encode_header(header), RECORD_AAD)
        records.append(
            Record(cose, salt, body) if draw(st.integers(0, 4)) else Record(cose, None, None)
        )
        prev = records[-1].rid
    return Run(feed, first_seq, tuple(records))


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    """Draw an entry of Heads."""
    count = draw(st.just(0) | counters)
    rid16 = draw(st.binary(min_size=16, max_size=16)) if count else b""
    return Entry(draw(feeds()), count, rid16, draw(st.sampled_from(State)))


@st.composite
def all_heads(draw: st.DrawFn) -> Heads:
    """Draw Heads with entries and forks beside them."""
    sessions = st.binary(min_size=8, max_size=8)
    forks = st.builds(ForkProof, feeds(), counters, st.binary(), st.binary())
    return Heads(
        draw(codes), draw(codes), draw(sessions), draw(counters), draw(st.just(b"") | sessions),
        draw(counters), ask=draw(st.booleans()), root=draw(rids),
        mode=draw(st.sampled_from(Mode)), entries=tuple(draw(st.lists(entries(), max_size=3))),
        forks=tuple(draw(st.lists(forks, max_size=2))),
    )  # fmt: skip


# --- round trips ---------------------------------------------------------------------------------


@given(headers())
@settings(deadline=None)
def test_header_round_trip(header: Header) -> None:
    """A header comes back equal, from the only bytes that say it (protocol 2.2)."""
    with suppress(FaultError):  # an extension beyond 1 KiB
        payload = encode_header(header)
        assert decode_header(payload) == header
        assert encode_header(decode_header(payload)) == payload
        fields = [1, *header.feed, *header[1:7], list(header.refs), header.ext]
        assert payload == cbor.encode(fields), "written out, but not another encoding"


@given(st.sampled_from((0, 2, 3, 4)), st.integers(0, 2**64 - 1))
@example(0, 23)
@example(0, 24)
@example(0, 255)
@example(0, 256)
@example(0, 2**16)
@example(0, 2**32)
@example(0, 2**64 - 1)
def test_head_is_the_shortest(major: int, number: int) -> None:
    """The head of an item is what the library writes for an integer, but for its major type."""
    plain = cbor.encode_flat(number)
    assert cbor.head(major, number) == bytes((plain[0] | major << 5,)) + plain[1:]


@given(
    st.binary(min_size=8, max_size=8), st.binary(max_size=1024), st.binary(min_size=64, max_size=64)
)
@settings(deadline=None)
def test_envelope_round_trip(kid: bytes, payload: bytes, signature: bytes) -> None:
    """The template gives its parts back (protocol 2.1)."""
    envelope = Envelope(kid, payload, signature)
    assert unwrap(wrap(envelope)) == envelope


@given(st.dictionaries(texts, plain | st.lists(plain | st.dictionaries(texts, plain)), max_size=5))
@settings(deadline=None)
def test_body_round_trip(value: dict[str, Any]) -> None:
    """A body that can be written can be read, and is written the same again (protocol 2.4)."""
    with suppress(InvalidError):  # two names that are one in NFC
        raw = encode_body(value)
        try:
            again = decode_body(raw)
        except InvalidError as error:
            raise AssertionError("what was written cannot be read") from error
        assert encode_body(again) == raw


@given(st.recursive(scalars, lambda inner: st.lists(inner, max_size=3)
                    | st.dictionaries(scalars, inner, max_size=3), max_leaves=9))  # fmt: skip
@settings(deadline=None)
def test_cbor_round_trip(value: Any) -> None:
    """Whatever is made of plain values has one encoding, which is read again (2.2)."""
    with suppress(FaultError):  # deeper than eight
        assert cbor.encode(cbor.decode(cbor.encode(value))) == cbor.encode(value)


@given(st.lists(runs(), max_size=3, unique_by=lambda run: run.feed), counters)
@settings(deadline=None, max_examples=60)
def test_chunk_round_trip(sent: list[Run], n: int) -> None:
    """Runs come back verbatim, though most of their headers did not travel (1.2, 5.3)."""
    chunk = Chunk(SESSION, n, tuple(sent))
    came = decode_frame(encode_chunk(chunk), KEYS)
    assert came == chunk
    assert isinstance(came, Chunk)
    for run in came.runs:
        check_run(run)


@given(all_heads())
@settings(deadline=None, max_examples=60)
def test_heads_round_trip(heads: Heads) -> None:
    """Heads come back equal, whatever they say (protocol 5.2)."""
    assert decode_frame(encode_heads(heads, key_of()), KEYS) == heads


@given(
    st.builds(
        Invitation, rids, codes, rids, st.lists(st.tuples(codes, texts), max_size=3).map(tuple),
        codes, texts, st.sampled_from(Level), st.binary(min_size=16, max_size=16), counters,
    )
)  # fmt: skip
@settings(deadline=None)
def test_invitation_round_trip(invitation: Invitation) -> None:
    """A token says the whole invitation (protocol 4.6)."""
    assert read_token(invitation.token()) == invitation


# --- whatever comes ------------------------------------------------------------------------------

DECODERS: tuple[Callable[[bytes], object], ...] = (
    cbor.decode,
    cbor.decode_loose,
    unwrap,
    decode_header,
    read_request,
    lambda data: Record(data, None, None).header,
    lambda data: decode_frame(data, KEYS),
)
anything = st.recursive(
    scalars | st.floats() | st.integers(-(2**70), 2**70) | st.just(cbor2.undefined)
    | st.integers(0, 19).map(cbor2.CBORSimpleValue),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(scalars, inner, max_size=3)
    | st.builds(cbor2.CBORTag, st.sampled_from((1, 2, 28, 29, 256, 258, 55799, 9999)), inner),
    max_leaves=12,
)  # fmt: skip


def feed_all(data: bytes) -> None:
    """Give ``data`` to every decoder; each may refuse it as a fault."""
    for decode in DECODERS:
        with suppress(FaultError):
            decode(data)
    for read in (decode_body, lambda raw: read_token(raw.decode("latin-1"))):
        with suppress(InvalidError):
            read(data)


@given(st.binary(max_size=300))
@settings(deadline=None, max_examples=300)
def test_any_bytes(data: bytes) -> None:
    """Arbitrary bytes raise nothing but a fault (protocol 2.1, 5.5)."""
    feed_all(data)


@given(anything)
@settings(deadline=None, max_examples=300)
def test_any_cbor(value: Any) -> None:
    """Arbitrary CBOR raises nothing but a fault, as itself, in a frame and packed (5.3)."""
    data = cbor2.dumps(value)
    feed_all(data)
    feed_all(cbor2.dumps([1, SESSION, 1, zstandard.compress(data)]))
    feed_all(
        cbor2.dumps([1, SESSION, 1, zstandard.compress(cbor2.dumps([[list(FEED), 0, value]]))])
    )
    feed_all(key_of().sign(data[:1024], RECORD_AAD))
    with suppress(FaultError):
        feed_from(value)


@given(st.text(max_size=60), st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", max_size=60))
@settings(deadline=None)
def test_any_text_as_token(text: str, encoded: str) -> None:
    """Whatever a person types is an invitation or a sentence that says it is none (4.6)."""
    for typed in (text, "SANJI1-" + text, "SANJI1-" + encoded):
        with suppress(InvalidError):
            read_token(typed)


@given(st.dictionaries(st.text(max_size=3), st.text(max_size=3) | st.floats() | st.integers()))
@settings(deadline=None)
def test_any_body(value: dict[str, Any]) -> None:
    """Whatever is written as a body, half characters too, is refused or read again (2.4)."""
    with suppress(InvalidError):
        raw = encode_body(value)
        assert encode_body(decode_body(raw)) == raw


@st.composite
def mutated(draw: st.DrawFn, originals: list[bytes]) -> bytes:
    """Draw one of ``originals`` with some of its bytes changed, lost, doubled or added."""
    data = bytearray(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        match draw(st.integers(0, 4)):
            case 0 if at < len(data):
                data[at] ^= 1 << draw(st.integers(0, 7))
            case 1 if at < len(data):
                data[at] = draw(st.integers(0, 255))
            case 2:
                del data[at : at + draw(st.integers(1, 9))]
            case 3:
                data[at:at] = data[at : at + draw(st.integers(1, 40))]
            case _:
                data[at:at] = draw(st.binary(min_size=1, max_size=4))
    return bytes(data)


RUN = run_of(feed_of(), 4, 0, SMALL.district_opened.rid)
FRAME = chunk_frame(RUN, run_of(feed_of(lane="urgent"), 2, 0, SMALL.district_opened.rid))
UNPACKED = zstandard.decompress(cbor2.loads(FRAME)[3])


@given(mutated([FRAME, heads_frame(), RUN.records[1].header_cose, RUN.records[1].body or b""]))
@settings(deadline=None, max_examples=300)
def test_mutated_frames(data: bytes) -> None:
    """A frame or a record with errors raises nothing but a fault (protocol 5.5)."""
    feed_all(data)


@given(mutated([UNPACKED]))
@settings(deadline=None, max_examples=300)
def test_mutated_runs(data: bytes) -> None:
    """A chunk altered and packed again brings what was signed, or less, never more (5.5)."""
    with suppress(FaultError):
        chunk = decode_frame(cbor2.dumps([1, SESSION, 1, zstandard.compress(data)]), KEYS)
        assert isinstance(chunk, Chunk)
        signed = {record.header_cose for record in RUN.records}
        signed |= {record.header_cose for run in _urgent() for record in run.records}
        for run in chunk.runs:
            outcome = accept(run, NOTHING, SMALL.roster())
            assert isinstance(outcome, Accepted | Gap | Refused)
            if isinstance(outcome, Accepted):
                assert {record.header_cose for record in outcome.run.records} <= signed


def _urgent() -> tuple[Run, ...]:
    chunk = decode_frame(FRAME, KEYS)
    assert isinstance(chunk, Chunk)
    return chunk.runs[1:]


@given(mutated([RUN.records[1].header_cose]))
@settings(deadline=None, max_examples=200)
def test_mutated_record(data: bytes) -> None:
    """No change to a signed header leaves a record that verifies, save none at all (2.6)."""
    record = Record(data, None, None)
    with suppress(FaultError):
        assert record.header
        verified = KEYS[0].verifies(record.envelope, RECORD_AAD)
        assert verified == (data == RUN.records[1].header_cose)


@given(st.binary(max_size=20), st.binary(max_size=60))
@settings(deadline=None)
def test_any_salt_and_body(salt: bytes, body: bytes) -> None:
    """No other salt and body pass for those of a header (protocol 2.2)."""
    record = record_of(FEED, 0)
    if (salt, body) != (record.salt, record.body):
        with suppress(FaultError):
            check_body(Record(record.header_cose, salt, body))
            raise AssertionError("a strange body was taken")
