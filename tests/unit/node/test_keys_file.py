"""The keys file: opened by its passphrase, and by nothing else."""

import json
from typing import Any

import pytest

from shared.errors import InvalidError, RefusedError, SanjiError
from shared.node.home import Identity, Keys
from shared.node.keys_file import pack_keys, unpack_keys
from shared.record.feed import Level
from shared.trust.keys import SigningKey

KEYS = Keys(SigningKey(bytes(31) + b"1"), bytes(31) + b"2")
WHO = Identity("340602100201", "沈集", Level.VILLAGE, b"a" * 32, (("340602100", "ws://x/link"),))
PASSPHRASE = b"four words nobody says"
PACKED = pack_keys(WHO, KEYS, PASSPHRASE)


def test_keys_come_back() -> None:
    """Identity and keys are what they were, and no secret shows."""
    assert unpack_keys(PACKED, PASSPHRASE) == (WHO, KEYS)
    assert KEYS.signing.seed.hex().encode() not in PACKED


def test_another_passphrase_opens_nothing() -> None:
    """Neither an empty one nor a near one."""
    for wrong in (b"", PASSPHRASE + b"!"):
        with pytest.raises(RefusedError, match="passphrase"):
            unpack_keys(PACKED, wrong)


def changed(**values: Any) -> bytes:
    """Return the file with other values."""
    return json.dumps({**json.loads(PACKED), **values}).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\0", b"[]", b"{}", PACKED[:-4], changed(format="sanji/keys/v2"),
        changed(identity=None), changed(identity={}), changed(signing=7),
        changed(identity={**json.loads(PACKED)["identity"], "level": "county"}),
    ],
    ids=range(10),
)  # fmt: skip
def test_what_is_no_keys_file_is_refused(data: bytes) -> None:
    """Whatever it is, it is a line."""
    with pytest.raises(InvalidError, match="no keys file"):
        unpack_keys(data, PASSPHRASE)


def test_swapped_or_damaged_keys_are_refused() -> None:
    """A sealing key signs nothing, and half a PEM is none."""
    value = json.loads(PACKED)
    swapped = changed(signing=value["sealing"], sealing=value["signing"])
    for bad in (swapped, changed(signing="x"), changed(sealing=value["sealing"][:60])):
        with pytest.raises(SanjiError):
            unpack_keys(bad, PASSPHRASE)
