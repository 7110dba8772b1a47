"""The way of webhooks from one Alertmanager to the receivers: it tells what it has carried, and may be slow."""

import json
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import httpx

ANSWERS_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Carried:
    """One delivery that has reached its receiver; `firing` has the flows whose alerts fire in it, `over` the others."""

    ended: float  # on the clock of `time.monotonic`
    receiver: str
    firing: frozenset[str]
    over: frozenset[str]
    status: int


class Post:
    """Answers what the receiver answers, or 502. What is held arrives later, even if its sender has given it up."""

    def __init__(self, receivers: Mapping[str, str]) -> None:
        """`receivers`: the URL of each, by name."""
        self.carried: list[Carried] = []
        self._taken: list[tuple[float, frozenset[str]]] = []  # when it was given to us, and what fires in it
        self._receivers = receivers
        self._client = httpx.Client(timeout=ANSWERS_WITHIN_S)
        self._open = threading.Event()
        self._open.set()
        post = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = post._carry(self.path, body, self.headers["Authorization"])
                with suppress(OSError):  # nobody waits for it any more
                    self.send_response(status)
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def log_message(self, *_: object) -> None:
                """`carried` tells it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._client.close()

    def url_to(self, receiver: str) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/{receiver}/api/v1/alerts"

    def hold(self) -> None:
        """What comes from now on does not arrive."""
        self._open = threading.Event()

    def release(self) -> None:
        """All that is held arrives now."""
        self._open.set()

    def took(self, flow_id: str, *, since: float) -> bool:
        """Was a delivery in which the flow's alert fires given to us since then, whether or not it has arrived?"""
        return any(flow_id in firing for at, firing in list(self._taken) if at >= since)

    def _carry(self, path: str, body: bytes, authorization: str) -> int:
        alerts: list[dict[str, Any]] = json.loads(body)["alerts"]
        firing, over = (_flows(alerts, status) for status in ("firing", "resolved"))
        self._taken.append((time.monotonic(), firing))
        self._open.wait()
        receiver, _, rest = path.removeprefix("/").partition("/")
        headers = {"Authorization": authorization, "Content-Type": "application/json"}
        try:
            answer = self._client.post(f"{self._receivers[receiver]}/{rest}", content=body, headers=headers)
        except httpx.HTTPError:
            return HTTPStatus.BAD_GATEWAY
        self.carried.append(Carried(time.monotonic(), receiver, firing, over, answer.status_code))
        return answer.status_code


def _flows(alerts: Sequence[Mapping[str, Any]], status: str) -> frozenset[str]:
    """The flows of the alerts with that status."""
    labels = [one["labels"] for one in alerts if one["status"] == status]
    return frozenset(one["flow_id"] for one in labels if "flow_id" in one)
