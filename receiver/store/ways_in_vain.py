"""Ways back that did nothing in an organization, as far as was found: its next rollback begins with another one."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from receiver.store.database import Transaction
from receiver.store.schema import ways_in_vain


@dataclass(frozen=True, slots=True)
class InVain:
    """A finding. `found_at` is in Unix seconds."""

    org: str
    strategy: str
    found_at: float
    rollback_id: str
    reason: str


def put(tx: Transaction, org: str, strategy: str, *, rollback_id: str, reason: str, now: float) -> None:
    """Remember that a way had no effect; the newest finding replaces the one before."""
    dialect = postgresql if tx.dialect.name == "postgresql" else sqlite
    found = {"found_at": now, "rollback_id": rollback_id, "reason": reason}
    statement = dialect.insert(ways_in_vain).values(org=org, strategy=strategy, **found)
    tx.execute(statement.on_conflict_do_update(index_elements=list(ways_in_vain.primary_key), set_=found))


def forget(tx: Transaction, org: str, strategy: str) -> None:
    """The way has worked."""
    tx.execute(sa.delete(ways_in_vain).where(ways_in_vain.c.org == org, ways_in_vain.c.strategy == strategy))


def of(tx: Transaction, org: str) -> dict[str, InVain]:
    """The findings in an organization, by strategy."""
    query = sa.select(ways_in_vain).where(ways_in_vain.c.org == org)
    return {row["strategy"]: InVain(**row) for row in tx.execute(query).mappings()}
