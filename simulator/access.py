"""Who may call, and how often: OAuth clients, tokens, rate limits.

The time is an argument, in Unix seconds.
"""

import math
import random
from dataclasses import dataclass

from simulator.errors import ApiError, too_many_requests
from simulator.scenario import Access, Client

WINDOW_S = 60.0  # real seconds: limits are per minute, multiplied by the time factor
TOKENS_KEPT = 1000


@dataclass(eq=False)
class TokenRefused(Exception):
    """The token endpoint's own kind of refusal, always HTTP 400."""

    error: str
    description: str


@dataclass
class Quota:
    """Requests counted in the running minute."""

    allowed: int
    window_end: float
    own: int = 0
    used: int = 0  # those of others included

    def reset_s(self, now: float) -> int:
        return max(1, math.ceil(self.window_end - now))

    def count(self, now: float, others: int = 0) -> bool:
        """Count one request beside those of others in this minute; False if it is one too many."""
        if now >= self.window_end:
            self.own = 0
            self.window_end = now + WINDOW_S
        self.own += 1
        self.used = self.own + others
        return self.used <= self.allowed


@dataclass
class Token:
    client: Client
    expires_at: float
    quota: Quota


class Gatekeeper:
    """Issues tokens, knows them again, and counts their requests."""

    def __init__(self, access: Access, *, factor: float, rng: random.Random) -> None:
        self._access = access
        self._factor = factor
        self._rng = rng
        self._tokens: dict[str, Token] = {}
        self._token_requests = Quota(math.ceil(access.tokens_per_min * factor), 0.0)

    def issue(self, client_id: str, secret: str, grant_type: str, now: float) -> dict[str, object]:
        """A token answer. Raises `TokenRefused`."""
        if not self._token_requests.count(now):
            raise TokenRefused("invalid_request", "rate limit exceeded")
        if grant_type != "client_credentials":
            raise TokenRefused("unsupported_grant_type", f"grant type {grant_type!r} is not supported")
        client = next((known for known in self._access.clients if known.id == client_id), None)
        if client is None or client.secret != secret:
            raise TokenRefused("invalid_client", "client not found or wrong secret: invalid_client")
        lives_s = self._access.expires_in / self._factor
        token = f"{self._rng.getrandbits(256):064x}"
        self._tokens[token] = Token(client, now + lives_s, self._quota(now))
        if len(self._tokens) > TOKENS_KEPT:
            del self._tokens[next(iter(self._tokens))]
        return {"access_token": token, "token_type": "bearer", "expires_in": math.floor(lives_s)}

    def admit(self, authorization: str | None, now: float) -> Token:
        """The token of a request. Raises a 401 `ApiError`."""
        scheme, _, value = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not value:
            message = "No authentication bearer token specified in authorization header."
            raise ApiError(401, "authentication.required", message)
        token = self._tokens.get(value)
        if token is None or token.expires_at <= now:
            raise ApiError(401, "bad.credentials", "Invalid login credentials.")
        return token

    def expire_all(self) -> None:
        self._tokens.clear()

    def _quota(self, now: float) -> Quota:
        return Quota(math.ceil(self._access.requests_per_min * self._factor), now + WINDOW_S)


def count_request(token: Token, now: float, others: int) -> None:
    """Raises a 429 `ApiError` when the token has used up its minute, together with others."""
    if not token.quota.count(now, others):
        raise too_many_requests(token.quota.reset_s(now))


def require(permission: str, client: Client) -> None:
    """Raises a 403 `ApiError` for a read-only client, and for one that lacks it."""
    writes = not permission.endswith(":view")
    if (client.read_only and writes) or permission in client.lacks:
        message = "Unable to perform the requested action. You are missing the following permission(s): "
        raise ApiError(403, "missing.permissions", message + permission)
