"""Writing own records: many submissions, one transaction, each caller told after the flush.

Nothing leaves ``submit`` before the record is committed and flushed (protocol 1.3). While one
batch is being flushed the next one gathers, so the cost of a flush is shared by whoever came
meanwhile (group commit).
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from shared.errors import NotFoundError, RefusedError, SanjiError, StorageError, UnavailableError
from shared.log.log import EPOCH_NOTE, Log
from shared.log.offload import Offload, in_thread
from shared.log.store import Batch, FeedState
from shared.node.clock import Clock
from shared.record.body import SALT_BYTES, body_hash, encode_body
from shared.record.envelope import RECORD_AAD
from shared.record.feed import EPOCH_BYTES, UPWARD, Feed, Level, check_feed
from shared.record.header import Header, encode_header
from shared.record.record import Record
from shared.record.run import Run
from shared.trust.authority import KindTable
from shared.trust.certificate import Certificate
from shared.trust.keys import SigningKey
from shared.trust.kinds import OPENED
from shared.trust.roster import own_trust_feed

BATCH_RECORDS_MAX: Final = 500
WAITING_MAX: Final = 20_000

Entropy = Callable[[int], bytes]


async def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Await ``work`` to its end even if the caller is cancelled meanwhile.

    A commit whose outcome nobody notes would leave the marker behind another epoch than the
    database's, and the next start would doubt itself.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait((task,))
        raise


@dataclass(frozen=True)
class Draft:
    """What somebody wants to say.

    Attributes:
        kind: A kind this node may write.
        audience: ``^``, ``CODE`` or ``CODE*``.
        body: The body, or a function that makes it from the number that ``numbered`` asks for.
        lane: One of the lanes that the kind allows.
        refs: rids it speaks about; the first is the subject.
        numbered: Name of a running number to be given out inside the commit, such as
            ``receipt/26``; empty for none.
    """

    kind: str
    audience: str
    body: dict[str, Any] | Callable[[int], dict[str, Any]]
    lane: str = "ordinary"
    refs: tuple[bytes, ...] = ()
    numbered: str = ""


@dataclass(frozen=True)
class Written:
    """A record of ours, committed and flushed.

    Attributes:
        record: The record.
        number: The running number it was given, 0 if it asked for none.
    """

    record: Record
    number: int = 0


@dataclass
class _Waiting:
    draft: Draft
    answer: asyncio.Future[Written]


class Author:
    """The only writer of a node's own feeds.

    Attributes:
        certificate: This node's certificate.
    """

    def __init__(
        self,
        log: Log,
        key: SigningKey,
        kinds: KindTable,
        *,
        clock: Clock,
        entropy: Entropy,
        offload: Offload = in_thread,
        on_commit: Callable[[bytes, int], None] = lambda _epoch, _records: None,
    ) -> None:
        """Write into ``log``, signing with ``key``.

        ``on_commit`` is called after each own commit with the epoch and the number of own records
        in it: the home keeps both beside the database (protocol 4.3).
        """
        self._log = log
        self._key = key
        self._kinds = kinds
        self._clock = clock
        self._entropy = entropy
        self._offload = offload
        self._on_commit = on_commit
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue(WAITING_MAX)

    @property
    def certificate(self) -> Certificate:
        """This node's certificate.

        Raises:
            UnavailableError: it is not certified (yet).
        """
        found = self._log.roster.certificate_with(self._log.me, self._key.public.raw)
        if found is None:
            raise UnavailableError("this node is not certified; join again with an invitation")
        return found

    def own_records(self) -> int:
        """Return how many records of the current epoch the log holds of us."""
        mine = (self._log.me, self._log.epoch)
        return sum(s.count for f, s in self._log.feeds.items() if (f.author, f.epoch) == mine)

    async def submit(self, draft: Draft) -> Written:
        """Sign and store ``draft``; returns after the flush.

        Raises:
            RefusedError: this node may not say that, or not to them.
            NotFoundError: the audience is no certified division.
            InvalidError: the body breaks a limit.
            UnavailableError: too many submissions are waiting.
            StorageError: nothing was stored.
        """
        self.check(draft)
        answer: asyncio.Future[Written] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait(_Waiting(draft, answer))
        except asyncio.QueueFull:
            raise UnavailableError(
                f"{WAITING_MAX:,} records are waiting to be stored.", advice="Try again shortly."
            ) from None
        return await answer

    def check(self, draft: Draft) -> None:
        """Refuse what this node may not write; see ``submit``."""
        feed = check_feed(self._feed(draft))
        objection = self._kinds.objection(draft.kind, feed, self.certificate.level)
        if objection is not None:
            raise RefusedError(objection + ".")
        if draft.audience != UPWARD:
            code = draft.audience.removesuffix("*")
            if self._log.roster.certificate_of(code) is None:
                raise NotFoundError(f"there is no certified division {code} in this district.")

    async def run(self) -> None:
        """Serve submissions until cancelled; whoever waits then is told that nothing was stored."""
        waiting: list[_Waiting] = []
        try:
            while True:
                waiting = [await self._queue.get()]
                while len(waiting) < BATCH_RECORDS_MAX and not self._queue.empty():
                    waiting.append(self._queue.get_nowait())
                await _to_its_end(self._write(waiting))
        finally:
            while not self._queue.empty():
                waiting.append(self._queue.get_nowait())
            for one in waiting:
                if not one.answer.done():
                    one.answer.set_exception(UnavailableError("the node is stopping"))

    async def open_epoch(self) -> None:
        """Begin a new incarnation if one is due: at first, after a restore, on doubt (4.3).

        Raises:
            UnavailableError: this node is not certified.
            StorageError: nothing was written; the old epoch stands.
        """
        await _to_its_end(self._open_epoch_if_due())

    async def _open_epoch_if_due(self) -> None:
        async with self._log.lock:
            if self.epoch_is_due:
                await self._open_epoch()

    @property
    def epoch_is_due(self) -> bool:
        """True before the first epoch, in doubt about the current one, and with another key."""
        return self._log.doubt or not self._log.epoch or self._has_new_key()

    def _has_new_key(self) -> bool:
        current = self._log.roster.incarnation(self._log.me, self._log.epoch)
        key = self._key.public.raw
        return current is not None and current.certificate.signing_key != key

    async def _open_epoch(self) -> None:
        certificate = self.certificate
        epoch = self._entropy(EPOCH_BYTES)
        follows = self._log.epoch
        heads = [
            {"lane": feed.lane, "audience": feed.audience, "epoch": feed.epoch.hex(),
             "count": state.count, "rid": state.rid.hex()}
            for feed, state in self._log.feeds.items()
            if feed.author == self._log.me and feed.epoch == follows and state.count
        ]  # fmt: skip
        body: dict[str, Any] = {"certificate": certificate.rid.hex(), "heads": heads}
        if follows:
            body["follows"] = follows.hex()
        feed = own_trust_feed(certificate, epoch)
        at_ms = self._clock.wall_ms()
        draft = Draft(OPENED, feed.audience, body, feed.lane)
        record = self._build(feed, FeedState(0, certificate.rid), draft, body, at_ms)
        batch = Batch(at_ms, runs=[Run(feed, 0, (record,))])
        batch.notes[EPOCH_NOTE] = epoch
        await self._log.append(batch)
        self._log.epoch = epoch
        self._log.doubt = False
        self._on_commit(epoch, self.own_records())

    async def _write(self, waiting: list[_Waiting]) -> None:
        try:
            async with self._log.lock:
                if self.epoch_is_due:
                    await self._open_epoch()
                numbers = await self._numbers(waiting)
                at_ms = self._clock.wall_ms()
                batch, done = await self._offload(lambda: self._batch(waiting, numbers, at_ms))
                if done:
                    await self._log.append(batch)
                    self._on_commit(self._log.epoch, self.own_records())
        except SanjiError as error:
            for one in waiting:
                if not one.answer.done():
                    one.answer.set_exception(error)
            return
        for one, result in done:
            if not one.answer.done():
                one.answer.set_result(result)

    async def _numbers(self, waiting: list[_Waiting]) -> dict[str, int]:
        """Return the last number given out under each name that the batch asks for."""
        names = {one.draft.numbered for one in waiting} - {""}
        return {
            name: int.from_bytes(await self._log.store.note("number/" + name) or b"", "big")
            for name in names
        }

    def _batch(
        self, waiting: list[_Waiting], numbers: dict[str, int], at_ms: int
    ) -> tuple[Batch, list[tuple[_Waiting, Written]]]:
        """Sign everything; a draft whose body is wrong is told so and leaves no number used."""
        batch = Batch(at_ms)
        heads: dict[Feed, FeedState] = {}
        records: dict[Feed, list[Record]] = {}
        done: list[tuple[_Waiting, Written]] = []
        for one in waiting:
            draft = one.draft
            feed = self._feed(draft)
            number = numbers[draft.numbered] + 1 if draft.numbered else 0
            try:
                body = draft.body(number) if callable(draft.body) else draft.body
                held = heads.get(feed) or self._base(feed)
                record = self._build(feed, held, draft, body, at_ms)
            except SanjiError as error:
                self._refuse(one, error)
                continue
            if draft.numbered:
                numbers[draft.numbered] = number
            heads[feed] = FeedState(record.header.seq + 1, record.rid)
            records.setdefault(feed, []).append(record)
            done.append((one, Written(record, number)))
        for feed, new in records.items():
            batch.runs.append(Run(feed, new[0].header.seq, tuple(new)))
        for name, number in numbers.items():
            batch.notes["number/" + name] = number.to_bytes(8, "big")
        return batch, done

    @staticmethod
    def _refuse(one: _Waiting, error: SanjiError) -> None:
        """Answer from the worker thread, in the thread of the loop."""

        def answer() -> None:
            if not one.answer.done():
                one.answer.set_exception(error)

        one.answer.get_loop().call_soon_threadsafe(answer)

    def _build(
        self, feed: Feed, held: FeedState, draft: Draft, body: dict[str, Any], at_ms: int
    ) -> Record:
        """Return the signed record that follows ``held``.

        Raises:
            InvalidError: the body breaks a limit, or is not what its kind asks for.
            StorageError: our own signature does not verify; the record is not used (5.5).
        """
        salt, encoded = self._entropy(SALT_BYTES), encode_body(body)
        # What no fold could read would be signed for good and shown to nobody.
        self._kinds.check_body(draft.kind, encoded)
        header = Header(
            feed, held.count, held.rid, at_ms, draft.kind,
            len(encoded), body_hash(salt, encoded), draft.refs, {},
        )  # fmt: skip
        record = Record(self._key.sign(encode_header(header), RECORD_AAD), salt, encoded)
        if not self._key.public.verifies(record.envelope, RECORD_AAD):
            raise StorageError("this machine made a wrong signature; the record was not stored.")
        return record

    def _feed(self, draft: Draft) -> Feed:
        return Feed(self._log.me, self._log.epoch or bytes(EPOCH_BYTES), draft.lane, draft.audience)

    def _base(self, feed: Feed) -> FeedState:
        """Return what the next record of ``feed`` follows (protocol 2.2, 4.3)."""
        state = self._log.state(feed)
        if state.count:
            return state
        incarnation = self._log.roster.incarnation(feed.author, feed.epoch)
        if incarnation is None:
            raise UnavailableError("the epoch of this node is not open")
        return FeedState(0, incarnation.rid)

    @property
    def level(self) -> Level:
        """This node's level."""
        return self.certificate.level
