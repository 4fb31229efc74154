"""The body of a record: I-JSON, at most 64 KiB, salted before it is hashed (protocol 2.2, 2.4)."""

import hashlib
import json
import re
import unicodedata
from typing import Any, Final, NoReturn

from shared.errors import InvalidError
from shared.record.limits import BODY_BYTES_MAX, INTEGER_MAX

SALT_BYTES: Final = 16

_SURROGATE = re.compile("[\ud800-\udfff]")


def body_hash(salt: bytes, body: bytes) -> bytes:
    """Return SHA-256(salt || body). The salt dies with the body, so nobody can guess it later."""
    return hashlib.sha256(salt + body).digest()


def encode_body(value: dict[str, Any]) -> bytes:
    """Return compact UTF-8 I-JSON with every text in NFC.

    Raises:
        InvalidError: larger than 64 KiB, or a float, a lone surrogate or another foreign value.
    """
    try:
        _check_json(value)
        # Text by text: in the whole, a mark behind an escape would be composed with its letter.
        text = json.dumps(_nfc(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        body = text.encode("utf-8")
    except (UnicodeEncodeError, ValueError, TypeError, RecursionError) as error:
        raise InvalidError(f"this text cannot be stored: {error}") from error
    if len(body) > BODY_BYTES_MAX:
        raise InvalidError(
            f"the record would have {len(body):,} bytes, the limit is {BODY_BYTES_MAX:,}.",
            advice="Shorten the text or split it.",
        )
    return body


def decode_body(body: bytes) -> dict[str, Any]:
    """Return the object that ``body`` holds (RFC 7493: no duplicate names, no floats).

    Raises:
        InvalidError: not I-JSON, not an object, or longer than 64 KiB.
    """
    if len(body) > BODY_BYTES_MAX:
        raise InvalidError("a body has at most 64 KiB")
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object,
            parse_float=_no_float,
            parse_constant=_no_float,
        )
        _check_json(value)
    except (ValueError, RecursionError) as error:
        raise InvalidError(f"not I-JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidError("a body is a JSON object")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name stands twice")
    return value


def _no_float(text: str) -> NoReturn:
    raise ValueError(f"{text} is not an integer")


def _nfc(value: Any) -> Any:
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value)
    if isinstance(value, dict):
        return _object([(_nfc(name), _nfc(item)) for name, item in value.items()])
    if isinstance(value, (list, tuple)):
        return [_nfc(item) for item in value]
    return value


def _check_json(value: Any) -> None:
    """Refuse what I-JSON of ours must not hold, at any depth."""
    if isinstance(value, dict):
        for name, item in value.items():
            if not isinstance(name, str):
                raise InvalidError("names are texts")
            _check_json(name)
            _check_json(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _check_json(item)
    elif isinstance(value, str):
        if _SURROGATE.search(value):
            raise InvalidError("half a character (a lone surrogate) cannot be stored")
    elif isinstance(value, bool) or value is None:
        return
    elif not isinstance(value, int) or not -INTEGER_MAX <= value <= INTEGER_MAX:
        raise InvalidError("numbers are integers within ±(2^53-1)")
