"""The links of a node: dials the parent, serves those who dial us, one session a neighbour.

A newer link of the same name displaces the older (protocol 5.4 e): the neighbour that dialled
again knows better than we do that the old one is dead.
"""

import itertools
import random
from collections.abc import Callable, Sequence

import structlog

from shared.errors import FaultError, StorageError
from shared.link.backoff import Backoff
from shared.link.carrier import Broadcast, Carrier, CarrierState, Connection, LinkDownError
from shared.link.timing import Timing
from shared.log.log import Log
from shared.node.author import Entropy
from shared.node.broadcaster import Broadcaster
from shared.node.clock import Clock
from shared.node.conversation import Conversation, LinkState
from shared.record.feed import Feed, is_above, is_holder
from shared.record.run import Run
from shared.trust.keys import PublicKey, SigningKey

Addresses = Callable[[], Sequence[str]]
"""Returns where a node can be reached."""

logger = structlog.get_logger(__name__)


class Links:
    """All links of a node.

    Attributes:
        broadcaster: Says to all below what all below are to hold.
        carriers: How it stands with what carries the links; noted by whoever makes a carrier.
        states: By neighbour.
    """

    def __init__(
        self,
        log: Log,
        key: SigningKey,
        *,
        clock: Clock,
        entropy: Entropy,
        chance: random.Random,
        timing: Timing | None = None,
        backoff_seconds: tuple[float, float] = (1.0, 900.0),
    ) -> None:
        """Exchange the records of ``log``; Heads are signed with ``key``."""
        self._log = log
        self._key = key
        self._clock = clock
        self._entropy = entropy
        self._chance = chance
        self._timing = timing or Timing()
        self._backoff_seconds = backoff_seconds
        self._open: dict[str, tuple[Connection, Conversation]] = {}
        self.broadcaster = Broadcaster(log, self._said_to_all)
        self.carriers: list[CarrierState] = []
        self.states: dict[str, LinkState] = {}

    def keys_of(self, code: str) -> Sequence[PublicKey]:
        """Return the keys by which ``code`` can prove itself, as far as the roster tells."""
        return self._log.roster.keys_of(code)

    def backlog(self, peer: str) -> int:
        """Return how many records ``peer`` lacks, as far as it has said what it holds."""
        counts = self._current_counts(peer)
        shared = self.shared_feeds(peer)
        return sum(max(0, count - counts.get(feed, 0)) for feed, count in shared.items())

    def shared_feeds(self, peer: str) -> dict[Feed, int]:
        """Return the counts of the feeds that we and ``peer`` both hold."""
        return {f: s.count for f, s in self._log.feeds.items() if is_holder(f, peer)}

    def in_flight(self, peer: str) -> int:
        """Return the records sent to ``peer`` and not yet covered by its Heads."""
        found = self._open.get(peer)
        return found[1].session.in_flight if found else 0

    def hears(self, peer: str) -> bool:
        """Tell whether a link is open on which ``peer`` has said what it holds."""
        found = self._open.get(peer)
        return found is not None and found[1].session.sound

    def state(self, peer: str) -> LinkState:
        """Return what is known of ``peer``."""
        return self.states.setdefault(peer, LinkState(peer))

    async def serve(self, connection: Connection, by: str = "") -> None:
        """Talk over a link that a neighbour opened, until it ends.

        Args:
            connection: The link.
            by: Scheme of the addresses over which it came.
        """
        if not is_above(self._log.me, connection.peer):
            logger.warning("link refused", peer=connection.peer, why="not below this node")
            await connection.close()
            return
        await self._talk(connection, by, dialled=False)

    async def keep(self, peer: str, addresses: Addresses, carrier: Carrier) -> None:
        """Keep a link to the ancestor ``peer`` open until cancelled; its addresses in turn."""
        state = self.state(peer)
        backoff = Backoff(self._chance, *self._backoff_seconds)
        for attempt in itertools.count():
            known = addresses()
            address = known[attempt % len(known)] if known else ""
            try:
                connection = await carrier.dial(peer, address)
            except LinkDownError as error:
                state.trouble = str(error)
            else:
                heard = state.heard_ms
                await self._talk(connection, address.partition("://")[0], dialled=True)
                if state.heard_ms != heard:
                    backoff.reset()
            await self._clock.sleep(backoff.pause())

    async def broadcast(self, broadcast: Broadcast) -> None:
        """Say to all below what is for all of them, until cancelled or the carrier fails.

        Raises:
            LinkDownError: it reaches nobody any more; new records go over the links again.
        """
        try:
            await self.broadcaster.run(broadcast)
        except StorageError as error:
            raise LinkDownError(str(error)) from error

    def _said_to_all(self, runs: Sequence[Run]) -> None:
        for _, conversation in self._open.values():
            conversation.said_to_all(runs)

    async def close(self) -> None:
        """Close all links."""
        for connection, _ in tuple(self._open.values()):
            await connection.close()

    async def _talk(self, connection: Connection, by: str, *, dialled: bool) -> None:
        peer = connection.peer
        state = self.state(peer)
        conversation = Conversation(
            self._log, self._key, connection, state,
            clock=self._clock, entropy=self._entropy, timing=self._timing,
            next_to_all=self.broadcaster.next,
        )  # fmt: skip
        older = self._open.get(peer)
        self._open[peer] = (connection, conversation)
        if older is not None:
            await older[0].close()
        state.connected_since_ms = self._clock.wall_ms()
        state.opened += 1
        state.by = by
        try:
            await conversation.run(dialled=dialled)
        except (LinkDownError, FaultError, StorageError) as error:
            state.trouble = str(error)
            logger.info("link ended", peer=peer, why=str(error))
        finally:
            state.rest = conversation.session.rest
            state.counts = conversation.session.view_counts()
            if self._open.get(peer, (None,))[0] is connection:
                del self._open[peer]
                state.connected_since_ms = None
            await connection.close()

    def _current_counts(self, peer: str) -> dict[Feed, int]:
        if self.hears(peer):
            return self._open[peer][1].session.view_counts()
        return self.state(peer).counts
