"""Certificates, and which of a division's several count (protocol 4.2). Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from shared.record.feed import Feed, Level
from shared.record.record import Record
from shared.trust.keys import PublicKey
from shared.trust.kinds import Certified, Keyed


@dataclass(frozen=True)
class Certificate:
    """A division's node as somebody above it vouches for it.

    Attributes:
        rid: The record that says so; for the district the anchor.
        division: Code.
        label: Short name shown to people, unique in the district.
        level: Its tier.
        signing_key: 32 bytes.
        sealing_key: 32 bytes.
        issuer: The feed in which it stands.
        seq: Its number there.
        replaces: rid of the certificate whose keys it replaces; empty for a first one.
        consent: What says so: the replaced key's signature, or nothing.
    """

    rid: bytes
    division: str
    label: str
    level: Level
    signing_key: bytes
    sealing_key: bytes
    issuer: Feed
    seq: int
    replaces: bytes = b""
    consent: bytes = b""

    @cached_property
    def key(self) -> PublicKey:
        """The key that signs for the division."""
        return PublicKey(self.signing_key)


def certificate_in(record: Record, body: Keyed) -> Certificate:
    """Return the certificate that ``record`` is.

    Raises:
        InvalidError: its signing key can be nobody's.
    """
    replaces = consent = ""
    if isinstance(body, Certified):
        replaces, consent = body.replaces or "", body.consent or ""
    certificate = Certificate(
        record.rid, body.division, body.label, Level.of(body.level),
        bytes.fromhex(body.signing_key), bytes.fromhex(body.sealing_key),
        record.header.feed, record.header.seq, bytes.fromhex(replaces), bytes.fromhex(consent),
    )  # fmt: skip
    PublicKey(certificate.signing_key)
    return certificate


def succession(
    held: Sequence[Certificate], may_replace: Callable[[Certificate, Certificate], bool]
) -> tuple[Certificate, ...]:
    """Return the certificates that count, each replaced by the next; the last is in force.

    Args:
        held: All of one division, the preferred first: of two firsts, or of two that replace the
            same one, that which stands earlier here counts.
        may_replace: Tells whether the second may take the first one's place.
    """
    line: list[Certificate] = []
    at = next((one for one in held if not one.replaces), None)
    while at is not None and at not in line:
        line.append(at)
        heirs = (one for one in held if one.replaces == at.rid)
        at = next((heir for heir in heirs if may_replace(line[-1], heir)), None)
    return tuple(line)
