"""What one poll of one organization found, and the samples that say so.

Owns which series exist and how windows are counted into them. Pure: reading
Genesys Cloud is `organization`'s work, serving is `page`'s.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from exporter import metrics
from exporter.config import ExporterConfig, FlowPolicy
from exporter.live import LiveVersion, LiveVersions
from exporter.metrics import Sample
from genesys.evidence import WINDOWS, Columns, Evidence, Signal, Tally
from genesys.excess import BREACH_MINUTES
from genesys.flows import Flow
from genesys.history import NOTHING_KNOWN, Baseline
from genesys.routing import KnownShares, Shift, largest_shift, turned

ALL_WINDOWS = tuple(WINDOWS)
LONG_WINDOWS = ("15m", "60m")  # five windows for everything would be a page of 110 MB at 5,000 flows
LEAST_BREACHED = min(BREACH_MINUTES[window] for window in LONG_WINDOWS)
"""Bad minutes of the hour without which no long window can accuse."""

Baselines = Mapping[tuple[str, Signal], Baseline]
"""A flow's own past by flow id and signal; absent while its ratio is unknown."""
Shares = Mapping[str, KnownShares]
"""What each transfer target's share was, by flow id; absent while unknown."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One successful poll. `conversations` is None when the organization's own figures could not be read."""

    org: str
    flows: Mapping[str, Flow]  # every flow that is not deleted
    live: LiveVersions
    evidence: Evidence
    conversations: Mapping[int, tuple[int, int]] | None  # (errors, conversations) by bucket start
    baselines: Baselines
    shares: Shares = field(default_factory=dict)
    asked: frozenset[Signal] = frozenset()  # what is told only on demand, and was demanded


def samples(snapshot: Snapshot, config: ExporterConfig) -> Iterator[Sample]:
    """Samples of `SNAPSHOT_METRICS`; those of one metric are not together, and a metric may have none.

    Flows that are not listed give no sample, whatever analytics say: their
    type and division, and so their policy, are unknown.
    """
    versions = _versions_by_flow(snapshot.evidence)
    for flow in snapshot.flows.values():
        policy = config.policy_for(flow)
        live = snapshot.live.get(flow.id)
        names = (flow.name, flow.type, flow.division_id, flow.division_name, policy.owner)
        yield metrics.FLOW_INFO, (snapshot.org, flow.id, *names), 1
        if live is not None:
            yield from _live(snapshot, policy, flow.id, live)
        for version in sorted(versions.get(flow.id, set()) - {live.version if live else ""}):
            yield from _draining(snapshot, policy, flow.id, version)
    yield from _organization(snapshot)
    for signal in config.signals:
        if signal in snapshot.asked:
            yield metrics.SIGNAL_TOLD, (snapshot.org, signal), signal in snapshot.evidence.signals


def _versions_by_flow(evidence: Evidence) -> dict[str, set[str]]:
    versions: dict[str, set[str]] = {}
    for flow_id, version in evidence.outcomes:
        versions.setdefault(flow_id, set()).add(version)
    return versions


def _live(snapshot: Snapshot, policy: FlowPolicy, flow_id: str, live: LiveVersion) -> Iterator[Sample]:
    """The version that can be accused: every window is there, 0 included, and counts only since it is live.

    Of a signal that does not act there is nothing while it could not accuse: that is nearly always so, and with nine
    signals Prometheus would have three times the work. The hour counts, so that a window that has just lost its last
    bad minute too many is still told, and not bridged by the rules.
    """
    org, version = snapshot.org, live.version
    yield metrics.FLOW_LIVE_SINCE, (org, flow_id, version), live.since
    columns = snapshot.evidence.columns(flow_id, version)
    for signal in _known_signals(snapshot, policy):
        shift = _shift(snapshot, flow_id, live) if signal is Signal.ROUTING_SHIFT else None
        evidence = turned(snapshot.evidence, shift.target if shift else None)
        is_always_told = _is_always_told(policy, signal)
        if not is_always_told and not columns.errors(signal, evidence.towards):
            continue  # spares the counting
        baseline = shift.baseline if shift else snapshot.baselines.get((flow_id, signal), NOTHING_KNOWN)
        threshold = policy.threshold_of(signal, baseline.ratio, baseline.spread_ratio)
        counts: Mapping[str, WindowCount] = {}
        if threshold is not None:  # else there is nothing to compare them with
            windows = _windows_of(policy, signal)
            counts = count_windows(evidence, (flow_id, version), signal, threshold, live.since, windows)
        if not is_always_told and (not counts or counts[LONG_WINDOWS[-1]].breached < LEAST_BREACHED):
            continue
        yield metrics.FLOW_SIGNAL_ACTS, (org, flow_id, signal), signal in policy.act_on
        if baseline.ratio is not None:
            yield metrics.FLOW_BASELINE_RATIO, (org, flow_id, signal), baseline.ratio
        if baseline.scatter is not None:
            yield metrics.FLOW_SCATTER_RATIO, (org, flow_id, signal), baseline.scatter
        if threshold is not None:
            yield metrics.FLOW_THRESHOLD_RATIO, (org, flow_id, signal), threshold
        for window, count in counts.items():
            yield from _window((org, flow_id, version, signal, window), count)
    yield from _passages(snapshot, flow_id, version, live.since)


def _draining(snapshot: Snapshot, policy: FlowPolicy, flow_id: str, version: str) -> Iterator[Sample]:
    """A version that is not live: only the windows in which it still had outcomes. It cannot be accused."""
    for signal in _known_signals(snapshot, policy):
        baseline = snapshot.baselines.get((flow_id, signal), NOTHING_KNOWN)
        threshold = policy.threshold_of(signal, baseline.ratio, baseline.spread_ratio)
        if threshold is None or not _is_always_told(policy, signal):
            continue
        windows = _windows_of(policy, signal)
        counts = count_windows(snapshot.evidence, (flow_id, version), signal, threshold, windows=windows)
        for window, count in counts.items():
            if count.tally.volume:
                yield from _window((snapshot.org, flow_id, version, signal, window), count)
    yield from _passages(snapshot, flow_id, version, None)


def _shift(snapshot: Snapshot, flow_id: str, live: LiveVersion) -> Shift | None:
    """The one transfer target by which the live version is judged, if any has more than it had."""
    shares = snapshot.shares.get(flow_id)
    if shares is None:
        return None
    return largest_shift(snapshot.evidence, shares, flow_id=flow_id, version=live.version, since=live.since)


def _known_signals(snapshot: Snapshot, policy: FlowPolicy) -> Iterator[Signal]:
    return (signal for signal in policy.signals if signal in snapshot.evidence.signals)


def _is_always_told(policy: FlowPolicy, signal: Signal) -> bool:
    return signal is Signal.ERROR_EXIT or signal in policy.act_on


def _windows_of(policy: FlowPolicy, signal: Signal) -> Sequence[str]:
    return ALL_WINDOWS if signal in policy.act_on else LONG_WINDOWS


@dataclass(frozen=True, slots=True)
class WindowCount:
    """What lies in one window of one version, and how many of its buckets were above the threshold themselves."""

    tally: Tally
    breached: int


def count_windows(
    evidence: Evidence,
    version: tuple[str, str],
    signal: Signal,
    threshold_ratio: float,
    since: float = 0.0,
    windows: Sequence[str] = ALL_WINDOWS,
) -> dict[str, WindowCount]:
    """The windows, shortest first, of one (flow id, version), of the buckets that begin at or after `since`.

    The windows lie in each other: each bucket is counted once, on the way back from the newest.
    """
    columns = evidence.columns(*version)
    errors, (entries, exits) = columns.errors(signal, evidence.towards), columns.passages(signal)
    counts: dict[str, WindowCount] = {}
    tally, breached, edge, begin = Tally(), 0, len(entries), columns.position(since)
    for window in windows:
        first = max(begin, len(entries) - WINDOWS[window])
        if first < edge:
            failed = 0 if errors is None else sum(errors[first:edge])
            tally += Tally(failed, sum(entries[first:edge]), sum(exits[first:edge]))
            if failed and errors is not None:
                breached += _breached(errors[first:edge], entries[first:edge], exits[first:edge], threshold_ratio)
            edge = first
        counts[window] = WindowCount(tally, breached)
    return counts


def _breached(errors: Sequence[int], entries: Sequence[int], exits: Sequence[int], threshold_ratio: float) -> int:
    """Number of buckets whose own ratio is above the threshold."""
    outcomes = zip(errors, entries, exits, strict=True)
    return sum(1 for failed, entered, left in outcomes if failed > threshold_ratio * max(entered, left))


def _window(labels: tuple[str, ...], count: WindowCount) -> Iterator[Sample]:
    yield metrics.FLOW_ERRORS, labels, count.tally.errors
    yield metrics.FLOW_VOLUME, labels, count.tally.volume
    yield metrics.FLOW_BREACH_MINUTES, labels, count.breached


def _passages(snapshot: Snapshot, flow_id: str, version: str, since: float | None) -> Iterator[Sample]:
    """Entries and exits; of the live version (`since` is given) the entries are there even when they are 0."""
    columns = snapshot.evidence.columns(flow_id, version)
    for window in LONG_WINDOWS:
        first = max(columns.position(since or 0.0), len(columns.entries) - WINDOWS[window])
        labels = (snapshot.org, flow_id, version, window)
        exits = _exits(columns, first)
        entries = sum(columns.entries[first:])
        if entries or exits or since is not None:
            yield metrics.FLOW_ENTRIES, labels, entries
        for reason, count in exits:
            yield metrics.FLOW_EXITS, (*labels, reason), count


def _exits(columns: Columns, first: int) -> list[tuple[str, int]]:
    """Exits from a position on by reason; a reason without any is absent."""
    counted = ((reason, sum(column[first:])) for reason, column in sorted(columns.exits.items()))
    return [(reason, count) for reason, count in counted if count]


def _organization(snapshot: Snapshot) -> Iterator[Sample]:
    evidence, org = snapshot.evidence, snapshot.org
    yield metrics.DATA_END, (org,), evidence.end
    found = (evidence.columns(*version).newest() for version in evidence.outcomes)
    newest = max((start for start in found if start is not None), default=None)
    if newest is not None:
        yield metrics.NEWEST_EVENT, (org,), newest + evidence.bucket_s
    if snapshot.conversations is None:
        return
    for window, length in WINDOWS.items():
        first = evidence.end - length * evidence.bucket_s
        counted = [both for start, both in snapshot.conversations.items() if first <= start < evidence.end]
        yield metrics.ORG_ERRORS, (org, window), sum(errors for errors, _ in counted)
        yield metrics.ORG_VOLUME, (org, window), sum(conversations for _, conversations in counted)
