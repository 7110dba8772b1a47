"""Do several flows fail at once? Then no single deployment is to blame, and taking one back would not help.

Judges every flow of an organization by the same settled minutes, with the same
test as the accused one. Pure: `reader` reads what is judged.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from genesys.evidence import Evidence, Outcomes, Signal
from genesys.excess import BREACH_MINUTES, find_excess
from genesys.flows import Flow
from genesys.history import baseline_of
from genesys.probation import ProbationLimits, judge_probation, stretches_of
from genesys.routing import EarlierShares, Shift, largest_shift, turned
from genesys.thresholds import Judging
from genesys.transfers import Target
from receiver.change_set import Publication, count_change_sets

MIN_ESTABLISHED = 2  # one established flow that fails may have a cause of its own
MIN_DEPLOYMENTS = 2  # a cause that one deployment has alone is not common


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One flow with traffic in the trailing hour: does its live version fail, and has that left probation?"""

    flow_id: str
    name: str
    version: str
    published_by: str | None
    published_at: float | None
    failing: Mapping[Signal, bool]  # by which signals it fails, and whether it has left probation by each

    def fails(self, signals: Set[Signal]) -> bool:
        return any(signal in self.failing for signal in signals)

    def is_established(self, signals: Set[Signal]) -> bool:
        """It fails by one of the signals, and has left probation by that one."""
        return any(self.failing.get(signal, False) for signal in signals)


@dataclass(frozen=True, slots=True)
class CommonCauseLimits:
    """From which share of the flows on a cause is common, among how many, and what counts as one deployment."""

    ratio: float = 0.3
    min_flows: int = 4
    deployment_s: float = 600.0


@dataclass(frozen=True, slots=True)
class CommonCause:
    """What fails in the organization at once."""

    established: tuple[str, ...]  # names of flows whose version has left probation and fails
    deployments: int  # independent ones that fail
    healthy: int
    limits: CommonCauseLimits
    flows: int  # with traffic

    @property
    def found(self) -> bool:
        return len(self.established) >= MIN_ESTABLISHED or self._is_widespread

    @property
    def _is_widespread(self) -> bool:
        return (
            self.flows >= self.limits.min_flows
            and self.deployments >= MIN_DEPLOYMENTS
            and self.deployments >= self.limits.ratio * (self.deployments + self.healthy)
        )

    def describe(self) -> str:
        """One line for the record."""
        line = f"{self.deployments} independent deployments and {len(self.established)} established flows fail"
        names = f" ({', '.join(self.established)})" if self.established else ""
        return f"{line}{names}, {self.healthy} of {self.flows} flows with traffic do not"

    def allowed(self) -> str:
        """What would not hold back."""
        return (
            f"fewer than {MIN_ESTABLISHED} established flows, and fewer than {self.limits.ratio:.0%} of the flows "
            f"(fewer than {MIN_DEPLOYMENTS} deployments, or fewer than {self.limits.min_flows} flows with traffic)"
        )


def find_common_cause(
    neighbours: Sequence[Neighbour],
    limits: CommonCauseLimits,
    registered: Mapping[tuple[str, str], str] | None = None,
    *,
    signal: Signal = Signal.ERROR_EXIT,
) -> CommonCause:
    """Count what fails. Flows that fail and were published together count as one deployment, healthy ones one each.

    `registered` gives the deployment of a (flow id, version) that a pipeline has registered. What fails does so by the
    `signal` of the accusation, or by errors: a back end that is down need not show in the same way everywhere.
    """
    signals = {Signal.ERROR_EXIT, signal}
    failing = [one for one in neighbours if one.fails(signals)]
    published = (
        Publication(one.flow_id, one.published_by, one.published_at, (registered or {}).get((one.flow_id, one.version)))
        for one in failing
    )
    return CommonCause(
        established=tuple(sorted(one.name for one in failing if one.is_established(signals))),
        deployments=count_change_sets(published, deployment_s=limits.deployment_s),
        healthy=len(neighbours) - len(failing),
        limits=limits,
        flows=len(neighbours),
    )


def survey(
    evidence: Evidence,
    history: Evidence,
    flows: Iterable[Flow],
    *,
    policy_for: Callable[[Flow], Judging],
    probation: ProbationLimits,
) -> tuple[Neighbour, ...]:
    """Every listed flow with traffic in the trailing hour; one that is not listed (any more) is left out.

    `policy_for` gives what is configured for a flow.
    """
    recent, past = by_flow(evidence), by_flow(history)
    nothing = replace(history, outcomes={})
    return tuple(
        _neighbour(flow, _Past(recent[flow.id], past.get(flow.id, nothing), policy_for(flow)), probation)
        for flow in flows
        if flow.id in recent and flow.live_version is not None
    )


@dataclass(frozen=True, slots=True)
class _Past:
    """One flow's trailing hour and history, and what is configured for it."""

    evidence: Evidence
    history: Evidence
    policy: Judging

    def towards(self, target: Target | None) -> tuple[Evidence, Evidence]:
        return turned(self.evidence, target), turned(self.history, target)


def _shift(flow_id: str, version: str, since: float, past: _Past) -> Shift | None:
    earlier = EarlierShares(past.history, flow_id, version, since)
    return largest_shift(past.evidence, earlier, flow_id=flow_id, version=version, since=since)


def _neighbour(flow: Flow, past: _Past, probation: ProbationLimits) -> Neighbour:
    version = flow.live_version or ""
    since = max(flow.live_published_at or 0.0, others_started_until(past.evidence, flow.id, version))
    failing: dict[Signal, bool] = {}
    for signal in past.evidence.signals & past.history.signals:
        shift = _shift(flow.id, version, since, past) if signal is Signal.ROUTING_SHIFT else None
        evidence, history = past.towards(shift.target if shift else None)
        tallies = evidence.tallies(flow.id, version, signal, since)
        if sum(1 for tally in tallies.values() if tally.errors) < min(BREACH_MINUTES.values()):
            continue  # nothing could convict it; most flows end here, and their history need not be added up
        baseline = (
            shift.baseline
            if shift
            else baseline_of(history, flow_id=flow.id, live_version=version, live_since=since, signal=signal)
        )
        threshold = past.policy.threshold_of(signal, baseline.ratio, baseline.spread_ratio)
        if threshold is None:
            continue
        found = find_excess(
            tallies,
            end=evidence.end,
            bucket_s=evidence.bucket_s,
            threshold_ratio=threshold,
            baseline_ratio=baseline.ratio,
            scatter=baseline.scatter,
        )
        if found.convicted_by is None:
            continue
        stretches = stretches_of(history, evidence, flow_id=flow.id, version=version, signal=signal, live_since=since)
        live_s = evidence.end - since
        judged = judge_probation(stretches, live_s=live_s, threshold_ratio=threshold, limits=probation)
        failing[signal] = judged.left
    return Neighbour(flow.id, flow.name, version, flow.published_by, flow.live_published_at, failing)


def others_started_until(evidence: Evidence, flow_id: str, version: str) -> float:
    """The end of the newest bucket in which a conversation of the flow began on another version; 0 without any."""
    starts = [
        start
        for other in evidence.versions(flow_id) - {version}
        for start, outcomes in evidence.outcomes[flow_id, other].items()
        if outcomes.entries
    ]
    return float(max(starts) + evidence.bucket_s) if starts else 0.0


def by_flow(evidence: Evidence) -> dict[str, Evidence]:
    """The evidence of each flow alone: what is asked about one flow need not go through all."""
    parts: dict[str, dict[tuple[str, str], Mapping[int, Outcomes]]] = {}
    for key, buckets in evidence.outcomes.items():
        parts.setdefault(key[0], {})[key] = buckets
    return {flow_id: replace(evidence, outcomes=part) for flow_id, part in parts.items()}
