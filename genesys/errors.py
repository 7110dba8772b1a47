"""What can go wrong when we call Genesys Cloud, by what the caller does next.

GenesysError
├── Throttled     429: wait `retry_after_s`, then the same call may succeed; it had no effect
├── Unavailable   no answer, a broken one, 3xx, 408, 5xx: a read may be repeated; a write must be read back first
├── NotAllowed    401/403: credentials or permissions; retrying cannot help
├── Gone          404/410: what was asked for does not exist (any more)
└── Refused       any other status: the call is wrong as it stands, and had no effect
"""

from dataclasses import dataclass

THROTTLED_S = 60.0  # Genesys Cloud counts per minute: a fresh minute when it names no time


@dataclass(eq=False)
class GenesysError(Exception):
    """A call to Genesys Cloud did not give what was asked.

    `status` is the HTTP status, None when there was no answer. `code` and
    `context_id` are Genesys Cloud's own (`code`, `contextId` or the
    `ININ-Correlation-Id` header); support asks for the latter.
    """

    message: str
    status: int | None = None
    code: str | None = None
    context_id: str | None = None

    def __str__(self) -> str:
        details = [f"HTTP {self.status}" if self.status is not None else "", self.code or ""]
        if self.context_id:
            details.append(f"contextId {self.context_id}")
        known = ", ".join(detail for detail in details if detail)
        return f"{self.message} ({known})" if known else self.message


@dataclass(eq=False)
class Throttled(GenesysError):
    """Genesys Cloud's rate limit is used up; the call had no effect and may be repeated after `retry_after_s`."""

    retry_after_s: float = THROTTLED_S


@dataclass(eq=False)
class Unavailable(GenesysError):
    """Genesys Cloud gave no usable answer; whether a write had an effect is unknown until it is read back."""


@dataclass(eq=False)
class NotAllowed(GenesysError):
    """Genesys Cloud rejects the credentials or a permission is missing; a person must mend the OAuth client."""


@dataclass(eq=False)
class Gone(GenesysError):
    """The flow or version does not exist (any more)."""


@dataclass(eq=False)
class Refused(GenesysError):
    """Genesys Cloud refuses the call as it stands (400, 405, 409 …); it had no effect."""
