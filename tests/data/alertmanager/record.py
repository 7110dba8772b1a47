"""Records what a real Alertmanager posts to a webhook.

Run it in the project's folder: `.venv/bin/python -m tests.data.alertmanager.record`.
Starts the Alertmanager of `.tools/bin` on loopback with the shipped configuration, in
time-lapse, sends it alerts as `alert_rules/rollback.rules.yml` words them, and writes each
body as it came, but for the host's name.
"""

import os
import queue
import re
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import yaml

from demo.lapse import shorten_file
from demo.processes import ROOT, TOOLS, Process, free_ports

FOLDER = Path(__file__).parent
FACTOR = 30  # group_interval: two seconds instead of a minute
WITHIN_S = 20.0
EXTERNAL_URL = "http://alertmanager.example.org/am"

Labels = dict[str, str]
Posted = dict[str, Any]


class Sink:
    """Takes webhooks, answers 200, and hands the bodies out."""

    def __init__(self) -> None:
        self._bodies: queue.Queue[bytes] = queue.Queue()
        bodies = self._bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                bodies.put(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """The files are what there is to see."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def next(self) -> bytes:
        return self._bodies.get(timeout=WITHIN_S)


class Alertmanager:
    """A running Alertmanager that posts to `sink`."""

    def __init__(self, url: str, sink: Sink) -> None:
        self._url = url
        self._sink = sink

    def post(self, *alerts: Posted) -> bytes:
        """Send alerts as Prometheus does; gives the body of the webhook that follows."""
        httpx.post(f"{self._url}/api/v2/alerts", json=list(alerts), timeout=WITHIN_S).raise_for_status()
        return self._sink.next()


@contextmanager
def alertmanager(*options: str, max_alerts: int = 0, zone: str = "UTC") -> Iterator[Alertmanager]:
    """One with the shipped routes; `zone` is its local time."""
    sink, (port,) = Sink(), free_ports(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shorten_file(ROOT / "alert_rules" / "alertmanager.yml", folder / "alertmanager.yml", FACTOR)
        configuration = yaml.safe_load((folder / "alertmanager.yml").read_text(encoding="utf-8"))
        (webhook,) = configuration["receivers"][0]["webhook_configs"]
        webhook |= {"url": f"http://127.0.0.1:{sink.port}/api/v1/alerts", "max_alerts": max_alerts}
        (folder / "alertmanager.yml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
        (folder / "rollback-receiver.token").write_text("a-token", encoding="utf-8")
        command = [
            str(TOOLS / "alertmanager"),
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
            *options,
        ]
        process = Process("alertmanager", command, folder=folder, environ={"TZ": zone})
        process.start()
        try:
            prefix = "/am" if options else ""
            process.await_ready(f"http://127.0.0.1:{port}{prefix}/-/ready")
            yield Alertmanager(f"http://127.0.0.1:{port}{prefix}", sink)
        finally:
            process.end()


def labels_of(signal: str = "error_exit", **changes: str) -> Labels:
    return {
        "alertname": "GenesysFlowFailing",
        "org": "retail",
        "flow_id": "ce677f29-f403-470c-adb0-8bfa6bf81d69",
        "flow_version": "14.0",
        "signal": signal,
        "severity": "critical",
        "genesys_action": "rollback",
        "genesys_contract": "1",
    } | changes


def annotations_of(labels: Labels) -> Labels:
    """What the rule says of one flow."""
    flow_id, version = labels["flow_id"], labels["flow_version"]
    return {
        "summary": f"Flow Main IVR version {version} fails: 45.2% {labels['signal']}",
        "description": (
            f"In organization retail the last 15m of version {version} of flow {flow_id} show more {labels['signal']} "
            "than the threshold and than chance, and it goes on. The receiver checks Genesys Cloud's own figures and "
            "decides whether to roll back: see `rollbackctl decisions`."
        ),
        "runbook_url": "https://github.com/genesys-rollback-bridge/genesys-rollback-bridge/blob/main/alert_rules/"
        "RUNBOOK.md#genesysflowfailing",
        "dashboard_url": f"/d/genesys-flow?var-org=retail&var-flow_id={flow_id}",
        "error_ratio": "0.4521",
        "threshold_ratio": "0.0500",
        "errors": "66",
        "volume": "146",
        "window": "15m",
        "data_end": "1795349000",
        "live_since": "1795348100",
    }


def firing(labels: Labels, *, since: datetime | None = None, annotations: Labels | None = None) -> Posted:
    began = since or datetime.now(UTC) - timedelta(minutes=3)
    return {
        "labels": labels,
        "annotations": annotations_of(labels) if annotations is None else annotations,
        "startsAt": began.isoformat(),
        "endsAt": (datetime.now(UTC) + timedelta(minutes=4)).isoformat(),  # as Prometheus does, until it is over
        "generatorURL": "http://prometheus.example.org/graph?g0.expr=%28org_flow%3Agenesys_flow_error_ratio%29&g0.tab=1",
    }


def over(alert: Posted) -> Posted:
    return alert | {"endsAt": datetime.now(UTC).isoformat()}


def record() -> Iterator[tuple[str, bytes]]:
    """Name and body of each recording."""
    with alertmanager(f"--web.external-url={EXTERNAL_URL}") as am:
        one, other = firing(labels_of()), firing(labels_of("routing_shift"))
        yield "firing", am.post(one)
        yield "firing_group", am.post(one, other)
        yield "firing_and_resolved", am.post(one, over(other))
        yield "resolved", am.post(over(one))
        watchdog = {"alertname": "GenesysWatchdog", "genesys_action": "watchdog", "severity": "info"}
        yield "watchdog", am.post(firing(watchdog, annotations={"summary": "The way of the alerts works"}))
        odd = labels_of(org='r"e\\t', flow_version="14.0 <β> & \u2028\U0001f4de", note="two\nlines\tand a tab")
        yield "odd_characters", am.post(firing(odd, annotations={"summary": "<b>Zürich</b> & 東京 \u0001\x7f"}))
    with alertmanager() as am:
        yield "no_external_url", am.post(firing(labels_of()))
        # Nothing but what makes it ours: Alertmanager gives it a start of its own, in nanoseconds.
        yield "bare", am.post({"labels": {"genesys_action": "rollback"}})
    with alertmanager(max_alerts=1) as am:
        signals = ("error_exit", "routing_shift", "stuck")
        yield "truncated", am.post(*(firing(labels_of(signal)) for signal in signals))
    with alertmanager(zone="Asia/Kolkata") as am:
        kiritimati = timezone(timedelta(hours=14))
        yield "times_with_offset", am.post(firing(labels_of(), since=datetime(2026, 11, 22, 23, 59, 59, 7, kiritimati)))
        yield "local_time", am.post({"labels": labels_of(org="bank")})


def main() -> None:
    said = subprocess.run([TOOLS / "alertmanager", "--version"], capture_output=True, text=True, check=True)
    version = re.search(r"version (\S+)", said.stdout + said.stderr)
    folder = FOLDER / (version[1] if version else "unknown")
    folder.mkdir(exist_ok=True)
    for name, body in record():
        (folder / f"{name}.json").write_bytes(
            re.sub(rb"http://%b:\d+" % re.escape(_host()), b"http://alertmanager:9093", body)
        )
        print(f"{folder.name}/{name}.json")  # noqa: T201


def _host() -> bytes:
    return os.uname().nodename.encode()


if __name__ == "__main__":
    main()
