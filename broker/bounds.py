"""The bound that every carrier puts on a frame."""

from shared.errors import InvalidError
from shared.record.limits import FRAME_BYTES_MAX


def check_frame(frame: bytes) -> bytes:
    """Return ``frame`` if a carrier may take it.

    Raises:
        InvalidError: larger than ``FRAME_BYTES_MAX``; the link is not harmed by it.
    """
    if len(frame) > FRAME_BYTES_MAX:
        raise InvalidError(
            f"a frame of {len(frame):,} bytes cannot travel, the limit is {FRAME_BYTES_MAX:,}"
        )
    return frame
