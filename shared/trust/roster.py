"""The roster: which key speaks for which feed, as far as the trust records held tell.

A function of the set of records (protocol 1.5). A feed whose base (certificate and
``epoch.opened``) is not in the roster is not yet known: a gap, never a fault (protocol 4.3).
"""

from collections.abc import Collection
from dataclasses import dataclass

from shared.errors import InvalidError
from shared.record.feed import ROOT_EPOCH, UPWARD, Feed, Level, is_above
from shared.record.header import NO_PREV, Header
from shared.record.record import Record
from shared.trust import kinds
from shared.trust.authority import KindTable, read_as
from shared.trust.certificate import Certificate, certificate_in, succession
from shared.trust.invitation import consent_message, proof_message
from shared.trust.keys import PublicKey
from shared.trust.kinds import (
    Addresses,
    Certified,
    Confirmed,
    Disowned,
    Founded,
    Opened,
)

_TRUST_KINDS = KindTable(kinds.KINDS)


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


Place = tuple[Feed, int, bytes]
"""Where a record stands: feed, seq and rid."""


class Roster:
    """All trust facts of one district that a node holds.

    Attributes:
        anchor: rid of ``district.founded``, 32 bytes; pinned for good.
        revised: True once a certificate that was held came to count, or counts no longer. What
            was learned before rests on the order of arrival then: learn all anew (1.5).
    """

    def __init__(self, anchor: bytes) -> None:
        """Start with nothing but the pinned anchor."""
        self.anchor = anchor
        self.revised = False
        self._certificates: dict[bytes, Certificate] = {}
        self._by_division: dict[str, list[Certificate]] = {}
        self._counting: dict[str, tuple[Certificate, ...]] = {}
        self._confirmed: dict[bytes, list[Place]] = {}
        self._disowned: set[tuple[str, bytes]] = set()
        self._consents: dict[bytes, bool] = {}
        self._incarnations: dict[tuple[str, bytes], Incarnation] = {}
        self._addresses: dict[str, dict[bytes, tuple[int, tuple[str, ...]]]] = {}

    def copy(self) -> "Roster":
        """Return an independent copy, for trying a transaction."""
        other = Roster(self.anchor)
        other._certificates = dict(self._certificates)
        other._by_division = {code: list(found) for code, found in self._by_division.items()}
        other.revised = self.revised
        other._counting = dict(self._counting)
        other._confirmed = {rid: list(said) for rid, said in self._confirmed.items()}
        other._disowned = set(self._disowned)
        other._consents = self._consents  # what one of them found out holds for both
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
        if first.seq or first.kind != kinds.OPENED or certificate is None:
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
        is_anchor = record.rid == self.anchor and header.kind == kinds.FOUNDED and header.seq == 0
        if not is_anchor or header.prev != NO_PREV or record.body is None:
            return None
        try:
            body = read_as(Founded, record.body)
            certificate = certificate_in(record, body)
        except InvalidError:
            return None
        if body.level != Level.DISTRICT.word or body.division != header.feed.author:
            return None
        return certificate if header.feed == own_trust_feed(certificate, ROOT_EPOCH) else None

    def learn(self, record: Record) -> None:
        """Take in one accepted record of the trust lane; what is not authorised adds nothing."""
        header = record.header
        if header.kind == kinds.FOUNDED:
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
            self._take(record, record.body, author)
        except InvalidError:
            return  # stored and relayed, but it certifies nobody (protocol 4.5)

    def _take(self, record: Record, body: bytes, author: Certificate) -> None:
        match record.header.kind:
            case kinds.CERTIFIED:
                self._learn_certified(record, read_as(Certified, body), author.level)
            case kinds.CONFIRMED:
                self._learn_confirmed(record, read_as(Confirmed, body))
            case kinds.DISOWNED:
                rid = bytes.fromhex(read_as(Disowned, body).certificate)
                self._disowned.add((author.division, rid))
            case kinds.OPENED if record.header.seq == 0:
                self._learn_opened(record, read_as(Opened, body), author)
            case kinds.ADDRESSES:
                self._learn_addresses(record.header, read_as(Addresses, body))
            case _:
                pass

    def _speaker(self, header: Header) -> Certificate | None:
        """Return whose word a trust record is; None if nobody's that counts."""
        if header.kind == kinds.OPENED and header.seq == 0:
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
        certificate = certificate_in(record, body)
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
        for code, found in self._by_division.items():
            if len(found) > 1:  # the epochs of an issuer may have found their order
                self._settle(code)

    def _learn_confirmed(self, record: Record, body: Confirmed) -> None:
        rid, header = bytes.fromhex(body.certificate), record.header
        self._confirmed.setdefault(rid, []).append((header.feed, header.seq, record.rid))
        named = self._certificates.get(rid)
        if named is not None:
            self._settle(named.division)

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
            self._by_division.setdefault(certificate.division, []).append(certificate)
            self._settle(certificate.division, certificate)

    def _settle(self, division: str, new: Certificate | None = None) -> None:
        """Find out anew which certificates of ``division`` count, ``new`` among them."""
        held = self._by_division[division]
        held.sort(key=self._rank)
        before = self._counting.get(division, ())
        self._counting[division] = after = succession(held, self._may_replace)
        self.revised |= any((one in before) != (one in after) for one in held if one != new)

    def _rank(self, one: Certificate) -> tuple[int, int, int, int, bytes]:
        """Return the order of a division's certificates: of two rivals the first counts (4.2).

        What the district confirmed comes first, its last word before its earlier ones; then what
        it issued; of one issuer the earliest, so that a town cannot put another key in a
        village's place. Nothing in it depends on the order of arrival (1.5).
        """
        confirmed = [self._place(*said) for said in self._confirmed.get(one.rid, ())]
        if confirmed:
            depth, seq, rid = max(confirmed)
            return 0, 0, -depth, -seq, rid
        depth, seq, rid = self._place(one.issuer, one.seq, one.rid)
        return 1, len(one.issuer.author), depth, seq, rid

    def _place(self, feed: Feed, seq: int, rid: bytes) -> tuple[int, int, bytes]:
        """Return which of its author's records one is, as far as the epochs' order is known."""
        return len(self._followed(feed.author, feed.epoch)), seq, rid

    def _may_replace(self, old: Certificate, new: Certificate) -> bool:
        """Tell whether ``new`` takes the place of ``old``: by its key or by the district (4.2)."""
        district = self._certificates.get(self.anchor)
        if new.rid in self._confirmed or district is None:
            return district is not None
        if new.issuer.author == district.division:
            return True
        if new.rid not in self._consents:
            asked = consent_message(self.anchor, new.division, old.rid, new.signing_key,
                                    new.sealing_key)  # fmt: skip
            self._consents[new.rid] = old.key.verifies_bytes(new.consent, asked)
        return self._consents[new.rid]

    def incarnation(self, author: str, epoch: bytes) -> Incarnation | None:
        """Return the epoch of ``author`` if its opening is held."""
        return self._incarnations.get((author, epoch))

    def incarnations_of(self, author: str) -> dict[bytes, Incarnation]:
        """Return all epochs of ``author`` that are held, by epoch."""
        return {key[1]: value for key, value in self._incarnations.items() if key[0] == author}

    def certificate_of(self, division: str) -> Certificate | None:
        """Return the certificate in force for ``division``, if one is held."""
        counting = self._counting.get(division)
        return counting[-1] if counting else None

    def certificate_with(self, division: str, signing_key: bytes) -> Certificate | None:
        """Return the certificate by which ``signing_key`` speaks for ``division``.

        Of several that which counts, or the last of them; one that is unconfirmed if none counts.
        """
        counting = reversed(self._counting.get(division, ()))
        held = (*counting, *self._by_division.get(division, ()))
        return next((one for one in held if one.signing_key == signing_key), None)

    def unconfirmed(self) -> tuple[Certificate, ...]:
        """Return the certificates that would replace a key and may not, by division and rank."""
        held = (one for code in sorted(self._by_division) for one in self._by_division[code])
        return tuple(one for one in held if not self.is_confirmed(one))

    def unasked(self, division: str, signing_keys: Collection[bytes]) -> tuple[Certificate, ...]:
        """Return the certificates of ``division`` that are not its own (protocol 4.2).

        Args:
            division: Code.
            signing_keys: The keys of its node. Its own are their certificates, and what counted
                before the first of these: a later certificate of its key proves nothing, because
                who issued it had the proof already.
        """
        held, line = self._by_division.get(division, []), self._counting.get(division, ())
        mine = [one for one in held if one.signing_key in signing_keys]
        first = next((place for place, one in enumerate(line) if one in mine), None)
        if first is None:  # it waits for the district's word, to replace a key that was lost
            before = {one.replaces for one in mine[:1]}
        else:
            before = {one.rid for one in line[:first]}
        return tuple(one for one in held if one not in mine and one.rid not in before)

    def is_disowned(self, certificate: Certificate) -> bool:
        """Tell whether its division said that it did not ask for ``certificate``."""
        return (certificate.division, certificate.rid) in self._disowned

    def keys_of(self, division: str) -> tuple[PublicKey, ...]:
        """Return the keys by which ``division`` can prove itself, as far as is known here.

        A key that replaced another and has not been used yet may not have reached its node: the
        replaced one proves it, too, until an epoch was opened under the new one.
        """
        keys: list[PublicKey] = []
        used = {one.certificate.rid for one in self.incarnations_of(division).values()}
        for certificate in reversed(self._counting.get(division, ())):
            keys.append(certificate.key)
            if certificate.rid in used:
                break
        return tuple(keys)

    def is_confirmed(self, certificate: Certificate) -> bool:
        """Tell whether ``certificate`` counts for its division: is in force, or was before.

        Another one would replace the key; until its key or the district says so, what was signed
        under it is relayed and not projected (protocol 4.2).
        """
        return certificate in self._counting.get(certificate.division, ())

    def line_to(self, certificate: Certificate) -> tuple[Certificate, ...]:
        """Return the certificates that were replaced one by the next up to ``certificate``.

        Itself is the last; it stands alone if it does not count.
        """
        line = self._counting.get(certificate.division, ())
        return line[: line.index(certificate) + 1] if certificate in line else (certificate,)

    def confirmation_of(self, rid: bytes) -> tuple[Feed, bytes] | None:
        """Return where the district confirmed the certificate ``rid``: feed and rid, if it did."""
        said = self._confirmed.get(rid)
        if not said:
            return None
        feed, _, by = min(said)
        return feed, by

    def confirmed_by(self, rid: bytes) -> bytes | None:
        """Return which certificate the record ``rid`` confirms, None if it confirms none."""
        named = (one for one, said in self._confirmed.items() if rid in {by for _, _, by in said})
        return next(named, None)

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
        """Return the certificate in force of each certified division, by code, sorted."""
        return {code: line[-1] for code, line in sorted(self._counting.items()) if line}

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
