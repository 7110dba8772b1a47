"""Flows, their versions, and what is published when.

Owns what is true (`live`) and what a read shows (`shown`), which lags behind by
the effect delay. Knows no HTTP and no callers; the time is an argument, in Unix
seconds, and never goes back.
"""

import random
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field

from simulator import vocabulary as words
from simulator.errors import ApiError, bad_request, not_found
from simulator.scenario import FlowSpec
from simulator.vocabulary import FlowEvent, Settings


@dataclass
class Version:
    label: str
    error_ratio: float
    created_at: float
    created_by: str
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Stint:
    """A stretch in which one version is live: from `start` to the start of the next stint."""

    version: str
    start: float
    shown_from: float


@dataclass
class Operation:
    """A publish under way or done; it takes effect at `completes_at`."""

    id: str
    version: str
    client: str
    completes_at: float
    complete: bool = False
    failed: bool = False


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


@dataclass
class World:
    """All flows. Call `settle` before reading at a time: publishes that are due then take effect."""

    flows: dict[str, Flow]
    settings: Settings
    factor: float
    rng: random.Random
    _running: list[Operation] = field(default_factory=list)

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

    def publish(self, flow_id: str, label: str, *, client: str, at: float) -> Operation:
        """Start to make a version live, as the API does: an operation that takes its time.

        Raises an `ApiError` when it has no effect: 404, 409 (locked, an
        operation is running), 410 (deleted).
        """
        flow = self.flow(flow_id)
        if flow.deleted:
            raise ApiError(410, "flow.deleted", f"The flow {flow_id} is deleted.")
        self.version(flow_id, label)
        if flow.locked_by is not None:
            raise ApiError(409, "flow.locked", f"The flow {flow_id} is locked by {flow.locked_by}.")
        if flow.operation is not None and not flow.operation.complete:
            raise ApiError(409, "flow.operation.in.progress", f"An operation is running on the flow {flow_id}.")
        operation_id = str(uuid.UUID(int=self.rng.getrandbits(128), version=4))
        operation = Operation(operation_id, label, client, at + self._real_s(self.settings.publish_time))
        flow.operation = operation
        self._running.append(operation)
        return operation

    def next_due(self) -> float | None:
        """When the next publish takes effect."""
        return min((operation.completes_at for operation in self._running), default=None)

    def settle(self, at: float) -> None:
        """Let the publishes that are due take effect."""
        for flow in self.flows.values():
            operation = flow.operation
            if operation is not None and not operation.complete and operation.completes_at <= at:
                operation.complete = True
                operation.failed = flow.deleted or flow.versions[operation.version].deleted
                self._running.remove(operation)
                if not operation.failed:
                    self._make_live(flow, operation.version, operation.completes_at)

    def apply(self, event: FlowEvent, at: float) -> None:
        """Let somebody else change a flow. Raises an `ApiError` if that is impossible; then nothing changed."""
        flow = self.flow(event.flow)
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

    def _published_by_others(self, flow: Flow, event: words.Publish, at: float) -> None:
        known = flow.versions.get(event.version)
        if known is None and event.error_ratio is None:
            raise bad_request(f"version {event.version} is new: give its error_ratio")
        if known is None:
            flow.versions[event.version] = Version(event.version, event.error_ratio or 0.0, at, event.by)
        elif known.deleted:
            raise not_found(f"The version {event.version} of flow {event.flow}")
        elif event.error_ratio is not None:
            known.error_ratio = event.error_ratio
        self._make_live(flow, event.version, at)

    def _delete_version(self, flow: Flow, label: str) -> None:
        version = self.version(flow.spec.id, label)
        if version is flow.live:
            raise bad_request(f"version {label} is live and cannot be deleted")
        version.deleted = True

    def _make_live(self, flow: Flow, label: str, at: float) -> None:
        flow.stints.append(Stint(label, at, shown_from=at + self._real_s(self.settings.effect_delay)))

    def _real_s(self, simulated_s: float) -> float:
        return simulated_s / self.factor


def build(specs: Iterable[FlowSpec], settings: Settings, *, start: float, factor: float, rng: random.Random) -> World:
    """The world as it is at `start`."""
    return World({spec.id: _flow(spec, start, factor) for spec in specs}, settings, factor, rng)


def _flow(spec: FlowSpec, start: float, factor: float) -> Flow:
    versions = {}
    stints = []
    for past in spec.history():
        published_at = start - past.published_ago / factor
        versions[past.version] = Version(past.version, past.error_ratio, published_at, past.by)
        stints.append(Stint(past.version, published_at, shown_from=published_at))
    return Flow(spec, spec.calls_per_min, versions, stints)
