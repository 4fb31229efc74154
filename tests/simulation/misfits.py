"""Neighbours and machines that do wrong: a liar in Heads, a box that signs badly, and a relay that
withholds.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import ClassVar, Final

from shared.errors import FaultError
from shared.link.carrier import Carrier, Connection
from shared.link.frames import RID16_BYTES, Entry, Heads, Mode, decode_frame, encode_heads
from shared.node.conversation import Conversation
from shared.record.envelope import Envelope, wrap
from shared.record.feed import Feed
from shared.record.header import decode_header
from shared.trust.keys import PublicKey, SigningKey

HEADS_FRAME: Final = b"\x85\x00"
"""How a Heads frame begins: an array of five, the first 0."""


class LyingCarrier:
    """Dials for a node that, while ``lies`` is not 0, says in its Heads what is not true.

    Attributes:
        lies: How many more Heads are altered.
        dialled: How often each neighbour took a link.
    """

    def __init__(self, inner: Carrier, key: SigningKey, chance: Random) -> None:
        """Sign the lies with the node's own ``key``."""
        self.lies = 0
        self.dialled = Counter[str]()
        self._inner = inner
        self._key = key
        self._chance = chance

    async def dial(self, peer: str, address: str) -> Connection:
        """See the port."""
        connection = await self._inner.dial(peer, address)
        self.dialled[peer] += 1
        return _LyingConnection(self, connection)

    def told(self, frame: bytes) -> bytes:
        """Return what is sent instead of ``frame``."""
        if not self.lies or not frame.startswith(HEADS_FRAME):
            return frame
        heads = decode_frame(frame, (self._key.public,))
        if not isinstance(heads, Heads) or not heads.entries:
            return frame
        self.lies -= 1
        entries = tuple(self._bent(entry) for entry in heads.entries)
        root = self._chance.randbytes(32) if self._chance.random() < 0.5 else heads.root
        mode = Mode.CHANGED if heads.mode is Mode.CHANGED else Mode.ALL
        return encode_heads(replace(heads, entries=entries, root=root, mode=mode), self._key)

    def _bent(self, entry: Entry) -> Entry:
        chance = self._chance
        count = max(0, entry.count + chance.choice((-3, -1, 0, 0, 1, 5)))
        if not count:
            return Entry(entry.feed, 0, b"")
        rid16 = chance.randbytes(RID16_BYTES) if chance.random() < 0.5 else entry.rid16
        return Entry(entry.feed, count, rid16 or bytes(RID16_BYTES), entry.state)


class _LyingConnection:
    def __init__(self, carrier: LyingCarrier, inner: Connection) -> None:
        self.peer = inner.peer
        self._carrier = carrier
        self._inner = inner

    async def send(self, frame: bytes) -> None:
        await self._inner.send(self._carrier.told(frame))

    async def receive(self) -> bytes:
        return await self._inner.receive()

    @property
    def hears_all(self) -> bool:
        return self._inner.hears_all

    def done(self) -> None:
        self._inner.done()

    async def close(self) -> None:
        await self._inner.close()


class Withholding(Conversation):
    """How a relay talks that keeps to itself what others say through it.

    It answers, certifies, states its own custody and beats as if nothing were missing; of the
    district it passes nothing down and of villages nothing up. Put it in the place of
    ``Conversation`` in ``shared.node.links``; relays that do not withhold are not affected.

    Attributes:
        towns: Codes of the relays that withhold now.
    """

    towns: ClassVar[set[str]] = set()

    def _note_changes(self, feeds: Sequence[Feed]) -> None:
        me = self._log.me
        if me in self.towns:
            feeds = [feed for feed in feeds if feed.author in (me, self._connection.peer)]
        super()._note_changes(feeds)


@dataclass(frozen=True)
class _BlindKey(PublicKey):
    """A key that says of every signature that it is good."""

    def verifies(self, envelope: Envelope, aad: bytes) -> bool:
        return True


class CarelessKey:
    """Stands in for a ``SigningKey``: the next ordinary signature is wrong, unnoticed (5.5).

    Attributes:
        public: The public half, which finds every signature good.
    """

    def __init__(self, key: SigningKey) -> None:
        """Sign like ``key``, but for the next ordinary record."""
        self.public: PublicKey = _BlindKey(key.public.raw)
        self._key = key
        self._spoils = True

    def sign(self, payload: bytes, aad: bytes) -> bytes:
        """Return the COSE_Sign1, with a wrong signature if that is due."""
        if self._spoils and _is_ordinary(payload):
            self._spoils = False
            return wrap(Envelope(self.public.kid, payload, bytes(64)))
        return self._key.sign(payload, aad)


def _is_ordinary(payload: bytes) -> bool:
    try:
        return decode_header(payload).feed.lane == "ordinary"
    except FaultError:
        return False
