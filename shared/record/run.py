"""A run: consecutive records of one feed, as they travel (protocol 5.3)."""

from dataclasses import dataclass

from shared.errors import FaultError
from shared.record.feed import Feed
from shared.record.record import Record, check_body


@dataclass(frozen=True)
class Run:
    """Records ``first_seq``, ``first_seq + 1``, … of ``feed``; never empty.

    Attributes:
        feed: The feed all of them stand in.
        first_seq: Sequence number of the first.
        records: At least one.
    """

    feed: Feed
    first_seq: int
    records: tuple[Record, ...]

    @property
    def end(self) -> int:
        """The sequence number after the last record: the count a holder reaches with it."""
        return self.first_seq + len(self.records)

    def tail(self, first_seq: int) -> "Run":
        """Return the part from ``first_seq`` on, which must lie inside the run."""
        return Run(self.feed, first_seq, self.records[first_seq - self.first_seq :])


def check_run(run: Run) -> None:
    """Compare every header with the run, and every body with its header (protocol 5.5).

    Raises:
        FaultError: the bytes are not what the run claims; a fault of the link, not of the feed.
    """
    if not run.records:
        raise FaultError("a run holds at least one record")
    prev: bytes | None = None
    kid = run.records[0].envelope.kid
    for seq, record in enumerate(run.records, run.first_seq):
        header = record.header
        if header.feed != run.feed:
            raise FaultError("a record of another feed stands in the run")
        if header.seq != seq:
            raise FaultError("a record stands at another number than it claims")
        if prev is not None and header.prev != prev:
            raise FaultError("the chain of the run is broken")
        if record.envelope.kid != kid:
            raise FaultError("the run names two keys")
        check_body(record)
        prev = record.rid
