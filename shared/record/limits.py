"""The bounds of protocol 2 and 5.3, in one place. Sizes in bytes, counts in pieces."""

from typing import Final

HEADER_BYTES_MAX: Final = 1024
BODY_BYTES_MAX: Final = 64 * 1024
REFS_MAX: Final = 8
INTEGER_MAX: Final = 2**53 - 1
CODE_DIGITS_MAX: Final = 32
KIND_CHARS_MAX: Final = 64
EXT_DEPTH_MAX: Final = 4

CHUNK_RECORDS_MAX: Final = 256
CHUNK_BYTES_MAX: Final = 256 * 1024
CHUNK_UNPACKED_BYTES_MAX: Final = 4 * 1024 * 1024
# A Heads frame names every feed two nodes share. The largest district has some 12,000 of them
# per epoch at its root, 80 bytes each; a frame beyond this bound is refused, never truncated.
FRAME_BYTES_MAX: Final = 4 * 1024 * 1024
