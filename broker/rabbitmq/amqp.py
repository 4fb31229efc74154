"""The edge of aio-pika: what it raises, in words, and how its connections are closed."""

import asyncio
from typing import Final

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


def words(error: BaseException) -> str:
    """Return an error of the network or the broker in one short line of plain words."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    line = "".join(char if char.isprintable() else " " for char in text[:300])
    return line.strip() or type(error).__name__
