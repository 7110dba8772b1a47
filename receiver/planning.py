"""From a decision to a rollback: what is written down when a flow is to be rolled back."""

from typing import Any
from uuid import uuid4

from genesys.objects import OBJECT_TYPES
from receiver.applied import apply_policy, rollback_deadline_s
from receiver.dependents import to_publish
from receiver.notify.events import put_approval_requested, put_end, rfc3339
from receiver.policy import Decision, Verdict
from receiver.situation import Situation
from receiver.store import rollbacks, ways_in_vain
from receiver.store.alerts import StoredAlert
from receiver.store.database import Transaction
from receiver.store.rollbacks import ASKED, LEASED, Kind, Rollback, State
from receiver.strategy import first_of, in_order
from receiver.suspects import LISTED
from receiver.tools import Tools
from receiver.verification import TRANSFER_TARGET, TRANSFER_TYPE

_BEGINS = {
    Verdict.ROLL_BACK: State.PLANNED,
    Verdict.OBSERVING: State.OBSERVED,
    Verdict.AWAITING_APPROVAL: State.AWAITING_APPROVAL,
}


def facts_of(now: Situation) -> dict[str, Any]:
    """What people want to see of a situation besides the guards."""
    flow, evidence = now.flow, now.evidence
    facts: dict[str, Any] = {}
    if flow is not None:
        facts |= {
            "flow_name": flow.name,
            "flow_type": flow.type,
            "division": flow.division_name,
            "published_by": flow.published_by,
            "published_at": None if flow.live_published_at is None else rfc3339(flow.live_published_at),
        } | ({"object_type": flow.type} if flow.type in OBJECT_TYPES else {})
    if evidence is not None:
        found = evidence.finding.convicted_by or evidence.finding.windows[-1]
        facts |= {
            "errors": found.errors,
            "volume": found.volume,
            "window": found.window,
            "error_ratio": found.ratio,
            "threshold_ratio": evidence.threshold_ratio,
            "baseline_ratio": evidence.baseline_ratio,
            "scatter": evidence.scatter,
            "data_end": rfc3339(evidence.end),
            "live_since": rfc3339(evidence.live_since),
            "windows": [
                {"window": one.window, "errors": one.errors, "volume": one.volume} for one in evidence.finding.windows
            ],
        }
        if evidence.target is not None:
            facts |= {TRANSFER_TYPE: evidence.target.type, TRANSFER_TARGET: evidence.target.name}
        if evidence.parts:
            facts["parts"] = list(evidence.parts)
    deployed = now.deployment
    if deployed is not None:
        facts |= {"deployment_id": deployed.id, "commit": deployed.commit, "deployed_by": deployed.actor}
    if now.target is not None:
        facts["considered"] = [{"version": one.version, "reason": one.reason} for one in now.target.considered]
        facts["content_compared"] = now.target.compared
    if now.suspects.listed:
        facts["changes"] = now.suspects.facts()
    if now.dependents is not None:
        named = [{"flow_id": one.id, "flow_name": one.name, "version": one.version} for one in now.dependents]
        facts |= {"dependents": named[:LISTED], "dependents_count": len(named)}
    elif now.dependents_problem:
        facts["dependents_problem"] = now.dependents_problem
    if now.differences:
        facts |= {
            "differences": [one.as_fact() for one in now.differences[:LISTED]],
            "differences_count": len(now.differences),
        }
    if now.known_bad:
        facts["known_bad"] = now.known_bad
    return facts


def _ahead(tx: Transaction, now: Situation) -> int:
    """How many publishes of the same attempt have their turn before: each may take as long as it is allowed to."""
    members = [] if now.attempt_id is None else rollbacks.of_attempt(tx, now.attempt_id)
    return sum(1 for one in members if one.state in LEASED)


def plan(tx: Transaction, tools: Tools, alert: StoredAlert, now: Situation, decision: Decision) -> Rollback | None:
    """Create the rollback that a decision calls for; None if the decision holds back.

    Where a person has to agree first it waits, unless one waits already or they
    have denied it. Mode observe gives one that ends at once as `observed`; it arms a lockout and
    a duplicate of its own, so that it shows what `auto` would have done.
    """
    if decision.verdict not in _BEGINS:
        return None
    asks = decision.verdict is Verdict.AWAITING_APPROVAL
    because = decision.value_of(decision.verdict) if asks else ""
    if asks and (now.approval_waiting or now.denied_by):
        return None
    if now.flow is None or now.evidence is None or now.proposed is None:
        raise AssertionError("decided to roll back on unknown facts")  # the guards rule this out
    timing = tools.timing
    shadow = decision.verdict is Verdict.OBSERVING
    policy = apply_policy(tools.around.settings, now.flow).policy
    ways_back = in_order(policy.ways_back, ways_in_vain.of(tx, alert.org))
    rollback_id = str(uuid4())
    rollback = Rollback(
        id=rollback_id,
        alert_id=alert.id,
        org=alert.org,
        object_type=alert.object_type,
        object_id=alert.object_id,
        accused_version=alert.version,
        live_since=now.flow.live_published_at or 0.0,
        try_number=now.tries + 1,
        shadow=shadow,
        target_version=now.proposed,
        state=_BEGINS[decision.verdict],
        reason="mode observe" if shadow else because,
        revision=1,
        created_at=now.at,
        deadline=now.at
        + (
            timing.approval_s
            if asks
            else rollback_deadline_s(timing, now.flow.type, first_of(ways_back)) * (1 + _ahead(tx, now))
        ),
        not_before=now.at,
        started_at=now.at if shadow else None,
        wrote=shadow,
        threshold_ratio=now.evidence.threshold_ratio,
        confirmed_at=None,
        ended_at=now.at if shadow else None,
        facts=facts_of(now)
        | to_publish(now, policy)
        | {"signal": alert.signal, "owner": policy.owner}
        | ({ASKED: because} if asks else {}),
        kind=Kind.ROLLBACK,
        attempt_id=now.attempt_id or rollback_id,
        published_by=now.flow.published_by,
        undoes=None,
        approved_by=None,
        approved_at=None,
        ways_back=ways_back,
        strategy=first_of(ways_back),
    )
    rollbacks.create(tx, rollback)
    event = "approval_requested" if asks else "planned"
    rollbacks.add_step(tx, rollback, event, at=now.at, detail={"target": rollback.target_version})
    if shadow:
        put_end(tx, tools.telling, rollback, now=now.at)
    elif asks:
        put_approval_requested(tx, tools.telling, rollback, now=now.at)
    return rollback
