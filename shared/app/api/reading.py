"""Reads what a request brings, within bounds, into the models of what may be asked."""

import asyncio
from http import HTTPStatus
from typing import Final, TypeVar

from aiohttp import ClientPayloadError, web
from aiohttp.http_exceptions import HttpProcessingError
from multidict import MultiMapping
from pydantic import BaseModel, ValidationError

from shared.app.api.problem import ProblemError, unfit
from shared.errors import InvalidError
from shared.web.security import read_all

BODY_BYTES_MAX: Final = 1024 * 1024
BODY_SECONDS_MAX: Final = 60.0
"""1 MiB over a line of 200 kbit/s takes 42 s."""

M = TypeVar("M", bound=BaseModel)


def single(query: MultiMapping[str]) -> dict[str, str]:
    """Return the query with each name once.

    Raises:
        InvalidError: a name stands twice; which one is meant?
    """
    single = dict(query.items())
    if len(single) != len(query):
        raise InvalidError("a name stands twice in the query.")
    return single


def read(model: type[M], values: dict[str, str], what: str) -> M:
    """Return ``values`` as ``model``.

    Raises:
        ProblemError: they do not fit; it names the fields.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise unfit(error, what) from None


def read_json(model: type[M], raw: bytes) -> M:
    """Return the JSON of a body as ``model``.

    Raises:
        ProblemError: it does not fit; it names the fields.
    """
    try:
        return model.model_validate_json(raw or b"{}")
    except ValidationError as error:
        raise unfit(error, "the body") from None


async def body_of(request: web.Request) -> bytes:
    """Return the body of a request.

    Raises:
        ProblemError: it is not JSON by its own word, too long, or takes too long.
        InvalidError: it cannot be unpacked.
    """
    if request.content_type != "application/json":
        raise ProblemError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "only application/json is read here.",
            headers={"Accept": "application/json"},
        )  # fmt: skip
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            return await read_all(request.content, BODY_BYTES_MAX)
    except TimeoutError:
        raise ProblemError(HTTPStatus.REQUEST_TIMEOUT, "the request took too long.") from None
    except InvalidError as error:
        raise ProblemError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, str(error), advice="Split it."
        ) from None
    except (HttpProcessingError, ClientPayloadError, web.RequestPayloadError):
        raise InvalidError("the body cannot be unpacked.") from None
