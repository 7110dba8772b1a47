"""Open and closed alerts, as the webhook and the reconciliation with Alertmanager keep them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from receiver.callers import EVERYTHING, Reach
from receiver.payload import Alert
from receiver.store.database import Transaction
from receiver.store.divisions import is_within
from receiver.store.schema import alerts

_PART = 500  # databases bound the number of parameters
END_RECORDED = ("resolved", "unknown_contract")  # verdicts after which a closed alert needs no decision any more


class Source(StrEnum):
    """Who said that an alert fires, or that it is over."""

    WEBHOOK = "webhook"
    RECONCILIATION = "reconciliation"  # Alertmanager's list of alerts, compared with ours
    PERSON = "person"  # nobody but who has ordered a rollback by hand: it never fires, and is there to be pointed at


@dataclass(frozen=True, slots=True)
class StoredAlert:
    """One firing of an alert; closed once it is over. Times are Unix seconds.

    Without a `version` it accuses whatever the object is like: see `gather.accusing`.
    """

    id: int
    fingerprint: str
    org: str
    object_type: str
    object_id: str
    version: str
    signal: str
    starts_at: float
    is_open: bool
    labels: dict[str, str]
    annotations: dict[str, str]
    received_at: float
    refreshed_at: float
    closed_at: float | None
    verdict: str | None
    holding_back: str | None
    source: Source = Source.WEBHOOK
    closed_by: Source | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """How many alerts of a delivery were new, and how many were known already."""

    stored: int
    duplicate: int


def record(tx: Transaction, delivered: Sequence[Alert], now: float) -> Recorded:
    """Keep the alerts of one delivery; durable once the transaction is committed.

    An alert is known by (fingerprint, starts_at). A known one is refreshed. A
    firing alert that was closed stays closed: deliveries arrive out of order,
    and a new firing has a new `starts_at`. A resolved alert closes every
    firing of its fingerprint that had begun by then, because Alertmanager may
    name another `starts_at` in it.
    """
    newest = {(alert.fingerprint, alert.starts_at, alert.firing): alert for alert in delivered}
    known = _known(tx, {fingerprint for fingerprint, _, _ in newest})
    # In one order for everybody: two deliveries of the same group must not wait for each other's rows.
    ordered = [newest[key] for key in sorted(newest)]
    _upsert(tx, ordered, now)
    for alert in ordered:
        if not alert.firing:
            _close(tx, alert, now)
    new = len({(alert.fingerprint, alert.starts_at) for alert in newest.values()} - known)
    return Recorded(stored=new, duplicate=len(delivered) - new)


def orgs_of(tx: Transaction, fingerprints: Iterable[str]) -> set[str]:
    """The organizations of the alerts that are known by these fingerprints."""
    ordered = sorted(fingerprints)
    found: set[str] = set()
    for start in range(0, len(ordered), _PART):
        part = ordered[start : start + _PART]
        found |= set(tx.scalars(sa.select(alerts.c.org).where(alerts.c.fingerprint.in_(part)).distinct()))
    return found


def open_missed(tx: Transaction, listed: Sequence[Alert], *, closed_before: float, now: float) -> list[Alert]:
    """Open alerts that Alertmanager lists and no webhook has told of; gives those that were not open.

    One that was closed before `closed_before` and is still listed is opened
    again: whatever was said of its end, Alertmanager has heard of it since. One
    that was closed later stays closed: the list may be older than its end.
    """
    by_key = {(alert.fingerprint, alert.starts_at): alert for alert in listed}
    ordered = [by_key[key] for key in sorted(by_key)]  # in one order for everybody, as in `record`
    return [alert for alert in ordered if _open_missed(tx, alert, closed_before=closed_before, now=now)]


def close_unlisted(tx: Transaction, alert_ids: Iterable[int], *, now: float) -> int:
    """Close alerts that are over although no webhook has said so; gives how many were still open."""
    return sum(
        tx.execute(
            sa.update(alerts)
            .where(alerts.c.id == alert_id, alerts.c.is_open)
            .values(is_open=False, closed_at=now, closed_by=Source.RECONCILIATION.value)
        ).rowcount
        for alert_id in sorted(alert_ids)
    )


def open_alerts(tx: Transaction, org: str) -> list[StoredAlert]:
    """The organization's open alerts, oldest first."""
    query = sa.select(alerts).where(alerts.c.org == org, alerts.c.is_open).order_by(alerts.c.starts_at, alerts.c.id)
    return _rows(tx, query)


def open_outside(tx: Transaction, orgs: Iterable[str]) -> list[StoredAlert]:
    """Open alerts of organizations that are not configured here, oldest first."""
    query = sa.select(alerts).where(alerts.c.org.not_in(list(orgs)), alerts.c.is_open)
    return _rows(tx, query.order_by(alerts.c.starts_at, alerts.c.id))


def closed_undecided(tx: Transaction, org: str, limit: int = 500) -> list[StoredAlert]:
    """Closed alerts whose end no decision has recorded yet, oldest first."""
    query = (
        sa.select(alerts)
        .where(alerts.c.org == org, sa.not_(alerts.c.is_open))
        .where(sa.or_(alerts.c.verdict.is_(None), alerts.c.verdict.not_in(END_RECORDED)))
        .order_by(alerts.c.id)
        .limit(limit)
    )
    return _rows(tx, query)


def undecided_outside(tx: Transaction, orgs: Iterable[str], limit: int = 500) -> list[StoredAlert]:
    """Alerts of organizations that are not configured here, and that have no decision yet."""
    query = (
        sa.select(alerts)
        .where(alerts.c.org.not_in(list(orgs)), alerts.c.verdict.is_(None))
        .order_by(alerts.c.id)
        .limit(limit)
    )
    return _rows(tx, query)


def get(tx: Transaction, alert_id: int) -> StoredAlert | None:
    found = _rows(tx, sa.select(alerts).where(alerts.c.id == alert_id))
    return found[0] if found else None


def find(tx: Transaction, fingerprint: str, starts_at: float) -> StoredAlert | None:
    """The firing with this key."""
    found = _rows(tx, sa.select(alerts).where(alerts.c.fingerprint == fingerprint, alerts.c.starts_at == starts_at))
    return found[0] if found else None


def newest(
    tx: Transaction,
    *,
    org: str | None,
    within: Reach = EVERYTHING,
    open_only: bool,
    limit: int,
    since: float | None = None,
    after: int | None = None,
) -> list[StoredAlert]:
    """For people: the newest alerts first, or those after the one with this id.

    `within`: only what is reached; `since`: only those that were open then, or later.
    """
    query = sa.select(alerts).order_by(alerts.c.id.desc()).limit(limit)
    if org is not None:
        query = query.where(alerts.c.org == org)
    query = query.where(is_within(within, alerts.c.org, alerts.c.object_id))
    if open_only:
        query = query.where(alerts.c.is_open)
    if since is not None:
        query = query.where(sa.or_(alerts.c.is_open, alerts.c.closed_at >= since))
    if after is not None:
        query = query.where(alerts.c.id < after)
    return _rows(tx, query)


def accuse(tx: Transaction, alert: StoredAlert, now: float) -> StoredAlert:
    """Keep what a person accuses a version of, as an alert that is over."""
    row = {
        "fingerprint": f"person-{uuid4()}",
        "starts_at": now,
        "org": alert.org,
        "object_type": alert.object_type,
        "object_id": alert.object_id,
        "version": alert.version,
        "signal": alert.signal,
        "is_open": False,
        "labels": alert.labels,
        "annotations": alert.annotations,
        "received_at": now,
        "refreshed_at": now,
        "closed_at": now,
        "verdict": END_RECORDED[0],
        "holding_back": END_RECORDED[0],
        "source": Source.PERSON.value,
        "closed_by": Source.PERSON.value,
    }
    return _stored(tx.execute(sa.insert(alerts).values(row).returning(*alerts.c)).mappings().one())


def set_verdict(tx: Transaction, alert_id: int, verdict: str, holding_back: str) -> None:
    tx.execute(sa.update(alerts).where(alerts.c.id == alert_id).values(verdict=verdict, holding_back=holding_back))


def _rows(tx: Transaction, query: sa.Select[Any]) -> list[StoredAlert]:
    return [_stored(row) for row in tx.execute(query).mappings()]


def _stored(row: sa.RowMapping) -> StoredAlert:
    values: dict[str, Any] = dict(row)
    values["source"] = Source(values["source"])
    values["closed_by"] = Source(values["closed_by"]) if values["closed_by"] else None
    return StoredAlert(**values)


def _known(tx: Transaction, fingerprints: set[str]) -> set[tuple[str, float]]:
    """What is stored of these fingerprints; on PostgreSQL nobody else changes it until the transaction ends."""
    query = sa.select(alerts.c.fingerprint, alerts.c.starts_at)
    query = query.order_by(alerts.c.fingerprint, alerts.c.starts_at).with_for_update()
    names = sorted(fingerprints)
    known: set[tuple[str, float]] = set()
    for first in range(0, len(names), _PART):
        rows = tx.execute(query.where(alerts.c.fingerprint.in_(names[first : first + _PART])))
        known.update((row.fingerprint, row.starts_at) for row in rows)
    return known


def _upsert(tx: Transaction, delivered: Sequence[Alert], now: float) -> None:
    if not delivered:
        return
    tx.execute(_insert_or_refresh(tx.dialect.name), [_row(alert, now) for alert in delivered])


@cache
def _insert_or_refresh(dialect_name: str) -> sa.Insert:
    """Made once: that takes a sixth of what a delivery costs us."""
    dialect = postgresql if dialect_name == "postgresql" else sqlite
    statement = dialect.insert(alerts)
    # A closed row stays closed: `is_open` is not among what a repeated delivery may change.
    refreshing: sa.Insert = statement.on_conflict_do_update(
        index_elements=[alerts.c.fingerprint, alerts.c.starts_at],
        set_={"annotations": statement.excluded.annotations, "refreshed_at": statement.excluded.refreshed_at},
    )
    return refreshing


def _open_missed(tx: Transaction, alert: Alert, *, closed_before: float, now: float) -> bool:
    dialect = postgresql if tx.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(alerts).values(_row(alert, now) | {"source": Source.RECONCILIATION.value})
    opened = statement.on_conflict_do_update(
        index_elements=[alerts.c.fingerprint, alerts.c.starts_at],
        set_={"is_open": True, "closed_at": None, "closed_by": None, "source": Source.RECONCILIATION.value},
        where=sa.and_(sa.not_(alerts.c.is_open), alerts.c.closed_at <= closed_before),
    )
    return tx.execute(opened.returning(alerts.c.id)).first() is not None


def _close(tx: Transaction, alert: Alert, now: float) -> None:
    over = max(alert.starts_at, alert.ends_at or alert.starts_at)
    tx.execute(
        sa.update(alerts)
        .where(alerts.c.fingerprint == alert.fingerprint, alerts.c.starts_at <= over, alerts.c.is_open)
        .values(is_open=False, closed_at=now, closed_by=Source.WEBHOOK.value)
    )


def _row(alert: Alert, now: float) -> dict[str, Any]:
    return {
        "fingerprint": alert.fingerprint,
        "starts_at": alert.starts_at,
        "org": alert.label("org"),
        "object_type": alert.object_type,
        "object_id": alert.object_id,
        "version": alert.version,
        "signal": alert.label("signal"),
        "is_open": alert.firing,
        "labels": alert.labels,
        "annotations": alert.annotations,
        "received_at": now,
        "refreshed_at": now,
        "closed_at": None if alert.firing else now,
        "closed_by": None if alert.firing else Source.WEBHOOK.value,
    }
