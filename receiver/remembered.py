"""What the store remembers that bears on a decision: who has stopped it, and what was rolled back before."""

from receiver.attempt import Attempt, is_at_work
from receiver.config import ReceiverSettings, Scope
from receiver.notify.events import rfc3339
from receiver.reader import Reading
from receiver.store import controls, deployments, rollbacks
from receiver.store.alerts import StoredAlert
from receiver.store.database import Transaction
from receiver.store.deployments import Consent, Deployment
from receiver.store.rollbacks import LEASED, Rollback, State


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
        deployment = deployments.of_version(tx, org, one.flow_id, one.version) if one.fails else None
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
    tx: Transaction, alert: StoredAlert, settings: ReceiverSettings, *, own: Rollback | None, attempt: Attempt
) -> str | None:
    """Another rollback that has to end first: one of the same flow, or one under the same lease.

    Those of one attempt are planned side by side; their publishes are sent one after another.
    """
    org = None if settings.lease_scope is Scope.ALL else alert.org
    for one in rollbacks.under_way(tx, org):
        same_flow = (one.org, one.object_id) == (alert.org, alert.object_id)
        has_its_turn = one.state in LEASED and not (attempt.has(one) and (own is None or not is_at_work(one)))
        if not is_own(one, own) and (has_its_turn or same_flow):
            return f"{one.id} ({one.state.value}, flow {one.object_id} of {one.org})"
    return None


def restored_by(earlier: list[Rollback], version: str) -> str | None:
    """The bridge made this version live, or may have: whatever it restored it does not take away again."""
    for one in earlier:
        if one.target_version == version and one.wrote and one.state is not State.SUPERSEDED:
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
