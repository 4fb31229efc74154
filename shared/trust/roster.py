"""The roster: which key speaks for which feed, as far as the trust records held tell.

A function of the set of records (protocol 1.5). A feed whose base (certificate and
``epoch.opened``) is not in the roster is not yet known: a gap, never a fault (protocol 4.3).
"""

from dataclasses import dataclass
from functools import cached_property

from shared.errors import InvalidError
from shared.record.feed import ROOT_EPOCH, UPWARD, Feed, Level, is_above
from shared.record.header import NO_PREV, Header
from shared.record.record import Record
from shared.trust.authority import KindTable, read_as
from shared.trust.invitation import proof_message
from shared.trust.keys import PublicKey
from shared.trust.kinds import (
    ADDRESSES,
    CERTIFIED,
    FOUNDED,
    KINDS,
    OPENED,
    Addresses,
    Certified,
    Founded,
    Keyed,
    Opened,
)

_TRUST_KINDS = KindTable(KINDS)


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
    """

    rid: bytes
    division: str
    label: str
    level: Level
    signing_key: bytes
    sealing_key: bytes
    issuer: Feed
    seq: int

    @cached_property
    def key(self) -> PublicKey:
        """The key that signs for the division."""
        return PublicKey(self.signing_key)


@dataclass(frozen=True)
class Incarnation:
    """An epoch that a node opened."""

    rid: bytes
    certificate: Certificate
    follows: bytes | None


@dataclass(frozen=True)
class Base:
    """What a feed stands on: the author's certificate, and the prev of its first record."""

    certificate: Certificate
    first_prev: bytes


class Roster:
    """All trust facts of one district that a node holds.

    Attributes:
        anchor: rid of ``district.founded``, 32 bytes; pinned for good.
    """

    def __init__(self, anchor: bytes) -> None:
        """Start with nothing but the pinned anchor."""
        self.anchor = anchor
        self._certificates: dict[bytes, Certificate] = {}
        self._by_division: dict[str, list[Certificate]] = {}
        self._incarnations: dict[tuple[str, bytes], Incarnation] = {}
        self._addresses: dict[str, dict[bytes, tuple[int, tuple[str, ...]]]] = {}

    def copy(self) -> "Roster":
        """Return an independent copy, for trying a transaction."""
        other = Roster(self.anchor)
        other._certificates = dict(self._certificates)
        other._by_division = {code: list(found) for code, found in self._by_division.items()}
        other._incarnations = dict(self._incarnations)
        other._addresses = {code: dict(said) for code, said in self._addresses.items()}
        return other

    def base_of(self, feed: Feed, first: Header) -> Base | None:
        """Return what ``feed`` stands on, or None while that is not held.

        Args:
            feed: The feed of a run.
            first: The run's first header; it names the base where the run begins an epoch.
        """
        if feed.epoch == ROOT_EPOCH:
            return self._root_base(feed)
        incarnation = self._incarnations.get((feed.author, feed.epoch))
        if incarnation is not None:
            opens = feed == own_trust_feed(incarnation.certificate, feed.epoch)
            prev = incarnation.certificate.rid if opens else incarnation.rid
            return Base(incarnation.certificate, prev)
        certificate = self._certificates.get(first.prev)
        if first.seq or first.kind != OPENED or certificate is None:
            return None
        if feed != own_trust_feed(certificate, feed.epoch):
            return None
        return Base(certificate, certificate.rid)

    def _root_base(self, feed: Feed) -> Base | None:
        known = self._certificates.get(self.anchor)
        if known is not None and feed == own_trust_feed(known, ROOT_EPOCH):
            return Base(known, NO_PREV)
        return None

    def founding(self, record: Record) -> Certificate | None:
        """Return the district's certificate if ``record`` is the pinned anchor, else None."""
        header = record.header
        is_anchor = record.rid == self.anchor and header.kind == FOUNDED and header.seq == 0
        if not is_anchor or header.prev != NO_PREV or record.body is None:
            return None
        try:
            body = read_as(Founded, record.body)
            certificate = _certificate(record, body)
        except InvalidError:
            return None
        if body.level != Level.DISTRICT.word or body.division != header.feed.author:
            return None
        return certificate if header.feed == own_trust_feed(certificate, ROOT_EPOCH) else None

    def learn(self, record: Record) -> None:
        """Take in one accepted record of the trust lane; what is not authorised adds nothing."""
        header = record.header
        if header.kind == FOUNDED:
            founding = self.founding(record)
            if founding is not None:
                self._add(founding)
            return
        author = self._speaker(header)
        if author is None or record.body is None:
            return
        if _TRUST_KINDS.objection(header.kind, header.feed, author.level) is not None:
            return
        try:
            if header.kind == CERTIFIED:
                self._learn_certified(record, read_as(Certified, record.body), author.level)
            elif header.kind == OPENED and header.seq == 0:
                self._learn_opened(record, read_as(Opened, record.body), author)
            elif header.kind == ADDRESSES:
                self._learn_addresses(header, read_as(Addresses, record.body))
        except InvalidError:
            return  # stored and relayed, but it certifies nobody (protocol 4.5)

    def _speaker(self, header: Header) -> Certificate | None:
        """Return whose word a trust record is; None if nobody's that counts."""
        if header.kind == OPENED and header.seq == 0:
            return self._certificates.get(header.prev)  # it speaks before its epoch is known
        author = self.author_of(header.feed)
        return author if author is not None and self.is_confirmed(author) else None

    def _learn_certified(self, record: Record, body: Certified, level: Level) -> None:
        """Take the word of the parent or of one above it, for a level below its own (4.2).

        The keys must have been asked for by their holder: nobody can name a key that is not
        theirs to give.
        """
        author, division = record.header.feed.author, body.division
        by_rank = author == body.parent or is_above(author, body.parent)
        if not (by_rank and is_above(body.parent, division) and Level.of(body.level) > level):
            return
        certificate = _certificate(record, body)
        asked = proof_message(self.anchor, body.parent, division, bytes.fromhex(body.nonce))
        if certificate.key.verifies_bytes(bytes.fromhex(body.proof), asked):
            self._add(certificate)

    def _learn_opened(self, record: Record, body: Opened, certificate: Certificate) -> None:
        feed = record.header.feed
        names_it = body.certificate == certificate.rid.hex()
        if not names_it or feed != own_trust_feed(certificate, feed.epoch):
            return
        follows = bytes.fromhex(body.follows) if body.follows else None
        self._incarnations[feed.author, feed.epoch] = Incarnation(record.rid, certificate, follows)
        for found in self._by_division.values():
            found.sort(key=self._rank)  # the epochs of an issuer may have found their order

    def _learn_addresses(self, header: Header, body: Addresses) -> None:
        """Keep the last word of each epoch; which epoch is last, ``follows`` tells."""
        said = self._addresses.setdefault(header.feed.author, {})
        if header.seq >= said.get(header.feed.epoch, (0, ()))[0]:
            said[header.feed.epoch] = (header.seq, body.links)

    def _followed(self, author: str, epoch: bytes) -> list[bytes]:
        """Return the epochs before ``epoch`` as far as they are known, the last one first."""
        found: list[bytes] = []
        at = self._incarnations.get((author, epoch))
        while at is not None and at.follows is not None and at.follows not in found:
            found.append(at.follows)
            at = self._incarnations.get((author, at.follows))
        return found

    def _add(self, certificate: Certificate) -> None:
        if certificate.rid not in self._certificates:
            self._certificates[certificate.rid] = certificate
            found = self._by_division.setdefault(certificate.division, [])
            found.append(certificate)
            found.sort(key=self._rank)

    def _rank(self, one: Certificate) -> tuple[int, int, int, bytes]:
        """Return the order of certificates of one division: the first counts (protocol 4.2).

        The district's word comes first; of one issuer the earliest, so that a town cannot put
        another key in a village's place. Nothing in it depends on the order of arrival (1.5).
        """
        issuer = one.issuer
        rank = len(issuer.author)
        return rank, len(self._followed(issuer.author, issuer.epoch)), one.seq, one.rid

    def incarnation(self, author: str, epoch: bytes) -> Incarnation | None:
        """Return the epoch of ``author`` if its opening is held."""
        return self._incarnations.get((author, epoch))

    def incarnations_of(self, author: str) -> dict[bytes, Incarnation]:
        """Return all epochs of ``author`` that are held, by epoch."""
        return {key[1]: value for key, value in self._incarnations.items() if key[0] == author}

    def certificate_of(self, division: str) -> Certificate | None:
        """Return the certificate that counts for ``division``, if one is held."""
        found = self._by_division.get(division)
        return found[0] if found else None

    def keys_of(self, division: str) -> tuple[PublicKey, ...]:
        """Return the keys by which ``division`` can prove itself, as far as is known here."""
        certificate = self.certificate_of(division)
        return () if certificate is None else (certificate.key,)

    def is_confirmed(self, certificate: Certificate) -> bool:
        """Tell whether ``certificate`` is the one that counts for its division.

        Another one would replace the key; until that is confirmed, what was signed under it is
        relayed and not projected (protocol 4.2).
        """
        return self.certificate_of(certificate.division) == certificate

    def takes_back(self, earlier: "Roster") -> bool:
        """Tell whether a certificate that counted in ``earlier`` counts here no longer."""
        return any(
            self.certificate_of(code) != counted for code, counted in earlier.divisions().items()
        )

    def counts(self, rid: bytes) -> bool:
        """Tell whether ``rid`` is a certificate that counts."""
        certificate = self._certificates.get(rid)
        return certificate is not None and self.is_confirmed(certificate)

    def addresses_of(self, division: str) -> tuple[str, ...]:
        """Return where ``division`` last said it can be reached."""
        said = self._addresses.get(division)
        if not said:
            return ()
        last = max(said, key=lambda epoch: (len(self._followed(division, epoch)), epoch))
        return said[last][1]

    def divisions(self) -> dict[str, Certificate]:
        """Return the certified divisions by code, sorted."""
        return {code: self._by_division[code][0] for code in sorted(self._by_division)}

    def author_of(self, feed: Feed) -> Certificate | None:
        """Return under which certificate ``feed`` is written, None while its base is not held."""
        if feed.epoch == ROOT_EPOCH:
            base = self._root_base(feed)
            return base.certificate if base else None
        incarnation = self._incarnations.get((feed.author, feed.epoch))
        return incarnation.certificate if incarnation else None


def own_trust_feed(certificate: Certificate, epoch: bytes) -> Feed:
    """Return the trust feed of an epoch: ``CODE*``, for a leaf ``^`` (protocol 4.3)."""
    leaf = certificate.level == Level.VILLAGE
    return Feed(
        certificate.division, epoch, "trust", UPWARD if leaf else certificate.division + "*"
    )


def _certificate(record: Record, body: Keyed) -> Certificate:
    signing_key = bytes.fromhex(body.signing_key)
    PublicKey(signing_key)
    return Certificate(
        record.rid, body.division, body.label, Level.of(body.level), signing_key,
        bytes.fromhex(body.sealing_key), record.header.feed, record.header.seq,
    )  # fmt: skip
