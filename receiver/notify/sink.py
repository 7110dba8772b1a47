"""What every sink is to the deliverer, and how the answers of the services are taken.

OutboundError   not delivered: it is tried again
└── Refusal     the service will never take this event: it is logged, counted, and not tried again
"""

from collections.abc import Callable, Collection, Mapping
from http import HTTPStatus
from typing import Any, Protocol

from pydantic import SecretStr

from receiver.outbound import Answer, Method, OutboundError

Event = Mapping[str, Any]
"""One event as the outbox has it."""

MAX_SAID_CHARS = 300  # of what a service says to a request that it does not take

# The document is wrong, whoever sends it. 401, 403 and 404 are not here: with other settings the same event is taken.
_PERMANENT = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY})


class Refusal(OutboundError):
    """The service will not take this event, however often it is sent."""


class Sink(Protocol):
    """Somebody who is told."""

    @property
    def name(self) -> str: ...

    @property
    def line(self) -> Callable[[Event, str], str] | None:
        """By an event and its id, the line in which it stands: there no end overtakes its beginning.

        None: events may overtake each other.
        """

    def send(self, event: Event, event_id: str) -> str:
        """Deliver one event; gives what came back, in a few words. Raises OutboundError, and Refusal for good.

        Nothing may be wrong if the same event is sent again: a receiver may die before it has noted the answer.
        """


class Http(Protocol):
    """What is needed of `receiver.outbound.Outbound`."""

    def post_json(self, url: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> None: ...

    def post_content(self, url: str, content: bytes, headers: Mapping[str, str]) -> None: ...

    def call(
        self,
        method: Method,
        url: str,
        *,
        params: Mapping[str, str | list[str]] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer: ...


def taken(service: str, answer: Answer, *secrets: SecretStr | None) -> Answer:
    """The answer if it is a 2xx. Raises Refusal for a document that the service will never take, else OutboundError.

    The text has what the service says, without the secrets.
    """
    if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        return answer
    said = _said(answer.body)
    for secret in secrets:
        if secret is not None:
            said = said.replace(secret.get_secret_value(), "***")
    text = f"{service} answered HTTP {answer.status}{': ' if said else ''}{said[:MAX_SAID_CHARS]}"
    raise (Refusal if answer.status in _PERMANENT else OutboundError)(text)


def _said(body: Any) -> str:
    """The words of an error document: PagerDuty `message` and `errors`, Grafana `message`, ServiceNow `error`."""
    if not isinstance(body, Mapping):
        return ""
    error = body.get("error")
    parts = error if isinstance(error, Mapping) else body
    words = [parts.get("message"), parts.get("detail")]
    errors = parts.get("errors")
    words += errors if isinstance(errors, list) else []
    return "; ".join(" ".join(word.split()) for word in words if isinstance(word, str) and word)


def shortened(text: str, chars: int) -> str:
    """The text in so many characters at most."""
    return text if len(text) <= chars else f"{text[: chars - 1]}…"


def given(values: Mapping[str, Any], *, never: Collection[Any] = (None, "")) -> dict[str, Any]:
    """Without what is unknown: services want fields that are left out, not empty ones."""
    return {name: value for name, value in values.items() if value not in never}
