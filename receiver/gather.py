"""Puts a situation together: an alert, what Genesys Cloud says (`Reading`), and what the store remembers."""

from dataclasses import dataclass, replace

from genesys.flows import Flow
from genesys.objects import OBJECT_TYPES
from receiver import attempt, findings, identity, remembered
from receiver.applied import apply_policy
from receiver.attempt import ALONE, Attempt
from receiver.change_set import Publication
from receiver.config import InDoubt, ReceiverSettings
from receiver.copies import carried, copies, vouched_for
from receiver.objects.settings import applying
from receiver.objects.snapshot import Difference, differences
from receiver.payload import ACTION, FLOW, REQUIRED_LABELS, REQUIRED_OF_OBJECT
from receiver.policy import CONTRACT
from receiver.reader import Reading
from receiver.service import Record
from receiver.situation import Mode, Situation, Suppression
from receiver.store import changes, deployments, ledger, objects, quarantines, rollbacks
from receiver.store.alerts import StoredAlert
from receiver.store.database import Transaction
from receiver.store.deployments import Consent, Deployment
from receiver.store.objects import Key
from receiver.store.rollbacks import Rollback, State
from receiver.suspects import Suspects, suspects
from receiver.target import undo_target

MOST_CHANGES = 200  # looked at for one alert
MOST_CHANGES_S = 86400.0  # so long before it
_NAMED = 3
_NOT_IN_OBJECTS = "object_id (not in `objects` of receiver.yml)"


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
    """Everything that is known about one alert at `now`; `own` is the rollback that the decision is about, if any.

    Of an object the alert is `accusing` a version.
    """
    settings = around.settings
    flow = reading.flow.value
    applied = apply_policy(settings, flow, findings.signal_of(alert)) if flow is not None else None
    by_hand = own is not None and own.is_by_hand  # what people order is real, whatever the mode
    shadow = applied is not None and applied.mode is Mode.OBSERVE and not by_hand
    rolled_back = rollbacks.of_flow(tx, alert.org, alert.object_id, shadow=shadow)
    # A flow that was published because of its module was made live by nobody: it was live.
    earlier = [one for one in rolled_back if not remembered.is_own(one, own) and not one.is_dependent]
    accused = [one for one in earlier if one.accused_version == alert.version]
    tried = [one for one in accused if not one.is_undo]
    lifted = quarantines.lifted(tx, alert.org, alert.object_id)
    registered = deployments.of_version(tx, alert.org, alert.object_id, alert.version)
    part_of = _attempt(tx, alert, flow, registered, settings, now=now, shadow=shadow, own=own)
    evidence = findings.version_evidence(alert, reading, applied)
    identities = identity.of_flow(tx, alert.org, alert.object_id)
    known_bad = identities.known_bad(alert.version)
    made = copies(rolled_back)
    suspected = _suspects(tx, alert, flow, settings, None if evidence is None else evidence.failing_since)
    found = Situation(
        at=now,
        contract=alert.labels.get("genesys_contract"),
        missing_labels=_unusable_labels(alert, around) or _of_another_kind(tx, alert, flow, settings),
        firing=alert.is_open,
        accused_version=alert.version,
        pauses=remembered.pauses(tx, alert.org),
        holds=remembered.holds(tx, alert, registered),
        mode=applied.mode if applied else None,
        mode_note=applied.note if applied else "",
        alertmanager_configured=around.alertmanager_configured,
        suppression=suppression,
        windows=remembered.windows(tx, alert, now),
        flow=flow,
        flow_problem=reading.flow.problem,
        rollback_in_progress=remembered.in_progress(tx, alert, settings, own=own, attempt=part_of, now=now),
        written_rollbacks=tuple(one.id for one in tried if one.wrote and one.id not in lifted),
        unwritten_tries=sum(1 for one in tried if not one.wrote and one.state is not State.AWAITING_APPROVAL),
        tries=sum(1 for one in rolled_back if one.accused_version == alert.version and not remembered.is_own(one, own)),
        restored_by=remembered.restored_by(earlier, alert.version, identities),
        evidence=evidence,
        evidence_problem=findings.evidence_problem(alert, reading),
        probation=findings.probation(alert, reading, evidence, settings, known_bad=known_bad),
        common_cause=findings.common_cause(alert, reading, settings, remembered.registered(tx, alert.org, reading)),
        common_cause_problem=reading.neighbours.problem,
        lockout_until=remembered.lockout_until(tx, alert, settings, shadow=shadow, own=own, attempt=part_of),
        started_of_flow=remembered.started_of_flow(tx, alert, settings, now=now, shadow=shadow, own=own),
        started_of_org=remembered.started_of_org(tx, alert.org, settings, now=now, shadow=shadow, attempt=part_of),
        target=findings.target(
            alert,
            reading,
            evidence,
            carried(_records(tx, alert), made),
            made,
            rolled_back=frozenset(
                one.accused_version for one in earlier if one.wrote and not one.is_undo and one.id not in lifted
            ),
            identities=replace(identities, good=vouched_for(identities.good, made)),
            min_live_s=settings.timing.target_min_live_s,
        ),
        target_problem=reading.versions.problem or reading.history.problem or reading.flow.problem,
        approval_asked_by=_asks(registered, suspected, settings),
        suspects=suspected,
        dependents=None if reading.dependents.value is None else tuple(reading.dependents.value),
        dependents_problem=reading.dependents.problem,
        approval_waiting=next((one.id for one in tried if one.state is State.AWAITING_APPROVAL), None),
        approved_by=None if own is None else own.approved_by,
        denied_by=remembered.denied_by(tx, alert, tried),
        deployment=registered,
        attempt_id=part_of.id,
        known_bad="" if known_bad is None else known_bad.describe(),
    )
    return replace(found, differences=_differences(tx, alert, found.proposed))


def situation_of_undo(
    tx: Transaction,
    alert: StoredAlert,
    reading: Reading,
    suppression: Suppression | None,
    around: Surroundings,
    *,
    now: float,
    own: Rollback,
) -> Situation:
    """The same as if the version that is to be taken away were accused; the target is what people have chosen.

    Or, of a flow that is published because of its module, the version that is live.
    """
    turned = replace(alert, object_id=own.object_id, version=own.accused_version)
    found = situation(tx, turned, reading, suppression, around, now=now, own=own)
    versions = reading.versions.value
    target = None if versions is None else undo_target(versions, own.target_version)
    undone = replace(found, target=target, target_problem=reading.versions.problem)
    return replace(undone, differences=_differences(tx, turned, undone.proposed))


def _differences(tx: Transaction, alert: StoredAlert, proposed: str | None) -> tuple[Difference, ...]:
    """What would be written, of an object; empty where a content is not kept any more."""
    if alert.object_type == FLOW or proposed is None:
        return ()
    key = Key(alert.org, alert.object_type, alert.object_id)
    accused, target = (objects.content(tx, key, version) for version in (alert.version, proposed))
    return () if accused is None or target is None else tuple(differences(accused, target))


def accusing(alert: StoredAlert, reading: Reading, own: Rollback | None = None) -> StoredAlert:
    """The alert with the version that it accuses: of an object what it is like now, or was when it was planned."""
    if alert.version or alert.object_type == FLOW:
        return alert
    live = None if reading.flow.value is None else reading.flow.value.live_version
    return replace(alert, version=(live or "") if own is None else own.accused_version)


def is_understood(alert: StoredAlert, around: Surroundings) -> bool:
    """False for an alert that ends as `unknown_contract`, whatever Genesys Cloud says: nothing needs to be read."""
    return alert.labels.get("genesys_contract") == CONTRACT and not _unusable_labels(alert, around)


def _asks(registered: Deployment | None, suspected: Suspects, settings: ReceiverSettings) -> str | None:
    """Why a person has to approve: the pipeline wants it, others may be to blame, or an earlier version may not fit."""
    because = []
    if registered is not None and registered.rollback is Consent.ASK:
        because.append(f"{registered.describe()} asks for it")
    if suspected.others and settings.asks_when_ambiguous:
        because.append(suspected.describe())
    if settings.coupled is InDoubt.APPROVE:
        if registered is not None and registered.objects:
            because.append(f"{registered.describe()} has {_named(registered)} too, and an earlier version may not fit")
        elif suspected.coupled:
            because.append(suspected.describe_coupled())
    return "; ".join(because) or None


def _named(registered: Deployment) -> str:
    """The first objects of a deployment, for a sentence."""
    first = [f"{one.object_type} {one.object_id}" for one in registered.objects[:_NAMED]]
    more = len(registered.objects) - len(first)
    return ", ".join(first) + (f" and {more} more" if more else "")


def _suspects(
    tx: Transaction, alert: StoredAlert, flow: Flow | None, settings: ReceiverSettings, failing_since: float | None
) -> Suspects:
    """What others than the bridge have changed before the alert; what nobody has seen is not among it."""
    is_live = flow is not None and flow.live_version == alert.version
    live_since = flow.live_published_at if flow is not None and is_live else None
    timing, until = settings.timing, alert.starts_at
    since = (until if live_since is None else min(live_since, until)) - timing.changes_s
    # A version that went live long ago is not accused for what has been changed in all that time.
    since = max(since, until - MOST_CHANGES_S)
    return suspects(
        changes.between(tx, alert.org, since, until, limit=MOST_CHANGES),
        flow_id=alert.object_id,
        version=alert.version,
        live_since=live_since,
        failing_since=failing_since,
        alert_at=until,
        together_s=timing.deployment_s,
    )


def _attempt(
    tx: Transaction,
    alert: StoredAlert,
    flow: Flow | None,
    registered: Deployment | None,
    settings: ReceiverSettings,
    *,
    now: float,
    shadow: bool,
    own: Rollback | None,
) -> Attempt:
    """What the rollback is a part of, or would be; its flows share a lockout, so it is joined only as long as that."""
    if own is not None:
        return attempt.of_rollback(tx, own)
    if flow is None or flow.live_version != alert.version:
        return ALONE
    deployment_id = registered.id if registered else None
    accused = Publication(flow.id, flow.published_by, flow.live_published_at, deployment_id)
    timing = settings.timing
    return attempt.to_join(
        tx, alert.org, accused, shadow=shadow, since=now - timing.lockout_s, deployment_s=timing.deployment_s
    )


def _records(tx: Transaction, alert: StoredAlert) -> dict[str, Record]:
    """What the ledger knows of each version of the flow, by the alert's signal."""
    signal = findings.signal_of(alert)
    return {} if signal is None else ledger.records(tx, alert.org, alert.object_id, signal)


def _unusable_labels(alert: StoredAlert, around: Surroundings) -> tuple[str, ...]:
    is_flow = alert.object_type == FLOW
    wrong = [name for name in (REQUIRED_LABELS if is_flow else REQUIRED_OF_OBJECT) if not alert.labels.get(name)]
    if not is_flow and alert.object_id and not _may_be_configured(alert, around.settings):
        wrong.append(_NOT_IN_OBJECTS)
    if alert.labels.get("genesys_action") != ACTION:
        wrong.append("genesys_action")
    if alert.org and alert.org not in around.orgs:
        wrong.append("org (not configured)")
    if alert.signal and findings.signal_of(alert) is None:
        wrong.append("signal (unknown)")
    return tuple(wrong)


def _may_be_configured(alert: StoredAlert, settings: ReceiverSettings) -> bool:
    """By its id, or by a filter, which only who knows the name can tell."""
    of_type = [one for one in settings.objects if (one.org, one.type.value) == (alert.org, alert.object_type)]
    return any(one.is_filter or one.id == alert.object_id for one in of_type)


def _of_another_kind(
    tx: Transaction, alert: StoredAlert, flow: Flow | None, settings: ReceiverSettings
) -> tuple[str, ...]:
    """An object that nothing names, or one that is accused as a flow."""
    if alert.object_type == FLOW:
        return ("flow_id (no flow)",) if flow is not None and flow.type in OBJECT_TYPES else ()
    if not alert.object_id or alert.object_type not in OBJECT_TYPES:
        return ()
    known = objects.state(tx, Key(alert.org, alert.object_type, alert.object_id))
    name = "" if known is None else known.name
    applies = applying(settings.objects, alert.object_type, alert.object_id, name)
    return () if applies is not None else (_NOT_IN_OBJECTS,)
