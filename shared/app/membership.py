"""How a home comes to life: founding a district, joining one (protocol 4.1, 4.6)."""

import asyncio
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import aiohttp

from broker.rabbitmq.login import SCHEMES as BROKER_SCHEMES
from shared.app.compose import open_database
from shared.errors import (
    FaultError,
    InvalidError,
    RefusedError,
    UnavailableError,
)
from shared.log.log import Log
from shared.log.sql import SqlStore
from shared.node.accounts import make_first
from shared.node.clock import SystemClock
from shared.node.founding import found, founding_record
from shared.node.home import Home, Identity, Keys
from shared.node.joining import take_trust
from shared.record import cbor
from shared.record.feed import Level
from shared.record.limits import FRAME_BYTES_MAX
from shared.trust.invitation import NONCE_BYTES, Invitation, JoinRequest, make_request, read_token
from shared.trust.keys import SigningKey
from shared.trust.rotation import KeyRequest
from shared.web.security import read_all

RECOVERY_FILE: Final = "recovery.key"
ANSWER_BYTES_MAX: Final = 8 * FRAME_BYTES_MAX
ASK_SECONDS_MAX: Final = 30.0
RETRY_SECONDS_MAX: Final = 30.0


async def init_district(home: Home, code: str, label: str) -> Identity:
    """Found a district in ``home``.

    The recovery key is left in the home as ``recovery.key``: whoever runs this puts it on paper
    or a stick and takes it away.

    Raises:
        RefusedError: a node lives there already.
        FaultError: ``code`` is no division code.
    """
    home.prepare()
    with home.lock():
        keys = home.keys()
        at_ms = SystemClock().wall_ms()
        recovery = SigningKey(os.urandom(32))
        record = founding_record(
            code, label, keys, recovery.public, at_ms=at_ms, entropy=os.urandom
        )
        store = SqlStore(await open_database(home))
        try:
            identity = await found(store, record, label, at_ms)
        finally:
            await store.close()
        home.write(RECOVERY_FILE, recovery.seed.hex().encode() + b"\n")
        await asyncio.to_thread(make_first, home, Level.DISTRICT)
        home.save_identity(identity)
    return identity


async def join(
    home: Home,
    token: str,
    *,
    level: Level | None = None,
    kept: tuple[Identity, Keys] | None = None,
    wait: bool = True,
    tell: Callable[[str], None] = lambda _line: None,
) -> Identity:
    """Join with an invitation; waits while the parent is down and resumes after a restart.

    Args:
        home: Where the new node shall live.
        token: The invitation as text; empty to resume one that was begun here.
        level: Refuse an invitation for another level.
        kept: Identity and keys of the lost box that this one replaces; None for a new node.
        wait: False to fail at once when the parent does not answer.
        tell: Called with a line whenever there is something to say.

    Raises:
        RefusedError: a node lives there already, the keys are another division's, or the parent
            refuses.
        UnavailableError: the parent does not answer and ``wait`` is False.
    """
    home.prepare()
    with home.lock():
        token = _remembered(home, token)
        invitation = read_token(token)
        if level is not None and invitation.level != level:
            raise RefusedError(
                f"this invitation is for a {invitation.level.word}, not a {level.word}."
            )
        if kept is not None:
            _replace(home, invitation, *kept)
        keys = home.keys()
        request = make_request(
            invitation, keys.signing, keys.sealing_public, os.urandom(NONCE_BYTES)
        )
        frames = await _ask_parent(invitation, request, wait=wait, tell=tell)
        identity = Identity(
            invitation.division, invitation.label, invitation.level, invitation.anchor,
            invitation.addresses,
        )  # fmt: skip
        await _take(home, identity, keys, frames, invitation)
        await asyncio.to_thread(make_first, home, identity.level)
        home.save_identity(identity)
        home.pending_file.unlink(missing_ok=True)
    return identity


def _replace(home: Home, invitation: Invitation, identity: Identity, keys: Keys) -> None:
    """Let ``home`` have the keys of the box that it replaces."""
    if (identity.division, identity.anchor) != (invitation.division, invitation.anchor):
        raise RefusedError(
            f"the keys are those of {identity.division} {identity.label}, and the invitation is "
            f"for {invitation.division} {invitation.label}.",
            advice="Give keys and invitation of one division and district.",
        )
    home.put_keys(keys)


def _remembered(home: Home, token: str) -> str:
    """Keep the invitation beside the keys, so that a restart goes on with both."""
    if not token:
        try:
            return (home.path / home.pending_file.name).read_text("utf-8")
        except FileNotFoundError:
            raise InvalidError("no join was begun here.", advice="Give the invitation.") from None
    read_token(token)
    home.write(home.pending_file.name, token.encode())
    return token


async def _ask_parent(
    invitation: Invitation, request: JoinRequest, *, wait: bool, tell: Callable[[str], None]
) -> list[bytes]:
    """Ask each address of the parent in turn until one answers."""
    addresses = answering(
        address for code, address in invitation.addresses if code == invitation.parent
    )
    pause = 0.5
    while True:
        try:
            return await ask_once(addresses, request)
        except UnavailableError as error:
            if not wait:
                raise
            tell(f"{error} Trying again in {pause:g} s; stop with Ctrl-C, `join` resumes.")
        await asyncio.sleep(pause)
        pause = min(RETRY_SECONDS_MAX, pause * 2)


def answering(addresses: Iterable[str]) -> list[str]:
    """Return those of a node's ``addresses`` at which it answers who asks for a certificate."""
    return [one for one in addresses if one.partition("://")[0] not in BROKER_SCHEMES]


async def ask_once(addresses: Sequence[str], request: JoinRequest | KeyRequest) -> list[bytes]:
    """Ask each address of the parent once; returns the trust records it answers with.

    Raises:
        RefusedError: it refuses.
        UnavailableError: it does not answer at any.
    """
    trouble = "no address of the parent is known."
    timeout = aiohttp.ClientTimeout(total=ASK_SECONDS_MAX)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        for address in addresses:
            url = _join_url(address)
            try:
                async with session.post(url, data=request.encode()) as response:
                    data = await read_all(response.content, ANSWER_BYTES_MAX)
                    if response.status == 200:  # noqa: PLR2004
                        return _frames(data)
                    text = data.decode("utf-8", "replace").strip()
                    if response.status < 500:  # noqa: PLR2004
                        raise RefusedError(f"the parent refuses: {text}")
                    trouble = f"{url} answers: {text}"
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                trouble = f"{url} does not answer ({type(error).__name__})."
    raise UnavailableError(trouble)


def _join_url(address: str) -> str:
    scheme, _, rest = address.partition("://")
    http = {"ws": "http", "wss": "https"}.get(scheme, scheme)
    return f"{http}://{rest.removesuffix('/link')}/join"


def _frames(data: bytes) -> list[bytes]:
    value = cbor.decode_loose(data)
    if not isinstance(value, list) or not all(isinstance(item, bytes) for item in value):
        raise FaultError("the parent's answer is not a list of frames")
    return value


async def _take(
    home: Home, identity: Identity, keys: Keys, frames: list[bytes], invitation: Invitation
) -> None:
    store = SqlStore(await open_database(home))
    try:
        log = Log(identity.division, store, identity.anchor)
        await log.open()
        await take_trust(log, frames, invitation, SystemClock().wall_ms())
        mine = log.roster.certificate_of(identity.division)
        if mine is None or mine.signing_key != keys.signing.public.raw:
            raise FaultError("the parent certified another key than ours")
        if mine.sealing_key != keys.sealing_public:
            raise FaultError("the parent certified another sealing key than ours")
    finally:
        await store.close()
