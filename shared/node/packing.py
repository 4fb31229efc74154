"""What goes into one Chunk: records of the log, as many as it holds (protocol 5.3)."""

from collections.abc import Iterable
from typing import Final

from shared.link.branches import Range
from shared.log.log import Log
from shared.log.store import record_bytes
from shared.record.limits import CHUNK_BYTES_MAX, CHUNK_RECORDS_MAX
from shared.record.run import Run

# Unpacked bytes of a chunk: packing makes noise longer by less than the slack, so that the packed
# chunk stays within CHUNK_BYTES_MAX whatever the bodies are.
_ROOM_BYTES: Final = CHUNK_BYTES_MAX - 16 * 1024
_RECORD_OVERHEAD_BYTES: Final = 24

_RECORD_BYTES_MIN: Final = 192
"""No record takes less. So where little may be sent, little is read: a database that gives
its rows all at once does not give hundreds for a few."""


async def read_runs(
    log: Log, ranges: Iterable[Range], room_bytes: int = CHUNK_BYTES_MAX
) -> tuple[Run, ...]:
    """Read what one chunk holds of ``ranges``, which are in the order of travel.

    Args:
        log: Where they are.
        ranges: What is wanted.
        room_bytes: Bytes of records that the chunk may hold; a single record may be larger.

    Raises:
        StorageError: the database cannot be read.
    """
    runs: list[Run] = []
    room_records, room_bytes = CHUNK_RECORDS_MAX, min(room_bytes, _ROOM_BYTES)
    for item in ranges:
        fitting = 1 + room_bytes // _RECORD_BYTES_MIN
        wanted = min(room_records, item.end - item.first_seq, fitting)
        records = await log.read(item.feed, item.first_seq, wanted, room_bytes)
        if not records:
            continue
        size = sum(record_bytes(record) + _RECORD_OVERHEAD_BYTES for record in records)
        if runs and size > room_bytes:
            break  # a single record may pass the room only where it stands alone
        runs.append(Run(item.feed, records[0].header.seq, tuple(records)))
        room_records -= len(records)
        room_bytes -= size
        if room_records <= 0 or room_bytes <= 0:
            break
    return tuple(runs)
