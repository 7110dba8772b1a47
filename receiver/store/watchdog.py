"""When the always-firing alerts last arrived, at whichever receiver."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from receiver.store.database import Transaction
from receiver.store.schema import watchdogs

_NAME = "alertmanager"


def arrived(tx: Transaction, *, now: float, org: str = "") -> None:
    """The watchdog has come the whole way from Prometheus; or the one of `org`, which fires while its data advance."""
    dialect = postgresql if tx.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(watchdogs).values(name=_name(org), seen_at=now)
    tx.execute(statement.on_conflict_do_update(index_elements=[watchdogs.c.name], set_={"seen_at": now}))


def last_seen(tx: Transaction, org: str = "") -> float | None:
    """Unix seconds of its newest arrival, or of that of the one of `org`; None if it never came."""
    seen_at: float | None = tx.scalar(sa.select(watchdogs.c.seen_at).where(watchdogs.c.name == _name(org)))
    return seen_at


def _name(org: str) -> str:
    return f"data/{org}" if org else _NAME
