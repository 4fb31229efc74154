"""The description of the API, OpenAPI 3.1, made of the operations and their models.

Made in the reader's language: summaries and descriptions are texts of ``locale``. The docstrings
of the models are for who reads the code, and stay there.
"""

from collections.abc import Iterable, Iterator
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from shared.app.api.operation import PREFIX, AnyOperation
from shared.app.api.problem import PROBLEM_TYPE, Problem
from shared.app.api.requests import Nothing
from shared.record.feed import Level
from shared.web.i18n import Words, later

_REF: Final = "#/components/schemas/{model}"

_WHEN: Final = {
    HTTPStatus.BAD_REQUEST: later("给的东西不合说明"),
    HTTPStatus.UNAUTHORIZED: later("没有令牌，或令牌不对"),
    HTTPStatus.FORBIDDEN: later("听懂了，但不许"),
    HTTPStatus.NOT_FOUND: later("这里没有"),
    HTTPStatus.REQUEST_TIMEOUT: later("送得太慢"),
    HTTPStatus.CONFLICT: later("同一个 Idempotency-Key 的请求正在办，或不知道办成没有"),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: later("超过 1 MiB"),
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: later("不是 application/json"),
    HTTPStatus.UNPROCESSABLE_ENTITY: later("这个 Idempotency-Key 已经用在别的请求上"),
    HTTPStatus.INTERNAL_SERVER_ERROR: later("程序出了错"),
    HTTPStatus.SERVICE_UNAVAILABLE: later("现在办不了，过一会儿再试"),
    HTTPStatus.INSUFFICIENT_STORAGE: later("磁盘写不进；什么也没存"),
}
_ALWAYS: Final = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.INSUFFICIENT_STORAGE,
)
_WITH_BODY: Final = (
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
)
_WRITING: Final = (
    HTTPStatus.FORBIDDEN,
    HTTPStatus.CONFLICT,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)
_TIERS: Final = {
    Level.DISTRICT: later("区"),
    Level.TOWN: later("镇"),
    Level.VILLAGE: later("村"),
}


def document(operations: Iterable[AnyOperation], words: Words) -> dict[str, Any]:
    """Return the description of ``operations`` in the reader's language."""
    every = tuple(operations)
    refs, schemas = _schemas(every)
    paths: dict[str, dict[str, Any]] = {}
    for one in every:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, refs, words)
    described = {
        "openapi": "3.1.0",
        "info": {"title": "Sanji 三级互动", "version": version("sanji")},
        "servers": [{"url": PREFIX}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }
    _translate(described, words)
    return described


def _schemas(
    operations: Iterable[AnyOperation],
) -> tuple[dict[type[Any], dict[str, Any]], dict[str, Any]]:
    """Return the reference to each model of a body or an answer, and what they refer to."""
    wanted: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {(Problem, "serialization"): None}
    for one in operations:
        wanted[one.told, "serialization"] = None
        if one.takes_body:
            wanted[one.body, "validation"] = None
    refs, defined = models_json_schema(list(wanted), ref_template=_REF)
    schemas = defined["$defs"]
    for schema in schemas.values():
        schema.pop("description", None)
        _untitle(schema)
    by_model: dict[type[Any], dict[str, Any]] = {model: ref for (model, _), ref in refs.items()}
    return by_model, schemas


def _untitle(schema: dict[str, Any]) -> None:
    """Drop the titles, which repeat the names."""
    schema.pop("title", None)
    for one in schema.get("properties", {}).values():
        one.pop("title", None)


def _operation(
    one: AnyOperation, refs: dict[type[Any], dict[str, Any]], words: Words
) -> dict[str, Any]:
    told: dict[str, Any] = {"application/json": {"schema": refs[one.told]}}
    good: dict[str, Any] = {"description": one.status.phrase, "content": told}
    if one.location:
        good["headers"] = {"Location": {"required": True, "schema": {"type": "string"}}}
    described: dict[str, Any] = {
        "operationId": one.name,
        "summary": words.say(one.summary),
        "security": [] if one.is_public else [{"token": []}],
        "parameters": [*_parameters(one.at, "path"), *_parameters(one.query, "query")],
        "responses": {str(one.status.value): good, **_problems(one, refs[Problem])},
    }
    if len(one.levels) < len(Level):
        described["x-tiers"] = [level.word for level in one.levels]
        tiers = words.say("、").join(words.say(_TIERS[level]) for level in one.levels)
        described["description"] = words.say("只在这一级：{tiers}。", tiers=tiers)
    if one.takes_body:
        content = {"application/json": {"schema": refs[one.body]}}
        described["requestBody"] = {"required": True, "content": content}
    if one.is_written_once:
        described["parameters"].append({
            "name": "Idempotency-Key", "in": "header", "required": False,
            "description": later("自己起的，同一件事重发用同一个：24 小时里只办一次。"),
            "schema": {"type": "string", "pattern": r"^[\x21-\x7e]{1,200}$"},
        })  # fmt: skip
    return described


def _parameters(model: type[BaseModel], place: str) -> Iterator[dict[str, Any]]:
    if model is Nothing:
        return
    schema = model.model_json_schema()
    required = schema.get("required", ())
    for name, found in schema["properties"].items():
        found.pop("title", None)
        parameter = {"name": name, "in": place, "required": name in required}
        if "description" in found:
            parameter["description"] = found.pop("description")
        yield parameter | {"schema": _not_null(found)}


def _not_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a parameter: it can be left out, and cannot be null."""
    kinds: list[dict[str, Any]] = [
        one for one in schema.get("anyOf", ()) if one != {"type": "null"}
    ]
    return kinds[0] if len(kinds) == 1 else schema


def _problems(one: AnyOperation, ref: dict[str, Any]) -> dict[str, Any]:
    statuses = {*_ALWAYS, *one.problems}
    if not one.is_public:
        statuses.add(HTTPStatus.UNAUTHORIZED)
    if one.takes_body:
        statuses |= {*_WITH_BODY}
    if one.is_written_once:
        statuses |= {*_WRITING}
    return {str(status.value): _problem(status, ref) for status in sorted(statuses)}


def _problem(status: HTTPStatus, ref: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "description": _WHEN[status],
        "content": {PROBLEM_TYPE: {"schema": ref}},
    }
    if status == HTTPStatus.UNAUTHORIZED:
        challenge = {"required": True, "schema": {"type": "string"}}
        described["headers"] = {"WWW-Authenticate": challenge}
    return described


def _translate(value: Any, words: Words) -> None:
    """Say each description in the reader's language; one that is said already stays."""
    if isinstance(value, dict):
        text = value.get("description")
        if isinstance(text, str) and text:
            value["description"] = words.translations.gettext(text)
        for one in value.values():
            _translate(one, words)
    elif isinstance(value, list):
        for one in value:
            _translate(one, words)
