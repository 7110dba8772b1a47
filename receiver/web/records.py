"""What was received, decided and done: `GET /alerts`, `/decisions`, `/rollbacks`. Newest first."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint
from flask.typing import ResponseReturnValue
from pydantic import Field

from receiver import attempt
from receiver.config import Role
from receiver.policy import Verdict
from receiver.store import alerts, decisions, rollbacks
from receiver.store.alerts import StoredAlert
from receiver.store.database import Store
from receiver.store.decisions import StoredDecision
from receiver.store.rollbacks import Permit, Rollback, Step
from receiver.web.auth import Tokens
from receiver.web.fields import Limit, Name, NoParameters, Strict, query, rfc3339, rfc3339_or_none
from receiver.web.problems import not_found

Json = Mapping[str, Any]

_DEFAULT_LIMIT = 100


class AlertQuery(Strict):
    """`open`: only those that are not resolved."""

    org: Name | None = None
    only_open: bool = Field(default=False, alias="open")
    limit: Limit = _DEFAULT_LIMIT


class DecisionQuery(Strict):
    org: Name | None = None
    flow_id: Name | None = None
    verdict: Verdict | None = None
    limit: Limit = _DEFAULT_LIMIT


class RollbackQuery(Strict):
    org: Name | None = None
    flow_id: Name | None = None
    limit: Limit = _DEFAULT_LIMIT


def blueprint(store: Store, tokens: Tokens) -> Blueprint:
    """The reading calls, with the role `viewer` or `operator`."""
    calls = Blueprint("records", __name__)
    reading = tokens.requires(Role.VIEWER, Role.OPERATOR)

    @calls.get("/alerts")
    @reading
    def list_alerts() -> ResponseReturnValue:
        asked = query(AlertQuery)
        with store.begin() as tx:
            found = alerts.newest(tx, org=asked.org, open_only=asked.only_open, limit=asked.limit)
        return {"alerts": [_alert(alert) for alert in found]}

    @calls.get("/decisions")
    @reading
    def list_decisions() -> ResponseReturnValue:
        asked = query(DecisionQuery)
        verdict = asked.verdict.value if asked.verdict else None
        with store.begin() as tx:
            found = decisions.newest(tx, org=asked.org, flow_id=asked.flow_id, verdict=verdict, limit=asked.limit)
        return {"decisions": [_decision(decision) for decision in found]}

    @calls.get("/rollbacks")
    @reading
    def list_rollbacks() -> ResponseReturnValue:
        asked = query(RollbackQuery)
        with store.begin() as tx:
            found = rollbacks.newest(tx, org=asked.org, flow_id=asked.flow_id, limit=asked.limit)
        return {"rollbacks": [rollback_json(rollback) for rollback in found]}

    @calls.get("/rollbacks/<rollback_id>")
    @reading
    def show_rollback(rollback_id: str) -> ResponseReturnValue:
        query(NoParameters)
        if "\x00" in rollback_id:  # PostgreSQL would take it for a fault of the statement
            raise not_found("there is no such rollback")
        with store.begin() as tx:
            rollback = rollbacks.get(tx, rollback_id)
            members = attempt.of_rollback(tx, rollback).members if rollback else ()
            steps, permits = rollbacks.steps_of(tx, rollback_id), rollbacks.permits_of(tx, rollback_id)
        if rollback is None:
            raise not_found(f"there is no rollback {rollback_id}")
        return {
            **rollback_json(rollback),
            **attempt.facts_of(members),
            "steps": [_step(step) for step in steps],
            "permits": [_permit(permit) for permit in permits],
        }

    return calls


def _alert(alert: StoredAlert) -> Json:
    return {
        "id": alert.id,
        "fingerprint": alert.fingerprint,
        "org": alert.org,
        "flow_id": alert.object_id,
        "flow_version": alert.version,
        "signal": alert.signal,
        "open": alert.is_open,
        "source": alert.source.value,
        "starts_at": rfc3339(alert.starts_at),
        "received_at": rfc3339(alert.received_at),
        "refreshed_at": rfc3339(alert.refreshed_at),
        "closed_at": rfc3339_or_none(alert.closed_at),
        "closed_by": alert.closed_by.value if alert.closed_by else None,
        "verdict": alert.verdict,
        "holding_back": (alert.holding_back or "").split(),
        "labels": alert.labels,
        "annotations": alert.annotations,
    }


def _decision(decision: StoredDecision) -> Json:
    return {
        "id": decision.id,
        "at": rfc3339(decision.at),
        "alert_id": decision.alert_id,
        "rollback_id": decision.rollback_id,
        "org": decision.org,
        "flow_id": decision.object_id,
        "flow_version": decision.version,
        "verdict": decision.verdict,
        "guards": decision.guards,
        "facts": decision.facts,
        "receiver": decision.receiver,
    }


def rollback_json(rollback: Rollback) -> Json:
    """One rollback as the API shows it."""
    return {
        "id": rollback.id,
        "attempt_id": rollback.attempt_id,
        "alert_id": rollback.alert_id,
        "org": rollback.org,
        "flow_id": rollback.object_id,
        "accused_version": rollback.accused_version,
        "target_version": rollback.target_version,
        "threshold_ratio": rollback.threshold_ratio,
        "live_since": rfc3339(rollback.live_since),
        "try": rollback.try_number,
        "shadow": rollback.shadow,
        "kind": rollback.kind.value,
        "undoes": rollback.undoes,
        "state": rollback.state.value,
        "reason": rollback.reason,
        "created_at": rfc3339(rollback.created_at),
        "deadline": rfc3339(rollback.deadline),
        "not_before": rfc3339(rollback.not_before),
        "approved_by": rollback.approved_by,
        "approved_at": rfc3339_or_none(rollback.approved_at),
        "started_at": rfc3339_or_none(rollback.started_at),
        "confirmed_at": rfc3339_or_none(rollback.confirmed_at),
        "ended_at": rfc3339_or_none(rollback.ended_at),
        "facts": rollback.facts,
    }


def _step(step: Step) -> Json:
    return {"at": rfc3339(step.at), "state": step.state, "event": step.event, "detail": step.detail}


def _permit(permit: Permit) -> Json:
    return {
        "number": permit.number,
        "strategy": permit.strategy,
        "target_version": permit.target_version,
        "issued_at": rfc3339(permit.issued_at),
        "valid_until": rfc3339(permit.valid_until),
        "answer": permit.answer.value if permit.answer else None,
        "operation_id": permit.operation_id,
    }
