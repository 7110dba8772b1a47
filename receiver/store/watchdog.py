"""When the always-firing alert last arrived, at whichever receiver."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from receiver.store.database import Transaction
from receiver.store.schema import watchdogs

_NAME = "alertmanager"


def arrived(tx: Transaction, *, now: float) -> None:
    """The watchdog has come the whole way from Prometheus."""
    dialect = postgresql if tx.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(watchdogs).values(name=_NAME, seen_at=now)
    tx.execute(statement.on_conflict_do_update(index_elements=[watchdogs.c.name], set_={"seen_at": now}))


def last_seen(tx: Transaction) -> float | None:
    """Unix seconds of its newest arrival; None if it never came."""
    seen_at: float | None = tx.scalar(sa.select(watchdogs.c.seen_at).where(watchdogs.c.name == _NAME))
    return seen_at
