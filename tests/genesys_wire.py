"""A clock that only moves when told, and a transport that answers from a script: for tests of our HTTP side."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat

import httpx

from genesys.access import Session, open_session
from genesys.actions import DataAction
from genesys.dialect import Call
from genesys.guide import Guide, NamedFlow
from genesys.http import Clock, Connection
from genesys.platform import Platform

API_URL = "https://api.genesys.example"
LOGIN_URL = "https://login.genesys.example"
CLIENT_ID = "client-of-tests"
SECRET = "s3cr3t-of-tests"

NOON = 1_795_349_000.0

Step = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]


@dataclass
class FakeTime:
    """Sleeping takes no time and moves the clock; chance is always the same."""

    at: float = 1000.0
    chance: float = 1.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds

    def clock(self) -> Clock:
        return Clock(
            monotonic=lambda: self.at,
            now=lambda: NOON + self.at - 1000.0,
            sleep=self.sleep,
            random=lambda: self.chance,
        )


@dataclass
class Wire:
    """Answers API requests with the next step of the script, token requests with `token`; remembers both."""

    script: Iterable[Step] = ()
    token: Step = field(default_factory=lambda: tokens())  # noqa: PLW0108 - defined below
    time: FakeTime = field(default_factory=FakeTime)
    requests: list[httpx.Request] = field(default_factory=list)
    token_requests: list[httpx.Request] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._steps: Iterator[Step] = iter(self.script)

    def answer_always(self, step: Step) -> None:
        self._steps = repeat(step)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/oauth/token":
            self.token_requests.append(request)
            return _answer(self.token, request)
        self.requests.append(request)
        return _answer(next(self._steps), request)

    def connection(self, max_kept_bytes: int = 1_000_000, max_answer_bytes: int = 10_000_000) -> Connection:
        return Connection(
            observe=self.calls.append,
            transport=httpx.MockTransport(self),
            clock=self.time.clock(),
            max_kept_bytes=max_kept_bytes,
            max_answer_bytes=max_answer_bytes,
        )

    def session(
        self, *, timeout_s: float = 10.0, deadline_s: float = 30.0, connection: Connection | None = None
    ) -> Session:
        return open_session(
            login_url=LOGIN_URL,
            client_id=CLIENT_ID,
            client_secret=SECRET,
            timeout_s=timeout_s,
            deadline_s=deadline_s,
            connection=connection or self.connection(),
        )

    def platform(
        self,
        *,
        timeout_s: float = 10.0,
        deadline_s: float = 30.0,
        outcomes: bool = False,
        transfers: bool = False,
        data_actions: Sequence[DataAction] = (),
    ) -> Platform:
        session = self.session(timeout_s=timeout_s, deadline_s=deadline_s)
        return Platform(session, api_url=API_URL, outcomes=outcomes, transfers=transfers, data_actions=data_actions)

    def guide(self, *flows: NamedFlow, deadline_s: float = 30.0) -> Guide:
        return Guide(self.session(deadline_s=deadline_s), api_url=API_URL, flows=flows, bucket_s=60)

    def bodies(self) -> list[object]:
        return [json.loads(request.content) for request in self.requests]


def _answer(step: Step, request: httpx.Request) -> httpx.Response:
    if isinstance(step, Exception):
        raise step
    return step if isinstance(step, httpx.Response) else step(request)


def tokens(expires_in: float = 86399) -> Callable[[httpx.Request], httpx.Response]:
    """A token endpoint whose tokens are numbered: token-1, token-2 …"""
    issued = 0

    def issue(_: httpx.Request) -> httpx.Response:
        nonlocal issued
        issued += 1
        return ok({"access_token": f"token-{issued}", "token_type": "bearer", "expires_in": expires_in})

    return issue


def ok(body: object, headers: Mapping[str, str] | None = None) -> httpx.Response:
    return httpx.Response(200, json=body, headers=headers)


def refused(status: int, code: str = "some.code", message: str = "Some text", **headers: str) -> httpx.Response:
    """An error as Genesys Cloud documents it."""
    body = {"message": message, "code": code, "status": status, "contextId": "ctx-1", "details": [], "errors": []}
    return httpx.Response(status, json=body, headers={name.replace("_", "-"): text for name, text in headers.items()})
