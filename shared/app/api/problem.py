"""What an answer says when something went wrong: problem details, RFC 9457."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final

from aiohttp import web
from pydantic import BaseModel, Field, ValidationError

from shared.errors import SanjiError
from shared.web.i18n import later
from shared.web.server import status_of

PROBLEM_TYPE: Final = "application/problem+json"

FIELDS_MAX: Final = 20
"""Fields that one problem names; a hundred drafts may be wrong in all of theirs."""

NOT_KEPT: Final = {"Cache-Control": "no-store"}


class FieldProblem(BaseModel):
    """What is wrong with one field."""

    field: str = Field(description=later("哪一项；一批里的写成 items.3.title。"))
    message: str


class Problem(BaseModel):
    """The answer itself."""

    type: str = "about:blank"
    title: str = Field(description=later("状态码的名称。"))
    status: int
    detail: str = Field(description=later("出了什么事，怎么办。"))
    errors: list[FieldProblem] = Field(default=[], description=later("哪几项不对，最多 20 项。"))


class ProblemError(SanjiError):
    """The request cannot be answered."""

    def __init__(
        self,
        status: HTTPStatus,
        message: str,
        *,
        advice: str = "",
        fields: Sequence[FieldProblem] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Answer with ``status``, its name, ``message`` and whatever else is given."""
        super().__init__(message, advice=advice)
        self.status = status
        self.fields = tuple(fields)
        self.headers = dict(headers or {})


def unfit(error: ValidationError, what: str) -> ProblemError:
    """Return what to answer where ``what`` does not fit its model."""
    fields = [
        FieldProblem(field=".".join(map(str, one["loc"])) or what, message=one["msg"])
        for one in error.errors(include_url=False, include_input=False, include_context=False)
    ]
    return ProblemError(
        HTTPStatus.BAD_REQUEST, f"{what} does not fit its description.",
        fields=fields[:FIELDS_MAX],
    )  # fmt: skip


def problem_of(error: SanjiError) -> Problem:
    """Return ``error`` as problem details."""
    if isinstance(error, ProblemError):
        return _problem(error.status, str(error), error.fields)
    return _problem(status_of(error), str(error))


def _problem(status: HTTPStatus, detail: str, fields: Sequence[FieldProblem] = ()) -> Problem:
    return Problem(title=status.phrase, status=status, detail=detail, errors=list(fields))


def answer_to(error: SanjiError) -> web.Response:
    """Return the response that tells of ``error``."""
    told = problem_of(error)
    more = error.headers if isinstance(error, ProblemError) else {}
    return web.Response(
        text=told.model_dump_json(), status=told.status, content_type=PROBLEM_TYPE,
        headers={**NOT_KEPT, **more},
    )  # fmt: skip
