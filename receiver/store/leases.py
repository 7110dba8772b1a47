"""The lease: one writer per organization, over all receivers.

A lease is a row that is taken with one conditional UPDATE and numbered anew by
every taker. Whoever was overtaken can commit nothing more while somebody else
holds it, because each of its transactions begins by rewriting the row.
"""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from receiver.store.database import Transaction
from receiver.store.schema import leases

EVERYTHING = "all"  # the lease of lease_scope: all


class LeaseLost(Exception):
    """Another receiver holds the lease; nothing of the transaction may be kept."""


@dataclass(frozen=True, slots=True)
class Lease:
    name: str
    owner: str
    fence: int
    lease_s: float


def take(tx: Transaction, name: str, owner: str, *, now: float, lease_s: float) -> Lease | None:
    """Take the lease, or renew one's own; None while somebody else holds it."""
    _make(tx, name)
    free = sa.or_(leases.c.owner == owner, leases.c.expires_at <= now)
    taken = tx.execute(
        sa.update(leases)
        .where(leases.c.name == name, free)
        .values(owner=owner, fence=leases.c.fence + 1, expires_at=now + lease_s)
        .returning(leases.c.fence)
    ).scalar_one_or_none()
    return None if taken is None else Lease(name, owner, taken, lease_s)


def lock(tx: Transaction, name: str) -> None:
    """Keep everybody else who locks the same name waiting until the transaction ends."""
    _make(tx, name)
    tx.execute(sa.update(leases).where(leases.c.name == name).values(fence=leases.c.fence))


def hold(tx: Transaction, lease: Lease, *, now: float) -> None:
    """Make sure that the lease is ours, renew it, and keep every other receiver out until the transaction ends.

    Raises LeaseLost while another receiver holds it. One that ran out meanwhile
    and is free is ours again: reading Genesys Cloud may take longer than a
    lease, and if that were an end, an outage would never be recorded. Whatever
    others did in between is in the database, where this transaction sees it.
    Rewriting the row is the lock: another taker waits here.
    """
    ours = sa.and_(leases.c.owner == lease.owner, leases.c.fence == lease.fence)
    held = tx.execute(
        sa.update(leases)
        .where(leases.c.name == lease.name, sa.or_(ours, leases.c.expires_at <= now))
        .values(owner=lease.owner, fence=lease.fence, expires_at=now + lease.lease_s)
    ).rowcount
    if held != 1:
        raise LeaseLost(f"another receiver has taken the lease {lease.name}")


def release(tx: Transaction, lease: Lease) -> None:
    """Give the lease back, if it is still ours."""
    tx.execute(
        sa.update(leases)
        .where(leases.c.name == lease.name, leases.c.owner == lease.owner, leases.c.fence == lease.fence)
        .values(expires_at=0.0)
    )


def held(tx: Transaction, *, now: float) -> set[str]:
    """Names of the leases that somebody holds."""
    return set(tx.scalars(sa.select(leases.c.name).where(leases.c.expires_at > now)))


def _make(tx: Transaction, name: str) -> None:
    dialect = postgresql if tx.dialect.name == "postgresql" else sqlite
    tx.execute(dialect.insert(leases).values(name=name, owner="", fence=0, expires_at=0.0).on_conflict_do_nothing())
