"""Deterministic CBOR (RFC 8949 §4.2.1): what is decoded must equal its own re-encoding."""

from io import BytesIO
from operator import itemgetter
from typing import Any, Final, NoReturn

import cbor2

from shared.errors import FaultError
from shared.record.limits import EXT_DEPTH_MAX, INTEGER_MAX

_INLINE_END: Final = 24
"""Smaller numbers stand in the first byte of a head itself."""

_SIZES: Final = tuple(
    next((24 + power, 1 << power) for power in range(4) if bits <= 8 << power) for bits in range(65)
)
"""What stands there instead, and how many bytes follow; by the bits of the number."""

_BYTES: Final = tuple(bytes((value,)) for value in range(256))

_PLAIN = (bytes, str, bool, type(None))


def _no_tag(_decoder: object, *_: object) -> NoReturn:
    raise ValueError("a tag")


class _NoTags(dict[int, Any]):
    """A decoder for each tag, which refuses it.

    Ours has none inside; of those that cbor2 knows, shared values (28, 29) can be a list that
    contains itself, or one that takes a few bytes and years to walk through.
    """

    def __missing__(self, tag: int) -> Any:
        return _no_tag


_NO_TAGS: Final = _NoTags()


def encode(value: Any) -> bytes:
    """Return the one encoding of ``value``: shortest heads, definite lengths, sorted maps.

    Maps are sorted by the bytes of their encoded keys (RFC 8949), which differs from the older
    length-first rule that cbor2 calls ``canonical``.
    """
    return cbor2.dumps(_ordered(value))


def head(major: int, number: int) -> bytes:
    """Return the shortest head of an item: an integer, or the length of what follows.

    Args:
        major: The major type: 0 unsigned integer, 2 bytes, 3 text, 4 list.
        number: 0 to 2^64-1.
    """
    lead = major << 5
    if number < _INLINE_END:
        return _BYTES[lead | number]
    more, size = _SIZES[number.bit_length()]
    return _BYTES[lead | more] + number.to_bytes(size, "big")


def encode_flat(value: Any) -> bytes:
    """Return ``encode(value)`` for a value without maps, or with maps already in order."""
    return cbor2.dumps(value)


def decode(data: bytes, *, max_depth: int = 8) -> Any:
    """Return the value that ``data`` encodes deterministically.

    Raises:
        FaultError: not CBOR, trailing bytes, a tag, too deep, or not the deterministic encoding.
    """
    value = decode_loose(data, max_depth=max_depth)
    if encode(value) != data:
        raise FaultError("not in deterministic CBOR")
    return value


def decode_loose(data: bytes, *, max_depth: int = 8) -> Any:
    """Return the value in ``data``, however it is encoded: for frames, which nobody signs.

    Raises:
        FaultError: not CBOR, bytes left over, a tag, too deep, of indefinite length, or a map with
            a key twice.
    """
    stream = BytesIO(data)
    try:
        value = cbor2.load(
            stream,
            max_depth=max_depth,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            semantic_decoders=_NO_TAGS,
        )
    except (cbor2.CBORError, ValueError, OverflowError, RecursionError) as error:
        raise FaultError(f"not CBOR: {error}") from error
    if stream.tell() != len(data):
        raise FaultError("not CBOR: bytes left over")
    return value


def is_number(value: Any, number: int) -> bool:
    """Tell whether ``value`` is the integer ``number``: to Python true and 1.0 equal 1, too."""
    return type(value) is int and value == number


def check_plain(value: Any, depth: int = EXT_DEPTH_MAX) -> None:
    """Refuse what a header's ``ext`` must not hold: floats, tags, huge integers, deep nests.

    Raises:
        FaultError: ``value`` is not made of plain integers, texts, bytes, lists and maps.
    """
    if type(value) is int:
        if not -INTEGER_MAX <= value <= INTEGER_MAX:
            raise FaultError("integer out of range")
    elif isinstance(value, (list, dict)):
        if depth == 0:
            raise FaultError("nested too deep")
        items = value if isinstance(value, list) else [*value.keys(), *value.values()]
        for item in items:
            check_plain(item, depth - 1)
    elif type(value) not in _PLAIN:
        raise FaultError(f"a {type(value).__name__} cannot stand here")


def _ordered(value: Any) -> Any:
    """Return ``value`` with every map sorted; plain values pass through untouched."""
    if type(value) is list:
        return [_ordered(item) if type(item) in (list, dict) else item for item in value]
    if type(value) is dict and value:
        pairs = ((cbor2.dumps(_ordered(key)), key) for key in value)
        return {key: _ordered(value[key]) for _, key in sorted(pairs, key=itemgetter(0))}
    return value
