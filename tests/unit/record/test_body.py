"""The body of a record is I-JSON."""

import hashlib
import json
import unicodedata
from typing import Any

import pytest

from shared.errors import InvalidError
from shared.record.body import body_hash, decode_body, encode_body
from shared.record.limits import BODY_BYTES_MAX, INTEGER_MAX


def test_round_trip() -> None:
    """A body is compact UTF-8 and comes back as it went in (protocol 2.4)."""
    value = {"标题": "通知 🌾", "n": -INTEGER_MAX, "list": [1, None, True, {"a": ""}]}
    raw = encode_body(value)
    assert raw == json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    assert decode_body(raw) == value


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"b":2}}',
        b'{"a":1,"\\u0061":2}',
        b'{"a":1.0}',
        b'{"a":1e3}',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":9007199254740992}',
        b'{"a":-9007199254740992}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":"\\ud800"}',
        b'{"\\udfff":1}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\xff"}',
        '{"a":"中"}'.encode("gb18030"),
        '{"a":1}'.encode("utf-16"),
        b"\xef\xbb\xbf{}",
        b"[]",
        b'"text"',
        b"1",
        b"null",
        b"",
        b"{} {}",
        b"{'a':1}",
        b'{"a":1,}',
        b'{"a":"\n"}',
    ],
)
def test_what_is_no_i_json(raw: bytes) -> None:
    """Duplicate names, floats, half characters and other JSON are refused (protocol 2.4)."""
    with pytest.raises(InvalidError):
        decode_body(raw)


@pytest.mark.parametrize(
    "value",
    [
        {"a": 0.5},
        {"a": float("nan")},
        {"a": INTEGER_MAX + 1},
        {"a": "\ud83d"},
        {"\udc00": 1},
        {"a": b"bytes"},
        {"a": {1, 2}},
        {1: "a"},
        {"é": 1, "e\u0301": 2},
    ],
)
def test_what_cannot_be_made(value: dict[Any, Any]) -> None:
    """What nobody could read back as I-JSON is not written (protocol 2.4)."""
    with pytest.raises(InvalidError):
        encode_body(value)


def test_text_is_composed_on_entry() -> None:
    """Names and values are in NFC, so that one word has one spelling (protocol 2.4)."""
    value = {"cafe\u0301": ["e\u0301", {"x": "Å"}]}
    assert decode_body(encode_body(value)) == {"café": ["é", {"x": "Å"}]}


@pytest.mark.parametrize("escaped", ["\n", "\t", "\r", "\b", "\f", "\x0b", '"', "\\"])
@pytest.mark.parametrize("mark", ["\u0301", "\u0303", "\u0307", "\u0323", "\u0338"])
def test_marks_behind_escapes(escaped: str, mark: str) -> None:
    """A mark behind an escaped character is not composed with the escape's letter (2.4)."""
    text = f"a{escaped}{mark}b"
    assert decode_body(encode_body({"t": text})) == {"t": unicodedata.normalize("NFC", text)}


def test_size_limit() -> None:
    """A body has at most 64 KiB of UTF-8, when made and when read (protocol 2.4)."""
    room = BODY_BYTES_MAX - len(encode_body({"t": ""}))
    full = encode_body({"t": "x" * room})
    assert len(full) == BODY_BYTES_MAX
    assert decode_body(full)
    with pytest.raises(InvalidError, match="65,537"):
        encode_body({"t": "x" * (room + 1)})
    with pytest.raises(InvalidError, match="64 KiB"):
        decode_body(full + b" ")
    with pytest.raises(InvalidError):
        encode_body({"t": "中" * (room // 3 + 1)})


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_deep_nests(opening: bytes) -> None:
    """However deep a body is nested, it is read or refused, and nothing else (protocol 2.4)."""
    closing = b"]" if opening == b"[" else b"}"
    for depth in (10, *range(700, 1000, 3), 5000):
        try:
            decode_body(b'{"n":' + opening * depth + b"0" + closing * depth + b"}")
        except InvalidError:
            assert depth > 10


def test_hash_is_salted() -> None:
    """The salt stands before the body, so that a redacted body cannot be guessed (2.2)."""
    assert body_hash(b"s" * 16, b"{}") == hashlib.sha256(b"s" * 16 + b"{}").digest()
    assert body_hash(b"t" * 16, b"{}") != body_hash(b"s" * 16, b"{}")
