"""Puts a situation together: an alert, what Genesys Cloud says (`Reading`), and what the store remembers."""

from dataclasses import dataclass
from functools import partial

from genesys.evidence import Evidence, Signal, Tally, total
from genesys.excess import find_excess, threshold_for
from genesys.flows import Flow
from genesys.history import baseline_ratio
from genesys.selectors import first_match
from receiver.common_cause import (
    CommonCause,
    CommonCauseLimits,
    find_common_cause,
    others_started_until,
    survey,
)
from receiver.config import FlowPolicy, ReceiverSettings, Scope
from receiver.payload import ACTION, REQUIRED_LABELS
from receiver.policy import CONTRACT
from receiver.probation import Probation, ProbationLimits, judge_probation, stretches_of
from receiver.reader import Reading, Survey
from receiver.situation import Mode, Situation, Suppression, VersionEvidence
from receiver.store import controls, quarantines, rollbacks
from receiver.store.alerts import StoredAlert
from receiver.store.database import Transaction
from receiver.store.rollbacks import LEASED, Rollback, State
from receiver.target import Service, TargetChoice, choose_target

# Bots and surveys train for minutes on publish, and a common module does not republish its callers: until these are
# proved, the bridge only shows what it would have done.
_OBSERVED_TYPES = frozenset({"bot", "digitalbot", "voicesurvey", "commonmodule"})

_NEWEST_BUCKETS = 2  # with ended conversations: are they healthy again?
_NEWEST_EXITS = 5  # fewer prove nothing


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a situation needs besides the alert and its reading; the same for every alert of a tick."""

    settings: ReceiverSettings
    orgs: frozenset[str]
    alertmanager_configured: bool


@dataclass(frozen=True, slots=True)
class Applied:
    """The mode that applies to a flow, and why it is not the configured one."""

    policy: FlowPolicy
    mode: Mode
    note: str


def apply_policy(settings: ReceiverSettings, flow: Flow) -> Applied:
    """The selector that matches a flow; types that are not proved are observed at most."""
    policy = first_match(settings.flows, flow)
    if policy.mode is Mode.AUTO and flow.type in _OBSERVED_TYPES:
        return Applied(policy, Mode.OBSERVE, f" (flows of type {flow.type} are not rolled back automatically)")
    return Applied(policy, policy.mode, "")


def survey_with(settings: ReceiverSettings) -> Survey:
    """How a whole organization is judged, with what is configured for its flows."""
    return partial(
        survey,
        threshold_ratio=lambda flow: first_match(settings.flows, flow).threshold_ratio,
        probation=_probation_limits(settings),
    )


def situation(
    tx: Transaction,
    alert: StoredAlert,
    reading: Reading,
    suppression: Suppression | None,
    around: Surroundings,
    *,
    now: float,
    own: Rollback | None = None,
) -> Situation:
    """Everything that is known about one alert at `now`; `own` is the rollback that the decision is about, if any."""
    settings = around.settings
    flow = reading.flow.value
    applied = apply_policy(settings, flow) if flow is not None else None
    shadow = applied is not None and applied.mode is Mode.OBSERVE
    earlier = [one for one in rollbacks.of_flow(tx, alert.org, alert.object_id, shadow=shadow) if not _same(one, own)]
    accused = [one for one in earlier if one.accused_version == alert.version]
    lifted = quarantines.lifted(tx, alert.org, alert.object_id)
    evidence = _evidence(alert, reading, applied)
    return Situation(
        at=now,
        contract=alert.labels.get("genesys_contract"),
        missing_labels=_unusable_labels(alert, around.orgs),
        firing=alert.is_open,
        accused_version=alert.version,
        pauses=_pauses(tx, alert.org),
        holds=_holds(tx, alert),
        mode=applied.mode if applied else None,
        mode_note=applied.note if applied else "",
        alertmanager_configured=around.alertmanager_configured,
        suppression=suppression,
        windows=_windows(tx, alert, now),
        flow=flow,
        flow_problem=reading.flow.problem,
        rollback_in_progress=_in_progress(tx, alert, settings, own),
        written_rollbacks=tuple(one.id for one in accused if one.wrote and one.id not in lifted),
        unwritten_tries=sum(1 for one in accused if not one.wrote),
        tries=len(accused),
        restored_by=_restored_by(earlier, alert.version),
        evidence=evidence,
        evidence_problem=reading.evidence.problem or reading.history.problem or reading.flow.problem,
        probation=_probation(alert, reading, evidence, settings),
        common_cause=_common_cause(reading, settings),
        common_cause_problem=reading.neighbours.problem,
        lockout_until=_lockout_until(tx, alert, settings, shadow=shadow, own=own),
        started_of_flow=_started(tx, alert.org, alert.object_id, settings, now=now, shadow=shadow, own=own),
        started_of_org=_started(tx, alert.org, None, settings, now=now, shadow=shadow, own=own),
        target=_target(
            alert,
            reading,
            evidence,
            rolled_back=frozenset(one.accused_version for one in earlier if one.wrote and one.id not in lifted),
            min_live_s=settings.timing.target_min_live_s,
        ),
        target_problem=reading.versions.problem or reading.history.problem or reading.flow.problem,
    )


def is_understood(alert: StoredAlert, orgs: frozenset[str]) -> bool:
    """False for an alert that ends as `unknown_contract`, whatever Genesys Cloud says: nothing needs to be read."""
    return alert.labels.get("genesys_contract") == CONTRACT and not _unusable_labels(alert, orgs)


def services(history: Evidence, flow_id: str, signal: Signal) -> dict[str, Service]:
    """What each version of a flow did in the history."""
    found = {}
    for version in history.versions(flow_id):
        tallies = history.tallies(flow_id, version, signal)
        busy = [tally for tally in tallies.values() if tally.volume]
        found[version] = Service(total(busy), len(busy) * float(history.bucket_s))
    return found


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


def _evidence(alert: StoredAlert, reading: Reading, applied: Applied | None) -> VersionEvidence | None:
    evidence, history, flow = reading.evidence.value, reading.history.value, reading.flow.value
    signal = _signal(alert)
    if evidence is None or history is None or flow is None or applied is None or signal is None:
        return None
    since = live_since(reading, alert)
    baseline = baseline_ratio(
        history, flow_id=alert.object_id, live_version=alert.version, live_since=since, signal=signal
    )
    threshold = max(
        threshold_for(applied.policy.threshold_ratio, baseline), _ratio(alert.annotations.get("threshold_ratio", ""))
    )
    tallies = evidence.tallies(alert.object_id, alert.version, signal, since)
    newest = _newest(tallies)
    return VersionEvidence(
        end=float(evidence.end),
        live_since=since,
        threshold_ratio=threshold,
        baseline_ratio=baseline,
        finding=find_excess(
            tallies, end=evidence.end, bucket_s=evidence.bucket_s, threshold_ratio=threshold, baseline_ratio=baseline
        ),
        newest=newest,
        recovered=newest.errors == 0 and newest.exits >= _NEWEST_EXITS,
    )


def _target(
    alert: StoredAlert,
    reading: Reading,
    evidence: VersionEvidence | None,
    *,
    rolled_back: frozenset[str],
    min_live_s: float,
) -> TargetChoice | None:
    history, signal = reading.history.value, _signal(alert)
    if reading.versions.value is None or history is None or evidence is None or signal is None:
        return None
    return choose_target(
        reading.versions.value,
        services(history, alert.object_id, signal),
        accused=alert.version,
        rolled_back=rolled_back,
        threshold_ratio=evidence.threshold_ratio,
        min_live_s=min_live_s,
    )


def _probation(
    alert: StoredAlert, reading: Reading, found: VersionEvidence | None, settings: ReceiverSettings
) -> Probation | None:
    evidence, history, signal = reading.evidence.value, reading.history.value, _signal(alert)
    if evidence is None or history is None or found is None or signal is None:
        return None
    stretches = stretches_of(
        history,
        evidence,
        flow_id=alert.object_id,
        version=alert.version,
        signal=signal,
        live_since=found.live_since,
    )
    return judge_probation(
        stretches,
        live_s=found.end - found.live_since,
        threshold_ratio=found.threshold_ratio,
        limits=_probation_limits(settings),
    )


def _probation_limits(settings: ReceiverSettings) -> ProbationLimits:
    timing = settings.timing
    return ProbationLimits(timing.probation_busy_s, timing.probation_quiet_s, timing.probation_max_s)


def _common_cause(reading: Reading, settings: ReceiverSettings) -> CommonCause | None:
    if reading.neighbours.value is None:
        return None
    return find_common_cause(
        reading.neighbours.value,
        CommonCauseLimits(
            ratio=settings.common_cause_ratio,
            min_flows=settings.common_cause_min_flows,
            deployment_s=settings.timing.deployment_s,
        ),
    )


def _newest(tallies: dict[int, Tally]) -> Tally:
    ended = [start for start, tally in tallies.items() if tally.exits]
    return total(tallies[start] for start in sorted(ended)[-_NEWEST_BUCKETS:])


def _unusable_labels(alert: StoredAlert, orgs: frozenset[str]) -> tuple[str, ...]:
    wrong = [name for name in REQUIRED_LABELS if not alert.labels.get(name)]
    if alert.labels.get("genesys_action") != ACTION:
        wrong.append("genesys_action")
    if alert.org and alert.org not in orgs:
        wrong.append("org (not configured)")
    if alert.signal and _signal(alert) is None:
        wrong.append("signal (unknown)")
    return tuple(wrong)


def _signal(alert: StoredAlert) -> Signal | None:
    return next((signal for signal in Signal if signal.value == alert.signal), None)


def _pauses(tx: Transaction, org: str) -> tuple[str, ...]:
    return tuple(
        f"{'everything' if pause.org == controls.EVERY_ORG else pause.org} paused by {pause.paused_by}: {pause.reason}"
        for pause in controls.list_pauses(tx, org)
    )


def _holds(tx: Transaction, alert: StoredAlert) -> tuple[str, ...]:
    return tuple(
        f"{'every flow' if hold.flow_id == controls.EVERY_FLOW else 'the flow'} held for {hold.owner}, "
        f"set by {hold.held_by}: {hold.reason}"
        for hold in controls.list_holds(tx, alert.org)
        if hold.covers(alert.object_id)
    )


def _windows(tx: Transaction, alert: StoredAlert, now: float) -> tuple[str, ...]:
    return tuple(
        f"{window.kind} window {window.id} of {window.owner or window.created_by}: {window.reason}"
        for window in controls.active_windows(tx, now=now, org=alert.org)
        if window.covers(alert.object_id)
    )


def _in_progress(tx: Transaction, alert: StoredAlert, settings: ReceiverSettings, own: Rollback | None) -> str | None:
    org = None if settings.lease_scope is Scope.ALL else alert.org
    for one in rollbacks.under_way(tx, org):
        same_flow = (one.org, one.object_id) == (alert.org, alert.object_id)
        if not _same(one, own) and (one.state in LEASED or same_flow):
            return f"{one.id} ({one.state.value}, flow {one.object_id} of {one.org})"
    return None


def _restored_by(earlier: list[Rollback], version: str) -> str | None:
    """The bridge made this version live, or may have: whatever it restored it does not take away again."""
    for one in earlier:
        if one.target_version == version and one.wrote and one.state is not State.SUPERSEDED:
            return f"rollback {one.id}"
    return None


def _lockout_until(
    tx: Transaction, alert: StoredAlert, settings: ReceiverSettings, *, shadow: bool, own: Rollback | None
) -> float:
    org = None if settings.lockout_scope is Scope.ALL else alert.org
    flow_id = alert.object_id if settings.lockout_scope is Scope.FLOW else None
    if own is not None and own.started_at is not None:
        return 0.0  # it is this rollback's own lockout
    started_at = rollbacks.last_start(tx, org, flow_id, shadow=shadow)
    return 0.0 if started_at is None else started_at + settings.timing.lockout_s


def _started(
    tx: Transaction,
    org: str,
    flow_id: str | None,
    settings: ReceiverSettings,
    *,
    now: float,
    shadow: bool,
    own: Rollback | None,
) -> int:
    """Rollbacks that count against the budget, other than the one that the decision is about."""
    found = rollbacks.started_since(tx, org, flow_id, since=now - settings.timing.budget_s, shadow=shadow)
    return sum(1 for one in found if not _same(one, own))


def _same(one: Rollback, own: Rollback | None) -> bool:
    return own is not None and one.id == own.id


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        return 0.0
    return number if 0 <= number < 1e12 else 0.0


def _ratio(text: str) -> float:
    number = _number(text)
    return number if number < 1 else 0.0
