"""The refusals of Genesys Cloud, as its API tells them."""

from dataclasses import dataclass


@dataclass(eq=False)
class ApiError(Exception):
    """A request that is answered with Genesys Cloud's error body instead of a result."""

    status: int
    code: str
    message: str
    retry_after_s: int | None = None
    retry_at: float | None = None  # the same as a date, where the answer is to name one

    def body(self, context_id: str) -> dict[str, object]:
        return {
            "message": self.message,
            "code": self.code,
            "status": self.status,
            "contextId": context_id,
            "details": [],
            "errors": [],
        }


def bad_request(message: str) -> ApiError:
    return ApiError(400, "bad.request", message)


def not_found(what: str) -> ApiError:
    return ApiError(404, "not.found", f"{what} was not found.")


def too_many_requests(retry_after_s: int, *, retry_at: float | None = None) -> ApiError:
    message = f"Rate limit exceeded the maximum. Retry the request in [{retry_after_s}] seconds"
    return ApiError(429, "too.many.requests.retry.after", message, retry_after_s, retry_at)
