"""Errors as `application/problem+json` (RFC 9457), to people as a page; nobody gets to see a traceback."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus

from flask import Flask, Response, request
from werkzeug.exceptions import ClientDisconnected, HTTPException, RequestEntityTooLarge

from genesys.log import event
from receiver.store.database import OutcomeUnknown, StoreUnavailable

log = logging.getLogger(__name__)

BRING_BACK = "bring the database back, so that it can be written; see database_url in receiver.yml"

Fault = Mapping[str, str]
"""One thing that is wrong with a request: `detail`, and where: `pointer` (body) or `parameter` (query)."""


class Problem(Exception):
    """An answer that is not what was asked for; `detail` is a sentence for the caller."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        errors: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
        challenges: Sequence[str] = (),
    ) -> None:
        """`challenges` say how a caller may show who they are (`WWW-Authenticate`)."""
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.challenges = tuple(challenges)

    def response(self) -> Response:
        body: dict[str, object] = {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
        }
        if self.errors:
            body["errors"] = [dict(error) for error in self.errors]
        challenges = {"WWW-Authenticate": ", ".join(self.challenges)} if self.challenges else {}
        headers = self.headers | challenges
        return Response(json.dumps(body) + "\n", self.status, headers, mimetype="application/problem+json")


def not_found(detail: str) -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, detail)


def broken_body(how: str) -> Problem:
    """400 for a body that did not arrive as HTTP wants it."""
    return Problem(HTTPStatus.BAD_REQUEST, f"the body cannot be read: {how}")


def bad_request(errors: Sequence[Fault]) -> Problem:
    """400 for what a client can correct; the detail repeats the errors for those who show nothing else."""
    said = "; ".join(f"{error.get('pointer') or error.get('parameter', '')}: {error['detail']}" for error in errors)
    return Problem(HTTPStatus.BAD_REQUEST, said, errors=errors)


def install(app: Flask, max_body_bytes: int, show: Callable[[Problem], Response] = Problem.response) -> None:
    """Turn every error of the application into a problem; `show` makes the answer of it."""

    def refused(problem: Problem) -> Response:
        return show(problem)

    def too_large(_: RequestEntityTooLarge) -> Response:
        detail = f"the body is larger than {max_body_bytes} bytes, which is max_body_bytes in receiver.yml"
        return show(Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail))

    def cut_off(_: ClientDisconnected) -> Response:
        return show(broken_body("the connection ended before it did"))

    def of_http(error: HTTPException) -> Response:
        allow = {name: value for name, value in error.get_headers() if name == "Allow"}
        status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
        return show(Problem(status, error.description or status.description, headers=allow))

    def no_store(problem: StoreUnavailable) -> Response:
        event(log, logging.WARNING, "database_unavailable", path=request.path, error=problem, cure=BRING_BACK)
        kept = "look whether it was done" if isinstance(problem, OutcomeUnknown) else "this request has changed nothing"
        detail = f"the database cannot be used now, {kept}; the receiver's log says why"
        return show(Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail))

    def unexpected(_: Exception) -> Response:
        log.exception('request_failed method=%s path=%a cure="please report this"', request.method, request.path)
        detail = "something unexpected happened; the receiver's log has it"
        return show(Problem(HTTPStatus.INTERNAL_SERVER_ERROR, detail))

    app.register_error_handler(Problem, refused)
    app.register_error_handler(RequestEntityTooLarge, too_large)
    app.register_error_handler(ClientDisconnected, cut_off)
    app.register_error_handler(HTTPException, of_http)
    app.register_error_handler(StoreUnavailable, no_store)
    app.register_error_handler(Exception, unexpected)
