"""The fields of a header and their ranges."""

from typing import Any

import cbor2
import pytest

from shared.errors import FaultError
from shared.record.feed import Feed
from shared.record.header import Header, check_header, decode_header, encode_header
from shared.record.limits import BODY_BYTES_MAX, HEADER_BYTES_MAX, INTEGER_MAX
from tests.support.records import feed_of

RID = bytes(range(32))
HEADER = Header(feed_of(), 7, RID, 1_780_000_000_000, "notice.published.v1", 5, RID)
NAMES = ("version", "author", "epoch", "lane", "audience", "seq", "prev", "claimed_at_ms", "kind",
         "body_size", "body_hash", "refs", "ext")  # fmt: skip


def fields(**changes: Any) -> bytes:
    """Return the encoding of ``HEADER`` with some fields replaced, whatever they are."""
    value = cbor2.loads(encode_header(HEADER))
    for name, field in changes.items():
        value[NAMES.index(name)] = field
    return cbor2.dumps(value, canonical=True)


def test_layout() -> None:
    """A header is these thirteen fields in this order (protocol 2.2)."""
    header = HEADER._replace(refs=(RID,), ext={3: b"x"})
    assert cbor2.loads(encode_header(header)) == [
        1, "340602", (1).to_bytes(8, "big"), "ordinary", "340602*", 7, RID, 1_780_000_000_000,
        "notice.published.v1", 5, RID, [RID], {3: b"x"},
    ]  # fmt: skip
    assert decode_header(encode_header(header)) == header


@pytest.mark.parametrize(
    "good",
    [
        {"seq": 0},
        {"seq": INTEGER_MAX},
        {"claimed_at_ms": 0},
        {"claimed_at_ms": INTEGER_MAX},
        {"body_size": 0},
        {"body_size": BODY_BYTES_MAX},
        {"kind": "case.sealed.v9999"},
        {"kind": "a.b_c.d.v1"},
        {"refs": [RID] * 8},
        {"ext": {0: None, INTEGER_MAX: {1: [b"", "", True, -INTEGER_MAX]}}},
        {"author": "34", "audience": "^"},
        {"author": "9" * 32, "audience": "^"},
    ],
)
def test_bounds_are_inside(good: dict[str, Any]) -> None:
    """The greatest and smallest values are taken and come back as they were (protocol 2.2)."""
    data = fields(**good)
    assert encode_header(decode_header(data)) == data


@pytest.mark.parametrize(
    "bad",
    [
        {"version": 0},
        {"version": 2},
        {"version": True},
        {"author": "3"},
        {"author": "9" * 33, "audience": "^"},
        {"author": "34060a"},
        {"author": b"340602"},
        {"epoch": bytes(7)},
        {"epoch": bytes(9)},
        {"epoch": "00000000"},
        {"lane": "express"},
        {"lane": ""},
        {"audience": ""},
        {"audience": "*"},
        {"seq": -1},
        {"seq": INTEGER_MAX + 1},
        {"seq": True},
        {"seq": 1.0},
        {"prev": bytes(31)},
        {"prev": bytes(33)},
        {"prev": None},
        {"claimed_at_ms": -1},
        {"claimed_at_ms": INTEGER_MAX + 1},
        {"claimed_at_ms": False},
        {"kind": ""},
        {"kind": "notice.v1"[:6]},
        {"kind": "notice.published"},
        {"kind": "notice.published.v0"},
        {"kind": "notice.published.v01"},
        {"kind": "notice.published.v1\n"},
        {"kind": "Notice.published.v1"},
        {"kind": "notice.v1"},
        {"kind": "a." + "b" * 60 + ".v1"},
        {"body_size": -1},
        {"body_size": BODY_BYTES_MAX + 1},
        {"body_hash": bytes(20)},
        {"refs": [RID] * 9},
        {"refs": [bytes(31)]},
        {"refs": [RID.hex()]},
        {"refs": {}},
        {"ext": []},
        {"ext": {-1: 0}},
        {"ext": {INTEGER_MAX + 1: 0}},
        {"ext": {"1": 0}},
        {"ext": {False: 0}},
        {"ext": {1: 0.5}},
        {"ext": {1: INTEGER_MAX + 1}},
        {"ext": {1: cbor2.undefined}},
        {"ext": {1: cbor2.CBORTag(1, 0)}},
        {"ext": {1: [[[[[0]]]]]}},
    ],
)
def test_ranges(bad: dict[str, Any]) -> None:
    """A field of another type or out of its range is a fault (protocol 2.2)."""
    with pytest.raises(FaultError):
        decode_header(fields(**bad))


def test_number_of_fields() -> None:
    """A field more or less is a fault; what is new goes into ext (protocol 2.2)."""
    value = cbor2.loads(encode_header(HEADER))
    for other in (value[:-1], [*value, 0], {1: 2}, 5, []):
        with pytest.raises(FaultError):
            decode_header(cbor2.dumps(other))


def test_size_limit() -> None:
    """A header has at most 1 KiB, when made and when read (protocol 2.2)."""
    room = HEADER_BYTES_MAX - len(encode_header(HEADER._replace(ext={1: bytes(300)})))
    full = HEADER._replace(ext={1: bytes(300 + room)})
    assert len(encode_header(full)) == HEADER_BYTES_MAX
    assert decode_header(encode_header(full)) == full
    with pytest.raises(FaultError, match="1 KiB"):
        encode_header(HEADER._replace(ext={1: bytes(301 + room)}))
    with pytest.raises(FaultError, match="1 KiB"):
        decode_header(fields(ext={1: bytes(301 + room)}))


def test_unknown_kinds_and_extensions_pass() -> None:
    """Kinds and ext keys that this version does not know are kept as they are (2.2, 2.5)."""
    header = HEADER._replace(kind="weather.measured.v7", ext={77: {1: [1, "二", b"3", None]}})
    assert decode_header(encode_header(header)) == header


def test_extension_keys_are_sorted() -> None:
    """The order in which ext was filled does not show in the bytes (protocol 2.2)."""
    one = HEADER._replace(ext={300: 1, 2: {9: 0, 8: 0}})
    two = HEADER._replace(ext={2: {8: 0, 9: 0}, 300: 1})
    assert encode_header(one) == encode_header(two)


def test_check_takes_a_good_header_as_it_is() -> None:
    """Checking returns the very header, so that it can be used in passing (protocol 2.2)."""
    assert check_header(HEADER) is HEADER
    with pytest.raises(FaultError):
        check_header(HEADER._replace(feed=Feed("34", bytes(8), "trust", "^"), seq=-1))
