"""Which certificates and addresses count. Pure; the same checks as the roster's."""

from enum import StrEnum

from shared.domain.projection import Fact, Step, applied, not_applied
from shared.errors import InvalidError
from shared.record.feed import ROOT_EPOCH, Level, is_above
from shared.trust.keys import PublicKey
from shared.trust.kinds import Certified, Founded, Keyed


class Because(StrEnum):
    """Why a certificate is not applied."""

    NOT_THE_FOUNDING = "not_the_founding"  # outside the root feed, or about somebody else
    NOT_BELOW = "not_below"  # of a division that is not below its author or its parent
    BAD_KEY = "bad_key"  # no key that could bind anybody


def judge(fact: Fact) -> Step:
    """Return whether a certificate, founding or list of addresses counts (protocol 4.1, 4.2)."""
    body, author = fact.body, fact.feed.author
    if isinstance(body, Founded):
        is_root = fact.feed.epoch == ROOT_EPOCH and fact.seq == 0
        names_itself = body.division == author and body.level == Level.DISTRICT.word
        if not (is_root and names_itself):
            return not_applied(fact, Because.NOT_THE_FOUNDING)
    elif isinstance(body, Certified) and not (
        is_above(author, body.division) and is_above(body.parent, body.division)
    ):
        return not_applied(fact, Because.NOT_BELOW)
    if isinstance(body, Keyed) and not _binds(body.signing_key):
        return not_applied(fact, Because.BAD_KEY)
    return applied(fact)


def _binds(key_hex: str) -> bool:
    try:
        PublicKey(bytes.fromhex(key_hex))
    except InvalidError:
        return False
    return True
