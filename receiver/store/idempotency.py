"""Orders that are sent again: what was answered to a key, kept in the transaction that had the effect.

A crash between the two is none: either both are there or neither is. Of two that come at once, one has the effect, and
the other waits for it and gets the same answer.
"""

from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from receiver.store.database import Transaction
from receiver.store.schema import idempotency_keys


class KeyReused(Exception):
    """The key belongs to another order."""


@dataclass(frozen=True, slots=True)
class Order:
    """Whose it is, the key that the caller has given it, and a digest of what is asked for."""

    caller: str
    key: str
    request: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered; `again` if the effect is that of an earlier request."""

    status: int
    content: str
    again: bool = False


def find(tx: Transaction, order: Order) -> Answer | None:
    """What was answered to the order; None if it is new. Raises KeyReused."""
    row = tx.execute(sa.select(idempotency_keys).where(*_is(order))).one_or_none()
    if row is None:
        return None
    if row.request != order.request:
        raise KeyReused
    return Answer(row.status, row.answer, again=True)


def once(tx: Transaction, order: Order, work: Callable[[Transaction], Answer], *, now: float) -> Answer:
    """What `work` answers, or has answered to the same order before. Raises KeyReused, or what `work` raises.

    If it raises, nothing is kept, and the order is a new one when it comes again.
    """
    dialect = postgresql if tx.dialect.name == "postgresql" else sqlite
    row = {"caller": order.caller, "key": order.key, "request": order.request, "at": now}
    # Whoever is second waits here until the first has committed, and then inserts nothing.
    claim = dialect.insert(idempotency_keys).values(row).on_conflict_do_nothing()
    if tx.execute(claim.returning(idempotency_keys.c.key)).first() is None:
        known = find(tx, order)
        if known is None:
            raise AssertionError("a key that was there a moment ago")  # nobody removes one so young
        return known
    answer = work(tx)
    tx.execute(sa.update(idempotency_keys).where(*_is(order)).values(status=answer.status, answer=answer.content))
    return answer


def _is(order: Order) -> tuple[sa.ColumnElement[bool], ...]:
    return idempotency_keys.c.caller == order.caller, idempotency_keys.c.key == order.key
