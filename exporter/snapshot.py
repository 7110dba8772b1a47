"""What one poll of one organization found, and the samples that say so.

Owns which series exist and how windows are counted into them. Pure: reading
Genesys Cloud is `organization`'s work, serving is `page`'s.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily, Metric

from exporter import metrics
from exporter.config import ExporterConfig, FlowPolicy
from exporter.live import LiveVersion, LiveVersions
from genesys.evidence import WINDOWS, Evidence, Outcomes, Signal, Tally, breach_minutes, total
from genesys.flows import Flow

LONG_WINDOWS = ("15m", "60m")  # five windows for everything would be a page of 110 MB at 5,000 flows

Baselines = Mapping[tuple[str, Signal], float]
"""Upper bound of a flow's own earlier ratio, by flow id and signal; absent while unknown."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One successful poll. `conversations` is None when the organization's own figures could not be read."""

    org: str
    flows: Mapping[str, Flow]  # every flow that is not deleted
    live: LiveVersions
    evidence: Evidence
    conversations: Mapping[int, tuple[int, int]] | None  # (errors, conversations) by bucket start
    baselines: Baselines


def samples(snapshot: Snapshot, config: ExporterConfig) -> list[Metric]:
    """One family for each of `SNAPSHOT_METRICS`, in that order; a family may be empty.

    Flows that are not listed give no sample, whatever analytics say: their
    type and division, and so their policy, are unknown.
    """
    families = _Families(snapshot.org)
    versions = _versions_by_flow(snapshot.evidence)
    for flow in snapshot.flows.values():
        policy = config.policy_for(flow)
        live = snapshot.live.get(flow.id)
        _add_info(families, flow, policy)
        if live is not None:
            _add_live(families, snapshot, policy, flow.id, live)
        for version in sorted(versions.get(flow.id, set()) - {live.version if live else ""}):
            _add_draining(families, snapshot, policy, flow.id, version)
    _add_organization(families, snapshot)
    return families.all()


class _Families:
    """The families while they are filled; the first label of each is the organization."""

    def __init__(self, org: str) -> None:
        self._org = org
        self._families = {
            metric.name: GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
            for metric in metrics.SNAPSHOT_METRICS
        }

    def add(self, metric: metrics.Metric, *labels: str, value: float) -> None:
        self._families[metric.name].add_metric((self._org, *labels), value)

    def all(self) -> list[Metric]:
        return list(self._families.values())


def _versions_by_flow(evidence: Evidence) -> dict[str, set[str]]:
    versions: dict[str, set[str]] = {}
    for flow_id, version in evidence.outcomes:
        versions.setdefault(flow_id, set()).add(version)
    return versions


def _add_info(families: _Families, flow: Flow, policy: FlowPolicy) -> None:
    names = (flow.id, flow.name, flow.type, flow.division_id, flow.division_name, policy.owner)
    families.add(metrics.FLOW_INFO, *names, value=1)


def _add_live(families: _Families, snapshot: Snapshot, policy: FlowPolicy, flow_id: str, live: LiveVersion) -> None:
    """The version that can be accused: every window is there, 0 included, and counts only since it is live."""
    families.add(metrics.FLOW_LIVE_SINCE, flow_id, live.version, value=live.since)
    for signal in Signal:
        acts = signal in policy.act_on
        baseline = snapshot.baselines.get((flow_id, signal))
        threshold = policy.threshold(baseline)
        families.add(metrics.FLOW_SIGNAL_ACTS, flow_id, signal, value=acts)
        families.add(metrics.FLOW_THRESHOLD_RATIO, flow_id, signal, value=threshold)
        if baseline is not None:
            families.add(metrics.FLOW_BASELINE_RATIO, flow_id, signal, value=baseline)
        counts = count_windows(snapshot.evidence, (flow_id, live.version), signal, threshold, live.since)
        for window in _windows_of(policy, signal):
            _add_window(families, (flow_id, live.version, signal, window), counts[window])
    _add_passages(families, snapshot.evidence, flow_id, live.version, live.since)


def _add_draining(families: _Families, snapshot: Snapshot, policy: FlowPolicy, flow_id: str, version: str) -> None:
    """A version that is not live: only the windows in which it still had outcomes."""
    for signal in Signal:
        threshold = policy.threshold(snapshot.baselines.get((flow_id, signal)))
        counts = count_windows(snapshot.evidence, (flow_id, version), signal, threshold)
        for window in _windows_of(policy, signal):
            if counts[window].tally.volume:
                _add_window(families, (flow_id, version, signal, window), counts[window])
    _add_passages(families, snapshot.evidence, flow_id, version, None)


def _windows_of(policy: FlowPolicy, signal: Signal) -> Iterable[str]:
    return WINDOWS if signal in policy.act_on else LONG_WINDOWS


@dataclass(frozen=True, slots=True)
class WindowCount:
    """What lies in one window of one version, and how many of its buckets were above the threshold themselves."""

    tally: Tally
    breached: int


def count_windows(
    evidence: Evidence, version: tuple[str, str], signal: Signal, threshold_ratio: float, since: float = 0.0
) -> dict[str, WindowCount]:
    """Every window of one (flow id, version), of the buckets that begin at or after `since`.

    The windows lie in each other: each bucket is counted once, on the way back from the newest.
    """
    tallies = evidence.tallies(*version, signal, since)
    counts: dict[str, WindowCount] = {}
    tally, breached, edge = Tally(), 0, evidence.end
    for window, length in WINDOWS.items():
        first = evidence.end - length * evidence.bucket_s
        stretch = [tallies[start] for start in range(first, edge, evidence.bucket_s) if start in tallies]
        tally += total(stretch)
        breached += breach_minutes(stretch, threshold_ratio)
        counts[window] = WindowCount(tally, breached)
        edge = first
    return counts


def _add_window(families: _Families, labels: tuple[str, str, str, str], count: WindowCount) -> None:
    families.add(metrics.FLOW_ERRORS, *labels, value=count.tally.errors)
    families.add(metrics.FLOW_VOLUME, *labels, value=count.tally.volume)
    families.add(metrics.FLOW_BREACH_MINUTES, *labels, value=count.breached)


def _add_passages(families: _Families, evidence: Evidence, flow_id: str, version: str, since: float | None) -> None:
    """Entries and exits; of the live version (`since` is given) the entries are there even when they are 0."""
    buckets = evidence.outcomes.get((flow_id, version), {})
    for window in LONG_WINDOWS:
        first = max(evidence.end - WINDOWS[window] * evidence.bucket_s, since or 0.0)
        outcomes = [outcome for start, outcome in buckets.items() if first <= start < evidence.end]
        if outcomes or since is not None:
            entries = sum(outcome.entries for outcome in outcomes)
            families.add(metrics.FLOW_ENTRIES, flow_id, version, window, value=entries)
        for reason, count in sorted(_exits(outcomes).items()):
            families.add(metrics.FLOW_EXITS, flow_id, version, window, reason, value=count)


def _exits(outcomes: Iterable[Outcomes]) -> dict[str, int]:
    exits: dict[str, int] = {}
    for outcome in outcomes:
        for reason, count in outcome.exits.items():
            exits[reason] = exits.get(reason, 0) + count
    return exits


def _add_organization(families: _Families, snapshot: Snapshot) -> None:
    evidence = snapshot.evidence
    families.add(metrics.DATA_END, value=evidence.end)
    newest = max((start for buckets in evidence.outcomes.values() for start in buckets), default=None)
    if newest is not None:
        families.add(metrics.NEWEST_EVENT, value=newest + evidence.bucket_s)
    if snapshot.conversations is None:
        return
    for window, length in WINDOWS.items():
        first = evidence.end - length * evidence.bucket_s
        counted = [both for start, both in snapshot.conversations.items() if first <= start < evidence.end]
        families.add(metrics.ORG_ERRORS, window, value=sum(errors for errors, _ in counted))
        families.add(metrics.ORG_VOLUME, window, value=sum(conversations for _, conversations in counted))
