"""Several carriers as one: an address's scheme says which of them dials it."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from shared.link.carrier import Carrier, Connection, LinkDownError


class SchemeRouter:
    """Dials each address by the carrier of its scheme (see ``shared.link.carrier.Carrier``)."""

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
        try:
            scheme = urlsplit(address).scheme
        except ValueError:
            scheme = ""
        carrier = self._carriers.get(scheme)
        if carrier is None:
            why = self._advice.get(scheme, "this node knows no way to dial it")
            raise LinkDownError(f"{address[:80]!r}: {why}")
        return await carrier.dial(peer, address)
