"""The kinds on which trust stands (protocol 4, 10). Binary values are lower-case hex."""

from typing import Annotated, Final

from pydantic import StringConstraints

from shared.record.feed import Level
from shared.trust.authority import RELAYS, Body, Kind, Reach, Row

Hex8 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
Hex16 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Hex32 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Hex64 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{128}$")]
Code = Annotated[str, StringConstraints(pattern=r"^[0-9]{2,32}$")]
Label = Annotated[str, StringConstraints(min_length=1, max_length=40)]
LevelWord = Annotated[str, StringConstraints(pattern=r"^(district|town|village)$")]
Address = Annotated[str, StringConstraints(min_length=1, max_length=200)]

FOUNDED: Final = "district.founded.v1"
CERTIFIED: Final = "node.certified.v1"
CONFIRMED: Final = "node.confirmed.v1"
DISOWNED: Final = "node.disowned.v1"
OPENED: Final = "epoch.opened.v1"
ADDRESSES: Final = "node.addresses.v1"


class Keyed(Body):
    """What both ways of naming a node's keys have in common."""

    division: Code
    label: Label
    level: LevelWord
    signing_key: Hex32
    sealing_key: Hex32


class Founded(Keyed):
    """The district's own keys and the hash of its offline recovery key (protocol 4.1)."""

    recovery_hash: Hex32


class Certified(Keyed):
    """A node's keys, vouched for by its parent or a higher ancestor (protocol 4.2).

    ``nonce`` and ``proof`` are the request's: the new key's signature over (anchor, parent,
    division, nonce), so that anybody can see that the keys were asked for by their holder.
    ``replaces`` is the rid of the certificate whose keys these replace, ``consent`` that key's
    signature over (anchor, division, replaces, both new keys).
    """

    parent: Code
    nonce: Hex16
    proof: Hex64
    replaces: Hex32 | None = None
    consent: Hex64 | None = None


class Confirmed(Body):
    """The district's word that a certificate counts, though the old key does not say so (4.2)."""

    certificate: Hex32


class Disowned(Body):
    """A division's word that it did not ask for a certificate made out to it (protocol 4.2)."""

    certificate: Hex32


class OwnHead(Body):
    """One own feed of an earlier epoch as far as the node still knows it."""

    lane: str
    audience: str
    epoch: Hex8
    count: int
    rid: Hex32


class Opened(Body):
    """A new incarnation of a node (protocol 4.3)."""

    certificate: Hex32
    follows: Hex8 | None = None
    heads: tuple[OwnHead, ...] = ()


class Addresses(Body):
    """Where the node can be reached (protocol 4.6)."""

    links: tuple[Address, ...]


_TRUST = frozenset({"trust"})
_SUBTREE = frozenset({Reach.OWN_SUBTREE})
_ITSELF: Final = (
    *(Row(level, _SUBTREE, _TRUST) for level in RELAYS),
    Row(Level.VILLAGE, frozenset({Reach.UPWARD}), _TRUST),
)

KINDS: Final = (
    Kind(
        FOUNDED,
        "The anchor: the district's keys and the hash of its recovery key.",
        Founded,
        (Row(Level.DISTRICT, _SUBTREE, _TRUST),),
    ),
    Kind(
        CERTIFIED,
        "A division's node and its keys, asked for by the holder of the new key.",
        Certified,
        tuple(Row(level, _SUBTREE, _TRUST) for level in RELAYS),
    ),
    Kind(
        CONFIRMED,
        "The district confirms a certificate that replaces a key without that key's consent.",
        Confirmed,
        (Row(Level.DISTRICT, _SUBTREE, _TRUST),),
    ),
    Kind(
        DISOWNED,
        "A division did not ask for this certificate of a key in its name: an alarm.",
        Disowned,
        _ITSELF,
    ),
    Kind(OPENED, "A new incarnation of a node; every feed of it begins here.", Opened, _ITSELF),
    Kind(ADDRESSES, "Where a node can be reached.", Addresses, _ITSELF),
)
