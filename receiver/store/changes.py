"""What was changed by whom: one row a change, from the audit or from two listings of the flows.

The bridge's own changes are kept as such, so that they accuse nobody. Times are Unix seconds.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from genesys.audit import PUBLISHED, Change
from genesys.flows import Flow
from receiver.payload import FLOW
from receiver.store.database import Transaction
from receiver.store.schema import alerts, change_readings, changes, permits, rollbacks

LISTING = "listing"  # the source of what nobody but a listing has told
SAME_S = 300.0  # between the dates that a version and its audit entry have, at most
PUBLISH_S = 900.0  # after its permit the bridge's own publish may show: what bots are given to train
CLOCKS_S = 60.0  # by which Genesys Cloud's clock may be behind the database's


@dataclass(frozen=True, slots=True)
class Changed:
    """One change; `object_type` is as its source has it, in lower case (`flow`). `source` is a service or LISTING."""

    org: str
    id: str
    at: float
    seen_at: float
    source: str
    action: str
    object_type: str
    object_id: str
    object_name: str
    version: str | None
    changed_by: str
    application: str | None
    own: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """When the audit of a service was last asked for, and read; `problem` is of the newest try."""

    org: str
    service: str
    due_at: float
    asked_at: float
    read_at: float | None
    problem: str


def claim(tx: Transaction, org: str, service: str, *, now: float, next_at: float, fresh_s: float) -> bool:
    """True for the one receiver that is to read the service's entries now.

    Nobody else is before `next_at`, unless an alert is received meanwhile and the newest try is older than `fresh_s`.
    """
    alerted_at = (
        sa.select(sa.func.max(alerts.c.received_at)).where(alerts.c.org == org, alerts.c.is_open).scalar_subquery()
    )
    asked_at = change_readings.c.asked_at
    claimed = (
        _insert(tx, change_readings)
        .values(org=org, service=service, due_at=next_at, asked_at=now, read_at=None, problem="")
        .on_conflict_do_update(
            index_elements=[change_readings.c.org, change_readings.c.service],
            set_={"due_at": next_at, "asked_at": now},
            where=sa.or_(change_readings.c.due_at <= now, sa.and_(asked_at < alerted_at, asked_at < now - fresh_s)),
        )
    )
    return tx.execute(claimed.returning(change_readings.c.org)).first() is not None


def done(tx: Transaction, org: str, service: str, *, asked_at: float) -> None:
    """Everything of the service that Genesys Cloud showed at `asked_at` is kept."""
    _update(tx, org, service, read_at=asked_at, problem="")


def failed(tx: Transaction, org: str, service: str, problem: str, *, retry_at: float) -> None:
    """The service's entries could not be read."""
    _update(tx, org, service, due_at=retry_at, problem=problem)


def readings(tx: Transaction, org: str) -> dict[str, Reading]:
    """By service; one that nobody has begun to read is not among them."""
    query = sa.select(change_readings).where(change_readings.c.org == org)
    return {row["service"]: Reading(**row) for row in tx.execute(query).mappings()}


def put(tx: Transaction, org: str, told: Iterable[Change], *, own_client_id: str, now: float) -> int:
    """Keep the audit's entries, and say how many are new; what a listing had told of the same publish goes."""
    new = 0
    for change in told:
        kind = change.object_type.lower()
        own = change.client_id == own_client_id or _permitted(
            tx, org, kind, change.object_id, change.version, change.at
        )
        row = {
            "source": change.service,
            "action": change.action,
            "object_type": kind,
            "object_id": change.object_id,
            "object_name": change.object_name,
            "version": change.version,
            "changed_by": change.by,
            "application": change.application,
            "own": own,
        }
        new += _keep(tx, org, change.id, change.at, now, row)
        if kind == FLOW and change.action == PUBLISHED:
            tx.execute(
                sa.delete(changes).where(
                    changes.c.source == LISTING, *_same_version(org, change.object_id, change.version, change.at)
                )
            )
    return new


def newest_seen(tx: Transaction, org: str, object_ids: Collection[str]) -> dict[str, float]:
    """By object id, when the newest change of it was seen; what nobody is known to have changed is not among them."""
    query = (
        sa.select(changes.c.object_id, sa.func.max(changes.c.seen_at).label("seen_at"))
        .where(changes.c.org == org, changes.c.object_id.in_(sorted(object_ids)))
        .group_by(changes.c.object_id)
    )
    return {row.object_id: row.seen_at for row in tx.execute(query)}


def put_listed(tx: Transaction, org: str, before: Iterable[Flow], listed: Iterable[Flow], *, now: float) -> int:
    """Keep what became live between two listings, unless the audit has told it; says how many are new."""
    known = {flow.id: flow for flow in before}
    new = 0
    for flow in listed:
        was = known.get(flow.id)
        if flow.deleted or flow.live_version is None:
            continue
        if was is not None and (was.live_version, was.live_published_at) == (flow.live_version, flow.live_published_at):
            continue
        dated = flow.live_published_at if was is None or was.live_published_at != flow.live_published_at else None
        at = now if dated is None else dated
        audited = sa.select(changes.c.id).where(
            changes.c.source != LISTING,
            changes.c.action == PUBLISHED,
            *_same_version(org, flow.id, flow.live_version, at),
        )
        if tx.execute(audited).first() is not None:
            continue
        row = {
            "source": LISTING,
            "action": PUBLISHED,
            "object_type": FLOW,
            "object_id": flow.id,
            "object_name": flow.name,
            "version": flow.live_version,
            "changed_by": flow.published_by or "unknown",
            "application": None,
            "own": _permitted(tx, org, FLOW, flow.id, flow.live_version, at),
        }
        new += _keep(tx, org, f"{LISTING}/{flow.id}/{flow.live_version}/{at:.3f}", at, now, row)
    return new


def between(tx: Transaction, org: str, start: float, end: float, *, limit: int) -> list[Changed]:
    """What others than the bridge have changed in [start, end], newest first."""
    query = sa.select(changes).where(
        changes.c.org == org, changes.c.at >= start, changes.c.at <= end, sa.not_(changes.c.own)
    )
    return _rows(tx, query.order_by(changes.c.at.desc(), changes.c.id).limit(limit))


def newest(
    tx: Transaction,
    *,
    org: str | None,
    orgs: Iterable[str] | None,
    object_id: str | None,
    since: float | None,
    after: tuple[float, str] | None,
    limit: int,
) -> list[Changed]:
    """Changes of one organization or of those in `orgs` (None: every one), the bridge's own too, newest first."""
    query = sa.select(changes)
    if org is not None:
        query = query.where(changes.c.org == org)
    if orgs is not None:
        query = query.where(changes.c.org.in_(list(orgs)))
    if object_id is not None:
        query = query.where(changes.c.object_id == object_id)
    if since is not None:
        query = query.where(changes.c.at >= since)
    if after is not None:
        query = query.where(sa.tuple_(changes.c.at, changes.c.id) < after)
    return _rows(tx, query.order_by(changes.c.at.desc(), changes.c.id.desc()).limit(limit))


def newest_of_each_object(tx: Transaction, org: str, *, since: float, limit: int) -> list[Changed]:
    """The newest change of each object that others than the bridge have changed since a time, newest first."""
    found: dict[tuple[str, str], Changed] = {}
    for change in between(tx, org, since, float(2**53), limit=10 * limit):
        found.setdefault((change.object_type, change.object_id), change)
    return list(found.values())[:limit]


def _keep(tx: Transaction, org: str, change_id: str, at: float, now: float, row: dict[str, Any]) -> int:
    statement = _insert(tx, changes).values(org=org, id=change_id, at=at, seen_at=now, **row)
    kept = statement.on_conflict_do_nothing(index_elements=list(changes.primary_key)).returning(changes.c.id)
    return 0 if tx.execute(kept).first() is None else 1


def _permitted(tx: Transaction, org: str, object_type: str, object_id: str, version: str | None, at: float) -> bool:
    """Whether the bridge had leave to make that version live at about that time."""
    query = sa.select(permits.c.number).where(
        permits.c.rollback_id == rollbacks.c.id,
        rollbacks.c.org == org,
        rollbacks.c.object_type == object_type,
        rollbacks.c.object_id == object_id,
        permits.c.target_version == version,
        permits.c.issued_at - CLOCKS_S <= at,
        permits.c.valid_until + PUBLISH_S >= at,
    )
    return version is not None and tx.execute(query.limit(1)).first() is not None


def _same_version(org: str, flow_id: str, version: str | None, at: float) -> tuple[sa.ColumnElement[bool], ...]:
    """The same version of the flow became live at about the same time."""
    return (
        changes.c.org == org,
        changes.c.object_type == FLOW,
        changes.c.object_id == flow_id,
        changes.c.version == version,
        changes.c.at.between(at - SAME_S, at + SAME_S),
    )


def _update(tx: Transaction, org: str, service: str, **values: Any) -> None:
    of = (change_readings.c.org == org, change_readings.c.service == service)
    tx.execute(sa.update(change_readings).where(*of).values(**values))


def _insert(tx: Transaction, table: sa.Table) -> postgresql.Insert | sqlite.Insert:
    return postgresql.insert(table) if tx.dialect.name == "postgresql" else sqlite.insert(table)


def _rows(tx: Transaction, query: sa.Select[Any]) -> list[Changed]:
    return [Changed(**row) for row in tx.execute(query).mappings()]
