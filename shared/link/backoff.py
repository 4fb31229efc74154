"""When to dial again: full jitter, doubling, reset when the peer is heard (protocol 5.4 e)."""

import random
from dataclasses import dataclass, field


@dataclass
class Backoff:
    """Pauses between attempts, in seconds.

    Attributes:
        seconds_min: Bound of the first pause. 1 s: a restarted town is back after about as long.
        seconds_max: Bound of all later ones. 15 min: a village that was off for a week still
            comes back within a coffee break, and 1,500 of them ask a dead town twice a second.
    """

    chance: random.Random
    seconds_min: float = 1.0
    seconds_max: float = 900.0
    _failures: int = field(default=0, init=False)

    def pause(self) -> float:
        """Return how long to wait before the next attempt."""
        bound = min(self.seconds_max, self.seconds_min * 2 ** min(self._failures, 30))
        self._failures += 1
        # Full jitter: whoever lost the same parent at the same moment must not come back as one.
        return self.chance.uniform(0, bound)

    def reset(self) -> None:
        """Start over: the peer was heard."""
        self._failures = 0
