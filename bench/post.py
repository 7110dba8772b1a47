"""Alertmanager's side of the webhook: deliveries over connections that are kept, as fast as they are answered."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from bench.scraping import Durations

ACCEPTED = b"HTTP/1.1 202 "
PATH, TOKEN = "/api/v1/alerts", "token-of-the-alertmanager"


@dataclass(frozen=True, slots=True)
class Delivered:
    """What came of many deliveries, all of them accepted."""

    requests: int
    alerts: int
    lasted_s: float
    answers: Durations

    @property
    def alerts_per_s(self) -> float:
        return self.alerts / self.lasted_s


def deliver(
    address: str,
    bodies: Iterator[bytes],
    *,
    alerts: int,
    connections: int,
    lasts_s: float,
    per_s: float | None = None,
) -> Delivered:
    """Send bodies of so many alerts each, over so many connections: one after the other, or `per_s` alerts a second.

    What is sent at a rate is late from the moment at which it was due, so that waiting behind a slow answer counts.
    Raises RuntimeError for any answer but 202.
    """
    lock = threading.Lock()

    def draw() -> bytes:
        with lock:
            return next(bodies)

    every_s = 0.0 if per_s is None else alerts * connections / per_s
    started = time.perf_counter()
    with ThreadPoolExecutor(connections) as pool:
        work = [
            pool.submit(_one_connection, address, draw, started + number * every_s / connections, every_s, lasts_s)
            for number in range(connections)
        ]
        seconds = [each for done in work for each in done.result()]
    lasted_s = time.perf_counter() - started
    return Delivered(len(seconds), alerts * len(seconds), lasted_s, Durations.of(seconds))


def deliver_one(address: str, body: bytes) -> float:
    """Send one delivery; gives the seconds that its answer took."""
    with _connected(address) as connection:
        return _exchange(connection, body)


def _one_connection(address: str, draw: Callable[[], bytes], due: float, every_s: float, lasts_s: float) -> list[float]:
    """Seconds that the answers took; at a rate from the time at which each request was due, the first one at `due`."""
    seconds, until = [], due + lasts_s
    with _connected(address) as connection:
        while (now := time.perf_counter()) < until and due < until:
            time.sleep(max(0.0, due - now))
            late_s = time.perf_counter() - due if every_s else 0.0
            seconds.append(late_s + _exchange(connection, draw()))
            due += every_s
    return seconds


def _connected(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    connection = socket.create_connection((host, int(port)), timeout=60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _exchange(connection: socket.socket, body: bytes) -> float:
    request = _request(body)
    began = time.perf_counter()
    connection.sendall(request)
    answer = _answer(connection)
    seconds = time.perf_counter() - began
    if not answer.startswith(ACCEPTED):
        raise RuntimeError(f"not accepted: {answer[:300]!r}")
    return seconds


def _request(body: bytes) -> bytes:
    head = f"POST {PATH} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _answer(connection: socket.socket) -> bytes:
    """Head and body; whatever answers here tells its Content-Length."""
    got = b""
    while b"\r\n\r\n" not in got:
        got += _more(connection)
    head, _, body = got.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += _more(connection)
    return head + body


def _more(connection: socket.socket) -> bytes:
    piece = connection.recv(65_536)
    if not piece:
        raise RuntimeError("the connection was closed")
    return piece


def bodies(alerts: int, *, org: str = "bench") -> Iterator[bytes]:
    """Deliveries of so many alerts, each delivery first firing and then resolved; no alert is known before."""
    began = time.time()
    for number in range(10_000_000):
        for status in ("firing", "resolved"):
            group = [_alert(org, number * alerts + each, began, status) for each in range(alerts)]
            yield json.dumps(_payload(group, status)).encode()


def alert(org: str, flow_id: str, version: str, *, began: float, status: str = "firing") -> dict[str, Any]:
    """An alert as the shipped rules make it and Alertmanager sends it."""
    labels = {
        "alertname": "GenesysFlowFailing",
        "org": org,
        "flow_id": flow_id,
        "flow_version": version,
        "signal": "error_exit",
        "severity": "critical",
        "genesys_action": "rollback",
        "genesys_contract": "1",
    }
    annotations = {
        "summary": f"Flow {flow_id} fails since version {version}",
        "description": f"45 % of the callers of version {version} of {flow_id} end with an error; at most 5 % may.",
        "runbook_url": "https://runbooks.example/RUNBOOK.md#genesysflowfailing",
        "dashboard_url": f"https://grafana.example/d/genesys?var-flow={flow_id}",
        "error_ratio": "0.45",
        "threshold_ratio": "0.05",
        "errors": "41",
        "volume": "92",
        "window": "5m",
        "live_since": f"{began:.3f}",
    }
    return {
        "status": status,
        "labels": labels,
        "annotations": annotations,
        "startsAt": _rfc3339(began),
        "endsAt": _rfc3339(began + 60) if status == "resolved" else "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example/graph",
        "fingerprint": sha256(repr(sorted(labels.items())).encode()).hexdigest()[:16],
    }


def payload_of(*alerts: dict[str, Any]) -> bytes:
    """A delivery of these alerts."""
    return json.dumps(_payload(list(alerts), "firing")).encode()


def _alert(org: str, number: int, began: float, status: str) -> dict[str, Any]:
    return alert(org, f"flow-{number}", "14.0", began=began, status=status)


def _payload(alerts: list[dict[str, Any]], status: str) -> dict[str, Any]:
    return {
        "receiver": "rollback-receiver",
        "status": status,
        "alerts": alerts,
        "groupLabels": {"org": "bench"},
        "commonLabels": {"genesys_action": "rollback"},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example:9093",
        "version": "4",
        "groupKey": '{}/{genesys_action="rollback"}:{org="bench"}',
        "truncatedAlerts": 0,
    }


def _rfc3339(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
