"""What requests may contain, and times as the API writes them: RFC 3339 with an offset."""

import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from http import HTTPStatus
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qsl

from flask import g, request
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import ErrorDetails

from receiver.payload import storable
from receiver.web.problems import Fault, Problem, bad_request

_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_MAX_MOMENT = datetime(9999, 1, 1, tzinfo=UTC).timestamp()
MAX_LIMIT = 1000
_MAX_FIELDS = 100  # of a form: ours have fewer


def _moment(value: object) -> float:
    """Unix seconds of an RFC 3339 time."""
    if not isinstance(value, str) or _RFC3339.fullmatch(value) is None:
        raise ValueError("must be a time with its offset, like 2024-01-01T12:00:00Z or 2024-01-01T13:00:00+01:00")
    return within_range(datetime.fromisoformat(value.upper().replace(" ", "T")).timestamp())


def within_range(moment: float) -> float:
    """The same Unix seconds. Raises ValueError for a year that not every clock and database knows."""
    if not 0 <= moment <= _MAX_MOMENT:
        raise ValueError("must be a time between the years 1970 and 9998")
    return moment


def rfc3339(moment: float) -> str:
    """Unix seconds in UTC, to the millisecond."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def rfc3339_or_none(moment: float | None) -> str | None:
    return None if moment is None else rfc3339(moment)


Moment = Annotated[float, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})]
"""Written as RFC 3339, read as Unix seconds."""

Words = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=1000),
    AfterValidator(storable),
]
"""What a person has to say: a reason."""

Name = Annotated[str, StringConstraints(max_length=200), AfterValidator(storable)]
"""An organization, a flow id, an owner; longer ones do not exist."""

Limit = Annotated[int, Field(ge=1, le=MAX_LIMIT)]


class Strict(BaseModel):
    """Base of what requests contain: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class NoParameters(Strict):
    """The query of a call that has none."""


ModelT = TypeVar("ModelT", bound=Strict)


def raw_body() -> bytes:
    """The request's whole body. Raises Problem 400, and RequestEntityTooLarge also where no Content-Length told it."""
    coding = request.headers.get("Content-Encoding", "identity")
    if coding.lower() != "identity":
        raise Problem(HTTPStatus.BAD_REQUEST, f"the body is compressed (Content-Encoding: {coding}); send it as it is")
    data = request.get_data(cache=False)
    g.body_digest = sha256(data).hexdigest()
    request.stream.read(1)  # Werkzeug cuts a chunked body off at the limit, and objects only to a read after that
    return data


def body(model: type[ModelT]) -> ModelT:
    """The request's JSON body, whatever its Content-Type says. Raises Problem 400 with every fault."""
    return _read(model, raw_body())


def body_or(model: type[ModelT], default: ModelT) -> ModelT:
    """The same where the body may be left out."""
    data = raw_body()
    return _read(model, data) if data else default


def _read(model: type[ModelT], data: bytes) -> ModelT:
    try:
        read = model.model_validate_json(data)
    except ValidationError as problem:
        raise bad_request(_faults(model, problem, _in_body)) from None
    each_key_once(data)
    return read


def each_key_once(data: bytes) -> None:
    """Raises Problem 400 for JSON in which an object has a key twice: parsers keep one and lose the other."""
    json.loads(data, object_pairs_hook=_mapping, parse_int=str, parse_float=str)


def _mapping(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise Problem(HTTPStatus.BAD_REQUEST, f'the key "{name}" is given twice in one object; give it once')
        found[name] = value
    return found


def form(
    model: type[ModelT], *, besides: Sequence[str] = (), many: Sequence[str] = (), **ours: Any
) -> tuple[ModelT, dict[str, str]]:
    """What a form of a page was filled in with, and the fields `besides` that the model does not have.

    A field that was left empty is as if it were not there; those of `many` may come several times. What is `ours` the
    form cannot change. Raises Problem 400 with every fault; then `g.filled` has all that came, by field.
    """
    try:
        pairs = parse_qsl(raw_body().decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise Problem(HTTPStatus.BAD_REQUEST, "the body is not that of a form") from None
    filled: dict[str, list[str]] = {}
    for name, value in pairs:
        if value.strip():
            filled.setdefault(name, []).append(value)
    g.filled = dict(filled)
    apart = {name: filled.pop(name, [""])[0] for name in besides}
    values = {name: found[0] if len(found) == 1 and name not in many else found for name, found in filled.items()}
    return checked(model, values | ours), apart


def checked(model: type[ModelT], values: dict[str, Any]) -> ModelT:
    """The model of what came in the request's body. Raises Problem 400 with every fault."""
    try:
        return model.model_validate(values)
    except ValidationError as problem:
        raise bad_request(_faults(model, problem, _in_body)) from None


def query(model: type[ModelT]) -> ModelT:
    """The request's query parameters. Raises Problem 400 with every fault."""
    given: dict[str, Any] = {
        name: values[0] if len(values) == 1 else values for name, values in request.args.to_dict(flat=False).items()
    }
    try:
        return model.model_validate(given)
    except ValidationError as problem:
        raise bad_request(_faults(model, problem, _in_query)) from None


def _faults(model: type[Strict], problem: ValidationError, where: Callable[[ErrorDetails], Fault]) -> list[Fault]:
    faults = problem.errors(include_url=False, include_context=False, include_input=False)
    return [{"detail": _said(model, fault), **where(fault)} for fault in faults]


def _in_body(fault: ErrorDetails) -> Fault:
    return {"pointer": "#" + "".join(f"/{part}" for part in fault["loc"])}


def _in_query(fault: ErrorDetails) -> Fault:
    return {"parameter": str(fault["loc"][0])}


def _said(model: type[Strict], fault: ErrorDetails) -> str:
    if fault["type"] == "extra_forbidden":
        return f"is unknown; known here: {', '.join(model.model_fields) or 'none'}"
    if fault["type"] == "missing":
        return "is missing"
    if fault["type"] == "string_type":
        return "must be text, and given once"
    said = fault["msg"].removeprefix("Value error, ")
    return f"must {said.removeprefix('Input should ')}" if said.startswith("Input should ") else said
