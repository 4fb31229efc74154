"""The wall clock: carriers say since when they are connected, and decide nothing by it."""

import time


def wall_ms() -> int:
    """Return Unix time in ms UTC."""
    return time.time_ns() // 1_000_000
