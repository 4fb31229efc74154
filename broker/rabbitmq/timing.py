"""How long links and connections over a broker wait."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Times in seconds.

    Attributes:
        connect_seconds: For TCP, TLS and login.
        answer_seconds: For the broker to answer a declaration.
        handshake_seconds: From the first message to the proven link.
        send_seconds: For a frame to be confirmed, refusals of a full queue included; for room in
            the window; for a frame that is missing before others.
        close_seconds: For the neighbour to be told that a link ends; for the broker likewise.
        beat_seconds: After so long without a word a side says how many frames it has taken. A
            broker tells nobody that another client died, so links must find out.
        silence_seconds: After so long without a word the neighbour is taken for dead.
        stream_seconds: Pause before a relay declares its stream anew, or a child hears it again.
        retry_seconds: First and longest pause before a relay connects anew.
    """

    connect_seconds: float = 10.0
    answer_seconds: float = 10.0
    handshake_seconds: float = 10.0
    send_seconds: float = 60.0
    close_seconds: float = 2.0
    beat_seconds: float = 60.0
    silence_seconds: float = 150.0
    stream_seconds: float = 60.0
    retry_seconds: tuple[float, float] = (0.5, 30.0)
