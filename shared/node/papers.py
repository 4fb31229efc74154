"""A node's certificates, as it shows them to an ancestor that does not know it (protocol 4.8).

A town that withholds may never have told the district whom it certified. What leads from the
ancestor to a node are ordinary records of the trust lane, which the node holds itself: they prove
themselves, so it does not matter who brings them.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from shared.errors import FaultError, RefusedError, StorageError
from shared.link.carrier import LinkDownError
from shared.link.frames import Chunk, decode_frame, encode_chunk
from shared.log.log import Log
from shared.node.clock import Clock
from shared.record.feed import Feed, is_above, is_holder, travel_order
from shared.record.limits import CHUNK_BYTES_MAX, CHUNK_RECORDS_MAX
from shared.record.run import Run

_NO_SESSION: Final = bytes(8)


class NodePapers:
    """Shows the certificates of the node that keeps ``log``, and takes those of others."""

    def __init__(self, log: Log, clock: Clock) -> None:
        """Read and write ``log``."""
        self._log = log
        self._clock = clock

    async def show(self, peer: str) -> list[bytes]:
        """Return Chunk frames with the trust feeds of all between ``peer`` and this node.

        Raises:
            LinkDownError: they cannot be read now.
        """
        feeds = [feed for feed in self._log.feeds if _leads(feed, peer, self._log.me)]
        try:
            return await trust_frames(self._log, feeds)
        except StorageError as error:
            raise LinkDownError(str(error)) from error

    async def take(self, caller: str, chunks: Sequence[bytes]) -> None:
        """Take in the trust feeds of all between this node and ``caller``.

        Raises:
            FaultError: they are something else.
            RefusedError: they cannot be stored now.
        """
        for data in chunks:
            frame = decode_frame(data, ())
            if not isinstance(frame, Chunk):
                raise FaultError("certificates are records of the trust lane")
            if not all(_leads(run.feed, self._log.me, caller) for run in frame.runs):
                raise FaultError(f"these certificates do not lead to {caller}")
            try:
                await self._log.accept(frame.runs, self._clock.wall_ms())
            except StorageError as error:
                raise RefusedError("nothing can be stored here now.") from error


def _leads(feed: Feed, above: str, below: str) -> bool:
    """Tell whether trust of a node is in ``feed`` that is below ``above`` and on the path down."""
    author = feed.author
    return (
        feed.lane == "trust"
        and is_above(above, author)
        and (author == below or is_above(author, below))
        and is_holder(feed, above)
    )


async def trust_frames(log: Log, feeds: Iterable[Feed]) -> list[bytes]:
    """Return all of ``feeds`` as Chunk frames, in the order in which they can be accepted.

    Raises:
        StorageError: they cannot be read.
    """
    frames: list[bytes] = []
    for feed in sorted(feeds, key=travel_order):
        first, count = 0, log.state(feed).count
        while first < count:
            records = await log.store.read(feed, first, CHUNK_RECORDS_MAX, CHUNK_BYTES_MAX // 2)
            run = Run(feed, first, tuple(records))
            frames.append(encode_chunk(Chunk(_NO_SESSION, len(frames) + 1, (run,))))
            first = run.end
    return frames
