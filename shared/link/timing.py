"""The clock of a link (protocol 5.4 e, g)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """How long a link waits for what, in seconds.

    Attributes:
        answer_seconds_min: A frame unanswered for less is not yet missed. 2 s: slower than any
            round trip of a working line here, faster than a person's patience.
        answer_seconds_max: Bound of the doubling.
        quiet_seconds: A Heads without entries this often on an idle link.
        lively_seconds: The same for ``lively_span_seconds`` after traffic other than custody.
        lively_span_seconds: See above.
        full_retry_seconds: After a full disk the peer is asked to try again.
        unheard_seconds: Without a word of the parent for so long, a node listens to the ancestor
            above it.
    """

    answer_seconds_min: float = 2.0
    answer_seconds_max: float = 300.0
    quiet_seconds: float = 3600.0
    lively_seconds: float = 600.0
    lively_span_seconds: float = 3600.0
    full_retry_seconds: float = 60.0
    unheard_seconds: float = 600.0
