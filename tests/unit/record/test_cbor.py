"""Deterministic CBOR."""

from typing import Any

import cbor2
import pytest

from shared.errors import FaultError
from shared.record import cbor
from shared.record.limits import INTEGER_MAX


@pytest.mark.parametrize(
    "value",
    [0, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, INTEGER_MAX, -1, -25, b"", b"x" * 24,
     "", "区里", [], [1, [2, [3]]], {}, {1: 2}, {"a": [None, True, False]}],
    ids=repr,
)  # fmt: skip
def test_round_trip(value: Any) -> None:
    """What is encoded decodes to itself, whatever the length of its heads (protocol 2.2)."""
    assert cbor.decode(cbor.encode(value)) == value


def test_maps_are_sorted_by_encoded_keys() -> None:
    """Keys stand in the order of their bytes, not of their length (RFC 8949 §4.2.1, 2.2)."""
    value = {"b": 1, "aa": 2, 100: 3, 10: 4, -1: 5, False: 6}
    keys = list(cbor2.loads(cbor.encode(value)))
    assert keys == [10, 100, -1, "b", "aa", False]
    assert cbor.encode([[{2: 0, 1: {4: 0, 3: 0}}]]).hex() == "8181a201a2030004000200"


@pytest.mark.parametrize(
    "data",
    [
        "1800", "1817", "190001", "1a00000001", "1b0000000000000001", "3800", "5800", "7800",
        "5801ff", "9800", "980101", "b800", "9f01ff", "bf0102ff", "5f4101ff", "7f6161ff",
        "a202000100", "a201000100", "a26161000100", "0000", "810000", "81", "41",
        "ff", "1c", "f818", "6180", "62c328", "",
        "c074323031332d30332d32315432303a30343a30305a", "c101", "c24101", "d81c8101", "d81d00",
        "d90102810a", "d9010080", "d9d9f700", "d8ff00", "81c101",
    ],
)  # fmt: skip
def test_other_encodings_are_refused(data: str) -> None:
    """Longer heads, indefinite lengths, other orders, tags, rests: all are faults (2.2)."""
    with pytest.raises(FaultError):
        cbor.decode(bytes.fromhex(data))


def test_no_tag_is_read() -> None:
    """No tag is decoded, signed or not: shared values could be endless (protocol 2.2, 5.3)."""
    for tag in (*range(300), 1004, 43000, 55799, 2**32, 2**64 - 1):
        with pytest.raises(FaultError):
            cbor.decode_loose(cbor2.dumps(cbor2.CBORTag(tag, [0])))
    with pytest.raises(FaultError):
        cbor.decode(bytes.fromhex("d81c81d81d00"))  # a list that holds itself
    shared = b"\x82" + b"\xd8\x1c\x80" * 2
    with pytest.raises(FaultError):
        cbor.decode_loose(shared)


def test_depth() -> None:
    """Nests deeper than the limit are refused before they are built (protocol 2.4)."""
    assert cbor.decode(b"\x81" * 7 + b"\x00")
    for depth in (9, 100, 100_000):
        with pytest.raises(FaultError):
            cbor.decode(b"\x81" * depth + b"\x00")


def test_loose_still_refuses_traps() -> None:
    """Unsigned frames may use longer heads, not indefinite lengths or doubled keys (5.3)."""
    assert cbor.decode_loose(bytes.fromhex("1800")) == 0
    for data in ("9f01ff", "a201000100", ""):
        with pytest.raises(FaultError):
            cbor.decode_loose(bytes.fromhex(data))


def test_keys_that_encode_alike() -> None:
    """Keys that differ and encode alike do not stop the sorting (protocol 2.2)."""
    inner = (bytes.fromhex("a1f97e0000"), bytes.fromhex("a1fb7ff800000000000100"))
    with pytest.raises(FaultError):
        cbor.decode(b"\xa2" + b"".join(key + b"\x00" for key in inner))


@pytest.mark.parametrize(
    "value", [INTEGER_MAX, -INTEGER_MAX, "", b"", None, True, [1], {"a": 1}], ids=repr
)
def test_plain(value: Any) -> None:
    """An extension is made of integers, texts, bytes, lists and maps (protocol 2.2)."""
    cbor.check_plain(value)


@pytest.mark.parametrize(
    "value",
    [INTEGER_MAX + 1, -INTEGER_MAX - 1, 0.0, cbor2.undefined, cbor2.CBORSimpleValue(0), (1,),
     {0.5: 1}, {1: 0.5}, [[[[[]]]]]],
    ids=repr,
)  # fmt: skip
def test_not_plain(value: Any) -> None:
    """Floats, tags, huge integers and deep nests stand in no extension (protocol 2.2)."""
    with pytest.raises(FaultError):
        cbor.check_plain(value)
