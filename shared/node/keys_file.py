"""A node's keys apart from everything else, under a passphrase: what a lost box is replaced with.

A JSON object: what it is, the identity that the keys belong to, and both keys as PEM. The identity
is bound to nothing here; a certificate says whose the keys are.
"""

import json
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm

from shared.errors import FaultError, InvalidError, RefusedError
from shared.node.home import Identity, Keys

PASSPHRASE_BYTES_MIN: Final = 12
_FORMAT: Final = "sanji/keys/v1"


def pack_keys(identity: Identity, keys: Keys, passphrase: bytes) -> bytes:
    """Return the bytes of a keys file.

    Raises:
        InvalidError: the passphrase is too short to protect anything.
    """
    if len(passphrase) < PASSPHRASE_BYTES_MIN:
        raise InvalidError(
            f"the passphrase has fewer than {PASSPHRASE_BYTES_MIN} bytes.",
            advice="Four words that nobody says together are good, and are kept elsewhere.",
        )
    signing, sealing = keys.to_pem(passphrase)
    value = {
        "format": _FORMAT,
        "identity": json.loads(identity.encode()),
        "signing": signing.decode(),
        "sealing": sealing.decode(),
    }
    return json.dumps(value, ensure_ascii=False, indent=1).encode() + b"\n"


def unpack_keys(data: bytes, passphrase: bytes) -> tuple[Identity, Keys]:
    """Return whose keys a keys file holds, and the keys.

    Raises:
        InvalidError: it is no keys file, or damaged.
        RefusedError: the passphrase is another one.
    """
    identity, signing, sealing = _parts(data)
    try:
        return identity, Keys.from_pem(signing, sealing, passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise RefusedError(
            "the keys cannot be opened with this passphrase.",
            advice="Check it; a damaged keys file says the same.",
        ) from None


def _parts(data: bytes) -> tuple[Identity, bytes, bytes]:
    unreadable = InvalidError(
        "this is no keys file, or not all of it.", advice="Give one that `backup-keys` made."
    )
    try:
        value = json.loads(data)
        if value["format"] != _FORMAT:
            raise unreadable
        identity = Identity.decode(json.dumps(value["identity"]).encode())
        return identity, value["signing"].encode(), value["sealing"].encode()
    except (ValueError, KeyError, TypeError, AttributeError, FaultError):
        raise unreadable from None
