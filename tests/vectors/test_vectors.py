"""The wire format is fixed: our bytes are those of the files, and another library agrees."""

import hashlib
import json
from typing import Any

import cbor2
import pytest
import zstandard

from shared.domain.catalogue import KINDS
from shared.errors import FaultError
from shared.link.frames import Chunk, decode_frame
from shared.log.accept import NOTHING, Accepted, Fork, Held, accept
from shared.record import cbor
from shared.record.envelope import HEADS_AAD, RECORD_AAD, unwrap
from shared.record.feed import Feed
from shared.record.limits import CHUNK_BYTES_MAX
from shared.record.record import Record, check_body
from shared.record.run import Run
from shared.trust.invitation import read_token
from shared.trust.keys import PublicKey
from shared.trust.roster import Roster
from tests.vectors.files import FOLDER, path_of, render, vectors
from tests.vectors.make import heads, invitation, records, run, signing_key

MADE = vectors()
NAMES = [*records()]


def file_of(name: str) -> dict[str, Any]:
    """Return the vector in the file of that name."""
    vector: dict[str, Any] = json.loads(path_of(name).read_text(encoding="utf-8"))
    return vector


def key_of(name: str) -> PublicKey:
    """Return a public key of the vectors by its name."""
    return PublicKey(bytes.fromhex(file_of("keys")["keys"][name]["public"]))


def record_of(vector: dict[str, Any]) -> Record:
    """Return the record that a file holds."""
    return Record(*(bytes.fromhex(vector[name]) for name in ("header_cose", "salt", "body")))


def feed_of(value: list[str]) -> Feed:
    """Return the feed that a file names."""
    author, epoch, lane, audience = value
    return Feed(author, bytes.fromhex(epoch), lane, audience)


def is_refused(header_cose: bytes, key: PublicKey) -> bool:
    """Tell whether these bytes are no record of ``key``: no template, no header, no signature."""
    record = Record(header_cose, None, None)
    try:
        _ = record.header
        return not key.verifies(record.envelope, RECORD_AAD)
    except FaultError:
        return True


# --- the files -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*MADE])
def test_files_are_what_we_make(name: str) -> None:
    """Made anew, each vector is its file to the byte: the format has not moved (2.6)."""
    assert path_of(name).read_text(encoding="utf-8") == render(MADE[name])


def test_no_other_files() -> None:
    """Each file is a vector and stands in the README (protocol 2.6)."""
    assert {path.stem for path in FOLDER.glob("*.json")} == set(MADE)
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert [name for name in MADE if f"`{name}.json`" not in readme] == []


# --- records -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_record_says_what_stands_beside_it(name: str) -> None:
    """The fields in the file are those that the bytes decode to (protocol 2.1, 2.2, 2.3)."""
    vector, record = file_of(name), record_of(file_of(name))
    header = record.header
    check_body(record)
    assert cbor2.loads(bytes.fromhex(vector["payload"]))[:12] == [
        1, *feed_of(vector["feed"]), vector["seq"], bytes.fromhex(vector["prev"]),
        vector["claimed_at_ms"], vector["kind"], vector["body_size"],
        bytes.fromhex(vector["body_hash"]), [bytes.fromhex(ref) for ref in vector["refs"]],
    ]  # fmt: skip
    assert header.feed == feed_of(vector["feed"])
    assert record.rid.hex() == vector["rid"]
    assert hashlib.sha256(record.header_cose).hexdigest() == vector["rid"]
    salted = bytes.fromhex(vector["salt"]) + vector["body_text"].encode()
    assert hashlib.sha256(salted).hexdigest() == vector["body_hash"]
    key = key_of(vector["signed_by"])
    assert key.verifies(record.envelope, RECORD_AAD)
    kid = file_of("keys")["keys"][vector["signed_by"]]["kid"]
    assert record.envelope.kid.hex() == kid == hashlib.sha256(key.raw).hexdigest()[:16]


@pytest.mark.parametrize("name", NAMES)
def test_body_fits_its_kind(name: str) -> None:
    """The bodies are real ones: each is read as its kind's model (protocol 10)."""
    kind = KINDS.get(file_of(name)["kind"])
    assert kind is not None
    assert isinstance(KINDS.read(record_of(file_of(name))), kind.body)


def test_records_are_accepted_in_their_order() -> None:
    """From the anchor on, each record stands on those before it (protocol 4.1–4.3, 5.5)."""
    roster = Roster(bytes.fromhex(file_of("district-founded")["rid"]))
    for name in NAMES:
        record = record_of(file_of(name))
        header = record.header
        one = Run(header.feed, header.seq, (record,))
        held = Held(header.seq, header.prev) if header.seq else NOTHING
        assert accept(one, held, roster) == Accepted(one), name
        if header.feed.lane == "trust":
            roster.learn(record)
    assert accept(run(), NOTHING, roster) == Accepted(run())
    rids = [record.rid for record in run().records]
    other = run(other=True)
    assert accept(other, Held(3, rids[2], rids), roster) == Fork(1, other.records[1:])


@pytest.mark.parametrize("name", NAMES)
def test_single_byte_mutations_are_refused(name: str) -> None:
    """No byte of a signed header can be another one (protocol 2.6)."""
    vector = file_of(name)
    data, key = bytes.fromhex(vector["header_cose"]), key_of(vector["signed_by"])
    assert not is_refused(data, key)
    for at, byte in enumerate(data):
        # Of one record every value of every byte, of the others each bit: checking takes long.
        for other in range(256) if name == "notice" else [byte ^ 1 << bit for bit in range(8)]:
            if other != byte:
                changed = data[:at] + bytes((other,)) + data[at + 1 :]
                assert is_refused(changed, key), f"byte {at} as {other:02x}"
        assert is_refused(data[:at] + data[at + 1 :], key)
        assert is_refused(data[:at] + b"\x00" + data[at:], key)
        assert is_refused(data[:at], key)
    assert is_refused(data + b"\x00", key)


def heads_of(data: bytes) -> list[tuple[int, int, int, int]]:
    """Return (offset, major type, value, bytes) of every CBOR head in ``data``, outside strings."""
    found, at = list[tuple[int, int, int, int]](), 0
    while at < len(data):
        major, info = data[at] >> 5, data[at] & 31
        more = {24: 1, 25: 2, 26: 4, 27: 8}.get(info, 0)
        value = int.from_bytes(data[at + 1 : at + 1 + more], "big") if more else info
        found.append((at, major, value, 1 + more))
        at += 1 + more + (value if major in (2, 3) else 0)
    return found


def other_forms(major: int, value: int) -> list[bytes]:
    """Return every way to write a head, the shortest and the indefinite included."""
    lead = major << 5
    forms = [bytes((lead | value,))] if value < 24 else []
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if value < 1 << (8 * size):
            forms.append(bytes((lead | info,)) + value.to_bytes(size, "big"))
    return [*forms, bytes((lead | 31,))]


def replaced(data: bytes) -> list[bytes]:
    """Return ``data`` with each of its heads in each other form."""
    return [
        data[:at] + form + data[at + size :]
        for at, major, value, size in heads_of(data)
        if major != 7
        for form in other_forms(major, value)
        if form != data[at : at + size]
    ]


@pytest.mark.parametrize("name", NAMES)
def test_length_form_mutations_are_refused(name: str) -> None:
    """No length can be written in another form, in the template and in the header (2.6)."""
    vector = file_of(name)
    data, key = bytes.fromhex(vector["header_cose"]), key_of(vector["signed_by"])
    payload = bytes.fromhex(vector["payload"])
    mutations = replaced(data)
    # Within the protected bytes and the payload, and their own lengths put right again.
    protected = data[3:16]
    for changed in replaced(protected):
        mutations.append(data[:2] + cbor.head(2, len(changed)) + changed + data[16:])
    before, after = data[:17], data[17 + len(cbor.head(2, len(payload))) + len(payload) :]
    for changed in replaced(payload):
        mutations.append(before + cbor.head(2, len(changed)) + changed + after)
    assert len(mutations) > 100
    for changed in mutations:
        assert is_refused(changed, key)


@pytest.mark.parametrize("name", NAMES)
def test_rewritten_headers_are_refused_though_signed(name: str) -> None:
    """A header in another form is none, also when its author signs it so (protocol 2.2)."""
    for changed in replaced(bytes.fromhex(file_of(name)["payload"])):
        with pytest.raises(FaultError):
            assert Record(signed_by_author(name, changed), None, None).header


def signed_by_author(name: str, payload: bytes) -> bytes:
    """Return ``payload``, signed by the key that signed the vector."""
    return signing_key(file_of(name)["signed_by"]).sign(payload, RECORD_AAD)


# --- a second implementation ---------------------------------------------------------------------


def thaw(value: Any) -> Any:
    """Return what cbor2 froze inside a tag as lists and dicts, which cwt expects."""
    if isinstance(value, (tuple, list)):
        return [thaw(item) for item in value]
    if isinstance(value, cbor2.CBORTag):
        return cbor2.CBORTag(value.tag, thaw(value.value))
    if hasattr(value, "items"):
        return {name: thaw(item) for name, item in value.items()}
    return value


@pytest.fixture
def cwt(monkeypatch: pytest.MonkeyPatch) -> Any:
    """python-cwt, whose release of today knows only an older cbor2."""
    module = pytest.importorskip("cwt", reason="of the group crosscheck")
    monkeypatch.setattr(
        "cwt.cbor_processor.CBORProcessor._loads", lambda _, data: thaw(cbor2.loads(data))
    )
    return module


def cose_key(cwt: Any, name: str, more: dict[int, bytes] | None = None) -> Any:
    """Return a key of the vectors as cwt wants it."""
    public = key_of(name)
    return cwt.COSEKey.new({1: 1, 2: public.kid, 3: -8, -1: 6, -2: public.raw, **(more or {})})


@pytest.mark.parametrize("name", NAMES)
def test_another_library_verifies_our_records(name: str, cwt: Any) -> None:
    """Our COSE_Sign1 is that of RFC 9052: python-cwt reads and verifies it (2.1, 2.6)."""
    vector = file_of(name)
    data, key = bytes.fromhex(vector["header_cose"]), cose_key(cwt, vector["signed_by"])
    payload = cwt.COSE.new().decode(data, key, external_aad=b"sanji/record/v1")
    assert payload.hex() == vector["payload"]
    with pytest.raises(cwt.VerifyError):
        cwt.COSE.new().decode(data, key, external_aad=b"sanji/heads/v1")
    with pytest.raises(cwt.VerifyError):
        cwt.COSE.new().decode(
            data[:-1] + bytes((data[-1] ^ 1,)), key, external_aad=b"sanji/record/v1"
        )


def test_another_library_verifies_our_heads(cwt: Any) -> None:
    """Heads are signed in the same way, under a name of their own (protocol 5.2)."""
    vector = file_of("heads")
    signed = cbor2.loads(bytes.fromhex(vector["frame"]))[1]
    payload = cwt.COSE.new().decode(signed, cose_key(cwt, "town"), external_aad=b"sanji/heads/v1")
    assert payload.hex() == vector["payload"]


def test_another_library_signs_the_same_bytes(cwt: Any) -> None:
    """What python-cwt signs with the same key and header is our record, byte for byte (2.1)."""
    vector = file_of("notice")
    seed = bytes.fromhex(file_of("keys")["keys"][vector["signed_by"]]["seed"])
    kid = key_of(vector["signed_by"]).kid
    key = cose_key(cwt, vector["signed_by"], {-4: seed})
    signed = cwt.COSE.new().encode_and_sign(
        bytes.fromhex(vector["payload"]), key, protected={1: -8, 4: kid},
        external_aad=b"sanji/record/v1",
    )  # fmt: skip
    assert signed.hex() == vector["header_cose"]


# --- runs, forks, frames, invitation -------------------------------------------------------------


def test_run_is_chained() -> None:
    """Each record of the run names the one before; the first names the opening (2.2)."""
    vector = file_of("run")
    prev = file_of("epoch-opened-town")["rid"]
    for seq, item in enumerate(vector["records"]):
        record = record_of(item)
        check_body(record)
        assert (record.header.prev.hex(), record.header.seq) == (prev, seq)
        prev = record.rid.hex()


def test_fork_proves_itself() -> None:
    """Two headers of one feed and number, each signed, with another payload (5.6)."""
    vector = file_of("fork")
    first, second = record_of(vector["first"]), record_of(vector["second"])
    for record in (first, second):
        assert (record.header.feed, record.header.seq) == (feed_of(vector["feed"]), vector["seq"])
        assert key_of("town").verifies(record.envelope, RECORD_AAD)
    assert first.envelope.payload != second.envelope.payload
    assert len(first.header_cose) + len(second.header_cose) < 800


def test_chunk() -> None:
    """What a chunk unpacks to is fixed, not how it is packed (protocol 5.3)."""
    vector = file_of("chunk")
    unpacked, session = bytes.fromhex(vector["unpacked"]), bytes.fromhex(vector["session"])
    for level in (1, 3, 19):
        packed = zstandard.compress(unpacked, level)
        assert len(packed) < CHUNK_BYTES_MAX
        chunk = decode_frame(cbor2.dumps([vector["type"], session, vector["n"], packed]), ())
        assert isinstance(chunk, Chunk)
        assert (chunk.session, chunk.n) == (session, vector["n"])
        for one, expected in zip(chunk.runs, vector["runs"], strict=True):
            assert one.feed == feed_of(expected["feed"])
            assert one.first_seq == expected["first_seq"]
            assert [record.rid.hex() for record in one.records] == expected["rids"]
        assert chunk.runs[0] == run()


def test_heads() -> None:
    """The frame of Heads says what stands beside it; the root is over the entries (5.2)."""
    vector = file_of("heads")
    frame = bytes.fromhex(vector["frame"])
    assert decode_frame(frame, (key_of(vector["signed_by"]),)) == heads()
    entries = [bytes.fromhex(entry) for entry in vector["encoded_entries"]]
    assert hashlib.sha256(b"".join(entries)).hexdigest() == vector["root"]
    for encoded, (feed, count, rid16, state) in zip(entries, vector["entries"], strict=True):
        assert cbor2.loads(encoded) == [list(feed_of(feed)), count, bytes.fromhex(rid16), state]
    assert key_of("town").verifies(unwrap(cbor2.loads(frame)[1]), HEADS_AAD)


def test_invitation() -> None:
    """The token says what stands beside it (protocol 4.6)."""
    vector = file_of("invitation")
    assert read_token(vector["token"]) == invitation()
    assert vector["secret"] == invitation().secret.hex()
    assert vector["expires_ms"] == invitation().expires_ms
