"""HTTP to everybody but Genesys Cloud: Alertmanager's API, the notification sinks, the feeds, and the receiver's own
API for `rollbackctl`. `httpx.*` never leaves it.
"""

import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import httpx

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Params = Mapping[str, str | list[str]]

_HEADERS = {"User-Agent": "genesys-rollback-bridge"}


class OutboundError(Exception):
    """The other side did not take or give what was asked; the text names the host and the cause, never a secret."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of any status; `body` is the decoded JSON, None when there is none."""

    status: int
    body: Any


def trusting(ca: Path | None) -> ssl.SSLContext:
    """TLS that believes the certificates of this CA only; without one, those that all our calls believe.

    Raises OSError for a file that cannot be read or has no certificate.
    """
    return httpx.create_ssl_context() if ca is None else ssl.create_default_context(cafile=ca)


class Outbound:
    """One pool of connections; every call ends within some time-outs. Safe to be shared by threads."""

    def __init__(
        self,
        timeout_s: float,
        *,
        tls: ssl.SSLContext | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Without `tls` the usual certificates are believed (SSL_CERT_FILE names others), and none is shown."""
        self._timeout_s = timeout_s
        self._monotonic = monotonic
        verify = True if tls is None else tls
        self._client = httpx.Client(timeout=timeout_s, headers=_HEADERS, follow_redirects=False, verify=verify)

    def get_json(
        self,
        url: str,
        params: Params | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        max_bytes: int | None = None,
    ) -> Any:
        """The decoded answer of a GET. Raises OutboundError for anything but a 2xx with JSON, and for a longer one."""
        answer = _successful(self._send("GET", url, max_bytes=max_bytes, params=params, headers=headers))
        try:
            return answer.json()
        except ValueError:
            raise OutboundError(f"{answer.url.host} answered something that is not JSON") from None

    def get_content(self, url: str, *, headers: Mapping[str, str], max_bytes: int) -> bytes:
        """The answer of a GET. Raises OutboundError for anything but a 2xx, and for a longer one."""
        return _successful(self._send("GET", url, max_bytes=max_bytes, headers=headers)).content

    def post_json(self, url: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        """POST a JSON document. Raises OutboundError for anything but a 2xx."""
        _successful(self._send("POST", url, json=body, headers=headers))

    def post_content(self, url: str, content: bytes, headers: Mapping[str, str]) -> None:
        """POST these very bytes, which were signed. Raises OutboundError for anything but a 2xx."""
        _successful(self._send("POST", url, content=content, headers=headers))

    def call(
        self,
        method: Method,
        url: str,
        *,
        params: Params | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Any call, for whoever reads the refusals too. Raises OutboundError when no answer comes."""
        answer = self._send(method, url, params=params, json=body, headers=headers)
        try:
            return Answer(answer.status_code, answer.json())
        except ValueError:
            return Answer(answer.status_code, None)

    def close(self) -> None:
        self._client.close()

    def _send(self, method: str, url: str, *, max_bytes: int | None = None, **arguments: Any) -> httpx.Response:
        try:
            with self._client.stream(method, url, **arguments) as answer:
                content = self._body(answer, max_bytes)
                return httpx.Response(answer.status_code, content=content, request=answer.request)
        except (httpx.InvalidURL, UnicodeError):  # no text of theirs: it may hold a part of what must stay secret
            raise OutboundError(
                "the request cannot be written: the URL or the token has characters that HTTP has not"
            ) from None
        except httpx.HTTPError as problem:
            host = httpx.URL(url).host
            raise OutboundError(f"{host} did not answer: {type(problem).__name__}") from problem

    def _body(self, answer: httpx.Response, max_bytes: int | None) -> bytes:
        """The whole body; httpx' own time-out begins anew with every piece, and a trickle would never end."""
        give_up_at = self._monotonic() + self._timeout_s
        pieces = []
        length = 0
        for piece in answer.iter_bytes():  # as they are unpacked: a small answer may be a large one
            pieces.append(piece)
            length += len(piece)
            if max_bytes is not None and length > max_bytes:
                raise OutboundError(f"{answer.url.host} answered with more than {max_bytes} bytes")
            if self._monotonic() > give_up_at:
                raise httpx.ReadTimeout("the answer was not complete in time")
        return b"".join(pieces)


def _successful(answer: httpx.Response) -> httpx.Response:
    if not answer.is_success:
        raise OutboundError(f"{answer.url.host} answered HTTP {answer.status_code}")
    return answer
