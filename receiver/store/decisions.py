"""Decisions: immutable records of what was decided about an alert, and why."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from receiver.callers import EVERYTHING, Reach
from receiver.policy import Decision
from receiver.store import alerts as alert_store
from receiver.store import audit
from receiver.store.alerts import StoredAlert
from receiver.store.database import Transaction
from receiver.store.divisions import is_within
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
    tx: Transaction,
    *,
    org: str | None,
    within: Reach = EVERYTHING,
    flow_id: str | None,
    verdict: str | None,
    limit: int,
    since: float | None = None,
    after: int | None = None,
) -> list[StoredDecision]:
    """For people: the newest decisions first, or those after the one with this id.

    `within`: only what is reached; `since`: only those of then, or later.
    """
    query = sa.select(decisions).order_by(decisions.c.id.desc()).limit(limit)
    for column, wanted in ((decisions.c.org, org), (decisions.c.object_id, flow_id), (decisions.c.verdict, verdict)):
        if wanted is not None:
            query = query.where(column == wanted)
    query = query.where(is_within(within, decisions.c.org, decisions.c.object_id))
    if since is not None:
        # By its index, or the last page would read everything that is older.
        first = sa.select(sa.func.min(decisions.c.id)).where(decisions.c.at >= since).scalar_subquery()
        query = query.where(decisions.c.id >= first, decisions.c.at >= since)
    if after is not None:
        query = query.where(decisions.c.id < after)
    return [StoredDecision(**row) for row in tx.execute(query).mappings()]


def get(tx: Transaction, decision_id: int) -> StoredDecision | None:
    row = tx.execute(sa.select(decisions).where(decisions.c.id == decision_id)).mappings().one_or_none()
    return None if row is None else StoredDecision(**row)


def of_alert(tx: Transaction, alert_id: int, *, limit: int) -> list[StoredDecision]:
    """What was decided about one alert, newest first."""
    query = sa.select(decisions).where(decisions.c.alert_id == alert_id).order_by(decisions.c.id.desc()).limit(limit)
    return [StoredDecision(**row) for row in tx.execute(query).mappings()]


def of_rollback(tx: Transaction, rollback_id: str, alert_id: int) -> list[StoredDecision]:
    """What was decided about one rollback, of the alert that it began with, oldest first."""
    query = sa.select(decisions).where(decisions.c.alert_id == alert_id, decisions.c.rollback_id == rollback_id)
    return [StoredDecision(**row) for row in tx.execute(query.order_by(decisions.c.id)).mappings()]


def newest_times(tx: Transaction) -> dict[tuple[str, str, str], float]:
    """(org, flow id, verdict) → when it was last decided."""
    query = sa.select(
        decisions.c.org, decisions.c.object_id, decisions.c.verdict, sa.func.max(decisions.c.at)
    ).group_by(decisions.c.org, decisions.c.object_id, decisions.c.verdict)
    return {(org, flow_id, verdict): at for org, flow_id, verdict, at in tx.execute(query)}
