"""A receiver's settings and rows for tests of its HTTP side; real store, no doubles."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from ssl import SSLContext
from typing import TYPE_CHECKING, Any

import yaml
from werkzeug.serving import make_server

from genesys.flows import Flow
from genesys.organizations import Organization, Organizations
from genesys.settings import load
from receiver.config import ReceiverSettings
from receiver.payload import Alert
from receiver.policy import Decision, Guard, Verdict
from receiver.store import alerts, decisions, flows, rollbacks
from receiver.store.alerts import StoredAlert
from receiver.store.database import Store, Transaction
from receiver.store.rollbacks import Kind, Rollback, State

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

ORGS = ("retail", "bank")
TOKENS = {role: f"token-of-the-{role}" for role in ("alertmanager", "viewer", "operator", "ci")}


def settings_of(folder: Path, **changes: Any) -> ReceiverSettings:
    """`receiver.yml` with a token for each role, and what `changes` adds; read as the program reads it."""
    values = {
        "database_url": f"sqlite:///{folder / 'rollback.db'}",
        "tokens": [{"name": f"the-{role}", "roles": [role], "token_env": role.upper()} for role in TOKENS],
        "flows": [{"match": "*", "mode": "observe"}],
    } | changes
    file = folder / "receiver.yml"
    file.write_text(yaml.safe_dump(values))
    environ = {role.upper(): token for role, token in TOKENS.items()} | {"SINK_TOKEN": "token-of-the-sink"}
    return load(file, ReceiverSettings, environ=environ)


def organizations_of(folder: Path, names: Sequence[str]) -> tuple[Organization, ...]:
    """`organizations.yml` with these names, read as the program reads it."""
    credentials = {"client_id": "c", "client_secret_env": "SECRET"}
    listed = [{"name": name, "region": "mypurecloud.ie", "credentials": credentials} for name in names]
    file = folder / "organizations.yml"
    file.write_text(yaml.safe_dump({"organizations": listed}))
    return load(file, Organizations, environ={"SECRET": "s"}).organizations


@contextmanager
def opened(settings: ReceiverSettings) -> Iterator[Store]:
    """The settings' database at this release's schema."""
    store = Store(settings.database_url)
    try:
        store.migrate()
        yield store
    finally:
        store.close()


@contextmanager
def listening(app: "WSGIApplication", port: int = 0, *, ssl_context: SSLContext | None = None) -> Iterator[int]:
    """An application behind a real socket on 127.0.0.1; gives its port, which may be asked for."""
    server = make_server("127.0.0.1", port, app, threaded=True, ssl_context=ssl_context)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def put_alert(tx: Transaction, *, org: str = "retail", flow_id: str = "flow-1", now: float) -> StoredAlert:
    """A firing alert that was delivered at `now`."""
    labels = {"org": org, "flow_id": flow_id, "flow_version": "14.0", "signal": "error_exit"}
    alert = Alert(f"fp-{org}-{flow_id}", True, now - 180, None, labels, {"summary": f"{flow_id} fails"})
    alerts.record(tx, [alert], now)
    return next(stored for stored in alerts.open_alerts(tx, org) if stored.object_id == flow_id)


def list_live(tx: Transaction, *versions: str, org: str = "retail", now: float) -> None:
    """Genesys Cloud lists flow-0, flow-1, … with these versions."""
    flows.claim(tx, org, now=now, next_at=now + 600)
    listed = [
        Flow(
            id=f"flow-{number}",
            name="Main IVR",
            type="inboundcall",
            division_id="d",
            division_name="Home",
            active=True,
            deleted=False,
            live_version=version,
            live_published_at=now,
            published_by="pipeline",
            locked_by=None,
            operation=None,
        )
        for number, version in enumerate(versions)
    ]
    flows.replace(tx, org, listed, now=now)


def put_decision(
    tx: Transaction, alert: StoredAlert, verdict: Verdict, *, now: float, rollback_id: str | None = None
) -> None:
    """A decision with the one guard that led to it."""
    guard = Guard(verdict, True, "what was found", "what is allowed")
    decisions.add(
        tx, alert, Decision(verdict, (guard,)), at=now, facts={"errors": 9}, receiver="r1", rollback_id=rollback_id
    )


def put_rollback(tx: Transaction, alert: StoredAlert, name: str, *, now: float, **changes: Any) -> Rollback:
    """A rollback that is publishing, or what `changes` says."""
    values: Mapping[str, Any] = {
        "id": name,
        "alert_id": alert.id,
        "org": alert.org,
        "object_type": alert.object_type,
        "object_id": alert.object_id,
        "accused_version": alert.version,
        "live_since": now - 900,
        "try_number": 1,
        "shadow": False,
        "target_version": "13.0",
        "state": State.PUBLISHING,
        "reason": "",
        "revision": 1,
        "created_at": now,
        "deadline": now + 900,
        "not_before": now,
        "started_at": now,
        "wrote": True,
        "threshold_ratio": 0.05,
        "confirmed_at": None,
        "ended_at": None,
        "facts": {"flow_name": "Main IVR"},
        "kind": Kind.ROLLBACK,
        "attempt_id": name,
        "published_by": None,
        "undoes": None,
        "approved_by": None,
        "approved_at": None,
    }
    rollback = Rollback(**(values | changes))
    rollbacks.create(tx, rollback)
    return rollback
