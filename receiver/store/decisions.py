"""Decisions: immutable records of what was decided about an alert, and why."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from receiver.policy import Decision
from receiver.store import alerts as alert_store
from receiver.store import audit
from receiver.store.alerts import StoredAlert
from receiver.store.database import Transaction
from receiver.store.schema import decisions


@dataclass(frozen=True, slots=True)
class StoredDecision:
    """One decision; `guards` has each guard with its value and limit, `facts` what else people want to see."""

    id: int
    alert_id: int
    rollback_id: str | None
    org: str
    object_type: str
    object_id: str
    version: str
    at: float
    verdict: str
    guards: list[dict[str, Any]]
    facts: dict[str, Any]
    receiver: str


def add(
    tx: Transaction,
    alert: StoredAlert,
    decision: Decision,
    *,
    at: float,
    facts: dict[str, Any],
    receiver: str,
    rollback_id: str | None = None,
    about_alert: bool = True,
) -> None:
    """Record one decision, also in the audit, and make it the alert's newest unless it is about something else."""
    record = {
        "alert_id": alert.id,
        "rollback_id": rollback_id,
        "org": alert.org,
        "object_type": alert.object_type,
        "object_id": alert.object_id,
        "version": alert.version,
        "verdict": decision.verdict.value,
        "guards": [guard.as_json() for guard in decision.guards],
        "facts": facts,
    }
    tx.execute(sa.insert(decisions).values(record | {"at": at, "receiver": receiver}))
    audit.record(tx, audit.Kind.DECISION, record, at=at, actor=receiver)
    if about_alert:
        alert_store.set_verdict(tx, alert.id, decision.verdict.value, names_of(decision))


def is_new(alert: StoredAlert, decision: Decision) -> bool:
    """True if this decision differs from the alert's newest one in its verdict or in what holds back."""
    return (alert.verdict, alert.holding_back) != (decision.verdict.value, names_of(decision))


def names_of(decision: Decision) -> str:
    return " ".join(verdict.value for verdict in decision.holding_back)


def newest(
    tx: Transaction, *, org: str | None, flow_id: str | None, verdict: str | None, limit: int
) -> list[StoredDecision]:
    """For people: the newest decisions first."""
    query = sa.select(decisions).order_by(decisions.c.id.desc()).limit(limit)
    for column, wanted in ((decisions.c.org, org), (decisions.c.object_id, flow_id), (decisions.c.verdict, verdict)):
        if wanted is not None:
            query = query.where(column == wanted)
    return [StoredDecision(**row) for row in tx.execute(query).mappings()]


def newest_times(tx: Transaction) -> dict[tuple[str, str, str], float]:
    """(org, flow id, verdict) → when it was last decided."""
    query = sa.select(
        decisions.c.org, decisions.c.object_id, decisions.c.verdict, sa.func.max(decisions.c.at)
    ).group_by(decisions.c.org, decisions.c.object_id, decisions.c.verdict)
    return {(org, flow_id, verdict): at for org, flow_id, verdict, at in tx.execute(query)}
