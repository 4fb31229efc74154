"""Answers that are given again: a request that is repeated with its key is done once.

A key is noted before the work begins, its answer after. What was begun and has no answer (the node
stopped in between) is told as that: whether it was done can be looked up, not known here.

An answer may hold the secret of a receipt, which nobody keeps (protocol 6.4). So it is sealed with
a key made of the caller's token, of which the node has only the hash.
"""

import hashlib
import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Final

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    delete,
    insert,
    select,
    update,
)

from shared.app.api.problem import ProblemError
from shared.app.api.tokens import Caller
from shared.errors import SanjiError

logger = structlog.get_logger(__name__)

KEYS_MAX: Final = 10_000
KEPT_MS: Final = 24 * 3600 * 1000

NONCE_BYTES: Final = 12
_INFO: Final = b"sanji/api/answer/v1"

ANSWERS: Final = MetaData()
"""The table of answers; it lies in the node's database and is no view."""

_answer = Table(
    "api_answer",
    ANSWERS,
    Column("place", Integer, primary_key=True),
    Column("token", LargeBinary(32), nullable=False),
    Column("key", Text, nullable=False),
    Column("request", LargeBinary(32), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("sealed", LargeBinary),
    UniqueConstraint("token", "key"),
    Index("api_answer_at", "at_ms"),
    sqlite_autoincrement=True,  # places only grow: the oldest are those far below the last
)

Run = Callable[[Callable[[Connection], Any]], Awaitable[Any]]
"""Runs a transaction of the node's database."""


@dataclass(frozen=True)
class Answer:
    """What a request was answered.

    Attributes:
        status: HTTP status.
        text: JSON.
        location: Where to find what was made; empty for nothing.
        again: True if it is an earlier answer.
    """

    status: int
    text: str
    location: str = ""
    again: bool = False

    def __repr__(self) -> str:
        """Keep what it says out of logs and tracebacks."""
        return f"Answer({self.status})"


@dataclass(frozen=True)
class Asked:
    """A request under its key.

    Attributes:
        caller: Whose.
        key: What the caller calls it.
        request: Hash of method, address and body.
    """

    caller: Caller
    key: str
    request: bytes

    @classmethod
    def of(cls, caller: Caller, key: str, *parts: bytes) -> "Asked":
        """Return the request made of ``parts``."""
        whole = hashlib.sha256()
        for part in parts:
            whole.update(len(part).to_bytes(8, "big") + part)
        return cls(caller, key, whole.digest())


class Remembered:
    """Does each request under a key once."""

    def __init__(self) -> None:
        """Know of none that runs."""
        self._running: set[tuple[bytes, str]] = set()

    async def once(
        self, run: Run, now_ms: int, asked: Asked, work: Callable[[], Awaitable[Answer]]
    ) -> Answer:
        """Return the answer of ``work``, or the one that it gave before.

        Args:
            run: Runs a transaction.
            now_ms: Unix ms.
            asked: The request.
            work: Does it. An error of ours that it raises says that nothing was done: then the
                key is free again. After any other it is not known.

        Raises:
            ProblemError: 409 while the request runs or where its end is not known, 422 if the key
                was used for another one.
        """
        name = (asked.caller.mark, asked.key)
        if name in self._running:
            raise ProblemError(
                HTTPStatus.CONFLICT, "a request with this Idempotency-Key is being done.",
                advice="Ask again shortly.",
            )  # fmt: skip
        self._running.add(name)
        try:
            found = await run(lambda connection: _begin(connection, asked, now_ms))
            if found is not None:
                return _earlier(found, asked)
            try:
                answer = await work()
            except SanjiError:
                await run(lambda connection: _forget(connection, asked))
                raise
            sealed = _seal(answer, asked)
            try:
                await run(lambda connection: _keep(connection, asked, sealed))
            except SanjiError as error:  # it was done, and the caller shall hear so
                logger.warning("an answer is not kept", why=str(error))
            return answer
        finally:
            self._running.discard(name)


def _begin(connection: Connection, asked: Asked, now_ms: int) -> tuple[bytes, bytes | None] | None:
    """Note that the request has begun; returns what is noted of it already."""
    connection.execute(delete(_answer).where(_answer.c.at_ms <= now_ms - KEPT_MS))
    found = connection.execute(
        select(_answer.c.request, _answer.c.sealed).where(*_of(asked))
    ).first()
    if found is not None:
        return found.request, found.sealed
    made = connection.execute(
        insert(_answer).returning(_answer.c.place),
        {"token": asked.caller.mark, "key": asked.key, "request": asked.request, "at_ms": now_ms},
    )
    last = made.scalar_one()
    connection.execute(delete(_answer).where(_answer.c.place <= last - KEYS_MAX))
    return None


def _keep(connection: Connection, asked: Asked, sealed: bytes) -> None:
    connection.execute(update(_answer).where(*_of(asked)).values(sealed=sealed))


def _forget(connection: Connection, asked: Asked) -> None:
    connection.execute(delete(_answer).where(*_of(asked)))


def _of(asked: Asked) -> tuple[Any, Any]:
    return _answer.c.token == asked.caller.mark, _answer.c.key == asked.key


def _earlier(found: tuple[bytes, bytes | None], asked: Asked) -> Answer:
    request, sealed = found
    if request != asked.request:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "this Idempotency-Key was used for another request.", advice="Take a new one.",
        )  # fmt: skip
    if sealed is None:
        raise ProblemError(
            HTTPStatus.CONFLICT, "the node stopped while it did this request.",
            advice="Look whether it was done before you ask under a new Idempotency-Key.",
        )  # fmt: skip
    return replace(_unseal(sealed, asked), again=True)


def _seal(answer: Answer, asked: Asked) -> bytes:
    plain = json.dumps([answer.status, answer.text, answer.location]).encode()
    nonce = os.urandom(NONCE_BYTES)
    return nonce + _cipher(asked).encrypt(nonce, plain, asked.key.encode())


def _unseal(sealed: bytes, asked: Asked) -> Answer:
    nonce, rest = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
    try:
        status, text, location = json.loads(_cipher(asked).decrypt(nonce, rest, asked.key.encode()))
    except InvalidTag:
        raise ProblemError(
            HTTPStatus.CONFLICT, "the earlier answer cannot be read.",
            advice="Look whether it was done before you ask under a new Idempotency-Key.",
        ) from None  # fmt: skip
    return Answer(status, text, location)


def _cipher(asked: Asked) -> ChaCha20Poly1305:
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=_INFO).derive(asked.caller.token)
    return ChaCha20Poly1305(key)
