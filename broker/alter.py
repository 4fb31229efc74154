"""An attack on a frame that no checksum of a carrier would see (protocol 5.10).

The chunk is decoded, one record in it is changed and all is packed again, as somebody on the way
would do who owns the broker but no author's key. The frame is well formed: only the hash of the
body or the signature of the header tells.
"""

from dataclasses import replace
from random import Random

from shared.errors import FaultError, InvalidError
from shared.link.frames import Chunk, decode_frame, encode_chunk
from shared.record.body import decode_body, encode_body
from shared.record.envelope import Envelope, wrap
from shared.record.header import encode_header
from shared.record.record import Record
from shared.record.run import Run


def altered(frame: bytes, chance: Random) -> bytes | None:
    """Return ``frame`` with one record changed, None if it carries none.

    It is the first record of a run, so that the receiver refuses the whole run: everything that
    follows names its predecessor.

    Args:
        frame: As it came.
        chance: Chooses the run, and whether the body or the claimed time is changed.
    """
    try:
        chunk = decode_frame(frame, ())
    except FaultError:
        return None  # Heads: without the sender's key it is no frame, and it bears no records
    if not isinstance(chunk, Chunk) or not chunk.runs:
        return None
    index = chance.randrange(len(chunk.runs))
    runs = list(chunk.runs)
    runs[index] = _altered_run(runs[index], chance)
    packed = encode_chunk(replace(chunk, runs=tuple(runs)))
    try:
        decode_frame(packed, ())
    except FaultError:
        return None  # it grew past a limit: that would be refused for its size
    return packed


def _altered_run(run: Run, chance: Random) -> Run:
    first, *others = run.records
    if first.body is not None and chance.choice((True, False)):
        changed = Record(first.header_cose, first.salt, _altered_body(first.body))
    else:
        header, envelope = first.header, first.envelope
        payload = encode_header(header._replace(claimed_at_ms=header.claimed_at_ms ^ 1))
        signed = wrap(Envelope(envelope.kid, payload, envelope.signature))
        changed = Record(signed, first.salt, first.body)
    return Run(run.feed, run.first_seq, (changed, *others))


def _altered_body(body: bytes) -> bytes:
    """Change one character of a text in ``body``; what holds no text gets one bit turned."""
    try:
        fields = decode_body(body)
        name = next(name for name, value in fields.items() if type(value) is str and value)
        text: str = fields[name]
        return encode_body({**fields, name: _other(text[0]) + text[1:]})
    except (InvalidError, StopIteration):
        return body[:-1] + bytes((body[-1] ^ 1,)) if body else b"\x01"


def _other(char: str) -> str:
    """Return a character unlike ``char`` that a reader could mistake for what was written."""
    if char.isascii() and char.isdigit():
        return str((int(char) + 1) % 10)
    return "假" if char != "假" else "真"
