"""Flows, their versions, and what is published when.

Owns what is true (`live`) and what a read shows (`shown`), which lags behind by
the effect delay, and what it was earlier (`as_of`). Knows no HTTP and no
callers; the time is an argument, in Unix seconds, and never goes back.
"""

import math
import random
import uuid
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType

from simulator import vocabulary as words
from simulator.behaviour import GOOD, Behaviour
from simulator.errors import ApiError, bad_request, not_found
from simulator.scenario import FlowSpec
from simulator.trail import AuditTrail
from simulator.vocabulary import FlowEvent, Settings, Switches

CHANGES_REMEMBERED = 1000  # of each flow, for reads that are behind


@dataclass
class Version:
    label: str
    error_ratio: float
    created_at: float
    created_by: str
    content: str
    behaviour: Behaviour = GOOD
    deleted: bool = False
    flow_name: str = ""  # as the flow was called then, if it is called otherwise now


@dataclass(frozen=True, slots=True)
class Stint:
    """A stretch in which one version is live: from `start` to the start of the next stint.

    `dated` is what its `datePublished` says.
    """

    version: str
    start: float
    shown_from: float
    dated: float


class Fate(StrEnum):
    """What becomes of a publish that is answered with 200."""

    WORKS = "works"
    NOTHING = "nothing"  # the operation ends in SUCCESS, and another version stays live
    FAILS = "fails"  # the operation ends in FAILURE
    HANGS = "hangs"  # the operation never completes
    FORGOTTEN = "forgotten"  # the flow never hears of it


@dataclass
class Operation:
    """A publish under way or done; what becomes of it shows at `completes_at`."""

    id: str
    version: str
    client: str
    completes_at: float
    fate: Fate
    complete: bool = False
    error_code: str | None = None

    @property
    def effect_at(self) -> float | None:
        """When the version becomes live, if that is its fate."""
        return self.completes_at if self.fate is Fate.WORKS else None


@dataclass
class Flow:
    spec: FlowSpec
    calls_per_min: float
    versions: dict[str, Version]
    stints: list[Stint]
    active: bool = True
    deleted: bool = False
    locked_by: str | None = None
    operation: Operation | None = None
    bound: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))  # the version of each module it uses

    @property
    def live(self) -> Version:
        """The version that new callers meet."""
        return self.versions[self.stints[-1].version]

    def live_at(self, at: float) -> Version | None:
        """The version that callers met at a time; None before the first was published."""
        return next((self.versions[stint.version] for stint in reversed(self.stints) if stint.start <= at), None)

    @property
    def in_service(self) -> bool:
        return self.active and not self.deleted

    def shown(self, at: float) -> list[Stint]:
        """The stints that a read at this time knows of, earliest first."""
        return [stint for stint in self.stints if stint.shown_from <= at]

    def existing(self) -> list[Version]:
        """The versions that are not deleted, newest first."""
        return [version for version in reversed(self.versions.values()) if not version.deleted]

    def copy(self) -> "Flow":
        """The flow as it is now, whatever becomes of it."""
        versions = {label: replace(version) for label, version in self.versions.items()}
        operation = None if self.operation is None else replace(self.operation)
        return replace(self, versions=versions, stints=[*self.stints], operation=operation)


@dataclass(frozen=True, slots=True)
class Impaired:
    """What else than its version makes the callers of a flow fail; `failed_ratios` by data action."""

    error_ratio: float = 0.0
    failed_ratios: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))


_SOUND = Impaired()


@dataclass
class World:
    """All flows. Call `settle` before reading at a time: publishes that are due then take effect."""

    flows: dict[str, Flow]
    settings: Settings
    switches: Switches
    factor: float
    rng: random.Random
    audit: AuditTrail
    impairments: Mapping[str, Impaired] = field(default_factory=lambda: MappingProxyType({}))  # by flow
    _running: list[Operation] = field(default_factory=list)
    _past: dict[str, deque[tuple[float, Flow]]] = field(default_factory=dict)  # each with the time of its end

    def flow(self, flow_id: str) -> Flow:
        """Raises a 404 `ApiError` if there is no such flow; deleted flows are still there."""
        if flow_id not in self.flows:
            raise not_found(f"The flow {flow_id}")
        return self.flows[flow_id]

    def version(self, flow_id: str, label: str) -> Version:
        """Raises a 404 `ApiError` if the flow has no such version (any more)."""
        version = self.flow(flow_id).versions.get(label)
        if version is None or version.deleted:
            raise not_found(f"The version {label} of flow {flow_id}")
        return version

    def impaired(self, flow_id: str) -> Impaired:
        """What its callers meet besides its version."""
        return self.impairments.get(flow_id, _SOUND)

    def as_of(self, at: float) -> "World":
        """The world as it was at a time, to be read only."""
        return replace(self, flows={flow_id: self._flow_as_of(flow_id, at) for flow_id in self.flows})

    def publish(self, flow_id: str, label: str, *, client: str, at: float, fate: Fate | None = None) -> Operation:
        """Start to make a version live, as the API does: an operation that takes its time.

        Without a fate the switches decide it. Every version here was published
        before, so that each publish is a republish. Raises an `ApiError` when it has no
        effect: 400 (refused by the switch), 404, 409 (locked, an operation is
        running), 410 (deleted).
        """
        flow = self.flow(flow_id)
        if fate is Fate.FORGOTTEN:
            return self._operation(label, client, at, fate)
        if not flow.deleted:
            self.version(flow_id, label)
        self._check_that_it_is_free(flow)
        if self.switches.republish == "refused":
            raise ApiError(400, "flow.version.already.published", f"The version {label} has been published before.")
        by_switch = Fate.NOTHING if self.switches.republish == "nothing" else Fate.WORKS
        operation = self._operation(label, client, at, fate or by_switch)
        self._remember(flow, at)
        flow.operation = operation
        self._running.append(operation)
        return operation

    def deploy(self, flow_id: str, source: Version, *, client: str, at: float) -> str:
        """Make a new version with the content of `source`, and make it live at once; gives its label.

        Raises a 409 `ApiError` if the flow is locked or an operation is running, 410 if it is deleted.
        """
        flow = self.flow(flow_id)
        self._check_that_it_is_free(flow)
        self._remember(flow, at)
        label = f"{max(int(float(known)) for known in flow.versions) + 1}.0"
        flow.versions[label] = replace(source, label=label, created_at=at, created_by=client, deleted=False)
        self._make_live(flow, label, at, by=client)
        return label

    def next_due(self) -> float | None:
        """When the next publish takes effect."""
        return min((operation.completes_at for operation in self._running), default=None)

    def settle(self, at: float) -> None:
        """Let the publishes that are due take effect."""
        for flow in self.flows.values():
            operation = flow.operation
            if operation is not None and not operation.complete and operation.completes_at <= at:
                self._remember(flow, operation.completes_at)
                self._running.remove(operation)
                self._complete(flow, operation)

    def apply(self, event: FlowEvent, at: float) -> None:
        """Let somebody else change a flow. Raises an `ApiError` if that is impossible; then nothing changed."""
        flow = self.flow(event.flow)
        self._remember(flow, at)
        match event:
            case words.Publish():
                self._published_by_others(flow, event, at)
            case words.ErrorRatio():
                self.version(event.flow, event.version).error_ratio = event.error_ratio
            case words.CallsPerMin():
                flow.calls_per_min = event.calls_per_min
            case words.Lock():
                flow.locked_by = event.by
            case words.Unlock():
                flow.locked_by = None
            case words.Deactivate():
                flow.active = False
            case words.Activate():
                flow.active = True
            case words.DeleteVersion():
                self._delete_version(flow, event.version)
            case words.DeleteFlow():
                flow.deleted = True

    def _check_that_it_is_free(self, flow: Flow) -> None:
        flow_id = flow.spec.id
        if flow.deleted:
            raise ApiError(410, "flow.deleted", f"The flow {flow_id} is deleted.")
        if flow.locked_by is not None:
            raise ApiError(409, "flow.locked", f"The flow {flow_id} is locked by {flow.locked_by}.")
        if flow.operation is not None and not flow.operation.complete:
            raise ApiError(409, "flow.operation.in.progress", f"An operation is running on the flow {flow_id}.")

    def _published_by_others(self, flow: Flow, event: words.Publish, at: float) -> None:
        known = flow.versions.get(event.version)
        if known is None and event.error_ratio is None:
            raise bad_request(f"version {event.version} is new: give its error_ratio")
        if known is None:
            content = event.content or event.version
            behaviour = event.behaviour(flow.live.behaviour)
            created = Version(event.version, event.error_ratio or 0.0, at, event.by, content, behaviour)
            flow.versions[event.version] = created
        elif known.deleted:
            raise not_found(f"The version {event.version} of flow {event.flow}")
        else:
            known.error_ratio = known.error_ratio if event.error_ratio is None else event.error_ratio
            known.behaviour = event.behaviour(known.behaviour)
        self._make_live(flow, event.version, at, by=event.by, person=event.person)

    def _delete_version(self, flow: Flow, label: str) -> None:
        version = self.version(flow.spec.id, label)
        if version is flow.live:
            raise bad_request(f"version {label} is live and cannot be deleted")
        version.deleted = True

    def _complete(self, flow: Flow, operation: Operation) -> None:
        operation.complete = True
        if operation.fate is Fate.FAILS:
            operation.error_code = "flow.publish.failed"
        elif flow.deleted or flow.versions[operation.version].deleted:
            operation.error_code = "flow.version.gone"
        elif operation.fate is Fate.WORKS:
            self._make_live(flow, operation.version, operation.completes_at, by=operation.client)

    def changed(self, change: words.Change, at: float) -> None:
        """Somebody changed something that is no flow."""
        self.audit.add(change, at, late_s=self.real_s(self.settings.audit_latency + change.late_s))

    def _make_live(self, flow: Flow, label: str, at: float, *, by: str, person: bool = False) -> None:
        """The version that is live now of each common module is the one that it uses from now on."""
        first = next((stint.dated for stint in flow.stints if stint.version == label), at)
        dated = first if self.switches.date_published == "stays" else at
        flow.bound = {used: self.flows[used].live.label for used in flow.spec.uses}
        flow.stints.append(Stint(label, at, shown_from=at + self.real_s(self.settings.effect_delay), dated=dated))
        late_s = self.real_s(self.settings.audit_latency)
        self.audit.published(flow.spec.id, flow.spec.name, label, by, at, person=person, late_s=late_s)

    def _operation(self, label: str, client: str, at: float, fate: Fate) -> Operation:
        operation_id = str(uuid.UUID(int=self.rng.getrandbits(128), version=4))
        takes_s = math.inf if fate is Fate.HANGS else self.real_s(self.settings.publish_time)
        return Operation(operation_id, label, client, at + takes_s, fate)

    def _remember(self, flow: Flow, until: float) -> None:
        """Keep the flow as it is until a time at which it changes."""
        past = self._past.setdefault(flow.spec.id, deque(maxlen=CHANGES_REMEMBERED))
        past.append((until, flow.copy()))

    def _flow_as_of(self, flow_id: str, at: float) -> Flow:
        past = self._past.get(flow_id, ())
        return next((flow for until, flow in past if at < until), self.flows[flow_id])

    def real_s(self, simulated_s: float) -> float:
        """A duration as it passes here."""
        return simulated_s / self.factor


def build(
    specs: Iterable[FlowSpec],
    settings: Settings,
    switches: Switches,
    *,
    start: float,
    factor: float,
    rng: random.Random,
    clients: Mapping[str, str] = MappingProxyType({}),
) -> World:
    """The world as it is at `start`; `clients` are the ids of OAuth clients by name."""
    flows = {spec.id: _flow(spec, start, factor) for spec in specs}
    for flow in flows.values():
        flow.bound = {used: flows[used].live.label for used in flow.spec.uses}
    audit = AuditTrail(clients)
    past = sorted(
        (version.created_at, flow.spec.id, version.label)
        for flow in flows.values()
        for version in flow.versions.values()
    )
    for at, flow_id, label in past:
        flow = flows[flow_id]
        by = flow.versions[label].created_by
        audit.published(flow_id, flow.spec.name, label, by, at, person=False, late_s=0.0)
    return World(flows, settings, switches, factor, rng, audit)


def _flow(spec: FlowSpec, start: float, factor: float) -> Flow:
    versions = {}
    stints = []
    for past in spec.history():
        published_at = start - past.published_ago / factor
        content = past.content or past.version
        behaviour = past.behaviour(GOOD)
        versions[past.version] = Version(past.version, past.error_ratio, published_at, past.by, content, behaviour)
        stints.append(Stint(past.version, published_at, shown_from=published_at, dated=published_at))
    return Flow(spec, spec.calls_per_min, versions, stints)
