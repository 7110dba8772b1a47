"""Quarantines: a version that was rolled back is no target, and is not rolled back again, until a person lifts it."""

from dataclasses import dataclass
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from receiver.callers import EVERYTHING, Reach
from receiver.store import audit
from receiver.store.database import Transaction, older
from receiver.store.divisions import is_within
from receiver.store.rollbacks import Rollback
from receiver.store.schema import quarantines


@dataclass(frozen=True, slots=True)
class Quarantine:
    """The accused version of one rollback that wrote. Times are Unix seconds."""

    id: str
    rollback_id: str
    org: str
    object_type: str
    object_id: str
    version: str
    quarantined_at: float
    lifted_at: float | None
    lifted_by: str | None


def put(tx: Transaction, rollback: Rollback, *, now: float) -> None:
    """Quarantine the accused version; a rollback has one quarantine, lifted or not."""
    dialect = postgresql if tx.dialect.name == "postgresql" else sqlite
    tx.execute(
        dialect.insert(quarantines)
        .values(
            id=str(uuid4()),
            rollback_id=rollback.id,
            org=rollback.org,
            object_type=rollback.object_type,
            object_id=rollback.object_id,
            version=rollback.accused_version,
            quarantined_at=now,
        )
        .on_conflict_do_nothing(index_elements=[quarantines.c.rollback_id])
    )


def lift(tx: Transaction, quarantine_id: str, *, within: Reach = EVERYTHING, by: str, now: float) -> bool:
    """Trust the version again; False if there is none (`within` reach), or it was lifted before."""
    reached = is_within(within, quarantines.c.org, quarantines.c.object_id)
    in_force = [quarantines.c.id == quarantine_id, quarantines.c.lifted_at.is_(None), reached]
    statement = sa.update(quarantines).where(*in_force).values(lifted_at=now, lifted_by=by)
    named = ("id", "rollback_id", "org", "object_type", "object_id", "version")
    lifted = tx.execute(statement.returning(*(quarantines.c[name] for name in named))).mappings().one_or_none()
    if lifted is not None:
        audit.record(tx, audit.Kind.QUARANTINE_LIFTED, dict(lifted), at=now, actor=by)
    return lifted is not None


def lift_of(tx: Transaction, rollback_id: str, *, by: str, now: float) -> None:
    """Trust the version again that a rollback took away, if it is in quarantine."""
    for quarantine_id in tx.scalars(sa.select(quarantines.c.id).where(quarantines.c.rollback_id == rollback_id)).all():
        lift(tx, quarantine_id, by=by, now=now)


def lifted(tx: Transaction, org: str, object_id: str) -> frozenset[str]:
    """Ids of the flow's rollbacks whose quarantine was lifted: they hold against no version any more."""
    query = sa.select(quarantines.c.rollback_id).where(
        quarantines.c.org == org, quarantines.c.object_id == object_id, quarantines.c.lifted_at.is_not(None)
    )
    return frozenset(tx.scalars(query))


def in_force(tx: Transaction, org: str, object_id: str | None = None) -> list[Quarantine]:
    """The quarantines of an organization, or of one of its flows, that nobody has lifted; the newest first."""
    query = (
        sa.select(quarantines)
        .where(quarantines.c.org == org, quarantines.c.lifted_at.is_(None))
        .order_by(quarantines.c.quarantined_at.desc(), quarantines.c.id)
    )
    if object_id is not None:
        query = query.where(quarantines.c.object_id == object_id)
    return [Quarantine(**row) for row in tx.execute(query).mappings()]


def newest(
    tx: Transaction,
    *,
    org: str | None,
    within: Reach = EVERYTHING,
    flow_id: str | None = None,
    also_lifted: bool = False,
    limit: int,
    after: tuple[float, str] | None = None,
) -> list[Quarantine]:
    """For people: the newest quarantines first, or those after the one of this moment with this id.

    `within`: only what is reached.
    """
    query = sa.select(quarantines).order_by(quarantines.c.quarantined_at.desc(), quarantines.c.id).limit(limit)
    if org is not None:
        query = query.where(quarantines.c.org == org)
    query = query.where(is_within(within, quarantines.c.org, quarantines.c.object_id))
    if flow_id is not None:
        query = query.where(quarantines.c.object_id == flow_id)
    if not also_lifted:
        query = query.where(quarantines.c.lifted_at.is_(None))
    if after is not None:
        query = query.where(older(quarantines.c.quarantined_at, quarantines.c.id, after))
    return [Quarantine(**row) for row in tx.execute(query).mappings()]
