"""What the API's document says of a call: beside its view, in the terms of the models that the view reads and writes.

Requests are pydantic models, those that validate. Answers are `TypedDict`s: mypy holds the views to them, and they cost
nothing at work. `openapi` makes the document of both.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Annotated, Any, NotRequired, TypeVar

from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from receiver.web.fields import NoParameters, Strict

ViewT = TypeVar("ViewT", bound=Callable[..., Any])

CALL = "documented_call"
ROLES = "roles"  # set by the decorator that asks for them; none: anybody

Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""RFC 3339 in UTC, as answers have it."""

Json = dict[str, Any]
"""Facts that people read; which ones differs, and new ones come."""


class Fault(TypedDict):
    """One thing that is wrong with a request, and where."""

    detail: str
    pointer: NotRequired[str]
    parameter: NotRequired[str]
    flow_id: NotRequired[str]
    reason: NotRequired[str]
    guard: NotRequired[str]


class ProblemDocument(TypedDict):
    """What is answered instead of what was asked for (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: NotRequired[list[Fault]]


@dataclass(frozen=True, slots=True)
class Call:
    """One call. Every one may also be refused for its parameters, its token, its body, or for want of a database."""

    summary: str
    answers: Mapping[HTTPStatus, Any]  # the type of each answer's JSON; None: it has no body
    query: type[Strict] = NoParameters
    body: type[BaseModel] | None = None
    body_may_be_left_out: bool = False
    refusals: frozenset[HTTPStatus] = field(default_factory=frozenset)
    keyed: bool = False  # an Idempotency-Key may be given


def documented(
    summary: str,
    answer: Any,
    *,
    status: HTTPStatus = HTTPStatus.OK,
    or_status: HTTPStatus | None = None,
    query: type[Strict] = NoParameters,
    body: type[BaseModel] | None = None,
    body_may_be_left_out: bool = False,
    refusals: tuple[HTTPStatus, ...] = (),
    keyed: bool = False,
) -> Callable[[ViewT], ViewT]:
    """Decorates a view with what the document says of it: innermost, so that wrappers take it along.

    `answer` is the type of what it gives, with `status` or `or_status`; `refusals` are those of its own.
    """
    answers = {one: answer for one in (status, or_status) if one is not None}
    call = Call(summary, answers, query, body, body_may_be_left_out, frozenset(refusals), keyed)

    def decorate(view: ViewT) -> ViewT:
        view.__dict__[CALL] = call
        return view

    return decorate
