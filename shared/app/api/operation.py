"""One thing that a program can ask for: its address, what it takes, what it tells, who may.

The routes and the description are both made of this, so that they cannot differ.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel
from sqlalchemy import Connection

from shared.app.acts import ACTS
from shared.app.api.problem import ProblemError, problem_of
from shared.app.api.requests import Nothing
from shared.app.api.responses import Written
from shared.errors import RefusedError, SanjiError, UnavailableError
from shared.node.node import Node
from shared.record.feed import Level

T = TypeVar("T")
P = TypeVar("P", bound=BaseModel)
Q = TypeVar("Q", bound=BaseModel)
B = TypeVar("B", bound=BaseModel)

PREFIX: Final = "/api/v1"


def _no_progress(_done: int, _total: int) -> None:
    """No program waits for the progress of so short an act."""


@dataclass(frozen=True)
class Call(Generic[P, Q, B]):
    """One request, after it was read.

    Attributes:
        node: Whom it asks.
        path: What its address names.
        query: What stands behind the question mark.
        body: What it brings.
    """

    node: Node
    path: P
    query: Q
    body: B

    async def look(self, work: Callable[[Connection], T]) -> T:
        """Run a query on views that show all that the node holds, also what was just written.

        Raises:
            UnavailableError: this node keeps no views.
        """
        views = self.node.views
        if views is None:
            raise UnavailableError("this node keeps no views.")
        await views.catch_up()
        return await views.query(work)

    async def act(self, name: str, **given: Any) -> dict[str, Any]:
        """Do one act of ``shared.app.acts``."""
        return await ACTS[name](self.node, _no_progress, **given)

    def label(self, code: str) -> str:
        """Return what people call a division; its code where no certificate is held."""
        found = self.node.log.roster.certificate_of(code)
        return code if found is None else found.label


@dataclass(frozen=True, kw_only=True)
class Operation(Generic[P, Q, B]):
    """What can be asked for.

    Attributes:
        method: HTTP method.
        path: Below ``PREFIX``.
        name: Unique; what generated clients call it.
        summary: What it does, in one line of Chinese; translated when it is said.
        work: Does it.
        told: Of what kind the answer is.
        status: Of a good answer.
        location: Where to find what was made, with fields of the answer in its places.
        at: Of what kind the address is.
        query: Of what kind the query is.
        body: Of what kind the body is; ``Nothing`` for none.
        is_public: No token is needed.
        levels: Nodes of which tiers do it; others refuse.
        problems: What it can refuse besides what any can.
    """

    method: str
    path: str
    name: str
    summary: str
    work: Callable[[Call[P, Q, B]], Awaitable[BaseModel]]
    told: type[BaseModel]
    status: HTTPStatus = HTTPStatus.OK
    location: str = ""
    at: type[P] = field(default=Nothing)  # type: ignore[assignment]
    query: type[Q] = field(default=Nothing)  # type: ignore[assignment]
    body: type[B] = field(default=Nothing)  # type: ignore[assignment]
    is_public: bool = False
    levels: Sequence[Level] = tuple(Level)
    problems: Sequence[HTTPStatus] = ()

    @property
    def takes_body(self) -> bool:
        """True if a body is read."""
        return self.body is not Nothing

    @property
    def is_written_once(self) -> bool:
        """True if an Idempotency-Key means something: it writes."""
        return self.takes_body and not self.is_public

    def check_level(self, level: Level) -> None:
        """Let pass what nodes of this tier do.

        Raises:
            RefusedError: another tier's do it.
        """
        if level not in self.levels:
            words = " and ".join(f"{one.word}s" for one in self.levels)
            raise RefusedError(f"only {words} do this; this node is a {level.word}.")


AnyOperation = Operation[Any, Any, Any]


def written(told: dict[str, Any]) -> Written:
    """Return what an act says of its record."""
    return Written.model_validate(told)


async def each(
    acts: Iterable[Awaitable[dict[str, Any]]], put: Callable[[int, Any, Any], T]
) -> list[T]:
    """Do all at once, so that they share a transaction, and say what became of each.

    Args:
        acts: What to do.
        put: Makes a result of status, what the act told, and the problem; one of the two is None.

    Raises:
        SanjiError: all failed, and not by a fault of theirs.
    """
    done = await asyncio.gather(*acts, return_exceptions=True)
    results, failed = [], []
    for one in done:
        if isinstance(one, SanjiError):
            problem = problem_of(one)
            results.append(put(problem.status, None, problem))
            if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                failed.append(one)
        elif isinstance(one, BaseException):
            raise one
        else:
            results.append(put(HTTPStatus.CREATED, one, None))
    if len(failed) == len(done):
        raise failed[0]
    return results


def not_found(what: str) -> ProblemError:
    """Return the problem of an address that names nothing."""
    return ProblemError(HTTPStatus.NOT_FOUND, f"{what} is not here.")
