"""Founding a district: the one record that everything else is checked against (protocol 4.1)."""

import hashlib

from shared.log.store import Batch, Store
from shared.node.author import Entropy
from shared.node.home import Identity, Keys
from shared.record.body import SALT_BYTES, body_hash, encode_body
from shared.record.envelope import RECORD_AAD
from shared.record.feed import ROOT_EPOCH, Feed, Level, check_code
from shared.record.header import NO_PREV, Header, encode_header
from shared.record.record import Record
from shared.record.run import Run
from shared.trust.keys import PublicKey
from shared.trust.kinds import FOUNDED


def founding_record(
    code: str, label: str, keys: Keys, recovery: PublicKey, *, at_ms: int, entropy: Entropy
) -> Record:
    """Return ``district.founded.v1``; its rid is the anchor of the district.

    Args:
        code: The district's division code.
        label: Its short name.
        keys: The district's keys, which the record names.
        recovery: Public half of the offline recovery key; only its hash is published.
        at_ms: Unix ms UTC.
        entropy: For the salt.
    """
    body = encode_body(
        {
            "division": check_code(code),
            "label": label,
            "level": Level.DISTRICT.word,
            "signing_key": keys.signing.public.raw.hex(),
            "sealing_key": keys.sealing_public.hex(),
            "recovery_hash": hashlib.sha256(recovery.raw).hexdigest(),
        }
    )
    salt = entropy(SALT_BYTES)
    feed = Feed(code, ROOT_EPOCH, "trust", code + "*")
    header = Header(feed, 0, NO_PREV, at_ms, FOUNDED, len(body), body_hash(salt, body))
    return Record(keys.signing.sign(encode_header(header), RECORD_AAD), salt, body)


async def found(store: Store, record: Record, label: str, at_ms: int) -> Identity:
    """Write the founding record as the first of an empty log; returns the district's identity."""
    feed = record.header.feed
    await store.commit(Batch(at_ms, runs=[Run(feed, 0, (record,))]))
    return Identity(feed.author, label, Level.DISTRICT, record.rid)
