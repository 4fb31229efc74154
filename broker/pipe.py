"""One direction of a link: a bounded queue of frames that either end can break.

It knows no clock and no threads, so it runs under a loop whose time a test turns.
"""

import asyncio
from collections import deque
from typing import Generic, TypeVar

from shared.link.carrier import LinkDownError

Item = TypeVar("Item")


class Pipe(Generic[Item]):
    """A queue that blocks its writer when full, its reader when empty, and can end.

    Attributes:
        ended: Why nothing goes in any more; empty while the pipe is whole.
    """

    def __init__(self, items_max: int) -> None:
        """Start whole and empty.

        Args:
            items_max: How many wait before ``put`` does.
        """
        self.ended = ""
        self._items_max = items_max
        self._items: deque[Item] = deque()
        self._waiters: set[asyncio.Future[None]] = set()

    async def put(self, item: Item) -> None:
        """Append ``item``, waiting while the pipe is full.

        Raises:
            LinkDownError: the pipe has ended.
        """
        while not self.ended and len(self._items) >= self._items_max:
            await self._change()
        if self.ended:
            raise LinkDownError(self.ended)
        self._items.append(item)
        self._wake()

    def push(self, item: Item) -> bool:
        """Append ``item`` at once; returns False if the pipe is full or has ended."""
        if self.ended or len(self._items) >= self._items_max:
            return False
        self._items.append(item)
        self._wake()
        return True

    async def get(self) -> Item:
        """Return the oldest item, waiting for one; cancelled, it takes none.

        Raises:
            LinkDownError: the pipe has ended and is empty.
        """
        while not self.ended and not self._items:
            await self._change()
        if not self._items:
            raise LinkDownError(self.ended)
        item = self._items.popleft()
        self._wake()
        return item

    def drain(self) -> list[Item]:
        """Remove and return all that waits."""
        items = list(self._items)
        self._items.clear()
        self._wake()
        return items

    def end(self, why: str, *, discard: bool) -> None:
        """Let nothing in any more; the first ``why`` stays.

        Args:
            why: What the ends are told.
            discard: True also drops what waits; False leaves it to the reader.
        """
        self.ended = self.ended or why
        if discard:
            self._items.clear()
        self._wake()

    async def _change(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)

    def _wake(self) -> None:
        """Let all who wait look again: there are at most two of them in practice."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
