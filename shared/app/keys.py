"""Keys that would replace others: what waits, and the district's word (protocol 4.2)."""

from collections.abc import Sequence
from typing import Any

from shared.app.rids import find_rid
from shared.errors import InvalidError, RefusedError
from shared.node.author import Draft
from shared.node.node import Node
from shared.record.feed import Level
from shared.trust.certificate import Certificate
from shared.trust.kinds import CONFIRMED


def report(node: Node) -> dict[str, Any]:
    """Return the certificates that wait, and those in this division's name that it disowns."""
    roster = node.log.roster
    return {
        "unconfirmed": _certificates(node, roster.unconfirmed()),
        "unasked": _certificates(node, node.guard.unasked()),
    }


def _certificates(node: Node, certificates: Sequence[Certificate]) -> list[dict[str, Any]]:
    return [
        {"certificate": one.rid.hex(), "division": one.division, "label": one.label,
         "issuer": one.issuer.author, "kid": one.key.kid.hex(),
         "disowned": node.log.roster.is_disowned(one)}
        for one in certificates
    ]  # fmt: skip


async def confirm(node: Node, _progress: object, *, rid: str) -> dict[str, Any]:
    """Confirm, as the district, the certificate ``rid`` that replaces a key.

    Raises:
        RefusedError: this is not the district, or it would not count all the same.
        InvalidError: no certificate of that id waits.
    """
    if node.identity.level != Level.DISTRICT:
        raise RefusedError("only the district confirms a key.")
    found, roster = await find_rid(node.log, rid), node.log.roster
    waiting = {one.rid: one for one in roster.unconfirmed()}
    one = waiting.get(found)
    if one is None:
        raise InvalidError(
            f"{rid} is no certificate that waits for a word.", advice="`status` lists those."
        )
    if one.replaces in waiting:
        raise RefusedError(
            "it replaces a key that does not count.",
            advice=f"Confirm {one.replaces.hex()[:16]} first, or have the division certified anew.",
        )
    audience = f"{node.identity.division}*"
    draft = Draft(CONFIRMED, audience, {"certificate": found.hex()}, "trust")
    written = await node.author.submit(draft)
    return {"rid": written.record.rid.hex(), "division": one.division, "label": one.label,
            "kid": one.key.kid.hex(), "in_force": node.log.roster.is_confirmed(one)}  # fmt: skip
