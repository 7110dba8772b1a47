"""The audit: append-only, every row chained to the one before it by its hash (`receiver.chain`).

Rows are written with what they record, in the same transaction, as its last act:
the row of the head is the lock that keeps the chain linear over all receivers, and
whoever holds it waits for nobody any more. So it can be part of no deadlock.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from receiver.chain import BEFORE_THE_FIRST, Head, Row, canonical, follow
from receiver.store import database
from receiver.store.database import Transaction, at_end
from receiver.store.schema import audit, audit_heads

_NAME = "audit"
_BATCH = 1000  # rows that a reader has in memory
_ROW = [audit.c[field.name] for field in fields(Row)]  # without what the database adds


class Kind(StrEnum):
    """What a row records."""

    GENESIS = "genesis"  # the first row: when the chain began, and what there was before it
    DECISION = "decision"
    STEP = "step"
    PAUSE = "pause"
    RESUME = "resume"
    HOLD = "hold"
    RELEASE = "release"
    WINDOW_OPENED = "window_opened"
    WINDOW_CHANGED = "window_changed"
    WINDOW_CLOSED = "window_closed"
    QUARANTINE_LIFTED = "quarantine_lifted"
    DEPLOYMENT_REGISTERED = "deployment_registered"
    DEPLOYMENT_GOOD = "deployment_good"
    APPROVED = "approved"
    DENIED = "denied"
    UNDO = "undo"
    BY_HAND = "by_hand"
    TOKEN_CREATED = "token_created"  # noqa: S105 - no password
    TOKEN_ROTATED = "token_rotated"  # noqa: S105 - no password
    TOKEN_REVOKED = "token_revoked"  # noqa: S105 - no password
    NOTIFICATIONS_TESTED = "notifications_tested"
    DRILL = "drill"


@dataclass(frozen=True, slots=True)
class _Entry:
    at: float
    actor: str
    kind: str
    facts: str


def record(tx: Transaction, kind: Kind, facts: Mapping[str, Any], *, at: float, actor: str | None = None) -> None:
    """Add a row when the transaction ends; without `actor` it is the store's own."""
    at_end(tx, _finish, _Entry(at, database.actor(tx) if actor is None else actor, kind.value, canonical(facts)))


def with_head(tx: Transaction, use: Callable[[str], None]) -> None:
    """Have `use` called with the hash of the head that the transaction leaves, its own rows included."""
    at_end(tx, _finish, use)


def head(tx: Transaction) -> Head | None:
    """The newest row; None if somebody has removed the record of it."""
    return _head(tx, sa.select(audit_heads))


def newest(tx: Transaction, *, before: int | None, limit: int, orgs: Collection[str] | None = None) -> list[Row]:
    """For people: the newest rows first, or those before a number; `orgs`: only those about one of these.

    At most `limit` rows are read of each organization, however long the audit is.
    """
    query = sa.select(*_ROW).order_by(audit.c.number.desc()).limit(limit)
    if before is not None:
        query = query.where(audit.c.number < before)
    if orgs is None:
        return _rows(tx, query)
    # One after the other: of several at once a database would sort everything that they have.
    found = [row for org in orgs for row in _rows(tx, query.where(audit.c.org == org))]
    return sorted(found, key=lambda row: row.number, reverse=True)[:limit]


def _rows(tx: Transaction, query: sa.Select[Any]) -> list[Row]:
    return [Row(**row) for row in tx.execute(query).mappings()]


def rows(tx: Transaction) -> Iterator[Row]:
    """Every row, oldest first; not in memory at once."""
    return _read(tx, sa.select(*_ROW))


def rows_since(tx: Transaction, since: float) -> Iterator[tuple[Row, str]]:
    """Every row from the first one at or after `since`, each with the hash before it. Not in memory at once."""
    first: int | None = tx.scalar(sa.select(sa.func.min(audit.c.number)).where(audit.c.at >= since))
    if first is None:
        return
    previous = tx.scalar(sa.select(audit.c.hash).where(audit.c.number == first - 1)) or BEFORE_THE_FIRST
    for row in _read(tx, sa.select(*_ROW).where(audit.c.number >= first)):
        yield row, previous
        previous = row.hash


def _read(tx: Transaction, query: sa.Select[Any]) -> Iterator[Row]:
    with tx.execute(query.order_by(audit.c.number).execution_options(yield_per=_BATCH)) as found:
        for row in found.mappings():
            yield Row(**row)


def _finish(tx: Transaction, items: list[Any]) -> None:
    entries = [item for item in items if isinstance(item, _Entry)]
    left = _append(tx, entries) if entries else head(tx)
    for use in items:
        if not isinstance(use, _Entry) and left is not None:
            use(left.hash)


def _append(tx: Transaction, entries: list[_Entry]) -> Head:
    last = _head(tx, sa.select(audit_heads).with_for_update())
    if last is None:
        raise AssertionError("the audit's head is gone; `rollback-receiver audit verify` says what is left")
    added = []
    for entry in entries:
        added.append(follow(last, **asdict(entry)))
        last = Head(added[-1].number, added[-1].hash)
    tx.execute(sa.insert(audit), [asdict(row) for row in added])
    tx.execute(sa.update(audit_heads).where(audit_heads.c.name == _NAME).values(number=last.number, hash=last.hash))
    return last


def _head(tx: Transaction, query: sa.Select[Any]) -> Head | None:
    row = tx.execute(query.where(audit_heads.c.name == _NAME)).one_or_none()
    return None if row is None else Head(row.number, row.hash)
