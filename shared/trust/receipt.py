"""The secret of a receipt: 128 bits that open words and answer (protocol 6.4).

It leaves the node on paper, as a QR and as groups of digits, and is not kept; what stands in the
filing is the public half of the key that it gives. Answers may be sealed to that key.
"""

import re
import unicodedata
from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from stdnum.iso7064 import mod_11_10

from shared.errors import InvalidError
from shared.trust.keys import sealing_public

SECRET_BYTES: Final = 16
INFO: Final = b"sanji/receipt/v1"

_DIGITS: Final = 39  # 2^128 < 10^39
_GROUP: Final = 4
_SEPARATORS: Final = re.compile(r"[\s\-‐‑‒–—―−]")


def new_secret(random_bytes: Callable[[int], bytes]) -> bytes:
    """Return a new secret from the node's source of chance."""
    return random_bytes(SECRET_BYTES)


def to_groups(secret: bytes) -> str:
    """Return the secret for paper: 10 groups of 4 digits, the last digit checks the rest.

    Raises:
        InvalidError: it has not 16 bytes.
    """
    if len(secret) != SECRET_BYTES:
        raise InvalidError("a receipt's secret has 16 bytes")
    digits = f"{int.from_bytes(secret, 'big'):0{_DIGITS}}"
    digits += mod_11_10.calc_check_digit(digits)
    return " ".join(digits[at : at + _GROUP] for at in range(0, len(digits), _GROUP))


def from_groups(text: str) -> bytes:
    """Return the secret that somebody typed; blanks, hyphens and full-width digits are taken.

    Raises:
        InvalidError: a digit is wrong, missing or too many. The text is not repeated: a secret
            stands in no error.
    """
    digits = _SEPARATORS.sub("", unicodedata.normalize("NFKC", text[:400]))
    if not re.fullmatch(r"[0-9]*", digits) or len(digits) != _DIGITS + 1:
        raise InvalidError(
            "the secret of a receipt has 10 groups of 4 digits.",
            advice="Please compare them with the receipt.",
        )
    value = int(digits[:-1])
    if mod_11_10.calc_check_digit(digits[:-1]) != digits[-1] or value >= 1 << 128:
        raise InvalidError(
            "one of the digits is wrong.", advice="Please compare them with the receipt."
        )
    return value.to_bytes(SECRET_BYTES, "big")


def private_half(secret: bytes) -> bytes:
    """Return the private X25519 key, 32 bytes, that the secret gives."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=INFO).derive(secret)


def public_half(secret: bytes) -> bytes:
    """Return the public X25519 key, 32 bytes, that stands in the filing."""
    return sealing_public(private_half(secret))
