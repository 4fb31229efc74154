"""Signed records for tests, made quickly and always the same.

Nothing is random: keys come from a number, salts and times from the place in the feed, so that a
record made twice has the same bytes. Sealing, certificates and authority play no part here.
"""

from collections.abc import Iterator
from functools import cache
from hashlib import sha256

from shared.record.body import body_hash, encode_body
from shared.record.envelope import RECORD_AAD
from shared.record.feed import Feed
from shared.record.header import NO_PREV, Header, encode_header
from shared.record.record import Record
from shared.record.run import Run
from shared.trust.keys import SigningKey

START_MS = 1_780_000_000_000
"""The claimed time of record 0; each later one is a second younger."""


@cache
def key_of(number: int = 0) -> SigningKey:
    """Return the signing key of that number."""
    return SigningKey(sha256(b"test key %d" % number).digest())


def feed_of(
    author: str = "340602", lane: str = "ordinary", audience: str = "", epoch: int = 1
) -> Feed:
    """Return a feed; its audience is, if not told, the author and all below it."""
    return Feed(author, epoch.to_bytes(8, "big"), lane, audience or f"{author}*")


def record_of(
    feed: Feed,
    seq: int,
    prev: bytes = NO_PREV,
    *,
    text: str = "",
    kind: str = "notice.published.v1",
    refs: tuple[bytes, ...] = (),
    key: SigningKey | None = None,
) -> Record:
    """Return one signed record whose body is ``{"text": text}``; another text is another rid."""
    salt = sha256(b"salt %d" % seq).digest()[:16]
    body = encode_body({"text": text})
    header = Header(
        feed, seq, prev, START_MS + 1000 * seq, kind, len(body), body_hash(salt, body), refs
    )
    signed = (key or key_of()).sign(encode_header(header), RECORD_AAD)
    return Record(signed, salt, body)


def chain(
    feed: Feed, first_seq: int = 0, prev: bytes = NO_PREV, *, text: str = ""
) -> Iterator[Record]:
    """Yield record ``first_seq``, the next one, … of a feed without end.

    Args:
        feed: Where they stand.
        first_seq: The number of the first.
        prev: What the first one follows.
        text: Of each body, before its number; two branches of a fork differ by it.
    """
    for seq in range(first_seq, first_seq + 2**32):
        record = record_of(feed, seq, prev, text=f"{text}{seq}")
        prev = record.rid
        yield record


def run_of(
    feed: Feed, count: int, first_seq: int = 0, prev: bytes = NO_PREV, *, text: str = ""
) -> Run:
    """Return a run of ``count`` records of ``chain``."""
    records = zip(range(count), chain(feed, first_seq, prev, text=text), strict=False)
    return Run(feed, first_seq, tuple(record for _, record in records))
