"""A receiver with its console behind a socket, its world in memory, and people who may do this and that there.

The receiver's loop, store and desks are the real ones. Its time is the machine's own, as that of the pages is.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

from flask import Flask

from genesys.flows import Flow
from receiver.desk import Desk
from receiver.metrics import ReceiverMetrics
from receiver.policy import Verdict
from receiver.store import alerts, audit, controls, flows, quarantines, rollbacks, watchdog
from receiver.store.alerts import StoredAlert
from receiver.store.database import Store
from receiver.store.rollbacks import Kind, Rollback, State
from receiver.web import create_app
from tests.integration.receiver_world import (
    DAY_S,
    AlertmanagerInMemory,
    FlowInGenesys,
    GenesysInMemory,
    Receiver,
    Time,
    alert_of,
)
from tests.receiver_world import listening, put_alert, put_decision, put_rollback, settings_of

ORGS = ("retail", "bank")
PEOPLE = {"ann": "operator", "vic": "viewer", "bob": "ci"}  # whose password is the token of that role
SETTINGS: dict[str, Any] = {
    "flows": [{"match": "*", "mode": "auto", "owner": "team-voice"}],
    "lockout_scope": "flow",
    "links": {"prometheus": "https://prometheus.example.org", "grafana": "https://grafana.example.org"},
    "people": [
        {"name": "ann", "roles": ["operator"], "password_env": "OPERATOR"},
        {"name": "vic", "roles": ["viewer"], "password_env": "VIEWER"},
        {"name": "bob", "roles": ["operator"], "organizations": ["bank"], "password_env": "CI"},
    ],
}
FLOWS = {
    "flow-1": "Main IVR",
    "flow-2": "Support",
    "flow-3": "Orders",
    "flow-4": "Card services",
    "flow-5": "Branch lines",
}
_RAN_S = 961.0  # fifteen settled minutes of the bad version, as in tests/integration/receiver_world.py


class Genesys(GenesysInMemory):
    """With a name of its own for each flow."""

    def __init__(self, clock: Time, names: Mapping[str, str], *known: FlowInGenesys) -> None:
        super().__init__(clock, *known)
        self._names = names

    def _shown(self, flow: FlowInGenesys) -> Flow:
        return replace(super()._shown(flow), name=self._names[flow.id], division_name="Retail")


class World:
    """One receiver, and what a test lets happen to it."""

    def __init__(self, folder: Path, names: Mapping[str, str] = FLOWS) -> None:
        self.settings = settings_of(folder, **SETTINGS)
        self.store = Store(self.settings.database_url)
        self.store.migrate()
        self.names = names
        self.time = Time(time.time() - 120.0)  # the loop is run ahead a little, and never into the future
        self.bad_since = self.time.now // 60 * 60 - _RAN_S // 60 * 60
        self.genesys = Genesys(self.time, names, *(self._flow(flow_id) for flow_id in names))
        self.alertmanager = AlertmanagerInMemory()
        self.receiver = self._receiver("receiver-1")
        self.problems: list[str] = []
        with self.store.begin() as tx:
            watchdog.arrived(tx, now=time.time())
            flows.claim(tx, "retail", now=self.time.now, next_at=self.time.now + 600)
            flows.replace(tx, "retail", self.genesys.flows(), now=time.time())
            flows.claim(tx, "bank", now=self.time.now, next_at=self.time.now + 600)
            flows.replace(tx, "bank", [], now=time.time())
        self.app = self._app()

    def _flow(self, flow_id: str) -> FlowInGenesys:
        """The first has had a bad version for a quarter of an hour; all others do well."""
        since = self.bad_since
        timeline = [(since - 30 * DAY_S, "12.0"), (since - 10 * DAY_S, "13.0")]
        bad = [(since, "14.0")] if flow_id == "flow-1" else []
        return FlowInGenesys(flow_id, timeline=timeline + bad, error_ratio={"14.0": 0.4, "13.0": 0.0})

    def _receiver(self, name: str) -> Receiver:
        return Receiver(self.settings, self.store, self.time, {"retail": self.genesys}, self.alertmanager, name)

    def _app(self) -> Flask:
        desk = Desk(self._receiver("desk").tools["retail"], Lock())
        metrics = ReceiverMetrics(self.store, self.settings, ORGS)
        return create_app(self.store, self.settings, ORGS, metrics, lambda: self.problems, {"retail": desk})

    def run_until(self, *states: State) -> Rollback:
        """The alert about the first flow arrives, and the loop ticks until its rollback is in one of the states."""
        told = alert_of()
        annotations = told.annotations | {"live_since": str(self.bad_since), "summary": "Main IVR 14.0 fails"}
        self.deliver(replace(told, starts_at=self.bad_since + 400, annotations=annotations))
        for _ in range(40):
            self.receiver.tick()
            self.time.pass_(1.0)
            found = self.rollbacks()
            if found and found[0].state in states:
                return found[0]
        raise AssertionError(f"never there: {self.rollbacks()}")

    def deliver(self, alert: Any) -> None:
        with self.store.begin() as tx:
            alerts.record(tx, [alert], self.time.now)

    def ask_for_approval(self, name: str = "11111111-waits", flow_id: str = "flow-2", **facts: Any) -> Rollback:
        """A rollback of another flow waits for a person."""
        now = time.time()
        told = {"signal": "error_exit", "flow_name": self.names.get(flow_id, flow_id), "errors": 31, "volume": 90}
        told |= {"window": "15m", "error_ratio": 31 / 90, "threshold_ratio": 0.05, "baseline_ratio": 0.01}
        with self.store.begin() as tx:
            alert = put_alert(tx, flow_id=flow_id, now=now)
            put_decision(tx, alert, Verdict.AWAITING_APPROVAL, now=now, rollback_id=name)
            return put_rollback(
                tx,
                alert,
                name,
                now=now,
                state=State.AWAITING_APPROVAL,
                started_at=None,
                wrote=False,
                reason="mode approve",
                deadline=now + 1500,
                facts=told | facts,
            )

    def refuse(self, flow_id: str = "flow-4", verdict: Verdict = Verdict.COMMON_CAUSE) -> StoredAlert:
        """An alert about a flow is open, and was decided about."""
        with self.store.begin() as tx:
            alert = put_alert(tx, flow_id=flow_id, now=time.time())
            put_decision(tx, alert, verdict, now=time.time())
            return alert

    def end_one(self, name: str = "22222222-done", flow_id: str = "flow-3", **changes: Any) -> Rollback:
        """A rollback of yesterday that has succeeded; its version is in quarantine."""
        now = time.time() - DAY_S
        values = {"state": State.SUCCEEDED, "confirmed_at": now + 9, "ended_at": now + 400, "kind": Kind.ROLLBACK}
        facts = {"flow_name": self.names.get(flow_id, flow_id), "signal": "error_exit"}
        with self.store.begin() as tx:
            alert = put_alert(tx, flow_id=flow_id, now=now)
            alerts.close_unlisted(tx, [alert.id], now=now + 400)
            done = put_rollback(tx, alert, name, now=now, **(values | {"facts": facts} | changes))
            quarantines.put(tx, done, now=now)
        return done

    def stop(self) -> None:
        """What people can set: a window, a hold, a pause of the other organization."""
        now = time.time()
        with self.store.begin() as tx:
            controls.pause(tx, "bank", by="proxy:eve", reason="migration of the data centre", now=now - 4000)
            controls.hold(tx, "retail", ["flow-5"], owner="ann", reason="load test", by="basic:ann", now=now - 300)
            controls.open_window(
                tx,
                org="retail",
                flow_ids=("flow-5",),
                kind="maintenance",
                starts_at=now - 600,
                ends_at=now + 3000,
                reason="release 12",
                owner="",
                created_by="pipeline",
                now=now - 600,
            )

    def everything(self) -> None:
        """A night with something of everything."""
        self.end_one()
        self.run_until(State.VERIFYING)
        self.ask_for_approval()
        self.refuse()
        self.stop()

    def rollbacks(self) -> list[Rollback]:
        """Newest first."""
        with self.store.begin() as tx:
            return rollbacks.newest(tx, org=None, flow_id=None, limit=100)

    def rollback(self, rollback_id: str) -> Rollback:
        (found,) = [one for one in self.rollbacks() if one.id == rollback_id]
        return found

    def audited(self) -> list[tuple[str, str]]:
        """Who has ordered what, oldest first; what the receiver itself has done is left out."""
        with self.store.begin() as tx:
            rows = audit.newest(tx, before=None, limit=1000)
        return [(row.actor, row.kind) for row in reversed(rows) if row.actor.startswith("basic:")]


@contextmanager
def world(folder: Path, names: Mapping[str, str] = FLOWS) -> Iterator[tuple[World, str]]:
    """The world, and the address of its console."""
    made = World(folder, names)
    try:
        with listening(made.app) as port:
            yield made, f"http://127.0.0.1:{port}/console"
    finally:
        made.store.close()
