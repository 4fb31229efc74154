"""Users of a private broker whose passwords follow from their names, for tests and measurements.

Only where nobody else gets to: a district's passwords come from ``district broker-definitions``.
"""

from collections.abc import Mapping
from typing import Any, Final

from broker.rabbitmq.definitions import definitions, password_hash
from demo.servers.rabbitmq import VHOST
from shared.record.feed import Level

ADMIN: Final = "admin"
"""May do everything."""


def password_of(user: str) -> str:
    """Return the password by which a division, or ``ADMIN``, logs in."""
    return f"{user}-is-here"


def definitions_for(divisions: Mapping[str, Level]) -> dict[str, Any]:
    """Return the definitions that our command would write, and an administrator's beside them."""
    hashes = {user: password_hash(password_of(user), b"salt") for user in (*divisions, ADMIN)}
    made = definitions(divisions, hashes, VHOST)
    made["users"].append({
        "name": ADMIN, "password_hash": hashes[ADMIN],
        "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": "administrator",
    })  # fmt: skip
    everything = {"user": ADMIN, "vhost": VHOST, "configure": ".*", "write": ".*", "read": ".*"}
    made["permissions"].append(everything)
    return made
