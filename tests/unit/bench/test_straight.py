"""The straight line does the work that it is compared by: stores all, notices what is wrong."""

from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature

from bench import straight
from shared.link.frames import Chunk, encode_chunk
from shared.record.header import NO_PREV
from shared.record.record import Record
from shared.record.run import Run
from tests.support.records import feed_of, key_of, run_of

KEY = key_of().public.raw


def frame_of(run: Run) -> bytes:
    """Return the chunk with that run."""
    return encode_chunk(Chunk(bytes(8), 1, (run,)))


def test_it_stores_what_the_product_stores(tmp_path: Path) -> None:
    """Restored headers have the bytes that were signed, over two chunks."""
    whole = run_of(feed_of(), 6)
    frames = [frame_of(Run(whole.feed, 0, whole.records[:4])), frame_of(whole.tail(4))]
    connection = straight.open_file(tmp_path / "straight.db")
    stored = straight.store(connection, frames, KEY, NO_PREV)
    rows = connection.execute("SELECT seq, rid, header_cose, salt, body FROM record").fetchall()
    connection.close()
    assert stored == 6
    assert rows == [(r.header.seq, r.rid, r.header_cose, r.salt, r.body) for r in whole.records]


def test_it_checks_the_signature(tmp_path: Path) -> None:
    """A body that was altered on the way changes what the last signature vouches for."""
    whole = run_of(feed_of(), 4)
    second = whole.records[1]
    altered = Record(second.header_cose, second.salt, b"{}")
    run = Run(whole.feed, 0, (whole.records[0], altered, *whole.records[2:]))
    connection = straight.open_file(tmp_path / "straight.db")
    with pytest.raises(InvalidSignature):
        straight.store(connection, [frame_of(run)], KEY, NO_PREV)
    assert connection.execute("SELECT count(*) FROM record").fetchone() == (0,)
    connection.close()


def test_it_checks_the_chain_between_chunks(tmp_path: Path) -> None:
    """A chunk that does not follow the one before is refused."""
    connection = straight.open_file(tmp_path / "straight.db")
    with pytest.raises(straight.BrokenError):
        straight.store(connection, [frame_of(run_of(feed_of(), 4).tail(2))], KEY, NO_PREV)
    connection.close()
