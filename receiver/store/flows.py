"""Every live flow as Genesys Cloud last listed it, so that one listing serves all receivers and outlives a restart."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from genesys.flows import Flow
from receiver.store import divisions
from receiver.store.database import Transaction
from receiver.store.schema import flows, listings


@dataclass(frozen=True, slots=True)
class Listing:
    """When an organization's flows were last listed, and are to be listed again. Times are Unix seconds."""

    org: str
    due_at: float
    listed_at: float | None
    problem: str


def claim(tx: Transaction, org: str, *, now: float, next_at: float) -> bool:
    """True for the one receiver that is to list the organization now; nobody else is before `next_at`."""
    dialect = postgresql if tx.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(listings).values(org=org, due_at=next_at, listed_at=None, problem="")
    claimed = statement.on_conflict_do_update(
        index_elements=[listings.c.org], set_={"due_at": next_at}, where=listings.c.due_at <= now
    )
    return tx.execute(claimed.returning(listings.c.org)).first() is not None


def replace(tx: Transaction, org: str, listed: Sequence[Flow], *, now: float) -> None:
    """Keep these flows as those of a claimed organization; deleted ones and those never published are left out.

    The division of each is remembered, and stays so when the flow is listed no more.
    """
    live = [(flow, flow.live_version) for flow in listed if flow.live_version is not None and not flow.deleted]
    tx.execute(sa.delete(flows).where(flows.c.org == org))
    if live:
        tx.execute(sa.insert(flows), [_row(org, flow, version) for flow, version in live])
    divisions.remember(tx, org, listed, now=now)
    tx.execute(sa.update(listings).where(listings.c.org == org).values(listed_at=now, problem=""))


def list_by(tx: Transaction, org: str, *, at: float) -> None:
    """List the organization at this time, if it is not to be listed earlier."""
    tx.execute(sa.update(listings).where(listings.c.org == org, listings.c.due_at > at).values(due_at=at))


def failed(tx: Transaction, org: str, problem: str, *, retry_at: float) -> None:
    """The flows of a claimed organization could not be listed; those of the last listing stay."""
    tx.execute(sa.update(listings).where(listings.c.org == org).values(due_at=retry_at, problem=problem))


def listing(tx: Transaction, org: str) -> Listing | None:
    """When the organization was last listed; None if nobody has begun to."""
    row = tx.execute(sa.select(listings).where(listings.c.org == org)).mappings().one_or_none()
    return None if row is None else Listing(**row)


def of(tx: Transaction, org: str, flow_id: str | None = None) -> list[Flow]:
    """The organization's live flows by name; or the one with the id, if it is among them.

    Locks and operations are not kept: they are as old as the listing, and nobody may rely on them.
    """
    query = sa.select(flows).where(flows.c.org == org).order_by(flows.c.name, flows.c.id)
    if flow_id is not None:
        query = query.where(flows.c.id == flow_id)
    return [_flow(row) for row in tx.execute(query).mappings()]


def names(tx: Transaction, org: str) -> dict[str, str]:
    """What each of the organization's live flows is called, by id."""
    return {row.id: row.name for row in tx.execute(sa.select(flows.c.id, flows.c.name).where(flows.c.org == org))}


def _row(org: str, flow: Flow, live_version: str) -> dict[str, Any]:
    return {
        "org": org,
        "id": flow.id,
        "name": flow.name,
        "type": flow.type,
        "division_id": flow.division_id,
        "division_name": flow.division_name,
        "active": flow.active,
        "live_version": live_version,
        "live_published_at": flow.live_published_at,
        "published_by": flow.published_by,
    }


def _flow(row: sa.RowMapping) -> Flow:
    values = {name: value for name, value in row.items() if name != "org"}
    return Flow(**values, deleted=False, locked_by=None, operation=None)
