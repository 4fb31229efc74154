"""Where long work of the processor is done, so that the event loop and its heartbeats live on."""

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Offload(Protocol):
    """Says where: ``inline``, or ``in_thread``."""

    async def __call__(self, work: Callable[[], T]) -> T:
        """Run ``work`` and return what it returns, or raise what it raises."""


async def inline(work: Callable[[], T]) -> T:
    """Run ``work`` here and now: for virtual time, and for what is short."""
    return work()


async def in_thread(work: Callable[[], T]) -> T:
    """Run ``work`` off the event loop: signatures release the interpreter's lock."""
    return await asyncio.to_thread(work)
