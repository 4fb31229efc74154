"""The edge of aio-pika: its errors in words, its alarms, and how its connections are closed."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import aio_pika
from aio_pika.exceptions import CONNECTION_EXCEPTIONS

from broker.rabbitmq.timing import Timing

BROKEN: Final = (*CONNECTION_EXCEPTIONS, EOFError)
"""What is raised when a connection or a channel is gone, or the broker refuses."""


async def close_quietly(connection: aio_pika.Connection, timing: Timing) -> None:
    """Close ``connection``, whatever state it is in."""
    try:
        async with asyncio.timeout(2 * timing.close_seconds):
            await connection.close()
    except BROKEN:  # TimeoutError is among them
        return


def hear_alarms(connection: aio_pika.Connection, on_alarm: Callable[[str], None]) -> None:
    """Tell ``on_alarm`` why the broker takes nothing more from us, and "" once it does again.

    aiormq lets the broker send ``connection.blocked`` and keeps it to itself: it has no callback
    (aio-pika issue 506), so its own two handlers are wrapped. The broker speaks to who publishes
    while its alarm lasts, and to nobody else.

    Args:
        connection: Open.
        on_alarm: Gets the broker's words, such as ``low on memory``.
    """
    inner = connection.transport.connection if connection.transport else None
    for word in ("blocked", "unblocked"):
        name = f"_Connection__handle_connection_{word}"
        handle = getattr(inner, name, None)
        if handle is not None:
            setattr(inner, name, _telling(handle, on_alarm))


def _telling(handle: Callable[[Any], Awaitable[None]], on_alarm: Callable[[str], None]) -> Any:
    async def heard(frame: Any) -> None:
        on_alarm(getattr(frame, "reason", ""))
        await handle(frame)

    return heard


def words(error: BaseException) -> str:
    """Return an error of the network or the broker in one short line of plain words."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    line = "".join(char if char.isprintable() else " " for char in text[:300])
    return line.strip() or type(error).__name__


def closing_words(error: BaseException | None) -> str:
    """Return why a connection or a channel was closed, as the library tells its callbacks."""
    if error is None or isinstance(error, asyncio.CancelledError):
        return "the connection to the broker ended"
    return words(error)
