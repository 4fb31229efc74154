"""What a kiosk remembers of the person before it, and only as long as that person stands there.

A receipt's secret is kept by nobody (protocol 6.4): here it lies in memory, under a name that only
this person's browser knows, until the kiosk goes idle or is told that the person has left.
"""

import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from shared.errors import NotFoundError
from shared.node.clock import Clock

KEPT_SECONDS: Final = 300.0
"""Longer than the idle time of a kiosk: the browser's own wiping comes first."""

SLIPS_MAX: Final = 500
"""More people do not stand before one village's pages at once; the oldest makes room."""


@dataclass(frozen=True)
class Slip:
    """One receipt in somebody's hand.

    Attributes:
        receipt: The number with its label.
        secret: In groups; empty where only the number is known.
    """

    receipt: str
    secret: str = ""

    def __repr__(self) -> str:
        """Keep the secret out of logs and tracebacks."""
        return f"Slip({self.receipt})"


class Drawer:
    """The slips of those who stand before the pages now."""

    def __init__(self, clock: Clock) -> None:
        """Start empty."""
        self._clock = clock
        self._slips: OrderedDict[str, tuple[float, Slip]] = OrderedDict()

    def put(self, slip: Slip) -> str:
        """Keep ``slip``; returns the name under which it is found."""
        self._drop_old()
        while len(self._slips) >= SLIPS_MAX:
            self._slips.popitem(last=False)
        name = secrets.token_urlsafe(18)
        self._slips[name] = (self._clock.monotonic() + KEPT_SECONDS, slip)
        return name

    def get(self, name: str) -> Slip:
        """Return a slip and keep it for as long again.

        Raises:
            NotFoundError: it was wiped, or there never was one.
        """
        self._drop_old()
        if name not in self._slips:
            raise NotFoundError("this page was wiped.")
        slip = self._slips[name][1]
        self._slips[name] = (self._clock.monotonic() + KEPT_SECONDS, slip)
        self._slips.move_to_end(name)
        return slip

    def wipe(self, name: str) -> None:
        """Forget a slip; nothing happens if there is none."""
        self._slips.pop(name, None)

    def _drop_old(self) -> None:
        now = self._clock.monotonic()
        for name in [name for name, (until, _) in self._slips.items() if until <= now]:
            del self._slips[name]
