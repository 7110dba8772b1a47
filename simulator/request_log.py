"""What was really sent: every API request as it arrived."""

from collections import deque
from dataclasses import asdict, dataclass

KEPT = 100_000


@dataclass
class Request:
    """One request; `status` is None while it is not answered, and stays so if the connection was dropped.

    `publish` tells a publish, in either dialect, whatever came of it; `effect_at`
    is when the version that it asked for becomes live. `object_write` tells the write of
    a configuration object that is no flow.
    """

    seq: int
    at: float
    method: str
    path: str
    query: str
    status: int | None = None
    flow_id: str | None = None
    version: str | None = None
    publish: bool | None = None
    effect_at: float | None = None
    object_write: bool | None = None


class RequestLog:
    """The newest requests; `count` is of all."""

    def __init__(self) -> None:
        self.count = 0
        self._requests: deque[Request] = deque(maxlen=KEPT)

    def add(self, at: float, method: str, path: str, query: str) -> Request:
        self.count += 1
        request = Request(self.count, at, method, path, query)
        self._requests.append(request)
        return request

    def newest(self) -> list[Request]:
        """What is kept, oldest first."""
        return list(self._requests)

    def as_json(self) -> list[dict[str, object]]:
        optional = ("flow_id", "version", "publish", "effect_at", "object_write")
        return [
            {name: value for name, value in asdict(request).items() if value is not None or name not in optional}
            for request in self._requests
        ]
