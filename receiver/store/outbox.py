"""Notifications that wait for delivery: written with the change they tell of, sent afterwards."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from receiver.store import audit
from receiver.store.database import Transaction
from receiver.store.schema import outbox


@dataclass(frozen=True, slots=True)
class Message:
    """One notification for one sink; the event id is the same for every sink and every try."""

    id: int
    event_id: str
    sink: str
    subject: str
    payload: dict[str, Any]
    created_at: float
    not_before: float
    tries: int
    last_error: str | None
    delivered_at: float | None


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits for one sink; `oldest_at` in Unix seconds."""

    pending: int
    oldest_at: float


def put(tx: Transaction, sinks: Iterable[str], subject: str, payload: Mapping[str, Any], *, now: float) -> None:
    """Queue one event for every sink; a subject that a sink has had before is not sent again.

    It leaves with `audit_head`, the audit's head after this transaction: so whoever has the event can show that what it
    tells of is in the audit still.
    """
    event_id = str(uuid4())
    dialect = postgresql if tx.dialect.name == "postgresql" else sqlite
    added: list[int] = []
    for sink in sinks:
        added += tx.scalars(
            dialect.insert(outbox)
            .values(
                event_id=event_id,
                sink=sink,
                subject=subject,
                payload=dict(payload),
                created_at=now,
                not_before=now,
                tries=0,
            )
            .on_conflict_do_nothing(index_elements=[outbox.c.sink, outbox.c.subject])
            .returning(outbox.c.id)
        )
    if added:
        audit.with_head(tx, partial(_add_head, tx, added, payload))


def _add_head(tx: Transaction, added: list[int], payload: Mapping[str, Any], head: str) -> None:
    """Nobody else knows these rows yet, so nobody has locked them."""
    tx.execute(sa.update(outbox).where(outbox.c.id.in_(added)).values(payload=dict(payload) | {"audit_head": head}))


def claim(tx: Transaction, sink: str, *, now: float, claim_s: float) -> Message | None:
    """The sink's oldest message that is due, kept from other senders for `claim_s` seconds."""
    due = (
        sa.select(outbox)
        .where(outbox.c.sink == sink, outbox.c.delivered_at.is_(None), outbox.c.not_before <= now)
        .order_by(outbox.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)  # SQLite has one writer anyway and leaves it out
    )
    row = tx.execute(due).mappings().one_or_none()
    if row is None:
        return None
    message = Message(**row)
    tx.execute(
        sa.update(outbox).where(outbox.c.id == message.id).values(not_before=now + claim_s, tries=message.tries + 1)
    )
    return message


def delivered(tx: Transaction, message: Message, *, now: float) -> None:
    tx.execute(sa.update(outbox).where(outbox.c.id == message.id).values(delivered_at=now, last_error=None))


def failed(tx: Transaction, message: Message, error: str, *, retry_at: float) -> None:
    tx.execute(sa.update(outbox).where(outbox.c.id == message.id).values(not_before=retry_at, last_error=error))


def backlog(tx: Transaction) -> dict[str, Backlog]:
    """What waits, by sink."""
    query = (
        sa.select(outbox.c.sink, sa.func.count(), sa.func.min(outbox.c.created_at))
        .where(outbox.c.delivered_at.is_(None))
        .group_by(outbox.c.sink)
    )
    return {sink: Backlog(pending, oldest_at) for sink, pending, oldest_at in tx.execute(query)}
