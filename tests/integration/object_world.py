"""A receiver that keeps objects, before the simulated Genesys Cloud, on one clock that only a test moves.

The objects have been as they are for thirty hours, and were read all that time; then somebody changes one.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from genesys.access import Session, open_session
from genesys.actions import DataAction
from genesys.http import Clock, Connection
from genesys.objects import Objects, ObjectType
from genesys.organizations import Analytics
from genesys.platform import Platform
from receiver.objects.keeper import Keeper
from receiver.objects.kept import KeptObjects
from receiver.objects.routes import Routes
from receiver.payload import Alert
from receiver.store import alerts, rollbacks, watchdog
from receiver.store import objects as object_store
from receiver.store.database import Store
from receiver.store.objects import Key
from receiver.store.rollbacks import ENDS, Rollback, State, Step
from receiver.store.schema import decisions, outbox
from simulator.app import create_app
from simulator.request_log import Request
from simulator.scenario import Scenario, parse
from simulator.simulation import Simulation
from simulator.vocabulary import EVENT, FAULTS
from tests.integration.receiver_world import CALL_TIMEOUT_S, FIRST_LOOK_AT, AlertmanagerInMemory, Receiver, Time
from tests.receiver_world import settings_of

URL = "http://genesys.test"
HOUR_S = 3600.0
KNOWN_S = 30 * HOUR_S
BAD_S = 961.0  # fifteen settled minutes of what was changed
ACTION, IVR, TABLE, SCHEDULE, GROUP, QUEUE = "look-up", "main", "holidays", "weekdays", "office", "sales"
MAIN, OLD = "flow-1", "flow-2"

TYPES = {
    ACTION: ObjectType.DATA_ACTION,
    IVR: ObjectType.IVR,
    TABLE: ObjectType.DATA_TABLE,
    SCHEDULE: ObjectType.SCHEDULE,
    GROUP: ObjectType.SCHEDULE_GROUP,
    QUEUE: ObjectType.QUEUE,
}
SCENARIO = parse(
    """
description: two flows, and what their callers pass through
settings: {analytics_late_ratio: 0}
flows:
  - id: flow-1
    name: Main IVR
    type: inboundcall
    calls_per_min: 6
    versions:
      - version: "13.0"
        published_ago: 2592000
        actions: [{id: look-up, name: Look up customer, failed_ratio: 0.01}]
  - id: flow-2
    name: Old IVR
    type: inboundcall
    calls_per_min: 1
    versions: [{version: "3.0", published_ago: 2592000}]
objects:
  - type: data_action
    id: look-up
    name: Look up customer
    fields:
      integrationId: crm
      category: CRM
      config:
        request:
          requestUrlTemplate: "https://crm.example/v2/customers/${input.id}"
          requestType: GET
          headers: {X-Key: hunter2}
    while_changed: [{flow: flow-1, action: look-up, failed_ratio: 0.6}]
  - type: ivr
    id: main
    name: Main line
    fields: {dnis: ["+1"], openHoursFlow: {id: flow-1, name: Main IVR}}
    while_changed: [{flow: flow-2, error_ratio: 0.6, calls_per_min: 6}, {flow: flow-1, calls_per_min: 0.1}]
  - type: data_table
    id: holidays
    name: Holidays
    fields: {schema: {type: object}}
    rows: [{key: a, closed: false}, {key: b, closed: true}, {key: c, closed: true}]
    while_changed: [{flow: flow-1, error_ratio: 0.6}]
  - type: schedule
    id: weekdays
    name: Weekdays
    fields: {rrule: "FREQ=WEEKLY"}
    while_changed: [{flow: flow-1, error_ratio: 0.6}]
  - type: schedule_group
    id: office
    name: Office
    fields: {timeZone: UTC, openSchedules: [{id: weekdays}]}
    while_changed: [{flow: flow-1, error_ratio: 0.6}]
  - {type: queue, id: sales, name: Sales, fields: {skillEvaluationMethod: BEST}}
"""
)
CHANGES: Mapping[str, Mapping[str, Any]] = {
    ACTION: {
        "fields": {
            "config": {
                "request": {
                    "requestUrlTemplate": "https://crm.example/v3/${input.id}",
                    "requestType": "GET",
                    "headers": {"X-Key": "hunter2"},
                }
            }
        }
    },
    IVR: {"fields": {"openHoursFlow": {"id": "flow-2", "name": "Old IVR"}}},
    TABLE: {"rows": [{"key": "a", "closed": True}, {"key": "d", "closed": True}], "removed": ["c"]},
    SCHEDULE: {"fields": {"rrule": "FREQ=YEARLY"}},
    GROUP: {"fields": {"openSchedules": []}},
}
POLICIES = [
    {"org": "retail", "type": "data_action", "id": ACTION, "mode": "approve", "owner": "team-crm"},
    {"org": "retail", "type": "ivr", "id": IVR, "mode": "approve"},
    *[
        {"org": "retail", "type": TYPES[one].value, "id": one, "flow_id": MAIN, "mode": "approve"}
        for one in (TABLE, SCHEDULE, GROUP)
    ],
    {"org": "retail", "type": "queue", "id": QUEUE, "mode": "ignore"},
]


Wrap = Callable[[httpx.BaseTransport], httpx.BaseTransport]


class ObjectScene:
    """One database, the simulator, a keeper and receivers that come and go."""

    def __init__(self, folder: Path, *, scenario: Scenario = SCENARIO, seed: int = 1, **changes: Any) -> None:
        values: dict[str, Any] = {
            "flows": [{"match": "*", "mode": "auto", "owner": "team-voice"}],
            "webhooks": [{"name": "pager", "url": "http://127.0.0.1:9/"}],
            "objects": POLICIES,
        } | changes
        self.settings = settings_of(folder, **values)
        self.time = Time()
        self.time.now = FIRST_LOOK_AT - KNOWN_S - BAD_S
        self.simulation = Simulation(scenario, factor=1.0, seed=seed, clock=lambda: self.time.now)
        self.app = create_app(self.simulation, scenario_name="objects", sleep=self.time.pass_)
        self.store = Store(self.settings.database_url)
        self.store.migrate()
        self.alertmanager = AlertmanagerInMemory()
        self.kept = self.kept_in(self.store, self.session())
        self.keeper = Keeper("retail", self.store, self.kept, self.settings.timing, clock=lambda _: self.time.now)
        while self.keeper.read_due():  # what a filter finds is due then
            self.time.pass_(0.001)
        self.time.pass_(KNOWN_S)
        self.keeper.read_due()
        self.before = {object_id: self.content(object_id) for object_id in TYPES if self.has(object_id)}

    def kept_in(self, store: Store, session: Session) -> KeptObjects:
        return KeptObjects(
            Objects(session, api_url=URL),
            store,
            self.settings.objects,
            {ACTION: MAIN},
            clock=lambda _: self.time.now,
            monotonic=lambda: self.time.now,
        )

    def session(self, wrapped: Wrap = lambda transport: transport) -> Session:
        connection = Connection(
            transport=wrapped(httpx.WSGITransport(app=self.app)),
            clock=Clock(lambda: self.time.now, lambda: self.time.now, self.time.pass_, lambda: 0.5),
        )
        return open_session(
            login_url=URL,
            client_id="simulator",
            client_secret="simulator",
            timeout_s=CALL_TIMEOUT_S,
            deadline_s=30.0,
            connection=connection,
        )

    def receiver(
        self, name: str = "receiver-1", *, store: Store | None = None, wrapped: Wrap = lambda transport: transport
    ) -> Receiver:
        """With a store of its own, and what it sends `wrapped`, if that is said."""
        action = DataAction(ACTION, MAIN, 3.0)
        cloud = Platform(self.session(wrapped), api_url=URL, data_actions=[action])
        objects = Objects(self.session(wrapped), api_url=URL)
        routes = Routes(objects, cloud, self.settings.flows, monotonic=lambda: self.time.now)
        return Receiver(
            self.settings,
            store or self.store,
            self.time,
            {"retail": cloud},
            self.alertmanager,
            name,
            Analytics(history_s=int(36 * HOUR_S)),
            objects=None if not self.settings.objects else self.kept_in(store or self.store, self.session(wrapped)),
            routes=routes,
        )

    def change(self, object_id: str, **more: Any) -> None:
        """Somebody breaks it; the keeper sees that at once."""
        self.happen(
            {"event": "change_object", "type": TYPES[object_id].value, "id": object_id}
            | (more or dict(CHANGES[object_id]))
        )

    def break_it(self, object_id: str) -> None:
        """It is changed, the keeper looks, and a quarter of an hour passes."""
        self.change(object_id)
        self.time.pass_(1.0)
        self.see(object_id)
        self.time.pass_(BAD_S - 1.0)

    def see(self, *object_ids: str) -> None:
        with self.store.begin() as tx:
            object_store.want(tx, "retail", now=self.time.now, object_ids=object_ids)
        self.time.pass_(0.1)
        self.keeper.read_due()

    def happen(self, event: Mapping[str, Any]) -> None:
        with self.simulation.present() as now:
            self.simulation.apply(EVENT.validate_json(json.dumps(event)), now)

    def fault(self, *faults: Mapping[str, Any]) -> None:
        with self.simulation.present() as now:
            self.simulation.faults.replace(FAULTS.validate_json(json.dumps(faults)), now)

    def has(self, object_id: str) -> bool:
        return any(one.id == object_id for one in self.simulation.scenario.objects)

    def content(self, object_id: str) -> Any:
        """What the object is like in Genesys Cloud, without the count of its changes."""
        return self.content_of(TYPES[object_id].value, object_id)

    def content_of(self, object_type: str, object_id: str) -> Any:
        """The same of one of another scenario."""
        with self.simulation.present():
            found = dict(self.simulation.objects.read(object_type, object_id)) | {"version": None}
            rows = self.simulation.objects.rows(object_id) if object_id == TABLE else []
            return json.loads(json.dumps([found, list(rows)]))

    def writes(self) -> list[Request]:
        """Every write of an object that was sent, whatever came of it."""
        with self.simulation.present():
            return [one for one in self.simulation.requests.newest() if one.object_write]

    def accuse(self, object_id: str, *, labels: Mapping[str, str] | None = None) -> None:
        told = {
            "alertname": "GenesysObjectFailing",
            "org": "retail",
            "object_type": TYPES[object_id].value,
            "object_id": object_id,
            "signal": "action_failure" if object_id == ACTION else "error_exit",
            "genesys_action": "rollback",
            "genesys_contract": "1",
        } | dict(labels or {})
        with self.store.begin() as tx:
            watchdog.arrived(tx, now=self.time.now + 1e6)  # its silence is another story
            alert = Alert(
                f"fp-{object_id}-{self.time.now:.0f}", True, self.time.now - 60, None, told, {"summary": "fails"}
            )
            alerts.record(tx, [alert], self.time.now)

    def run(self, receiver: Receiver, seconds: float, *, step_s: float = 2.0) -> None:
        until = self.time.now + seconds
        while self.time.now < until:
            receiver.tick()
            self.time.pass_(step_s)

    def run_to_the_end(self, receiver: Receiver, within_s: float = 4000.0) -> Rollback:
        """Tick until the newest rollback has ended, and give it."""
        began_at = self.time.now
        while self.time.now - began_at < within_s:
            receiver.tick()
            newest = self.rollbacks()[-1]
            if newest.state in ENDS:
                return newest
            self.time.pass_(20.0 if newest.confirmed_at is not None else 2.0)
        raise AssertionError(f"not at an end after {within_s} s: {self.rollbacks()}")

    def rollbacks(self) -> list[Rollback]:
        """Oldest first."""
        with self.store.begin() as tx:
            return rollbacks.newest(tx, org=None, flow_id=None, limit=100)[::-1]

    def asked_for(self) -> Rollback:
        """The one that waits for a person."""
        (waiting,) = (one for one in self.rollbacks() if one.state is State.AWAITING_APPROVAL)
        return waiting

    def steps(self, rollback: Rollback) -> list[Step]:
        with self.store.begin() as tx:
            return rollbacks.steps_of(tx, rollback.id)

    def live(self, object_id: str) -> str:
        """The newest version that is kept."""
        with self.store.begin() as tx:
            return object_store.stints(tx, Key("retail", TYPES[object_id].value, object_id))[-1].version

    def verdicts(self) -> list[str]:
        with self.store.begin() as tx:
            return list(tx.scalars(decisions.select().with_only_columns(decisions.c.verdict).order_by(decisions.c.id)))

    def guards(self, name: str) -> list[Mapping[str, Any]]:
        """What a guard has said in each decision, oldest first."""
        with self.store.begin() as tx:
            told = tx.scalars(decisions.select().with_only_columns(decisions.c.guards).order_by(decisions.c.id))
            return [guard for each in told for guard in each if guard["guard"] == name]

    def told(self) -> list[dict[str, Any]]:
        """The events in the outbox, oldest first."""
        with self.store.begin() as tx:
            return list(tx.scalars(outbox.select().with_only_columns(outbox.c.payload).order_by(outbox.c.id)))


@contextmanager
def object_scene(folder: Path, **changes: Any) -> Iterator[ObjectScene]:
    made = ObjectScene(folder, **changes)
    try:
        yield made
    finally:
        made.store.close()
