"""The request for another key: signed by the new key and by the old one (protocol 4.2)."""

from dataclasses import replace
from typing import Any

import pytest

from shared.errors import FaultError
from shared.record import cbor
from shared.trust.rotation import KeyRequest, make_key_request, read_key_request
from tests.support.records import key_of
from tests.support.trust import TOWN, VILLAGE, small_district

SMALL = small_district()
FOUND = SMALL.roster().certificate_of(VILLAGE)
assert FOUND is not None
OLD = FOUND


def request_of(old_key: int = 2, new_key: int = 9) -> KeyRequest:
    """Return the village's request."""
    keys = (key_of(old_key), key_of(new_key))
    return make_key_request(SMALL.founded.rid, TOWN, OLD, keys, bytes(16))


def test_it_is_read_as_it_was_written() -> None:
    """Another version is none of these; one that is malformed is refused."""
    data = request_of().encode()
    assert read_key_request(data) == request_of()
    fields: Any = cbor.decode(data)
    assert read_key_request(cbor.encode([1, *fields[1:]])) is None
    with pytest.raises(FaultError, match="wrong length"):
        read_key_request(cbor.encode([*fields[:-1], b""]))
    with pytest.raises(FaultError):
        read_key_request(data[:-1])


@pytest.mark.parametrize(
    ("request_", "agreed"),
    [
        (request_of(), True),
        (request_of(old_key=8), False),
        (replace(request_of(), proof=bytes(64)), False),
        (replace(request_of(), signing_key=key_of(8).public.raw), False),
        (replace(request_of(), signing_key=bytes(32)), False),
        (replace(request_of(), sealing_key=bytes(32)), False),
        (replace(request_of(), replaces=SMALL.town_certified.rid), False),
        (replace(request_of(), division=TOWN), False),
        (replace(request_of(), nonce=bytes([1] * 16)), False),
    ],
    ids=["both", "another old key", "no proof", "another new key", "no key", "another sealing key",
         "another certificate", "another division", "another nonce"],
)  # fmt: skip
def test_both_keys_have_to_sign(request_: KeyRequest, agreed: bool) -> None:
    """The parent certifies nothing to which one of the two did not agree."""
    assert request_.is_agreed(OLD) is agreed
