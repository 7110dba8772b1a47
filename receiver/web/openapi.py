"""`GET /openapi.json`: the API's document (OpenAPI 3.1), made from the views and the models that validate.

Nobody needs a token for it: it says nothing about this receiver, only about its release.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from flask import Flask
from flask.typing import ResponseReturnValue
from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from receiver.web.documented import CALL, ROLES, Call, Json, ProblemDocument, documented
from receiver.web.fields import NoParameters, query
from receiver.web.idempotency import HEADER, KEY

_SCHEMAS = "#/components/schemas/"
_PROBLEM = "application/problem+json"
_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")
_BODIES = frozenset({"POST", "PUT"})
_IDEMPOTENCY_KEY = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "The same order with the same key has one effect, and is answered as the first time, for a day.",
    "schema": {"type": "string", "pattern": KEY},
}
_NEVER = frozenset({"HEAD", "OPTIONS"})
# Answered by the server before it knows what is asked for: in its own words, not as a problem.
_TOO_LONG = {"description": "The request line has more than 8,190 bytes.", "content": {"text/html": {}}}

Key = tuple[str, str]
"""An endpoint, and which of its models."""


def install(app: Flask, prefix: str) -> None:
    """Serve the document of every call under `prefix`, with them, and at the root where people look for it."""
    document = cache(lambda: document_of(app, prefix))

    @documented("This document.", Json)
    def show_document() -> ResponseReturnValue:
        query(NoParameters)
        return document()

    app.get(f"{prefix}/openapi.json", endpoint="document")(show_document)
    app.get("/openapi.json", endpoint="document_at_root")(show_document)


@dataclass(frozen=True, slots=True)
class _Operation:
    """One call as the application routes it."""

    endpoint: str
    path: str
    method: str
    call: Call
    roles: tuple[str, ...]

    @property
    def statuses(self) -> frozenset[HTTPStatus]:
        """Every refusal that may come of it."""
        common = {HTTPStatus.BAD_REQUEST, HTTPStatus.SERVICE_UNAVAILABLE}
        if self.roles:
            common |= {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
        if self.call.keyed:
            common.add(HTTPStatus.UNPROCESSABLE_ENTITY)
        if self.call.body is not None:
            common.add(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        return frozenset(common | self.call.refusals)


def document_of(app: Flask, prefix: str) -> Json:
    """The document of every call under `prefix`. Raises KeyError for one that says nothing about itself."""
    operations = list(_operations(app, prefix))
    schemas = _schemas(operations)
    paths: Json = {}
    for one in operations:
        paths.setdefault(one.path, {})[one.method.lower()] = _described(one, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Genesys Rollback Bridge",
            "version": version("genesys-rollback-bridge"),
            "description": "What the rollback receiver takes, shows and does. Times are RFC 3339 with an offset.",
        },
        "servers": [{"url": prefix}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Of receiver.yml or `rollback-receiver token`; for people a proxy may stand in.",
                }
            },
            "schemas": dict(sorted(schemas.shared.items())),
        },
    }


def _operations(app: Flask, prefix: str) -> Iterator[_Operation]:
    for rule in app.url_map.iter_rules():
        if not rule.rule.startswith(f"{prefix}/"):
            continue
        view = app.view_functions[rule.endpoint]
        roles = tuple(sorted(view.__dict__.get(ROLES, ())))
        path = _PARAMETER.sub(r"{\1}", rule.rule.removeprefix(prefix))
        for method in sorted((rule.methods or set()) - _NEVER):
            yield _Operation(rule.endpoint, path, method, view.__dict__[CALL], roles)


@dataclass(frozen=True, slots=True)
class _Schemas:
    """What each model of a call is, by its use; the named schemas that these refer to; and those of queries.

    A query is no document: its properties are parameters.
    """

    uses: dict[Key, Json]
    shared: dict[str, Json]
    queries: dict[str, Json]

    def query_of(self, endpoint: str) -> Json:
        return self.queries[_name(self.uses[endpoint, "query"])]


def _schemas(operations: Iterable[_Operation]) -> _Schemas:
    inputs: list[tuple[Key, JsonSchemaMode, TypeAdapter[Any]]] = []
    for one in operations:
        inputs.append(((one.endpoint, "query"), "validation", TypeAdapter(one.call.query)))
        if one.call.body is not None:
            inputs.append(((one.endpoint, "body"), "validation", TypeAdapter(one.call.body)))
        inputs += [
            ((one.endpoint, str(status.value)), "serialization", TypeAdapter(answer))
            for status, answer in one.call.answers.items()
            if answer is not None
        ]
    inputs.append((("", "problem"), "serialization", TypeAdapter(ProblemDocument)))
    found, definitions = TypeAdapter.json_schemas(inputs, ref_template=f"{_SCHEMAS}{{model}}")
    uses = {key: schema for (key, _), schema in found.items()}
    shared = definitions["$defs"]
    names = {_name(schema) for (_, use), schema in uses.items() if use == "query"}
    return _Schemas(uses, shared, {name: shared.pop(name) for name in names})


def _described(one: _Operation, schemas: _Schemas) -> Json:
    call = one.call
    told: Json = {"operationId": one.endpoint.replace(".", "_"), "summary": call.summary}
    if one.roles:
        told |= {"description": f"Roles: {', '.join(one.roles)}.", "security": [{"token": list(one.roles)}]}
    told["parameters"] = [*_in_path(one.path), *_in_query(schemas.query_of(one.endpoint))]
    if call.keyed:
        told["parameters"].append(_IDEMPOTENCY_KEY)
    if call.body is not None:
        told["requestBody"] = {
            "required": not call.body_may_be_left_out,
            "content": {"application/json": {"schema": schemas.uses[one.endpoint, "body"]}},
        }
    told["responses"] = {
        **{str(status.value): _answer(status, answer, one, schemas) for status, answer in call.answers.items()},
        **{str(status.value): _refusal(status, schemas) for status in sorted(one.statuses)},
        **({str(HTTPStatus.REQUEST_URI_TOO_LONG.value): _TOO_LONG} if told["parameters"] else {}),
    }
    return told


def _answer(status: HTTPStatus, answer: Any, one: _Operation, schemas: _Schemas) -> Json:
    if answer is None:
        return {"description": status.phrase}
    schema = schemas.uses[one.endpoint, str(status.value)]
    return {"description": status.phrase, "content": {"application/json": {"schema": schema}}}


def _refusal(status: HTTPStatus, schemas: _Schemas) -> Json:
    return {"description": status.phrase, "content": {_PROBLEM: {"schema": schemas.uses["", "problem"]}}}


def _in_path(path: str) -> list[Json]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in re.findall(r"{(\w+)}", path)
    ]


def _in_query(schema: Json) -> list[Json]:
    required = schema.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _without_null(one)}
        for name, one in schema.get("properties", {}).items()
    ]


def _without_null(schema: Json) -> Json:
    """A parameter is there or is not; it cannot be null."""
    kinds = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    if not kinds:
        return schema
    rest = {name: value for name, value in schema.items() if name not in ("anyOf", "default")}
    return rest | dict(kinds[0])


def _name(reference: Json) -> str:
    return str(reference["$ref"]).removeprefix(_SCHEMAS)
