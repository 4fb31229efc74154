"""A village's signing key gives way to a new one, by its own consent (protocol 4.2).

Each step can be the last before a crash: until the new key is certified the node works with the
old one, which its parent takes until an epoch was opened under the new one; then with the new.
"""

import os
from typing import Final

from shared.app.compose import open_database
from shared.app.membership import answering, ask_once
from shared.errors import RefusedError
from shared.log.log import Log
from shared.log.sql import SqlStore
from shared.node.clock import SystemClock
from shared.node.home import Home, Identity
from shared.node.joining import take_frames
from shared.record.feed import Level
from shared.trust.certificate import Certificate
from shared.trust.invitation import NONCE_BYTES
from shared.trust.rotation import make_key_request

ADVICE: Final = "The old key goes on to work; try again later."


async def rotate(home: Home) -> Certificate:
    """Replace the signing key of the stopped village in ``home``; begun before, it goes on.

    Returns:
        The certificate in force from now on; the epoch under it begins with the next start.

    Raises:
        RefusedError: no village, or the parent refuses.
        UnavailableError: the node is serving, or the parent does not answer.
        FaultError: the parent's answer does not fit what is held.
        StorageError: the database cannot be used.
    """
    identity = home.identity()
    if identity.level != Level.VILLAGE or identity.parent is None:
        raise RefusedError("only a village's key can be replaced so far.")
    with home.lock():
        store = SqlStore(await open_database(home))
        try:
            log = Log(identity.division, store, identity.anchor)
            await log.open()
            certificate = await _certified(home, identity, identity.parent, log)
        finally:
            await store.close()
        home.go_over()
    return certificate


async def _certified(home: Home, identity: Identity, parent: str, log: Log) -> Certificate:
    """Return the next key's certificate, asked for if it is not here already."""
    key, next_key = home.keys().signing, home.next_key()
    old = log.roster.certificate_of(identity.division)
    if old is not None and old.signing_key == next_key.public.raw:
        return old
    if old is None or old.signing_key != key.public.raw:
        raise RefusedError("the key of this node is not in force.", advice="Tell the district.")
    nonce = os.urandom(NONCE_BYTES)
    request = make_key_request(identity.anchor, parent, old, (key, next_key), nonce)
    invited = (address for code, address in identity.ancestors if code == parent)
    known = dict.fromkeys((*log.roster.addresses_of(parent), *invited))
    frames = await ask_once(answering(known), request)
    await take_frames(log, frames, SystemClock().wall_ms())
    new = log.roster.certificate_of(identity.division)
    if new is None or new.signing_key != next_key.public.raw:
        raise RefusedError("the parent did not certify the new key.", advice=ADVICE)
    return new
