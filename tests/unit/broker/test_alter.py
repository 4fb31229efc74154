"""Altered frames: well formed, and refused by hash or signature alone."""

from random import Random

import pytest

from broker.alter import altered
from shared.link.frames import Chunk, decode_frame
from shared.log.accept import NOTHING, Accepted, Held, Refused, accept
from shared.record.body import encode_body
from shared.record.feed import Feed, Level
from shared.record.header import NO_PREV, Header
from shared.record.record import Record
from shared.record.run import Run
from shared.trust.certificate import Certificate
from shared.trust.roster import Base, Roster
from tests.support.frames import FEED, chunk_frame, heads_frame
from tests.support.records import feed_of, key_of, record_of, run_of


class OneAuthor(Roster):
    """A roster that knows ``key_of()`` for every feed; its first record follows nothing."""

    def base_of(self, feed: Feed, first: Header) -> Base | None:
        """Return the one certificate."""
        key = key_of().public.raw
        certificate = Certificate(NO_PREV, feed.author, "A", Level.TOWN, key, bytes(32), feed, 0)
        return Base(certificate, NO_PREV)


def runs_in(frame: bytes) -> tuple[Run, ...]:
    """Return the runs that a receiver would decode."""
    chunk = decode_frame(frame, ())
    assert isinstance(chunk, Chunk)
    return chunk.runs


@pytest.mark.parametrize("seed", range(20))
def test_altered_chunk_parses_and_its_run_is_refused(seed: int) -> None:
    """Only the hash or the signature tells; the other run of the chunk stays good."""
    runs = (run_of(FEED, 3), run_of(feed_of(lane="trust"), 4))
    roster = OneAuthor(NO_PREV)
    assert all(isinstance(accept(run, NOTHING, roster), Accepted) for run in runs)
    frame = altered(chunk_frame(*runs), Random(seed))
    assert frame is not None
    outcomes = [accept(run, NOTHING, roster) for run in runs_in(frame)]
    assert sorted(type(each).__name__ for each in outcomes) == ["Accepted", "Refused"]


def test_both_ways_of_altering_occur() -> None:
    """Sometimes the body is no longer the signed one, sometimes the header is not."""
    reasons = set()
    for seed in range(20):
        frame = altered(chunk_frame(), Random(seed))
        assert frame is not None
        outcome = accept(runs_in(frame)[0], NOTHING, OneAuthor(NO_PREV))
        assert isinstance(outcome, Refused)
        reasons.add(outcome.reason)
    assert reasons == {
        "the body is not the one that was signed",
        "no signature of the run verifies",
    }


@pytest.mark.parametrize("seed", range(5))
def test_altered_duplicate_is_refused_too(seed: int) -> None:
    """What the receiver holds already does not make it a fork of an honest author."""
    run = run_of(FEED, 3)
    rids = [record.rid for record in run.records]
    frame = altered(chunk_frame(run), Random(seed))
    assert frame is not None
    outcome = accept(runs_in(frame)[0], Held(3, rids[-1], rids), OneAuthor(NO_PREV))
    assert isinstance(outcome, Refused)


@pytest.mark.parametrize(
    "body",
    [b"", b"\x00\x01", encode_body({"n": 1}), encode_body({"text": "假的"}), b'{"text":"7"}'],
)
@pytest.mark.parametrize("seed", range(4))
def test_any_body_can_be_altered(body: bytes, seed: int) -> None:
    """Sealed bodies, bodies without text, empty ones: something differs, and it still parses."""
    signed = record_of(FEED, 0)
    record = Record(signed.header_cose, signed.salt, body)
    frame = altered(chunk_frame(Run(FEED, 0, (record,))), Random(seed))
    assert frame is not None
    changed = runs_in(frame)[0].records[0]
    assert (changed.header_cose, changed.body) != (record.header_cose, record.body)


def test_pruned_record_is_altered_in_its_header() -> None:
    """Without a body there is still a signed statement to falsify."""
    pruned = Record(record_of(FEED, 0).header_cose, None, None)
    frame = altered(chunk_frame(Run(FEED, 0, (pruned,))), Random(1))
    assert frame is not None
    changed = runs_in(frame)[0].records[0]
    assert changed.header_cose != pruned.header_cose
    assert changed.body is None


@pytest.mark.parametrize("frame", [heads_frame(), b"noise", b"", chunk_frame()[:-1]])
def test_frames_without_records_cannot_be_altered(frame: bytes) -> None:
    """Heads and noise are let through as they are."""
    assert altered(frame, Random(1)) is None
