"""The reference page: the description as people read it."""

from dataclasses import dataclass
from typing import Any, Final

from shared.web.i18n import Words

_SCHEMA: Final = "#/components/schemas/"
_JSON: Final = "application/json"


@dataclass(frozen=True)
class FieldShown:
    """A field or parameter.

    Attributes:
        name: Its name.
        place: path, query or header; empty in a body.
        kind: What it may be, in words.
        model: Name of the model that it holds, empty for none.
        is_required: It cannot be left out.
        about: What it is.
    """

    name: str
    place: str
    kind: str
    model: str
    is_required: bool
    about: str


@dataclass(frozen=True)
class OperationShown:
    """One thing that can be asked for.

    Attributes:
        name: Its name; also its place on the page.
        method: HTTP method.
        path: Its address.
        summary: What it does.
        about: More of it.
        needs_token: Only with a token.
        parameters: In the address, the query and the header.
        body: Model of the body, empty for none.
        told: Model of a good answer.
        statuses: Each with what it means.
    """

    name: str
    method: str
    path: str
    summary: str
    about: str
    needs_token: bool
    parameters: tuple[FieldShown, ...]
    body: str
    told: str
    statuses: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ModelShown:
    """What a body or an answer holds."""

    name: str
    fields: tuple[FieldShown, ...]


class Reference:
    """Reads one description aloud.

    Attributes:
        operations: What can be asked for, in the order of the description.
        models: What bodies and answers hold, by name.
    """

    def __init__(self, described: dict[str, Any], words: Words) -> None:
        """Read ``described``, in the reader's language."""
        self._words = words
        self._schemas: dict[str, Any] = described["components"]["schemas"]
        prefix = described["servers"][0]["url"]
        self.operations = [
            self._operation(method.upper(), prefix + path, one)
            for path, methods in described["paths"].items()
            for method, one in methods.items()
        ]
        self.models = [
            ModelShown(name, self._fields(schema))
            for name, schema in sorted(self._schemas.items())
            if _is_model(schema)
        ]

    def _operation(self, method: str, path: str, one: dict[str, Any]) -> OperationShown:
        responses = one["responses"]
        good = next(iter(responses.values()))["content"][_JSON]["schema"]
        body = one["requestBody"]["content"][_JSON]["schema"] if "requestBody" in one else {}
        return OperationShown(
            name=one["operationId"], method=method, path=path, summary=one["summary"],
            about=one.get("description", ""), needs_token=bool(one["security"]),
            parameters=tuple(map(self._parameter, one["parameters"])),
            body=self._model(body), told=self._model(good),
            statuses=tuple((status, told["description"]) for status, told in responses.items()),
        )  # fmt: skip

    def _parameter(self, one: dict[str, Any]) -> FieldShown:
        schema = one["schema"]
        return FieldShown(
            one["name"], one["in"], self._kind(schema), self._model(schema), one["required"],
            one.get("description", ""),
        )  # fmt: skip

    def _fields(self, model: dict[str, Any]) -> tuple[FieldShown, ...]:
        required = model.get("required", ())
        return tuple(
            FieldShown(name, "", self._kind(schema), self._model(schema), name in required,
                       schema.get("description", ""))
            for name, schema in model["properties"].items()
        )  # fmt: skip

    def _model(self, schema: dict[str, Any]) -> str:
        """Return the name of the model that a value is, holds in a list or may be."""
        if "$ref" in schema:
            name = str(schema["$ref"]).removeprefix(_SCHEMA)
            return name if _is_model(self._schemas[name]) else ""
        inner = [*schema.get("anyOf", ()), *([schema["items"]] if "items" in schema else ())]
        return next(filter(None, map(self._model, inner)), "")

    def _kind(self, schema: dict[str, Any]) -> str:
        """Return what a value may be, in words; a model is linked beside it."""
        if "$ref" in schema:
            found = self._schemas[str(schema["$ref"]).removeprefix(_SCHEMA)]
            return "" if _is_model(found) else self._kind(found)
        if "anyOf" in schema:
            return " | ".join(filter(None, map(self._kind, schema["anyOf"])))
        if "const" in schema:
            return str(schema["const"])
        if "enum" in schema:
            return " | ".join(schema["enum"])
        if schema.get("type") == "array":
            return self._words.say("列表") + _bounds(schema, "Items")
        return str(schema.get("type", "")) + _bounds(schema, "imum", "Length")


def _is_model(schema: dict[str, Any]) -> bool:
    return "properties" in schema


def _bounds(schema: dict[str, Any], *ends: str) -> str:
    """Return the bounds of a value, its length or its number, as far as they are said."""
    for end in ends:
        least, most = schema.get("min" + end), schema.get("max" + end)
        if most is not None:
            return f" ≤{most}" if least is None else f" {least}–{most}"
    return ""
