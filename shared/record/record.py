"""A record: signed header and salted body, kept verbatim (protocol 1.2, 2)."""

from dataclasses import dataclass
from functools import cached_property

from shared.errors import FaultError
from shared.record.body import SALT_BYTES, body_hash
from shared.record.envelope import Envelope, rid_of, unwrap
from shared.record.header import Header, decode_header


@dataclass(frozen=True)
class Record:
    """One signed record as it is stored and relayed.

    Attributes:
        header_cose: The COSE_Sign1, verbatim.
        salt: 16 bytes, or None when the body is not here.
        body: I-JSON bytes, or None when it was pruned or redacted (protocol 8.1).
    """

    header_cose: bytes
    salt: bytes | None
    body: bytes | None

    @cached_property
    def rid(self) -> bytes:
        """SHA-256 of the header's bytes: the record's identity."""
        return rid_of(self.header_cose)

    @cached_property
    def envelope(self) -> Envelope:
        """The parts of the COSE_Sign1.

        Raises:
            FaultError: not in the fixed template.
        """
        return unwrap(self.header_cose)

    @cached_property
    def header(self) -> Header:
        """The decoded header.

        Raises:
            FaultError: a field breaks protocol 2.2.
        """
        return decode_header(self.envelope.payload)


def check_body(record: Record) -> None:
    """Compare the body with the size and hash that the header names.

    A missing body passes: whether that is allowed is the acceptance's business (protocol 5.3).

    Raises:
        FaultError: salt or body does not belong to this header.
    """
    salt, body, header = record.salt, record.body, record.header
    if salt is None and body is None:
        return
    if salt is None or body is None or len(salt) != SALT_BYTES:
        raise FaultError("salt and body come together")
    if len(body) != header.body_size or body_hash(salt, body) != header.body_hash:
        raise FaultError("the body is not the one that was signed")
