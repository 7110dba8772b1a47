"""Notifications that wait for delivery: written with the change they tell of, sent afterwards."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from receiver.store import audit
from receiver.store.database import Transaction
from receiver.store.schema import outbox

Line = Callable[[Mapping[str, Any], str], str]
"""By an event and its id, the line in which it stands."""

# Of the messages that wait for a sink with lines while one is due: mostly one of the first may be sent. More than all
# of these wait only in an outage of the sink; then the oldest are what is tried, and a look must not read everything.
_LOOKED_AT = (10, 90, 400)


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


def claim(tx: Transaction, sink: str, *, now: float, claim_s: float, line: Line | None = None) -> Message | None:
    """The sink's oldest message that may be sent, kept from other senders for `claim_s` seconds.

    Without `line` every message that is due may be sent; with it, none before one that waits and stands in the same.
    """
    waits = sa.and_(outbox.c.sink == sink, outbox.c.delivered_at.is_(None))
    is_due = sa.and_(waits, outbox.c.not_before <= now)
    if line is not None:
        # What waits behind the newest that is due holds up none; with nothing due, nothing is read.
        newest_due = tx.scalar(sa.select(sa.func.max(outbox.c.id)).where(is_due))
        if newest_due is None:
            return None
        pending = sa.select(outbox).where(waits, outbox.c.id <= newest_due).order_by(outbox.c.id)
        return _first_in_line(tx, pending, line, now=now, claim_s=claim_s)
    due = sa.select(outbox).where(is_due).order_by(outbox.c.id).limit(1)
    # SQLite has one writer anyway and leaves the lock out.
    row = tx.execute(due.with_for_update(skip_locked=True)).mappings().one_or_none()
    if row is None:
        return None
    message = Message(**row)
    _keep(tx, message, now + claim_s)
    return message


def _first_in_line(
    tx: Transaction, pending: sa.Select[Any], line: Line, *, now: float, claim_s: float
) -> Message | None:
    blocked: set[str] = set()
    for message in _oldest(tx, pending):
        place = line(message.payload, message.event_id)
        if place not in blocked and message.not_before <= now and _keep(tx, message, now + claim_s):
            return message
        blocked.add(place)
    return None


def _oldest(tx: Transaction, pending: sa.Select[Any]) -> Iterator[Message]:
    """A few, and more of them only if they are asked for."""
    last = 0
    for size in _LOOKED_AT:
        found = [Message(**row) for row in tx.execute(pending.where(outbox.c.id > last).limit(size)).mappings()]
        yield from found
        if len(found) < size:
            return
        last = found[-1].id


def _keep(tx: Transaction, message: Message, until: float) -> bool:
    """False if another sender has taken it since it was read."""
    same = (outbox.c.id == message.id, outbox.c.tries == message.tries, outbox.c.delivered_at.is_(None))
    kept = tx.execute(sa.update(outbox).where(*same).values(not_before=until, tries=message.tries + 1))
    return kept.rowcount == 1


def delivered(tx: Transaction, message: Message, *, now: float) -> None:
    tx.execute(sa.update(outbox).where(outbox.c.id == message.id).values(delivered_at=now, last_error=None))


def failed(tx: Transaction, message: Message, error: str, *, retry_at: float) -> None:
    tx.execute(sa.update(outbox).where(outbox.c.id == message.id).values(not_before=retry_at, last_error=error))


def refused(tx: Transaction, message: Message, error: str, *, now: float) -> None:
    """The sink will never take it: it waits no more, and what was said stays with it."""
    tx.execute(sa.update(outbox).where(outbox.c.id == message.id).values(delivered_at=now, last_error=error))


def backlog(tx: Transaction) -> dict[str, Backlog]:
    """What waits, by sink."""
    query = (
        sa.select(outbox.c.sink, sa.func.count(), sa.func.min(outbox.c.created_at))
        .where(outbox.c.delivered_at.is_(None))
        .group_by(outbox.c.sink)
    )
    return {sink: Backlog(pending, oldest_at) for sink, pending, oldest_at in tx.execute(query)}
