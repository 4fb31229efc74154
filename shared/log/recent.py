"""The records committed last, as they came: what is sent on is read and decoded no second time."""

from collections import deque
from typing import Final

from shared.log.store import longest_prefix, record_bytes
from shared.record.feed import Feed
from shared.record.record import Record
from shared.record.run import Run

BYTES_MAX: Final = 1024 * 1024
"""The four chunks that a link has under way; in memory it is two or three times as much."""


class Recent:
    """The newest records of a log, as many as the bound lets."""

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        """Start with none; keep at most ``bytes_max`` of them (``record_bytes``)."""
        self._bytes_max = bytes_max
        self._held: dict[Feed, dict[int, Record]] = {}
        self._order = deque[tuple[Feed, int]]()
        self._bytes = 0

    def add(self, run: Run) -> None:
        """Take in records that were committed; the oldest make room."""
        held = self._held.setdefault(run.feed, {})
        for seq, record in enumerate(run.records, run.first_seq):
            held[seq] = record
            self._order.append((run.feed, seq))
            self._bytes += record_bytes(record)
        while self._bytes > self._bytes_max:
            self._forget(*self._order.popleft())

    def _forget(self, feed: Feed, seq: int) -> None:
        held = self._held.get(feed, {})
        record = held.pop(seq, None)
        if record is not None:
            self._bytes -= record_bytes(record)
        if not held:
            self._held.pop(feed, None)

    def clear(self) -> None:
        """Forget all: a trunk was cut."""
        self._held.clear()
        self._order.clear()
        self._bytes = 0

    def read(self, feed: Feed, first_seq: int, records_max: int, bytes_max: int) -> list[Record]:
        """Return consecutive records from ``first_seq`` on, as ``Store.read`` would.

        Returns:
            None at all if record ``first_seq`` is not here; fewer than there are where the log has
            more.
        """
        held = self._held.get(feed)
        if held is None or first_seq not in held:
            return []
        consecutive = []
        for seq in range(first_seq, first_seq + max(1, records_max)):
            record = held.get(seq)
            if record is None:
                break
            consecutive.append(record)
        return longest_prefix(consecutive, bytes_max)
