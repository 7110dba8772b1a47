"""Holds an application to its own document: whatever it answers under the API has to be as it stands there."""

import json
import re
from collections.abc import Iterable
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import jsonschema_rs
from flask import Flask

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

PREFIX = "/api/v1"
UNDOCUMENTED = frozenset({HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.INTERNAL_SERVER_ERROR})  # not what is meant to be


class Document:
    """The document of this release."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.content = content
        self._patterns = [
            (re.compile(re.sub(r"{\w+}", "[^/]+", path)), calls) for path, calls in sorted(content["paths"].items())
        ]
        self._validator = cache(self._validator_of)

    def calls(self) -> set[tuple[str, str]]:
        return {(method.upper(), path) for path, calls in self.content["paths"].items() for method in calls}

    def check(self, method: str, path: str, status: int, content_type: str, body: bytes) -> None:
        """Raises AssertionError for an answer that the document does not know."""
        call = self._call(method, path)
        if call is None or status in UNDOCUMENTED:
            return
        said = f"{method} {path} answers {status}"
        assert str(status) in call["responses"], f"{said}, which is not documented"
        content = call["responses"][str(status)].get("content")
        if content is None:
            assert body == b"", f"{said} with a body"
            return
        assert content_type in content, f"{said} as {content_type}"
        schema = json.dumps(content[content_type]["schema"])
        wrong = [str(one) for one in self._validator(schema).iter_errors(json.loads(body))]
        assert not wrong, f"{said}: {wrong}"

    def _call(self, method: str, path: str) -> Any:
        """What is said of a call; None if it is none of the API."""
        for pattern, calls in self._patterns:
            if pattern.fullmatch(path.removeprefix(PREFIX)) and method.lower() in calls:
                return calls[method.lower()]
        return None

    def _validator_of(self, schema: str) -> Any:
        components = {"components": self.content["components"]}
        return jsonschema_rs.validator_for(json.loads(schema) | components, validate_formats=True)


def held_to_its_document(app: Flask) -> Flask:
    """The same application; an answer that its document does not know is an AssertionError for whoever calls it."""
    app.wsgi_app = _Held(app, app.wsgi_app)  # type: ignore[method-assign]
    return app


class _Held:
    def __init__(self, app: Flask, inner: "WSGIApplication") -> None:
        self._app = app
        self._inner = inner

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        told: list[Any] = []

        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            told[:] = status, dict(headers)
            return start_response(status, headers, *more)

        chunks = list(self._inner(environ, start))
        status, headers = told
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if path.startswith(f"{PREFIX}/") and path != f"{PREFIX}/openapi.json":
            _of_this_release(self._app).check(
                method, path, int(status.split()[0]), headers.get("Content-Type", ""), b"".join(chunks)
            )
        return chunks


_known: list[Document] = []  # it is the same for every application, and takes a while to make


def _of_this_release(app: Flask) -> Document:
    if not _known:
        _known.append(Document(app.test_client().get(f"{PREFIX}/openapi.json").get_json()))
    return _known[0]
