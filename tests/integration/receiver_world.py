"""The world around a receiver, in memory: a Genesys Cloud, an Alertmanager, the time; and a receiver in it.

The receiver is the real one, with its database. Time moves only when a test moves it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from genesys.dialect import GenesysCloud, RateLimit
from genesys.errors import GenesysError, Gone, Refused, Unavailable
from genesys.evidence import Evidence, Outcomes
from genesys.flows import Flow, FlowVersion, Operation
from genesys.jobs import Jobs
from genesys.organizations import Analytics
from genesys.stints import Stint
from receiver.alertmanager import Alertmanagers
from receiver.applied import survey_with
from receiver.config import ReceiverSettings
from receiver.gather import Surroundings
from receiver.metrics import ReceiverMetrics
from receiver.objects.cloud import WithObjects
from receiver.objects.kept import KeptObjects
from receiver.objects.routes import Routes
from receiver.outbound import OutboundError
from receiver.payload import Alert
from receiver.reader import Reader
from receiver.store import alerts, controls, decisions, rollbacks, watchdog
from receiver.store.alerts import StoredAlert
from receiver.store.database import Store, Transaction
from receiver.store.decisions import StoredDecision
from receiver.store.rollbacks import Permit, Rollback, Step
from receiver.store.schema import outbox
from receiver.tools import Tools, telling_of
from receiver.worker import Worker
from tests.receiver_world import settings_of

DAY_S = 86_400.0
BAD_PUBLISH_AT = 1_795_348_800.0  # a full hour, so that no history bucket holds two versions
FIRST_LOOK_AT = BAD_PUBLISH_AT + 961  # fifteen settled minutes of the bad version
CALL_TIMEOUT_S = 10.0
FLOW_ID = "flow-1"
ALERTMANAGER = "http://alertmanager:9093"


@dataclass
class Time:
    """The one clock of the world, wall and monotonic."""

    now: float = FIRST_LOOK_AT

    def pass_(self, seconds: float) -> None:
        self.now += seconds


@dataclass(frozen=True)
class Reaction:
    """What Genesys Cloud does with one publish."""

    raises: GenesysError | None = None  # instead of an answer
    effect_after_s: float | None = 2.0  # None: never
    takes_s: float = 0.0  # until the answer, or its absence
    operation_fails: bool = False
    publishes: str | None = None  # somebody else's version, right after ours


EFFECTIVE = Reaction()
TIMEOUT = Unavailable("no usable answer")


@dataclass
class FlowInGenesys:
    """One flow: the versions it had live, and what its callers meet."""

    id: str = FLOW_ID
    type: str = "inboundcall"
    timeline: list[tuple[float, str]] = field(
        default_factory=lambda: [
            (BAD_PUBLISH_AT - 30 * DAY_S, "12.0"),
            (BAD_PUBLISH_AT - 10 * DAY_S, "13.0"),
            (BAD_PUBLISH_AT, "14.0"),
        ]
    )
    error_ratio: dict[str, float] = field(default_factory=lambda: {"14.0": 0.5})
    calls_per_minute: int = 10
    published_by: str = "pipeline"
    active: bool = True
    deleted: bool = False
    locked_by: str | None = None
    operation: Operation | None = None
    silent_from: float = float("inf")  # nobody calls any more
    calls_end: bool = True
    content: dict[str, str] = field(default_factory=dict)  # of versions that are the same thing as another
    fails_from: float | None = None  # a back end is down since then: half of the calls fail, whatever the version

    @property
    def live(self) -> str:
        return self.timeline[-1][1]

    def live_at(self, at: float) -> str | None:
        return next((version for since, version in reversed(self.timeline) if since <= at), None)

    def outcomes(self, start: int, bucket_s: int) -> tuple[str, Outcomes] | None:
        version = self.live_at(start)
        if version is None or start >= self.silent_from:
            return None
        calls = self.calls_per_minute * bucket_s // 60
        is_down = self.fails_from is not None and start >= self.fails_from
        errors = int(calls * max(self.error_ratio.get(version, 0.0), 0.5 if is_down else 0.0))
        exits = {"FLOW_ERROR_EXIT": errors, "FLOW_DISCONNECT": calls - errors} if self.calls_end else {}
        return version, Outcomes(calls, exits)


class GenesysInMemory:
    """`genesys.dialect.GenesysCloud` over a few flows; counts what is published."""

    rate_limit: RateLimit | None = None
    jobs: Jobs | None = None
    dependencies = None

    def __init__(self, time: Time, *flows: FlowInGenesys) -> None:
        self._time = time
        self._known = {flow.id: flow for flow in flows or (FlowInGenesys(),)}
        self._effects: list[tuple[float, str, str, Operation]] = []
        self._operations = count(1)
        self.published: list[tuple[float, str, str]] = []
        self.reactions: list[Reaction] = []
        self.down: GenesysError | None = None
        self.listing_fails: GenesysError | None = None
        self.content_fails: GenesysError | None = None
        self.contents_read: list[str] = []
        self.reading_takes_s = 0.0  # before the answer is made up
        self.answering_takes_s = 0.0  # after it, for a flow
        self.before_publish: Callable[[], None] = lambda: None
        self.before_read: Callable[[], None] = lambda: None

    def of(self, flow_id: str = FLOW_ID) -> FlowInGenesys:
        self._let_effects_happen()
        return self._known[flow_id]

    def evidence(self, start: int, end: int, *, bucket_s: int, flow_ids: Sequence[str] = ()) -> Evidence:
        self._read()
        if not set(flow_ids) <= set(self._known):
            raise Refused("flowId is not known", 400)
        found: dict[tuple[str, str], dict[int, Outcomes]] = {}
        for flow in self._known.values():
            if not flow_ids or flow.id in flow_ids:
                for bucket in range(start, end, bucket_s):
                    told = flow.outcomes(bucket, bucket_s)
                    if told is not None:
                        found.setdefault((flow.id, told[0]), {})[bucket] = told[1]
        return Evidence(start, end, bucket_s, found)

    def conversations(self, start: int, end: int, *, bucket_s: int) -> Mapping[int, tuple[int, int]]:
        return {}

    def flows(self, *, published_after: float | None = None) -> list[Flow]:
        self._read()
        if self.listing_fails is not None:
            raise self.listing_fails
        return [self._shown(flow) for flow in self._known.values() if not flow.deleted]

    def flow(self, flow_id: str) -> Flow:
        self._read()
        if flow_id not in self._known:
            raise Gone(f"no flow {flow_id}", 404)
        shown = self._shown(self._known[flow_id])
        self._time.pass_(self.answering_takes_s)
        return shown

    def _shown(self, flow: FlowInGenesys) -> Flow:
        return Flow(
            id=flow.id,
            name="Main IVR",
            type=flow.type,
            division_id="d1",
            division_name="Home",
            active=flow.active,
            deleted=flow.deleted,
            live_version=flow.live,
            live_published_at=flow.timeline[-1][0],
            published_by=flow.published_by,
            locked_by=flow.locked_by,
            operation=flow.operation,
        )

    def versions(self, flow_id: str) -> list[FlowVersion]:
        self._read()
        if flow_id not in self._known:
            raise Gone(f"no flow {flow_id}", 404)
        timeline = self._known[flow_id].timeline
        ends: list[float | None] = [*(since for since, _ in timeline[1:]), None]
        stretches = {version: (since, until) for (since, version), until in zip(timeline, ends, strict=True)}
        return [FlowVersion(version, False, *stretch, "pipeline") for version, stretch in stretches.items()]

    def configuration(self, flow_id: str, version: str) -> str | None:
        self._read()
        self.contents_read.append(version)
        if self.content_fails is not None:
            raise self.content_fails
        return self._known[flow_id].content.get(version, f"content of {version}")

    def publish(self, flow_id: str, version: str) -> Operation:
        self.before_publish()
        self._let_effects_happen()
        self.published.append((self._time.now, flow_id, version))
        reaction = self.reactions.pop(0) if self.reactions else EFFECTIVE
        operation = Operation(f"op-{next(self._operations)}", complete=False, action="PUBLISH", status="STARTED")
        flow = self._known[flow_id]
        if reaction.operation_fails:
            flow.operation = replace(operation, complete=True, status="FAILURE", error="flow.invalid")
        elif reaction.effect_after_s is not None:
            self._effects.append((self._time.now + reaction.effect_after_s, flow_id, version, operation))
        if reaction.publishes is not None:
            self._effects.append((self._time.now + 3, flow_id, reaction.publishes, operation))
        self._time.pass_(reaction.takes_s)
        if reaction.raises is not None:
            raise reaction.raises
        return operation

    def stints(self) -> Mapping[str, Sequence[Stint]]:
        return {}

    def recall(self, stints: Mapping[str, Sequence[Stint]]) -> None:
        """Its figures know their version."""

    def close(self) -> None:
        """Nothing is open."""

    def make_live(self, version: str, flow_id: str = FLOW_ID) -> None:
        """Somebody publishes."""
        self._let_effects_happen()
        self._known[flow_id].timeline.append((self._time.now, version))

    def _read(self) -> None:
        self.before_read()
        self._time.pass_(self.reading_takes_s)
        self._let_effects_happen()
        if self.down is not None:
            raise self.down

    def _let_effects_happen(self) -> None:
        for effect in sorted(self._effects, key=lambda one: one[0]):
            at, flow_id, version, operation = effect
            if at <= self._time.now:
                self._effects.remove(effect)
                self._known[flow_id].timeline.append((at, version))
                self._known[flow_id].operation = replace(operation, complete=True, status="SUCCESS")


class AlertmanagerInMemory:
    """Alertmanager's API as far as the receiver reads it; what is in `firing` is listed, webhook or not."""

    def __init__(self) -> None:
        self.down = False
        self.watchdog = True  # Prometheus reaches it
        self.firing: dict[str, Alert] = {fingerprint(): alert_of()}
        self.silenced: dict[str, list[str]] = {}
        self.inhibited: dict[str, list[str]] = {}
        self.asked: list[str] = []
        self.before_answer: Callable[[], None] = lambda: None

    def get_json(self, url: str, params: Mapping[str, str] | None = None) -> Any:
        self.asked.append(url)
        self.before_answer()
        if self.down:
            raise OutboundError("alertmanager did not answer: ConnectError")
        if "/silence/" in url:
            return {"createdBy": "ann", "endsAt": "2026-11-23T10:00:00Z"}
        if params != {"filter": 'genesys_action=~"rollback|watchdog"'}:
            return [self._entry("fp-maintenance", {"alertname": "GenesysMaintenance"})]
        entries = [self._entry("fp-watchdog", {"genesys_action": "watchdog"})] if self.watchdog else []
        return entries + [
            self._entry(one, alert.labels, alert.annotations, alert.starts_at) for one, alert in self.firing.items()
        ]

    def list(self, *alerts: Alert) -> None:
        """These fire, and no other."""
        self.firing = {alert.fingerprint: alert for alert in alerts}

    def _entry(
        self,
        name: str,
        labels: Mapping[str, str],
        annotations: Mapping[str, str] | None = None,
        starts_at: float = BAD_PUBLISH_AT,
    ) -> dict[str, Any]:
        silenced_by, inhibited_by = self.silenced.get(name, []), self.inhibited.get(name, [])
        return {
            "fingerprint": name,
            "labels": dict(labels),
            "annotations": dict(annotations or {}),
            "startsAt": datetime.fromtimestamp(starts_at, UTC).isoformat(),
            "endsAt": datetime.fromtimestamp(starts_at + 14400, UTC).isoformat(),
            "receivers": [{"name": "rollback-receiver"}],
            "status": {
                "state": "suppressed" if silenced_by or inhibited_by else "active",
                "silencedBy": silenced_by,
                "inhibitedBy": inhibited_by,
            },
        }


def fingerprint(flow_id: str = FLOW_ID, org: str = "retail", version: str = "14.0") -> str:
    return f"fp-{org}-{flow_id}-{version}"


def alert_of(
    flow_id: str = FLOW_ID,
    org: str = "retail",
    version: str = "14.0",
    *,
    firing: bool = True,
    labels: Mapping[str, str] | None = None,
) -> Alert:
    """What Alertmanager delivers for a failing flow; a label given as "" is left out."""
    values = {
        "alertname": "GenesysFlowFailing",
        "org": org,
        "flow_id": flow_id,
        "flow_version": version,
        "signal": "error_exit",
        "genesys_action": "rollback",
        "genesys_contract": "1",
    } | dict(labels or {})
    starts_at = BAD_PUBLISH_AT + 400
    return Alert(
        fingerprint(flow_id, org, version),
        firing,
        starts_at,
        None if firing else starts_at + 3600,
        {name: value for name, value in values.items() if value},
        {"summary": "fails", "live_since": str(BAD_PUBLISH_AT), "threshold_ratio": "0.05"},
    )


class Receiver:
    """One receiver process without its threads: `tick` is one round of an organization's loop."""

    def __init__(
        self,
        settings: ReceiverSettings,
        store: Store,
        time: Time,
        genesys: Mapping[str, GenesysCloud],
        alertmanager: AlertmanagerInMemory,
        name: str = "receiver-1",
        analytics: Analytics | None = None,
        clock: Callable[[Transaction], float] | None = None,
        monotonic: Callable[[], float] | None = None,
        objects: KeptObjects | None = None,
        routes: Routes | None = None,
    ) -> None:
        """Without `clock` and `monotonic` the database's clock and the process's own are the world's."""
        self.time = time
        self._own_clock = monotonic or (lambda: time.now)
        self.store = store
        self.metrics = ReceiverMetrics(store, settings, list(genesys))
        self.workers = {}
        self.tools = {}
        self.stalls: list[float] = []  # seconds that have passed at the next looks at the monotonic clock
        for org, plain in genesys.items():
            cloud = plain if objects is None and routes is None else WithObjects(plain, objects, routes, store)
            tools = self.tools[org] = Tools(
                store=store,
                genesys=cloud,
                reader=Reader(
                    cloud,
                    analytics or Analytics(),
                    retry_s=settings.timing.retry_s,
                    survey=survey_with(settings),
                    credentials=lambda _: None,
                ),
                alertmanagers=Alertmanagers(
                    settings.alertmanagers, alertmanager, max_age_s=settings.timing.alertmanager_max_age_s
                ),
                around=Surroundings(settings, frozenset(genesys), bool(settings.alertmanagers)),
                telling=telling_of(settings),
                metrics=self.metrics,
                receiver=name,
                call_timeout_s=CALL_TIMEOUT_S,
                objects=objects,
                routes=routes,
                monotonic=self._monotonic,
                clock=clock or (lambda _: time.now),
            )
            first = org == next(iter(genesys))
            self.workers[org] = Worker(org, tools, responsible_for_strangers=list(genesys) if first else ())

    def _monotonic(self) -> float:
        return self._own_clock() + (self.stalls.pop(0) if self.stalls else 0.0)

    def tick(self, org: str = "retail") -> None:
        self.workers[org].tick()


class Scene:
    """A receiver in its world, and what a test wants to know of it."""

    def __init__(self, folder: Path, orgs: Sequence[str] = ("retail",), **changes: Any) -> None:
        values: dict[str, Any] = {
            "flows": [{"match": "*", "mode": "auto", "owner": "team-voice"}],
            "webhooks": [{"name": "pager", "url": "http://127.0.0.1:9/"}],
        } | changes
        self.settings = settings_of(folder, **values)
        self.store = Store(self.settings.database_url)
        self.store.migrate()
        self.time = Time()
        self.clouds = {org: GenesysInMemory(self.time) for org in orgs}
        self.alertmanager = AlertmanagerInMemory()
        self.watchdog_arrives = True
        self.receiver = self.another_receiver("receiver-1")

    @property
    def genesys(self) -> GenesysInMemory:
        return self.clouds["retail"]

    def another_receiver(self, name: str) -> Receiver:
        """A new process on the same database: it remembers nothing."""
        return Receiver(self.settings, self.store, self.time, self.clouds, self.alertmanager, name)

    def deliver(self, *delivered: Alert) -> None:
        with self.store.begin() as tx:
            alerts.record(tx, delivered or [alert_of()], self.time.now)

    def run(self, seconds: float, *, step_s: float = 2.0) -> None:
        """Let the loop of every organization tick for a while."""
        until = self.time.now + seconds
        while self.time.now < until:
            if self.watchdog_arrives:
                with self.store.begin() as tx:
                    watchdog.arrived(tx, now=self.time.now)
            for org in self.clouds:
                self.receiver.tick(org)
            self.time.pass_(step_s)

    def run_to_the_end(self, within_s: float = 4000.0, *, step_s: float = 5.0) -> Rollback:
        """Tick until the newest rollback has ended, and give it."""
        until = self.time.now + within_s
        while self.time.now < until:
            self.run(step_s, step_s=step_s)
            ended = [one for one in self.rollbacks() if one.ended_at is not None]
            if ended and len(ended) == len(self.rollbacks()):
                return ended[0]
        raise AssertionError(f"not at an end after {within_s} s: {[one.state for one in self.rollbacks()]}")

    def rollbacks(self) -> list[Rollback]:
        with self.store.begin() as tx:
            return rollbacks.newest(tx, org=None, flow_id=None, limit=100)

    def the_rollback(self) -> Rollback:
        (only,) = self.rollbacks()
        return only

    def steps(self) -> list[Step]:
        rollback = self.the_rollback()
        with self.store.begin() as tx:
            return rollbacks.steps_of(tx, rollback.id)

    def permits(self) -> list[Permit]:
        rollback = self.the_rollback()
        with self.store.begin() as tx:
            return rollbacks.permits_of(tx, rollback.id)

    def decisions(self) -> list[StoredDecision]:
        """Oldest first."""
        with self.store.begin() as tx:
            return decisions.newest(tx, org=None, flow_id=None, verdict=None, limit=1000)[::-1]

    def verdicts(self) -> list[str]:
        return [decision.verdict for decision in self.decisions()]

    def alerts(self) -> list[StoredAlert]:
        with self.store.begin() as tx:
            return alerts.newest(tx, org=None, open_only=False, limit=1000)

    def told(self) -> list[dict[str, Any]]:
        """The events in the outbox, oldest first."""
        with self.store.begin() as tx:
            return list(tx.scalars(outbox.select().with_only_columns(outbox.c.payload).order_by(outbox.c.id)))

    def told_types(self) -> list[str]:
        return [event["incident_type"] for event in self.told()]

    def published(self) -> list[str]:
        """Versions that were sent to be published, in every organization."""
        return [version for cloud in self.clouds.values() for _, _, version in cloud.published]


@contextmanager
def scene(folder: Path, orgs: Sequence[str] = ("retail",), **changes: Any) -> Iterator[Scene]:
    made = Scene(folder, orgs, **changes)
    try:
        yield made
    finally:
        made.store.close()


def open_window(here: Scene) -> None:
    """A person opens a maintenance window of an hour for the whole organization."""
    with here.store.begin() as tx:
        controls.open_window(
            tx,
            org="retail",
            flow_ids=(),
            kind="maintenance",
            starts_at=here.time.now,
            ends_at=here.time.now + 3600,
            reason="x",
            owner="bob",
            created_by="bob",
            now=here.time.now,
        )
