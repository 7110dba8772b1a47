"""The receiver's API as `rollbackctl` calls it.

CallError
├── Refused       the receiver answered, and not what was asked for; the text says why
└── NotReachable  no answer, or not one of a receiver
"""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import click

from receiver.outbound import Answer, Method, Outbound, OutboundError

Json = Mapping[str, Any]

_PAGE = "1000"  # rows of a page: the most that the API gives


class CallError(click.ClickException):
    """Ends the program with its exit code; the text goes to stderr."""


class Refused(CallError):
    """The API refused, with this HTTP status."""

    exit_code = 1

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class NotReachable(CallError):
    """There is no receiver at the address."""

    exit_code = 3


class Api:
    """One receiver, as the owner of one token. Every call raises CallError; values that are None are left out."""

    def __init__(self, http: Outbound, url: str, token: str | None, key: str | None = None) -> None:
        """With a `key` an order that is sent again has one effect."""
        self._http = http
        self._url = url.rstrip("/")
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._key = {} if key is None else {"Idempotency-Key": key}

    def get(self, collection: str, **params: str | None) -> Json:
        """Everything of a collection that the parameters ask for."""
        return self._document(self._call("GET", collection, params=params))

    def every(self, collection: str, **params: str | None) -> Iterator[Json]:
        """Each row that the parameters ask for, page after page."""
        after: str | None = None
        while True:
            document = self.get(collection, **params, limit=_PAGE, after=after)
            yield from document[collection]
            after = document["next"]
            if after is None:
                return

    def get_one(self, collection: str, *names: str, **params: str | None) -> Json:
        """The one of a collection that the names lead to."""
        path = "/".join(quote(name, safe="") for name in names)
        return self._document(self._call("GET", f"{collection}/{path}", params=params or None))

    def put(self, collection: str, body: Json) -> Json:
        return self._document(self._call("PUT", collection, body=body))

    def post(self, collection: str, body: Json) -> Json:
        return self._document(self._call("POST", collection, body=body))

    def post_to(self, collection: str, name: str, action: str, body: Json | None = None) -> Json:
        """Have something done with one of a collection."""
        return self._document(self._call("POST", f"{collection}/{quote(name, safe='')}/{action}", body=body))

    def ask(self, question: str, body: Json) -> tuple[bool, Json]:
        """Whether something is allowed (200) or not (409), and the document that says why."""
        answer = self._send("POST", f"{self._url}/api/v1/{question}", None, body)
        if answer.status not in (HTTPStatus.OK, HTTPStatus.CONFLICT):
            raise Refused(_detail(answer), answer.status)
        return answer.status == HTTPStatus.OK, self._document(answer)

    def delete(self, collection: str, **params: str | None) -> None:
        self._call("DELETE", collection, params=params)

    def delete_one(self, collection: str, name: str) -> None:
        self._call("DELETE", f"{collection}/{quote(name, safe='')}")

    def not_ready(self) -> str | None:
        """Why the receiver says that it cannot do its work now; None when it can."""
        answer = self._send("GET", f"{self._url}/-/ready", None, None)
        return None if answer.status == HTTPStatus.OK else _detail(answer)

    def _call(self, method: Method, path: str, *, params: Json | None = None, body: Json | None = None) -> Answer:
        answer = self._send(method, f"{self._url}/api/v1/{path}", params, body)
        if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
            raise Refused(_detail(answer), answer.status)
        return answer

    def _send(self, method: Method, url: str, params: Json | None, body: Json | None) -> Answer:
        headers = self._headers | (self._key if method == "POST" else {})
        try:
            return self._http.call(method, url, params=_given(params), body=_given(body), headers=headers)
        except OutboundError as problem:
            raise NotReachable(f"{problem}; does the receiver run at --url {self._url}?") from None

    def _document(self, answer: Answer) -> Json:
        if not isinstance(answer.body, dict):
            raise NotReachable(f"{self._url} answers, but not as a receiver does; correct --url")
        return answer.body


def _given(values: Json | None) -> Json | None:
    return None if values is None else {name: value for name, value in values.items() if value is not None}


def _detail(answer: Answer) -> str:
    """The problem's own sentence (RFC 9457)."""
    if isinstance(answer.body, dict) and isinstance(answer.body.get("detail"), str):
        cure = (
            ". Give yours with --token-file or in ROLLBACKCTL_TOKEN" if answer.status == HTTPStatus.UNAUTHORIZED else ""
        )
        return f"{answer.body['detail']} (HTTP {answer.status}){cure}"
    return f"HTTP {answer.status} without a reason; is there a receiver at --url?"
