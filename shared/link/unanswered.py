"""What was sent on a link and is not answered yet: chunks and a question (5.4 c, d, e)."""

from collections.abc import Collection
from dataclasses import dataclass

from shared.link.pace import Pace
from shared.link.timing import Timing
from shared.log.store import record_bytes
from shared.record.feed import Feed
from shared.record.run import Run


@dataclass(frozen=True)
class Flight:
    """A chunk under way.

    Attributes:
        sent_at: When, monotonic seconds.
        ends: The count of each feed that its receiver reaches with it.
        records: How many it holds.
        size: Bytes of them.
    """

    sent_at: float
    ends: dict[Feed, int]
    records: int
    size: int


class Unanswered:
    """The chunks under way, the open question, and how long to wait for both.

    Attributes:
        questions: How often in a row an answer was missed.
        pace: How large chunks are.
    """

    def __init__(self, timing: Timing) -> None:
        """Start with nothing sent."""
        self.questions = 0
        self.pace = Pace()
        self._timing = timing
        self._flights: dict[int, Flight] = {}
        self._asked_at: float | None = None
        self._round_trip = 0.0

    def sent(self, n: int, runs: Collection[Run], now: float) -> None:
        """Note that frame ``n``, a chunk of ``runs``, is under way."""
        ends = {run.feed: run.end for run in runs}
        records = [record for run in runs for record in run.records]
        size = sum(map(record_bytes, records))
        self._flights[n] = Flight(now, ends, len(records), size)

    def asked(self, now: float) -> None:
        """Note that a Heads which asks is under way."""
        self._asked_at = now

    def answered(self, seen: int, now: float) -> list[Flight]:
        """Return the chunks that the peer has seen; whatever it said answers the question."""
        done = {n: flight for n, flight in self._flights.items() if n <= seen}
        for n, flight in done.items():
            del self._flights[n]
            self.pace.answered(flight.size, now - flight.sent_at)
        # An answer to a repeated question measures the loss, not the line (Karn's rule, RFC 6298).
        if done and not self.questions:
            sample = now - max(flight.sent_at for flight in done.values())
            first = self._round_trip == 0
            self._round_trip = sample if first else 0.875 * self._round_trip + 0.125 * sample
        self._asked_at = None
        self.questions = 0
        return list(done.values())

    def forget(self) -> None:
        """Drop the chunks under way: a peer that began anew will not answer them."""
        self._flights.clear()

    def under_way(self, feed: Feed) -> int:
        """Return the count of ``feed`` that the peer reaches if all arrives; 0 if none is sent."""
        return max((flight.ends.get(feed, 0) for flight in self._flights.values()), default=0)

    def missed_at(self) -> float | None:
        """Return when what is open counts as unanswered; None if nothing is open."""
        waiting = [flight.sent_at for flight in self._flights.values()]
        if self._asked_at is not None:
            waiting.append(self._asked_at)
        if not waiting:
            return None
        patience: float = max(self._timing.answer_seconds_min, 4 * self._round_trip)
        patience *= 2**self.questions
        return max(waiting) + min(patience, self._timing.answer_seconds_max)

    @property
    def is_asking(self) -> bool:
        """True while a question is open."""
        return self._asked_at is not None

    @property
    def chunks(self) -> int:
        """Chunks under way."""
        return len(self._flights)

    @property
    def records(self) -> int:
        """Records in them."""
        return sum(flight.records for flight in self._flights.values())
