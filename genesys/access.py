"""Who we are to Genesys Cloud: the client-credentials token, and calls that carry it.

Owns getting, keeping and renewing one token, and the difference between a read,
which is repeated, and a write, which is sent once.
"""

import base64
import re
import threading
from dataclasses import replace

from genesys.answers import Answer, unexpected
from genesys.dialect import Observer
from genesys.errors import NotAllowed, Refused, Throttled, Unavailable
from genesys.http import Clock, Connection, Request, repeat

RENEWAL_MARGIN_S = 60.0  # longer than a read with all its repetitions
RENEWAL_MARGIN_RATIO = 0.1  # for tokens that live for minutes only

_TOKEN = re.compile(r"[!-~]+")  # what a header can carry


class Access:
    """The token of one OAuth client. Safe to be shared by threads: one of them renews, the others wait for it."""

    def __init__(self, connection: Connection, *, login_url: str, client_id: str, client_secret: str) -> None:
        basic = base64.b64encode(f"{client_id}:{client_secret}".encode()).decode("ascii")
        self._request = Request(
            "POST",
            f"{login_url}/oauth/token",
            "oauth/token",
            form={"grant_type": "client_credentials"},
            authorization=f"Basic {basic}",
            metered=False,
        )
        self._connection = connection
        self._clock = connection.clock
        self._lock = threading.Lock()
        self._token: str | None = None
        self._renew_at = 0.0

    def token(self, *, timeout_s: float, deadline: float) -> str:
        """A token that is valid for a while yet; a new one is asked for at most once, until `deadline` (monotonic).

        Raises `NotAllowed` for wrong credentials, `Throttled` when the token
        endpoint limits us, else what `Connection.send` raises.
        """
        if not self._lock.acquire(timeout=max(0.0, deadline - self._clock.monotonic())):
            raise Unavailable("no token in time: another call is still asking for one")
        try:
            if self._token is not None and self._clock.monotonic() < self._renew_at:
                return self._token
            self._token = None
            return self._renew(remaining_s(self._clock, timeout_s, deadline))
        finally:
            self._lock.release()

    def forget(self, token: str) -> None:
        """Do not use this token again; one that was fetched since is kept."""
        with self._lock:
            if self._token == token:
                self._token = None

    def _renew(self, within_s: float) -> str:
        asked_at = self._clock.monotonic()
        try:
            answer = self._connection.send(self._request, within_s=within_s)
        except Refused as error:
            if error.status == 400 and "rate limit exceeded" in error.message.lower():
                raise Throttled(error.message, error.status, error.code, error.context_id) from error
            if error.status == 400:  # OAuth says invalid_client and unauthorized_client this way too
                raise NotAllowed(error.message, error.status, error.code, error.context_id) from error
            raise
        token, expires_in_s = _token_of(answer)
        self._token = token
        self._renew_at = asked_at + expires_in_s - min(RENEWAL_MARGIN_S, RENEWAL_MARGIN_RATIO * expires_in_s)
        return token


def _token_of(answer: object) -> tuple[str, float]:
    told = Answer("oauth/token", answer)
    token = told.text("access_token")
    if not _TOKEN.fullmatch(token):
        raise unexpected("oauth/token", "access_token is not a token")
    return token, float(told.count("expires_in"))


def remaining_s(clock: Clock, timeout_s: float, deadline: float) -> float:
    """Time that one request may take. Raises `Unavailable` when there is none left."""
    remaining = min(timeout_s, deadline - clock.monotonic())
    if remaining <= 0:
        raise Unavailable("not answered in time; deadline_s or timeout_s may be too short")
    return remaining


class Session:
    """Calls to the API of one organization that carry its token; `Request.authorization` is filled in here."""

    def __init__(self, connection: Connection, access: Access, *, timeout_s: float, deadline_s: float) -> None:
        self.connection = connection
        self._access = access
        self._clock = connection.clock
        self._timeout_s = timeout_s
        self._deadline_s = deadline_s

    def deadline(self) -> float:
        """When a read that begins now must have ended, with all its pages and repetitions (monotonic)."""
        return self._clock.monotonic() + self._deadline_s

    def sign_in(self) -> None:
        """Have a token. Raises `NotAllowed` for wrong credentials, else what a read raises."""
        deadline = self.deadline()
        repeat(
            lambda: self._access.token(timeout_s=self._timeout_s, deadline=deadline),
            deadline=deadline,
            clock=self._clock,
        )

    def read(self, request: Request, *, deadline: float) -> object:
        """Ask for something without changing it; repeated up to `deadline`, and once with a new token after a 401."""

        def attempt() -> object:
            token = self._access.token(timeout_s=self._timeout_s, deadline=deadline)
            try:
                return self._send(request, token, deadline)
            except NotAllowed as error:
                if error.status != 401:
                    raise
                self._access.forget(token)
            renewed = self._access.token(timeout_s=self._timeout_s, deadline=deadline)
            return self._send(request, renewed, deadline)

        return repeat(attempt, deadline=deadline, clock=self._clock)

    def write(self, request: Request) -> object:
        """Change something: sent at most once, and, renewal of the token included, within `timeout_s` or not at all.

        A 401 had no effect, but is not repeated here either: the promise to send
        once is worth more than the rare token that is revoked between the read
        before a write and the write. The next call brings a new token.
        """
        deadline = self._clock.monotonic() + self._timeout_s
        token = self._access.token(timeout_s=self._timeout_s, deadline=deadline)
        try:
            return self._send(request, token, deadline)
        except NotAllowed as error:
            if error.status == 401:
                self._access.forget(token)
            raise

    def read_elsewhere(self, request: Request) -> object:
        """Ask another host, which is not told our token; repeated within the time of a read."""
        deadline = self.deadline()
        return repeat(lambda: self._send_elsewhere(request, deadline), deadline=deadline, clock=self._clock)

    def write_elsewhere(self, request: Request) -> object:
        """Change something at another host, which is not told our token: sent at most once, within `timeout_s`."""
        return self._send_elsewhere(request, self._clock.monotonic() + self._timeout_s)

    def _send_elsewhere(self, request: Request, deadline: float) -> object:
        return self.connection.send(request, within_s=remaining_s(self._clock, self._timeout_s, deadline))

    def _send(self, request: Request, token: str, deadline: float) -> object:
        within_s = remaining_s(self._clock, self._timeout_s, deadline)
        return self.connection.send(replace(request, authorization=f"Bearer {token}"), within_s=within_s)


def open_session(
    *,
    login_url: str,
    client_id: str,
    client_secret: str,
    timeout_s: float,
    deadline_s: float,
    observe: Observer | None = None,
    connection: Connection | None = None,
) -> Session:
    """Calls to one organization as one OAuth client; nothing is sent before the first call."""
    connection = connection or Connection(observe=observe)
    access = Access(connection, login_url=login_url, client_id=client_id, client_secret=client_secret)
    return Session(connection, access, timeout_s=timeout_s, deadline_s=deadline_s)
