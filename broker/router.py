"""Several carriers as one: an address's scheme says which of them dials it."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from shared.link.carrier import (
    Carrier,
    Connection,
    LinkDownError,
    Listening,
    ListeningCarrier,
)


class SchemeRouter:
    """Uses for each address the carrier of its scheme (see ``ListeningCarrier``)."""

    def __init__(self, carriers: Mapping[str, Carrier], advice: Mapping[str, str]) -> None:
        """Dial by ``carriers``.

        Args:
            carriers: By scheme, such as ``wss``.
            advice: What to do about a scheme for which there is none, by scheme.
        """
        self._carriers = carriers
        self._advice = advice

    async def dial(self, peer: str, address: str) -> Connection:
        """Open a link to division ``peer`` at ``address``; see the port."""
        return await self._carrier(address).dial(peer, address)

    async def listen(self, source: str, address: str, back_seconds: float | None) -> Listening:
        """Listen to division ``source`` at ``address``; see the port."""
        carrier = self._carrier(address)
        if not isinstance(carrier, ListeningCarrier):
            raise LinkDownError(f"{address[:80]!r}: nothing is said to all there")
        return await carrier.listen(source, address, back_seconds)

    def _carrier(self, address: str) -> Carrier:
        try:
            scheme = urlsplit(address).scheme
        except ValueError:
            scheme = ""
        carrier = self._carriers.get(scheme)
        if carrier is None:
            why = self._advice.get(scheme, "this node knows no way to dial it")
            raise LinkDownError(f"{address[:80]!r}: {why}")
        return carrier
