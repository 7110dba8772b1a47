"""Puts a situation together: an alert, what Genesys Cloud says (`Reading`), and what the store remembers."""

from dataclasses import dataclass

from receiver import findings, identity, remembered
from receiver.applied import apply_policy
from receiver.config import ReceiverSettings
from receiver.payload import ACTION, REQUIRED_LABELS
from receiver.policy import CONTRACT
from receiver.reader import Reading
from receiver.service import Record
from receiver.situation import Mode, Situation, Suppression
from receiver.store import ledger, quarantines, rollbacks
from receiver.store.alerts import StoredAlert
from receiver.store.database import Transaction
from receiver.store.rollbacks import Rollback


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a situation needs besides the alert and its reading; the same for every alert of a tick."""

    settings: ReceiverSettings
    orgs: frozenset[str]
    alertmanager_configured: bool


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
    rolled_back = rollbacks.of_flow(tx, alert.org, alert.object_id, shadow=shadow)
    earlier = [one for one in rolled_back if not remembered.is_own(one, own)]
    accused = [one for one in earlier if one.accused_version == alert.version]
    lifted = quarantines.lifted(tx, alert.org, alert.object_id)
    evidence = findings.version_evidence(alert, reading, applied)
    identities = identity.of_flow(tx, alert.org, alert.object_id)
    known_bad = identities.known_bad(alert.version)
    return Situation(
        at=now,
        contract=alert.labels.get("genesys_contract"),
        missing_labels=_unusable_labels(alert, around.orgs),
        firing=alert.is_open,
        accused_version=alert.version,
        pauses=remembered.pauses(tx, alert.org),
        holds=remembered.holds(tx, alert),
        mode=applied.mode if applied else None,
        mode_note=applied.note if applied else "",
        alertmanager_configured=around.alertmanager_configured,
        suppression=suppression,
        windows=remembered.windows(tx, alert, now),
        flow=flow,
        flow_problem=reading.flow.problem,
        rollback_in_progress=remembered.in_progress(tx, alert, settings, own),
        written_rollbacks=tuple(one.id for one in accused if one.wrote and one.id not in lifted),
        unwritten_tries=sum(1 for one in accused if not one.wrote),
        tries=len(accused),
        restored_by=remembered.restored_by(earlier, alert.version),
        evidence=evidence,
        evidence_problem=reading.evidence.problem or reading.history.problem or reading.flow.problem,
        probation=findings.probation(alert, reading, evidence, settings, known_bad=known_bad),
        common_cause=findings.common_cause(reading, settings),
        common_cause_problem=reading.neighbours.problem,
        lockout_until=remembered.lockout_until(tx, alert, settings, shadow=shadow, own=own),
        started_of_flow=remembered.started(tx, alert.org, alert.object_id, settings, now=now, shadow=shadow, own=own),
        started_of_org=remembered.started(tx, alert.org, None, settings, now=now, shadow=shadow, own=own),
        target=findings.target(
            alert,
            reading,
            evidence,
            _records(tx, alert),
            rolled_back=frozenset(one.accused_version for one in earlier if one.wrote and one.id not in lifted),
            identities=identities,
            min_live_s=settings.timing.target_min_live_s,
        ),
        target_problem=reading.versions.problem or reading.history.problem or reading.flow.problem,
        known_bad="" if known_bad is None else known_bad.describe(),
    )


def is_understood(alert: StoredAlert, orgs: frozenset[str]) -> bool:
    """False for an alert that ends as `unknown_contract`, whatever Genesys Cloud says: nothing needs to be read."""
    return alert.labels.get("genesys_contract") == CONTRACT and not _unusable_labels(alert, orgs)


def _records(tx: Transaction, alert: StoredAlert) -> dict[str, Record]:
    """What the ledger knows of each version of the flow, by the alert's signal."""
    signal = findings.signal_of(alert)
    return {} if signal is None else ledger.records(tx, alert.org, alert.object_id, signal)


def _unusable_labels(alert: StoredAlert, orgs: frozenset[str]) -> tuple[str, ...]:
    wrong = [name for name in REQUIRED_LABELS if not alert.labels.get(name)]
    if alert.labels.get("genesys_action") != ACTION:
        wrong.append("genesys_action")
    if alert.org and alert.org not in orgs:
        wrong.append("org (not configured)")
    if alert.signal and findings.signal_of(alert) is None:
        wrong.append("signal (unknown)")
    return tuple(wrong)
