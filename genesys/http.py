"""Requests over HTTP: bounded in time and size, observed, and with a typed error for whatever can go wrong.

The only module that knows httpx; no httpx exception leaves it. Who we are
(`access`) and what is asked for (the dialects) is the business of others.
"""

import json
import logging
import math
import random
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import cache
from types import MappingProxyType
from typing import Literal, Protocol, TypeVar

import httpx
import tenacity

from genesys.dialect import Call, Observer, RateLimit
from genesys.errors import THROTTLED_S, GenesysError, Gone, NotAllowed, Refused, Throttled, Unavailable
from genesys.log import event

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_KEPT_BYTES = 32 * 1024 * 1024  # the longest list in one piece, a page of 500 flows, has less than 1 MB
MAX_ANSWER_BYTES = 1024 * 1024 * 1024  # 20,000 busy flows × 60 minutes × two exit reasons are 310 MB
MAX_MESSAGE_CHARS = 300
NO_CONTENT = 204  # what a deletion is answered with
PIECE_BYTES = 64 * 1024
BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 8.0
MAX_WAIT_S = 86_400.0  # longer is nobody's limit, and what adds it to a date must not overflow
KEEPALIVE_S = 30.0  # shorter than the 60 s after which load balancers commonly drop an idle connection


@dataclass(frozen=True, slots=True)
class Clock:
    """Time and chance; replaced in tests."""

    monotonic: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], float] = random.random


class Reader(Protocol):
    """Takes one answer piece by piece, so that a large one need never be there as a whole."""

    def feed(self, piece: bytes) -> int:
        """Take the next piece, and say how many bytes are kept because they cannot be understood yet."""

    def end(self) -> object:
        """What the answer was. Raises `ValueError` for what is not JSON, or cut off."""


class Whole:
    """Keeps the whole answer, and makes Python objects of it."""

    def __init__(self) -> None:
        self._body = bytearray()  # grows in place: pieces and their sum at once would be twice the room

    def feed(self, piece: bytes) -> int:
        self._body += piece
        return len(self._body)

    def end(self) -> object:
        return json.loads(self._body, parse_constant=_no_constant)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


@dataclass(frozen=True, slots=True)
class Request:
    """One request; `endpoint` is its template for metrics (`flows/{id}`), so that their number stays bounded."""

    method: Literal["DELETE", "GET", "PATCH", "POST", "PUT"]
    url: str
    endpoint: str
    params: Mapping[str, str | int] = field(default_factory=dict)
    json: object = None
    form: Mapping[str, str] | None = None
    content: bytes | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    authorization: str = field(default="", repr=False)
    reader: Callable[[], Reader] = Whole  # of a 2xx answer
    metered: bool = True  # counts against the rate limit that `Connection.rate_limit` tells


class Connection:
    """Reused connections to one organization. Safe to be shared by threads.

    Redirects are not followed: a token belongs to the host that it was meant for.
    """

    def __init__(
        self,
        *,
        observe: Observer | None = None,
        permits: Callable[[Request], bool] = lambda _: True,
        transport: httpx.BaseTransport | None = None,
        clock: Clock | None = None,
        max_kept_bytes: int = MAX_KEPT_BYTES,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
    ) -> None:
        """What is not permitted is never sent: it is an AssertionError."""
        self.clock = clock or Clock()
        self.rate_limit: RateLimit | None = None
        # How far the `Date` of the newest answer is ahead of our clock. It has whole seconds, and was on its way.
        self.ahead_s: float | None = None
        self._observe = observe
        self._permits = permits
        self._max_kept_bytes = max_kept_bytes
        self._max_answer_bytes = max_answer_bytes
        self._client = httpx.Client(
            transport=transport,
            verify=_trust(),
            follow_redirects=False,
            limits=httpx.Limits(keepalive_expiry=KEEPALIVE_S),
            headers={"Accept": "application/json", "User-Agent": "genesys-rollback-bridge"},
        )

    def send(self, request: Request, *, within_s: float) -> object:
        """Send one request, once, and return what its `reader` makes of a 2xx answer; raises a `GenesysError`.

        The request is on its way within `within_s` or not at all, and an answer
        that takes longer than that is given up.
        """
        if not self._permits(request):
            raise AssertionError(f"{request.method} {request.endpoint} may not be sent here")
        started = self.clock.monotonic()
        code = "error"
        try:
            status, headers, reader = self._exchange(request, started, within_s)
            code = str(status)
            return _understood(request, status, headers, reader, now=self.clock.now())
        except GenesysError as error:
            event(
                log,
                logging.INFO,  # what it means, the caller knows
                "genesys_call_failed",
                endpoint=request.endpoint,
                status=error.status,
                code=error.code,
                context_id=error.context_id,
                error=error.message,
            )
            raise
        finally:
            if self._observe is not None:
                self._observe(Call(request.endpoint, code, self.clock.monotonic() - started))

    def _exchange(self, request: Request, started: float, within_s: float) -> tuple[int, httpx.Headers, Reader]:
        host = httpx.URL(request.url).host
        try:
            with self._client.stream(
                request.method,
                request.url,
                params=dict(request.params) or None,  # an empty one would take away the query that the URL has
                json=request.json,
                data=request.form,
                content=None if request.content is None else self._pieces(request.content, started + within_s, host),
                headers=_headers(request),
                timeout=_timeouts(within_s),
            ) as response:
                sent_at = _date(response.headers.get("Date", ""))
                self.ahead_s = self.ahead_s if sent_at is None else sent_at - self.clock.now()
                if request.metered:
                    self._keep_rate_limit(response.headers)
                reader = request.reader() if response.is_success else Whole()
                self._read(response, reader, started + within_s, host)
                return response.status_code, response.headers, reader
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise Unavailable(f"no usable answer from {host} ({type(error).__name__}: {error})") from error

    def _read(self, response: httpx.Response, reader: Reader, deadline: float, host: str) -> None:
        """The whole body; httpx' own timeout starts anew with every piece, and a trickle would never end."""
        size = 0
        for piece in response.iter_bytes():
            size += len(piece)
            for found, most in ((reader.feed(piece), self._max_kept_bytes), (size, self._max_answer_bytes)):
                if found > most:
                    raise Unavailable(f"answer from {host} is larger than {most} bytes")
            if self.clock.monotonic() > deadline:
                raise Unavailable(f"answer from {host} was not complete in time")

    def _pieces(self, content: bytes, deadline: float, host: str) -> Iterator[bytes]:
        """A body that is broken off at the deadline: httpx' own timeout starts anew with every piece of it."""
        for start in range(0, len(content), PIECE_BYTES):
            if self.clock.monotonic() > deadline:
                raise Unavailable(f"{host} did not take everything in time")
            yield content[start : start + PIECE_BYTES]

    def _keep_rate_limit(self, headers: httpx.Headers) -> None:
        allowed = _number(headers.get("inin-ratelimit-allowed"))
        used = _number(headers.get("inin-ratelimit-count"))
        reset = _number(headers.get("inin-ratelimit-reset"))
        if allowed is not None and used is not None and reset is not None:
            self.rate_limit = RateLimit(int(allowed), int(used), reset, self.clock.now())

    def close(self) -> None:
        self._client.close()


def repeat(call: Callable[[], T], *, deadline: float, clock: Clock) -> T:
    """Call until it succeeds; only for reads.

    What may pass (`Throttled`, `Unavailable`) is repeated with back-off and
    jitter, after `Retry-After` where Genesys Cloud names it. The last error is
    raised at once when the next try would begin after `deadline` (monotonic).
    """

    def pause_s(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        backoff = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** (state.attempt_number - 1))
        jittered = backoff * (0.5 + 0.5 * clock.random())
        return error.retry_after_s + jittered if isinstance(error, Throttled) else jittered

    def is_too_late(state: tenacity.RetryCallState) -> bool:
        return clock.monotonic() + state.upcoming_sleep >= deadline

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type((Throttled, Unavailable)),
        wait=pause_s,
        stop=is_too_late,
        sleep=clock.sleep,
        reraise=True,
    )
    return retrying(call)


@cache
def _trust() -> ssl.SSLContext:
    """One for all organizations: reading the certificates anew for each takes 17 ms and a megabyte."""
    return httpx.create_ssl_context()


def _headers(request: Request) -> Mapping[str, str]:
    own = {"Authorization": request.authorization} if request.authorization else {}
    length = {} if request.content is None else {"Content-Length": str(len(request.content))}
    return {**request.headers, **own, **length}


def _timeouts(within_s: float) -> httpx.Timeout:
    """Waiting for a free connection, TCP, TLS and sending share the time, so that nothing is sent after it."""
    return httpx.Timeout(within_s, pool=within_s / 4, connect=within_s / 4, write=within_s / 4)


def _understood(request: Request, status: int, headers: httpx.Headers, reader: Reader, *, now: float) -> object:
    if status == NO_CONTENT and request.method == "DELETE":
        return None
    try:
        told = reader.end()
    except (ValueError, RecursionError) as error:
        if not 200 <= status < 300:
            raise _error(request, status, headers, None, now=now) from error
        context_id = headers.get("ININ-Correlation-Id")
        raise Unavailable("the answer is not JSON, or cut off", status, context_id=context_id) from error
    if not 200 <= status < 300:
        raise _error(request, status, headers, told, now=now)
    return told


def _error(request: Request, status: int, headers: httpx.Headers, body: object, *, now: float) -> GenesysError:
    told = body if isinstance(body, dict) else {}
    message = _shown(_first_text(told, "message", "description", "error_description"), request)
    code = _shown(_first_text(told, "code", "error"), request) or None
    context_id = _shown(_first_text(told, "contextId"), request) or headers.get("ININ-Correlation-Id")
    if 300 <= status < 400:
        message = "redirected, which is not followed; check region, api_url or a proxy"
    if status == 429:
        text = message or "rate limit exceeded"
        return Throttled(text, status, code, context_id, _retry_after_s(headers, now))
    kind = _kind(status)
    return kind(message or _UNTOLD[kind], status, code, context_id)


_UNTOLD: Mapping[type[GenesysError], str] = MappingProxyType(
    {
        NotAllowed: "not allowed",
        Gone: "does not exist",
        Refused: "refused",
        Unavailable: "no usable answer",
    }
)


def _kind(status: int) -> type[GenesysError]:
    """The class of a status; what leaves open whether a write had an effect is `Unavailable`.

    A redirect may also answer a POST that was executed, and a gateway may say
    408 after it has passed the request on.
    """
    if status in (401, 403):
        return NotAllowed
    if status in (404, 410):
        return Gone
    return Refused if 400 <= status < 500 and status != 408 else Unavailable


def _first_text(told: Mapping[str, object], *keys: str) -> str:
    return next((value for key in keys if isinstance(value := told.get(key), str) and value), "")


def _shown(text: str, request: Request) -> str:
    """A foreign text as it may stand in a log: one line, bounded, and without the credential if it was echoed."""
    credential = request.authorization.rpartition(" ")[2]
    clean = text.replace(credential, "***") if credential else text
    return " ".join(clean.split())[:MAX_MESSAGE_CHARS]


def _retry_after_s(headers: httpx.Headers, now: float) -> float:
    """Seconds that Genesys Cloud asks us to wait, from whichever header names them."""
    told = headers.get("Retry-After", "")
    seconds = _number(told)
    if seconds is None and (moment := _date(told)) is not None:
        sent_at = _date(headers.get("Date", ""))  # the sender's own clock, where it tells it: ours may be off
        seconds = max(0.0, moment - (now if sent_at is None else sent_at))
    if seconds is None:
        seconds = _number(headers.get("inin-ratelimit-reset"))
    return THROTTLED_S if seconds is None else min(seconds, MAX_WAIT_S)


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
