"""What the store remembers that bears on a decision: who has stopped it, and what was rolled back before."""

from receiver.attempt import ALONE, Attempt
from receiver.config import ReceiverSettings, Scope
from receiver.identity import Identities
from receiver.notify.events import rfc3339
from receiver.reader import Reading
from receiver.store import alerts, controls, deployments, rollbacks
from receiver.store.alerts import StoredAlert
from receiver.store.database import Transaction
from receiver.store.deployments import Consent, Deployment
from receiver.store.rollbacks import DENIED_BY, LEASED, Rollback, State
from receiver.strategy import Strategy


def pauses(tx: Transaction, org: str) -> tuple[str, ...]:
    """Who paused the organization, or everything, and why."""
    return tuple(
        f"{'everything' if pause.org == controls.EVERY_ORG else pause.org} paused by {pause.paused_by}: {pause.reason}"
        for pause in controls.list_pauses(tx, org)
    )


def holds(tx: Transaction, alert: StoredAlert, registered: Deployment | None) -> tuple[str, ...]:
    """Who wants hands off the flow, and why; a deployment may be registered as one that is never rolled back."""
    found = tuple(
        f"{'every flow' if hold.flow_id == controls.EVERY_FLOW else 'the flow'} held for {hold.owner}, "
        f"set by {hold.held_by}: {hold.reason}"
        for hold in controls.list_holds(tx, alert.org)
        if hold.covers(alert.object_id)
    )
    if registered is None or registered.rollback is not Consent.NEVER:
        return found
    return (*found, f"{registered.describe()} is never to be rolled back")


def registered(tx: Transaction, org: str, reading: Reading) -> dict[tuple[str, str], str]:
    """The registered deployment of each flow that fails, by flow id and version."""
    found = {}
    for one in reading.neighbours.value or ():
        deployment = deployments.of_version(tx, org, one.flow_id, one.version) if one.failing else None
        if deployment is not None:
            found[one.flow_id, one.version] = deployment.id
    return found


def windows(tx: Transaction, alert: StoredAlert, now: float) -> tuple[str, ...]:
    """The open windows that cover the flow: whose, until when, and why."""
    return tuple(
        f"{window.kind} window {window.id} of {window.owner or window.created_by} until {rfc3339(window.ends_at)}: "
        f"{window.reason}"
        for window in controls.active_windows(tx, now=now, org=alert.org)
        if window.covers(alert.object_id)
    )


def in_progress(
    tx: Transaction,
    about: StoredAlert | Rollback,
    settings: ReceiverSettings,
    *,
    own: Rollback | None,
    now: float,
    attempt: Attempt = ALONE,
) -> str | None:
    """Another rollback that has to end first: one of the same flow, or one under the same lease.

    Those of one attempt are planned side by side, and publish in turn. None that only waits for approval, or was
    approved and waits for the end of a lockout; nor the one that an undo takes back while it is verified.
    """
    org = None if settings.lease_scope is Scope.ALL else about.org
    for one in rollbacks.under_way(tx, org, LEASED | {State.VERIFYING}):
        same_flow = (one.org, one.object_id) == (about.org, about.object_id)
        # Of the same flow nobody is asked again about what was approved, whatever it waits for.
        passed_over = (_waits_for_lockout(one, now) and not (own is None and same_flow)) or is_own(one, own)
        if own is None and one.is_dependent and one.started_at is None:
            passed_over = not same_flow  # it waits for whatever is planned meanwhile
        elif own is None:
            passed_over = passed_over or (attempt.has(one) and not same_flow)
        else:
            passed_over = passed_over or one.id == own.undoes or _comes_later(one, own)
        if not passed_over and (one.state in LEASED or same_flow):
            return f"{one.id} ({one.state.value}, flow {one.object_id} of {one.org})"
    return None


def _waits_for_lockout(one: Rollback, now: float) -> bool:
    return (
        one.state is State.PLANNED and one.approved_by is not None and one.started_at is None and one.not_before > now
    )


def _comes_later(one: Rollback, own: Rollback) -> bool:
    """Whether `one` waits for `own`: people order rollbacks at any time, so that several may be planned at once."""
    if one.state is not State.PLANNED or one.started_at is not None:
        return False
    return own.started_at is not None or _turn(one) > _turn(own)


def _turn(one: Rollback) -> tuple[int, float, str]:
    """What people order they want now; what waits for the end of a lockout must not keep it waiting.

    Nobody's callers fail because a flow waits to be published once more; those of one module have deadlines in turn.
    """
    if one.is_dependent:
        return 2, one.deadline, one.id
    return 0 if one.is_undo or one.is_by_hand else 1, one.planned_at, one.id


def denied_by(tx: Transaction, alert: StoredAlert, tried: list[Rollback]) -> str | None:
    """Who has refused to roll the version back, and why; it holds for the alerts that were there when they said so."""
    for one in tried:
        if DENIED_BY not in one.facts:
            continue
        asked_about = alerts.get(tx, one.alert_id)
        if alert.received_at <= (one.ended_at or 0.0) or (asked_about is not None and asked_about.is_open):
            because = one.facts["denied_because"]
            return f"{one.facts[DENIED_BY]}: {because}" if because else one.facts[DENIED_BY]
    return None


def restored_by(earlier: list[Rollback], version: str, identities: Identities) -> str | None:
    """The bridge made this version live, or may have: whatever it restored it does not take away again.

    Of a deployment that was never confirmed nobody knows the label, so what has the content of its target counts.
    """
    for one in earlier:
        unknown = one.strategy is Strategy.REDEPLOY and one.confirmed_at is None
        may_be_its_copy = unknown and bool(identities.same(version, one.target_version))
        if (one.target_version == version or may_be_its_copy) and one.wrote and one.state is not State.SUPERSEDED:
            return f"rollback {one.id}"
    return None


def lockout_until(
    tx: Transaction,
    alert: StoredAlert,
    settings: ReceiverSettings,
    *,
    shadow: bool,
    own: Rollback | None,
    attempt: Attempt,
) -> float:
    """When the lockout of the flow ends (Unix seconds); 0 if there is none. The flows of one attempt share theirs."""
    org = None if settings.lockout_scope is Scope.ALL else alert.org
    flow_id = alert.object_id if settings.lockout_scope is Scope.FLOW else None
    if own is not None and own.started_at is not None:
        return 0.0  # it is this rollback's own lockout
    started_at = rollbacks.last_start(tx, org, flow_id, shadow=shadow, but_of=attempt.id)
    return 0.0 if started_at is None else started_at + settings.timing.lockout_s


def started_of_flow(
    tx: Transaction, alert: StoredAlert, settings: ReceiverSettings, *, now: float, shadow: bool, own: Rollback | None
) -> int:
    """Rollbacks of the flow that count against its budget, other than the one that the decision is about."""
    since = now - settings.timing.budget_s
    found = rollbacks.started_since(tx, alert.org, alert.object_id, since=since, shadow=shadow)
    return sum(1 for one in found if not is_own(one, own))


def started_of_org(
    tx: Transaction, org: str, settings: ReceiverSettings, *, now: float, shadow: bool, attempt: Attempt
) -> int:
    """Attempts that count against the organization's budget, other than the one that the decision is about."""
    found = rollbacks.started_since(tx, org, None, since=now - settings.timing.budget_s, shadow=shadow)
    return len({one.attempt_id for one in found if not attempt.has(one)})


def is_own(one: Rollback, own: Rollback | None) -> bool:
    """Is it the rollback that the decision is about?"""
    return own is not None and one.id == own.id
