"""Records and their bodies, and records in a run."""

from dataclasses import replace

import pytest

from shared.errors import FaultError
from shared.record.envelope import RECORD_AAD, Envelope, wrap
from shared.record.header import encode_header
from shared.record.record import Record, check_body
from shared.record.run import Run, check_run
from tests.support.records import feed_of, key_of, record_of, run_of

FEED = feed_of()
RUN = run_of(FEED, 4)
FIRST = RUN.records[0]


def with_records(*records: Record) -> Run:
    """Return a run from 0 of these records."""
    return Run(FEED, 0, records)


def test_good_run() -> None:
    """A run whose headers agree with it passes, also without its bodies (protocol 5.5)."""
    check_run(RUN)
    check_run(RUN.tail(2))
    check_run(with_records(replace(FIRST, salt=None, body=None)))
    assert (RUN.end, RUN.tail(2).first_seq, RUN.tail(2).end) == (4, 2, 4)


def test_body_belongs_to_its_header() -> None:
    """Size and salted hash of a body are compared with the header (protocol 2.2, 5.5)."""
    assert FIRST.body is not None
    assert FIRST.salt is not None
    for salt, body in (
        (bytes(16), FIRST.body),
        (FIRST.salt, FIRST.body[:-1]),
        (FIRST.salt, FIRST.body + b" "),
        (FIRST.salt, FIRST.body[:-3] + b'1"}'),
        (FIRST.salt[:-1], FIRST.salt[-1:] + FIRST.body),
        (FIRST.salt + FIRST.body[:1], FIRST.body[1:]),
        (None, FIRST.body),
        (FIRST.salt, None),
    ):
        with pytest.raises(FaultError):
            check_body(Record(FIRST.header_cose, salt, body))
    check_body(FIRST)


@pytest.mark.parametrize(
    "run",
    [
        Run(FEED, 0, ()),
        Run(FEED, 1, RUN.records),
        Run(feed_of(lane="urgent"), 0, RUN.records),
        Run(feed_of(epoch=2), 0, RUN.records),
        Run(feed_of(audience="340602100"), 0, RUN.records),
        Run(feed_of("340602100"), 0, RUN.records),
        with_records(RUN.records[0], RUN.records[2]),
        with_records(RUN.records[1], RUN.records[0]),
        with_records(RUN.records[0], RUN.records[0]),
        with_records(FIRST, record_of(FEED, 1, bytes(32))),
        with_records(FIRST, record_of(FEED, 1, FIRST.rid, key=key_of(1))),
        with_records(replace(FIRST, salt=bytes(16))),
    ],
    ids=["empty", "number", "lane", "epoch", "audience", "author", "hole", "order", "twice",
         "chain", "two keys", "body"],
)  # fmt: skip
def test_run_that_lies(run: Run) -> None:
    """Author, epoch, lane, audience, seq, prev and kid are compared with the run (5.5)."""
    with pytest.raises(FaultError):
        check_run(run)


def test_version_is_compared() -> None:
    """A record of another version is a fault in this one (protocol 2.3, 5.5)."""
    payload = b"\x8d\x02" + encode_header(FIRST.header)[2:]
    record = Record(key_of().sign(payload, RECORD_AAD), FIRST.salt, FIRST.body)
    with pytest.raises(FaultError, match="version 2"):
        check_run(with_records(record))


def test_parts_are_read_once_and_verbatim() -> None:
    """The bytes are kept as they came; what is read from them gives them again (1.2)."""
    envelope = FIRST.envelope
    assert wrap(Envelope(envelope.kid, encode_header(FIRST.header), envelope.signature)) == (
        FIRST.header_cose
    )
