"""A node joins: the parent invites and certifies, the child takes what it must trust (4.6).

The parent's answer is a bundle of ordinary runs of the trust lane; the child accepts them like
any others, pinned to the anchor of its invitation.
"""

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Final

from shared.errors import FaultError, InvalidError, NotFoundError, RefusedError
from shared.link.frames import Chunk, decode_frame
from shared.log.accept import Accepted, Duplicate
from shared.log.log import EPOCH_NOTE, Log
from shared.log.store import Batch
from shared.node.author import Author, Draft, Entropy
from shared.node.clock import Clock
from shared.node.papers import trust_frames
from shared.record.feed import Level, check_code, is_above, is_holder
from shared.trust.invitation import SECRET_BYTES, Invitation, JoinRequest, read_request
from shared.trust.keys import KEY_BYTES, SigningKey
from shared.trust.kinds import CERTIFIED
from shared.trust.rotation import KeyRequest, read_key_request

INVITATION_DAYS: Final = 14
_DAY_MS: Final = 86_400_000


@dataclass(frozen=True)
class Offer:
    """An invitation as its maker remembers it, under the note ``invitation/CODE``.

    Attributes:
        label: Short name.
        level: The level's word.
        secret: Hex of the one-time secret.
        expires_ms: Unix ms UTC.
        taken_by: Hex of the one signing key that it is good for: the one that joined with it, or
            that was certified before; empty while it is open.
    """

    label: str
    level: str
    secret: str
    expires_ms: int
    taken_by: str = ""

    def encode(self) -> bytes:
        """Return the note's bytes."""
        return json.dumps(self.__dict__, ensure_ascii=False).encode()


class Registrar:
    """The parent's side: invites divisions below and certifies their nodes."""

    def __init__(
        self, log: Log, author: Author, key: SigningKey, *, clock: Clock, entropy: Entropy
    ) -> None:
        """Invite in the name of the node that writes with ``author``."""
        self._log = log
        self._author = author
        self._key = key
        self._clock = clock
        self._entropy = entropy
        self._redeeming = asyncio.Lock()

    async def invite(
        self, code: str, label: str, addresses: tuple[tuple[str, str], ...]
    ) -> Invitation:
        """Return a new invitation for division ``code``; an earlier one for it ends.

        A certified division is invited for a box that replaces a lost one: with its keys only.

        Args:
            code: Below this node, one level.
            label: Short name shown to people, unique in the district as far as known here.
            addresses: (code, link address) of this node and its ancestors, this one first.

        Raises:
            RefusedError: not below this node, certified under another label or for another level,
                or the label is taken.
        """
        me = self._author.certificate
        check_code(code)
        if not is_above(me.division, code):
            raise RefusedError(f"{code} is not below {me.division}.")
        if me.level == Level.VILLAGE:
            raise RefusedError("a village has nobody below it.")
        level = Level(me.level + 1)
        held = self._log.roster.certificate_of(code)
        if held is not None and (held.label, held.level) != (label, level):
            raise RefusedError(
                f"{code} is certified already, as the {held.level.word} {held.label}.",
                advice="A box that replaces another is invited under the same label.",
            )
        self._check_label(code, label)
        offer = Offer(
            label, level.word, self._entropy(SECRET_BYTES).hex(),
            self._clock.wall_ms() + INVITATION_DAYS * _DAY_MS,
            held.signing_key.hex() if held is not None else "",
        )  # fmt: skip
        await self._remember(code, offer)
        return Invitation(
            self._log.roster.anchor, me.division, self._key.public.raw, addresses, code, label,
            level, bytes.fromhex(offer.secret), offer.expires_ms,
        )  # fmt: skip

    def _check_label(self, code: str, label: str) -> None:
        for other in self._log.roster.divisions().values():
            if other.label == label and other.division != code:
                raise RefusedError(
                    f"{other.division} is called {label} already.",
                    advice="Give a label that is unique in the district.",
                )

    async def redeem(self, request: JoinRequest) -> list[bytes]:
        """Certify the node that asks; the same request is answered again in the same way.

        Returns:
            Chunk frames with the trust feeds that the new node is entitled to.

        Raises:
            NotFoundError: no such invitation.
            RefusedError: expired, for a box with other keys, or not proven.
        """
        async with self._redeeming:  # an invitation is good for one box, also of two at once
            await self._certify(request)
        return await self._trust_frames(request.division)

    async def answer(self, data: bytes) -> list[bytes]:
        """Certify who asks in ``data``: by an invitation, or in place of its own older key.

        Returns:
            As ``redeem``.

        Raises:
            FaultError: malformed.
            NotFoundError: no such invitation, no such division.
            RefusedError: not agreed to by all whose word it takes.
        """
        request = read_key_request(data)
        return await (self.redeem(read_request(data)) if request is None else self.replace(request))

    async def replace(self, request: KeyRequest) -> list[bytes]:
        """Certify other keys for a node below whose old key consents; repeated, answer alike.

        Returns:
            As ``redeem``.

        Raises:
            NotFoundError: that division is not certified here.
            RefusedError: this is not its parent, or one of the two keys did not sign.
        """
        async with self._redeeming:
            roster = self._log.roster
            old = roster.certificate_of(request.division)
            if old is None or request.parent != self._log.me:
                raise NotFoundError(f"{request.division} is not certified by this node.")
            if old.signing_key != request.signing_key:
                if request.anchor != roster.anchor or not request.is_agreed(old):
                    raise RefusedError("the key in force did not agree to be replaced.")
                more = {"replaces": request.replaces.hex(), "consent": request.consent.hex()}
                draft = self._certificate(request, old.label, old.level.word, more)
                await self._author.submit(draft)
        return await self._trust_frames(request.division)

    async def _certify(self, request: JoinRequest) -> None:
        note = await self._log.store.note(f"invitation/{request.division}")
        if note is None or request.parent != self._log.me:
            raise NotFoundError(f"there is no invitation for {request.division} here.")
        offer = Offer(**json.loads(note))
        self._check(request, offer)
        if not offer.taken_by:
            await self._remember(
                request.division, Offer(**{**offer.__dict__, "taken_by": request.signing_key.hex()})
            )
        if self._log.roster.certificate_of(request.division) is None:
            await self._author.submit(self._certificate(request, offer.label, offer.level, {}))

    def _check(self, request: JoinRequest, offer: Offer) -> None:
        if not request.is_sealed_by(bytes.fromhex(offer.secret)):
            raise RefusedError("the secret of this invitation is wrong.")
        if len(request.sealing_key) != KEY_BYTES or request.anchor != self._log.roster.anchor:
            raise RefusedError("this request is for another district.")
        if not request.is_proven():
            raise RefusedError("the request is not signed by the key it names.")
        if offer.taken_by not in ("", request.signing_key.hex()):
            raise RefusedError(
                "this invitation is for a box with other keys.",
                advice="A box that replaces another joins with its keys: `join --keys`.",
            )
        if not offer.taken_by and self._clock.wall_ms() > offer.expires_ms:
            raise RefusedError("this invitation has expired.", advice="Ask for a new one.")

    def _certificate(
        self, request: JoinRequest | KeyRequest, label: str, level: str, more: dict[str, str]
    ) -> Draft:
        body: dict[str, Any] = {
            "division": request.division,
            "label": label,
            "level": level,
            "parent": self._log.me,
            "signing_key": request.signing_key.hex(),
            "sealing_key": request.sealing_key.hex(),
            "nonce": request.nonce.hex(),
            "proof": request.proof.hex(),
            **more,
        }
        return Draft(CERTIFIED, self._log.me + "*", body, "trust")

    async def _remember(self, code: str, offer: Offer) -> None:
        async with self._log.lock:
            await self._log.store.commit(
                Batch(self._clock.wall_ms(), notes={f"invitation/{code}": offer.encode()})
            )

    async def _trust_frames(self, division: str) -> list[bytes]:
        feeds = [f for f in self._log.feeds if f.lane == "trust" and is_holder(f, division)]
        return await trust_frames(self._log, feeds)


async def take_frames(log: Log, frames: list[bytes], at_ms: int) -> None:
    """Accept the trust records that a parent answered with.

    Raises:
        FaultError: they do not fit each other or what is held.
    """
    for data in frames:
        frame = decode_frame(data, ())
        if not isinstance(frame, Chunk):
            raise FaultError("the parent answered something else than trust records")
        for outcome in await log.accept(frame.runs, at_ms):
            if not isinstance(outcome, Accepted | Duplicate):
                raise FaultError(f"the parent's trust records do not fit: {outcome}")


async def take_trust(log: Log, frames: list[bytes], invitation: Invitation, at_ms: int) -> None:
    """The child's side: accept the parent's answer and check that it certifies us.

    Raises:
        FaultError: the answer does not lead from the anchor to our certificate.
    """
    await take_frames(log, frames, at_ms)
    parent = log.roster.certificate_of(invitation.parent)
    if parent is None or parent.signing_key != invitation.parent_key:
        raise FaultError("the parent that answered is not the one that invited")
    mine = log.roster.certificate_of(invitation.division)
    if mine is None:
        raise InvalidError("the parent did not certify this node")
    await _follow_on(log, at_ms)


async def _follow_on(log: Log, at_ms: int) -> None:
    """Let a box that replaces another know which epoch its own follows (4.3).

    It is the last one as far as the parent knows. Like after a restore there is no marker, so the
    node doubts that epoch and opens a new one; without this its first one would follow none, and
    its receipts would be numbered like those of the lost box.
    """
    known = log.roster.incarnations_of(log.me)
    last = set(known) - {one.follows for one in known.values()}
    if last:
        async with log.lock:
            await log.store.commit(Batch(at_ms, notes={EPOCH_NOTE: max(last)}))
