"""What was received, decided and done: `GET /alerts`, `/decisions`, `/rollbacks`. Newest first."""

from http import HTTPStatus
from typing import NotRequired, cast

from flask import Blueprint
from flask.typing import ResponseReturnValue
from pydantic import Field
from typing_extensions import TypedDict

from receiver import attempt
from receiver.config import Role
from receiver.policy import Verdict
from receiver.store import alerts, decisions, rollbacks
from receiver.store.alerts import StoredAlert
from receiver.store.database import Store
from receiver.store.decisions import StoredDecision
from receiver.store.rollbacks import Permit, Rollback, Step
from receiver.web import concealed
from receiver.web.auth import Tokens
from receiver.web.documented import Json, Time, documented
from receiver.web.fields import Limit, Moment, Name, NoParameters, Strict, query, rfc3339, rfc3339_or_none
from receiver.web.paging import AfterMoment, AfterNumber, page
from receiver.web.problems import not_found
from receiver.web.reach import check_touched, reach, reaches

_DEFAULT_LIMIT = 100


class AlertQuery(Strict):
    """`open`: only those that are not resolved; `since`: also those that were open then, or later."""

    org: Name | None = None
    only_open: bool = Field(default=False, alias="open")
    since: Moment | None = None
    after: AfterNumber | None = None
    limit: Limit = _DEFAULT_LIMIT


class DecisionQuery(Strict):
    org: Name | None = None
    flow_id: Name | None = None
    since: Moment | None = None
    verdict: Verdict | None = None
    after: AfterNumber | None = None
    limit: Limit = _DEFAULT_LIMIT


class RollbackQuery(Strict):
    """`since`: those that were planned then, or later."""

    org: Name | None = None
    flow_id: Name | None = None
    since: Moment | None = None
    after: AfterMoment | None = None
    limit: Limit = _DEFAULT_LIMIT


class AlertAnswer(TypedDict):
    """One firing of an alert; `verdict` is that of the newest decision, null until the first one."""

    id: int
    fingerprint: str
    org: str
    flow_id: str
    flow_version: str
    signal: str
    open: bool
    source: str
    starts_at: Time
    received_at: Time
    refreshed_at: Time
    closed_at: Time | None
    closed_by: str | None
    verdict: str | None
    holding_back: list[str]
    labels: dict[str, str]
    annotations: dict[str, str]


class AlertsAnswer(TypedDict):
    alerts: list[AlertAnswer]
    next: str | None


class GuardAnswer(TypedDict):
    """One guard as it was evaluated: what was found, what would have been allowed."""

    guard: str
    holds_back: bool
    value: str
    limit: str
    unknown: bool
    overridden: NotRequired[bool]  # earlier releases have not recorded it


class DecisionAnswer(TypedDict):
    id: int
    at: Time
    alert_id: int
    rollback_id: str | None
    org: str
    flow_id: str
    flow_version: str
    verdict: str
    guards: list[GuardAnswer]
    facts: Json
    receiver: str


class DecisionsAnswer(TypedDict):
    decisions: list[DecisionAnswer]
    next: str | None


_Try = TypedDict("_Try", {"try": int})


class RollbackAnswer(_Try):
    """One try to make an earlier version live again."""

    id: str
    attempt_id: str
    alert_id: int
    org: str
    flow_id: str
    accused_version: str
    target_version: str
    threshold_ratio: float
    live_since: Time
    shadow: bool
    kind: str
    undoes: str | None
    state: str
    reason: str
    created_at: Time
    deadline: Time
    not_before: Time
    strategy: str  # the way back whose turn it is, or that was taken
    ways_back: list[str]  # in their order
    overrides: list[str] | None  # guards that were named by who has ordered it by hand; null: nobody has
    approved_by: str | None
    approved_at: Time | None
    started_at: Time | None
    confirmed_at: Time | None
    ended_at: Time | None
    facts: Json


class RollbacksAnswer(TypedDict):
    rollbacks: list[RollbackAnswer]
    next: str | None


class StepAnswer(TypedDict):
    at: Time
    state: str
    event: str
    detail: Json


class PermitAnswer(TypedDict):
    """Leave to publish once; no `answer` means that nobody knows whether it was sent."""

    number: int
    strategy: str
    target_version: str
    issued_at: Time
    valid_until: Time
    answer: str | None
    operation_id: str | None


class MemberAnswer(TypedDict):
    """A rollback of the same attempt."""

    rollback_id: str
    flow_id: str
    flow_name: str | None
    accused_version_id: str
    target_version_id: str
    state: str
    reason: str


class StoryAnswer(RollbackAnswer):
    """One rollback with each step and each permit, and the attempt that it is a part of, as far as it may be seen."""

    attempt_state: str
    members: list[MemberAnswer]
    steps: list[StepAnswer]
    permits: list[PermitAnswer]


def blueprint(store: Store, tokens: Tokens) -> Blueprint:
    """The reading calls, with the role `viewer` or `operator`."""
    calls = Blueprint("records", __name__)
    reading = tokens.requires(Role.VIEWER, Role.OPERATOR)

    @calls.get("/alerts")
    @reading
    @documented("Alerts, newest first.", AlertsAnswer, query=AlertQuery)
    def list_alerts() -> ResponseReturnValue:
        asked = query(AlertQuery)
        check_touched(asked.org)
        with store.begin() as tx:
            found = alerts.newest(
                tx,
                org=asked.org,
                within=reach(),
                open_only=asked.only_open,
                since=asked.since,
                after=asked.after,
                limit=asked.limit + 1,
            )
        shown, following = page(found, asked.limit, lambda one: one.id)
        answer: AlertsAnswer = {"alerts": [_alert(alert) for alert in shown], "next": following}
        return answer

    @calls.get("/decisions")
    @reading
    @documented("Every decision, refusals included, newest first.", DecisionsAnswer, query=DecisionQuery)
    def list_decisions() -> ResponseReturnValue:
        asked = query(DecisionQuery)
        check_touched(asked.org)
        verdict = asked.verdict.value if asked.verdict else None
        with store.begin() as tx:
            found = decisions.newest(
                tx,
                org=asked.org,
                within=reach(),
                flow_id=asked.flow_id,
                verdict=verdict,
                since=asked.since,
                after=asked.after,
                limit=asked.limit + 1,
            )
        shown, following = page(found, asked.limit, lambda one: one.id)
        answer: DecisionsAnswer = {
            "decisions": [_decision(concealed.decision(one)) for one in shown],
            "next": following,
        }
        return answer

    @calls.get("/rollbacks")
    @reading
    @documented("Rollbacks, newest first.", RollbacksAnswer, query=RollbackQuery)
    def list_rollbacks() -> ResponseReturnValue:
        asked = query(RollbackQuery)
        check_touched(asked.org)
        with store.begin() as tx:
            found = rollbacks.newest(
                tx,
                org=asked.org,
                within=reach(),
                flow_id=asked.flow_id,
                since=asked.since,
                after=asked.after,
                limit=asked.limit + 1,
            )
        shown, following = page(found, asked.limit, lambda one: (one.created_at, one.id))
        answer: RollbacksAnswer = {"rollbacks": [rollback_json(rollback) for rollback in shown], "next": following}
        return answer

    @calls.get("/rollbacks/<rollback_id>")
    @reading
    @documented("The story of one rollback.", StoryAnswer, refusals=(HTTPStatus.NOT_FOUND,))
    def show_rollback(rollback_id: str) -> ResponseReturnValue:
        query(NoParameters)
        if "\x00" in rollback_id:  # PostgreSQL would take it for a fault of the statement
            raise not_found("there is no such rollback")
        with store.begin() as tx:
            rollback = rollbacks.get(tx, rollback_id)
            members = list(attempt.of_rollback(tx, rollback).members) if rollback else []
            steps, permits = rollbacks.steps_of(tx, rollback_id), rollbacks.permits_of(tx, rollback_id)
        if rollback is None or not reaches(rollback.org, rollback.object_id):
            raise not_found(f"there is no rollback {rollback_id}")
        members = [one for one in members if reaches(one.org, one.object_id)]
        answer: StoryAnswer = {
            **rollback_json(rollback),
            "attempt_state": attempt.state_of(members),
            "members": cast("list[MemberAnswer]", attempt.facts_of(members)["members"]),
            "steps": [_step(step) for step in concealed.steps(rollback.org, steps)],
            "permits": [_permit(permit) for permit in permits],
        }
        return answer

    return calls


def _alert(alert: StoredAlert) -> AlertAnswer:
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


def _decision(decision: StoredDecision) -> DecisionAnswer:
    return {
        "id": decision.id,
        "at": rfc3339(decision.at),
        "alert_id": decision.alert_id,
        "rollback_id": decision.rollback_id,
        "org": decision.org,
        "flow_id": decision.object_id,
        "flow_version": decision.version,
        "verdict": decision.verdict,
        "guards": cast("list[GuardAnswer]", decision.guards),
        "facts": decision.facts,
        "receiver": decision.receiver,
    }


def rollback_json(rollback: Rollback) -> RollbackAnswer:
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
        "strategy": rollback.strategy.value,
        "ways_back": rollback.ways_back.split(),
        "overrides": None if rollback.overrides is None else rollback.overrides.split(),
        "approved_by": rollback.approved_by,
        "approved_at": rfc3339_or_none(rollback.approved_at),
        "started_at": rfc3339_or_none(rollback.started_at),
        "confirmed_at": rfc3339_or_none(rollback.confirmed_at),
        "ended_at": rfc3339_or_none(rollback.ended_at),
        "facts": concealed.facts(rollback.org, rollback.facts),
    }


def _step(step: Step) -> StepAnswer:
    return {"at": rfc3339(step.at), "state": step.state, "event": step.event, "detail": step.detail}


def _permit(permit: Permit) -> PermitAnswer:
    return {
        "number": permit.number,
        "strategy": permit.strategy,
        "target_version": permit.target_version,
        "issued_at": rfc3339(permit.issued_at),
        "valid_until": rfc3339(permit.valid_until),
        "answer": permit.answer.value if permit.answer else None,
        "operation_id": permit.operation_id,
    }
