"""What Genesys Cloud's figures say about an accused version: evidence, probation, common cause, target. Pure."""

from collections.abc import Mapping
from dataclasses import replace

from genesys.evidence import ACTION_SIGNALS, WINDOWS, Evidence, Signal, Tally, total
from genesys.excess import Finding, find_excess, is_relative
from genesys.probation import Probation, judge_probation, stretches_of
from genesys.routing import compare, turned
from receiver.applied import Applied, common_cause_limits, probation_limits
from receiver.common_cause import CommonCause, find_common_cause, others_started_until
from receiver.config import ReceiverSettings
from receiver.copies import carried_services
from receiver.identity import Identities, KnownBad
from receiver.reader import Reading
from receiver.service import Record, Service, service_of
from receiver.situation import VersionEvidence
from receiver.store.alerts import StoredAlert
from receiver.target import TargetChoice, choose_target

_NEWEST_BUCKETS = 2  # with ended conversations: are they healthy again?
_NEWEST_EXITS = 5  # fewer prove nothing
_ASKS_WITH: Mapping[Signal, str] = {
    Signal.OUTCOME_FAILED: "analytics.outcomes",
    Signal.ACTION_FAILURE: "analytics.data_actions",
    Signal.ACTION_SLOW: "analytics.data_actions",
    Signal.ROUTING_SHIFT: "analytics.transfers: true",
}


def signal_of(alert: StoredAlert) -> Signal | None:
    """The signal that the alert names, if the bridge knows it."""
    return next((signal for signal in Signal if signal.value == alert.signal), None)


def live_since(reading: Reading, alert: StoredAlert) -> float:
    """Since when the accused version has been live, at the latest (Unix seconds).

    Genesys Cloud may keep the old date when a version is published again, so
    the exporter's observation, the end of its predecessor and the newest start
    of a conversation on another version count as well. Each can only make the
    evidence smaller.
    """
    flow, evidence = reading.flow.value, reading.evidence.value
    known = [_number(alert.annotations.get("live_since", ""))]
    if flow is not None and flow.live_published_at is not None:
        known.append(flow.live_published_at)
    known += [
        version.published_until
        for version in reading.versions.value or ()
        if version.id != alert.version and version.published_until is not None
    ]
    if evidence is not None:
        known.append(others_started_until(evidence, alert.object_id, alert.version))
    return max(known)


def services(history: Evidence, flow_id: str, signal: Signal) -> dict[str, Service]:
    """What each version of a flow did in the history."""
    return {
        version: service_of(history.tallies(flow_id, version, signal).values(), history.bucket_s)
        for version in history.versions(flow_id)
    }


def version_evidence(alert: StoredAlert, reading: Reading, applied: Applied | None) -> VersionEvidence | None:
    """The receiver's own figures about the accused version; None if any of them could not be read.

    Also without a threshold of the signal: nobody knows what the flow did before.
    """
    evidence, history, flow = reading.evidence.value, reading.history.value, reading.flow.value
    signal = signal_of(alert)
    if evidence is None or history is None or flow is None or applied is None or signal is None:
        return None
    if signal not in evidence.signals & history.signals:
        return None
    since = live_since(reading, alert)
    compared = compare(evidence, history, flow_id=alert.object_id, version=alert.version, since=since, signal=signal)
    baseline = compared.baseline
    own = applied.policy.threshold_of(signal, baseline.ratio, baseline.spread_ratio)
    if own is None:
        return None
    threshold = max(own, _ratio(alert.annotations.get("threshold_ratio", "")))
    tallies = compared.evidence.tallies(alert.object_id, alert.version, signal, since)
    newest = _newest(tallies)
    finding = find_excess(
        tallies,
        end=evidence.end,
        bucket_s=evidence.bucket_s,
        threshold_ratio=threshold,
        baseline_ratio=baseline.ratio,
        scatter=baseline.scatter,
    )
    return VersionEvidence(
        end=float(evidence.end),
        live_since=since,
        threshold_ratio=threshold,
        baseline_ratio=baseline.ratio,
        scatter=baseline.scatter,
        finding=finding,
        newest=newest,
        recovered=is_recovered(newest, signal, baseline.ratio),
        target=compared.target,
        parts=_of_actions(evidence, alert, signal, finding, since),
        failing_since=_failing_since(tallies, evidence.bucket_s, threshold),
    )


def _failing_since(tallies: Mapping[int, Tally], bucket_s: int, threshold_ratio: float) -> float | None:
    """The end of the first bucket that was above the threshold itself: until then something may have made it so."""
    bad = [start for start, tally in tallies.items() if tally.errors > threshold_ratio * tally.volume]
    return float(min(bad) + bucket_s) if bad else None


def evidence_problem(alert: StoredAlert, reading: Reading) -> str:
    """Why there is no `version_evidence`, in words."""
    unread = reading.evidence.problem or reading.history.problem or reading.flow.problem
    signal, evidence = signal_of(alert), reading.evidence.value
    if unread or signal is None or evidence is None:
        return unread or "the signal is unknown"
    if signal not in evidence.signals:
        asks_with = _ASKS_WITH.get(signal)
        if asks_with is None:
            return f"Genesys Cloud tells nothing by the signal {signal} in this dialect"
        return (
            f"{signal} is not told here: Genesys Cloud refuses it, or {asks_with} is not in the organizations.yml that "
            "this receiver reads; it must be the same as the exporter's"
        )
    if signal in ACTION_SIGNALS:
        return (
            "nobody knows the earlier ratio of the flow's data actions, or they always do so; or they are not in "
            "analytics.data_actions of the organizations.yml that this receiver reads"
        )
    return "nobody knows the flow's own earlier ratio, or its calls always end so"


def _of_actions(
    evidence: Evidence, alert: StoredAlert, signal: Signal, finding: Finding, since: float
) -> tuple[str, ...]:
    """Which data actions the bad executions of the judged window are of, the worst first; nothing by other signals."""
    if signal not in ACTION_SIGNALS:
        return ()
    window = finding.convicted_by or finding.windows[-1]
    first = max(since, evidence.end - WINDOWS[window.window] * evidence.bucket_s)
    found = evidence.executions(alert.object_id, alert.version, first).items()
    return tuple(
        f"{executions.bad(signal)} of {executions.ran} of data action {action_id}"
        for action_id, executions in sorted(found, key=lambda one: (-one[1].bad(signal), one[0]))
    )


def target(
    alert: StoredAlert,
    reading: Reading,
    evidence: VersionEvidence | None,
    ledger: Mapping[str, Record],
    made: Mapping[str, str],
    *,
    rolled_back: frozenset[str],
    identities: Identities,
    min_live_s: float,
) -> TargetChoice | None:
    """The version to go back to, or why there is none; None if that could not be read.

    `made` are copies, with what they are copies of.
    """
    history, signal = reading.history.value, signal_of(alert)
    if reading.versions.value is None or history is None or evidence is None or signal is None:
        return None
    choice = choose_target(
        reading.versions.value,
        carried_services(services(turned(history, evidence.target), alert.object_id, signal), made),
        ledger,
        accused=alert.version,
        rolled_back=rolled_back,
        threshold_ratio=evidence.threshold_ratio,
        min_live_s=min_live_s,
        against={one.id: identities.against(one.id, alert.version) for one in reading.versions.value},
        good=identities.good,
    )
    proposed = choice.version or choice.unearned
    return replace(choice, compared=proposed is None or identities.compared(proposed, alert.version))


def probation(
    alert: StoredAlert,
    reading: Reading,
    found: VersionEvidence | None,
    settings: ReceiverSettings,
    *,
    known_bad: KnownBad | None,
) -> Probation | None:
    """Whether the accused version is still on probation; None if that could not be read.

    What is known bad never leaves it: its fault is known, however long it takes to show.
    """
    evidence, history, signal = reading.evidence.value, reading.history.value, signal_of(alert)
    if evidence is None or history is None or found is None or signal is None:
        return None
    if known_bad is not None:
        return Probation(left=False, because=f"known bad: {known_bad.describe()}")
    stretches = stretches_of(
        turned(history, found.target),
        turned(evidence, found.target),
        flow_id=alert.object_id,
        version=alert.version,
        signal=signal,
        live_since=found.live_since,
    )
    return judge_probation(
        stretches,
        live_s=found.end - found.live_since,
        threshold_ratio=found.threshold_ratio,
        limits=probation_limits(settings),
    )


def common_cause(
    alert: StoredAlert, reading: Reading, settings: ReceiverSettings, registered: Mapping[tuple[str, str], str]
) -> CommonCause | None:
    """What fails at the same time; None if the other flows could not be read.

    `registered` gives the deployment of a (flow id, version) that a pipeline has registered.
    """
    signal = signal_of(alert)
    if reading.neighbours.value is None or signal is None:
        return None
    return find_common_cause(reading.neighbours.value, common_cause_limits(settings), registered, signal=signal)


def is_recovered(newest: Tally, signal: Signal, baseline_ratio: float | None) -> bool:
    """Whether the newest conversations end as they should: without errors, and otherwise no worse than before.

    Some always hang up, so that none at all would be too much to ask.
    """
    usual = (baseline_ratio or 0.0) * newest.exits if is_relative(signal) else 0.0
    return newest.exits >= _NEWEST_EXITS and newest.errors <= usual


def _newest(tallies: dict[int, Tally]) -> Tally:
    ended = [start for start, tally in tallies.items() if tally.exits]
    return total(tallies[start] for start in sorted(ended)[-_NEWEST_BUCKETS:])


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        return 0.0
    return number if 0 <= number < 1e12 else 0.0


def _ratio(text: str) -> float:
    number = _number(text)
    return number if number < 1 else 0.0
