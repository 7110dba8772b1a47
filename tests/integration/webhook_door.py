"""The receiver's webhook as Alertmanager meets it: the real application over a real store, and what is in its file."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from receiver.metrics import ReceiverMetrics
from receiver.payload import parse
from receiver.web import create_app
from tests.receiver_world import ORGS, TOKENS, opened, settings_of

RECORDED = sorted((Path(__file__).parents[1] / "data" / "alertmanager").glob("*/*.json"))

Row = tuple[str, float, bool]


@dataclass
class Door:
    """Deliveries go in; `rows` is what is durable."""

    app: Flask
    file: Path

    def post(self, data: bytes, *, token: str | None = TOKENS["alertmanager"], **headers: str) -> TestResponse:
        """One delivery; header names with `_` for `-`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        return self.app.test_client().post("/api/v1/alerts", data=data, headers=sent)

    def rows(self) -> set[Row]:
        """Fingerprint, start and openness of every alert in the file, read over another connection."""
        with closing(sqlite3.connect(self.file)) as database:
            found = database.execute("SELECT fingerprint, starts_at, is_open FROM alerts").fetchall()
        return {(fingerprint, starts_at, bool(is_open)) for fingerprint, starts_at, is_open in found}


@contextmanager
def door(folder: Path, **changes: Any) -> Iterator[Door]:
    """A receiver's door on a database in `folder`; `changes` are keys of receiver.yml."""
    settings = settings_of(folder, **changes)
    with opened(settings) as store:
        app = create_app(store, settings, ORGS, ReceiverMetrics(store, settings, ORGS), lambda: ())
        yield Door(app, folder / "rollback.db")


def must_be_taken_or_refused(at: Door, data: bytes) -> int:
    """202 and everything that was read is in the file, or 400 and nothing has changed; gives the status."""
    before = at.rows()
    answer = at.post(data)
    after = at.rows()
    if answer.status_code == 202:
        sent = [alert for alert in parse(json.loads(data)).alerts if not alert.is_watchdog]
        assert {(alert.fingerprint, alert.starts_at) for alert in sent} <= {row[:2] for row in after}
        assert sum(answer.get_json().values()) == len(sent)
    else:
        assert (answer.status_code, answer.content_type) == (400, "application/problem+json"), answer.text
        assert after == before
    return answer.status_code


def alert(fingerprint: str = "f1", status: str = "firing", **changes: Any) -> dict[str, Any]:
    """One alert of a delivery."""
    return {
        "status": status,
        "labels": {"org": "retail", "flow_id": "flow-1", "flow_version": "14.0", "signal": "error_exit"},
        "annotations": {"summary": "Main IVR fails"},
        "startsAt": "2024-01-01T12:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": fingerprint,
    } | changes


def body(*alerts: dict[str, Any], **changes: Any) -> bytes:
    """A delivery as it is sent."""
    return json.dumps({"version": "4", "status": "firing", "alerts": alerts} | changes).encode()
