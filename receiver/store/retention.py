"""What bounds each table, and the removal of what nobody needs any more.

Age alone is never enough: what is open, under way or undelivered stays, and so does
what a guard still asks for, however old it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from receiver.store import leases
from receiver.store.alerts import END_RECORDED
from receiver.store.database import Transaction
from receiver.store.rollbacks import Kind
from receiver.store.schema import (
    alerts,
    changes,
    contents,
    decisions,
    deployment_members,
    deployments,
    flow_divisions,
    flows,
    holds,
    idempotency_keys,
    listings,
    outbox,
    permits,
    quarantines,
    rollbacks,
    steps,
    tokens,
    windows,
)

BOUNDED_BY: Mapping[str, str] = {
    "alerts": "age, once closed with its end recorded, and without decisions and rollbacks; open ones stay",
    "decisions": "age; the newest of an open alert stays: the backstop asks when its flow was last decided about",
    "rollbacks": (
        "age since the end, for all tries of a version together; they stay while the version is in quarantine or live, "
        "while the target is live (restored_by_bridge), within lockout and budget, and while nobody knows what is live"
    ),
    "steps": "their rollback",
    "permits": "their rollback",
    "quarantines": "their rollback: a lifted one without its rollback would be none, and the other way round in force",
    "windows": "age since they were over; those of a feed stay while the feed may announce the same again",
    "feeds": "the configured feeds, and those that once were: a row each",
    "outbox": "age since the delivery; undelivered ones stay",
    "pauses": "people: a row each for what is paused now; ended ones are in the audit",
    "holds": "people: a row each for what is held now; released ones are in the audit",
    "leases": "the configured organizations: a row each, and one each for all of them and for retention",
    "flows": "Genesys Cloud: the live flows, replaced by each listing",
    "flow_divisions": "age since the flow was last listed; they stay while something else is kept about it",
    "listings": "the configured organizations: a row each",
    "deployments": "age since the registration; they stay while a version of theirs is in quarantine or live",
    "deployment_members": "their deployment",
    "changes": "age, by when they happened",
    "change_readings": "the configured organizations: a row for each service of each",
    "contents": (
        "age since it was read, for what is needed again is read again; it stays while a version of the flow is in "
        "quarantine"
    ),
    "idempotency_keys": "a day: whoever sends an order again does so within it",
    "tokens": "age since they were revoked or expired; valid ones stay",
    "ways_in_vain": "the configured organizations: a row each for a way back that did nothing there",
    "watchdogs": "one row, and the configured organizations: a row each",
    "objects": "the objects that receiver.yml names, and those that it once named: a row each",
    "snapshots": "the stints of their object: a content that none of them had goes with the reading that ended it",
    "object_stints": "the newest fifty of each object",
    "audit": "nothing: it is what remains",
    "audit_heads": "one row",
    "compatibility": "one row",
    "ledger_periods": "age, by `timing.ledger_keep_s`",
    "ledger_stints": "age, by `timing.ledger_keep_s`",
    "ledger_readings": "the configured organizations: a row each",
}
"""Every table of the schema."""

_LOCK = "retention"  # among the leases; nobody ever holds it longer than a transaction
_ROLLBACKS_PART = 10  # a rollback goes with about ten steps


@dataclass(frozen=True, slots=True)
class Horizon:
    """Unix seconds. What was over before `old` may go; rollbacks only if they ended before `attempts`.

    Idempotency keys go if they are from before `keys`, windows of feeds if their end was before `feeds` too, also of
    those that were closed early.

    What is live is known of organizations that were listed since `listed`.
    """

    old: float
    attempts: float
    listed: float
    keys: float
    feeds: float


def sweep(tx: Transaction, horizon: Horizon, *, limit: int) -> dict[str, int]:
    """Remove at most about `limit` rows of each table; gives how many, by table, and nothing when none is left.

    One receiver at a time. Rows that somebody else has locked are left for the next time: nobody at work is waited for.
    """
    leases.lock(tx, _LOCK)
    gone = {
        "decisions": _remove(tx, decisions, decisions.c.id, _old_decision(horizon), limit),
        "rollbacks": _remove_rollbacks(tx, horizon, max(1, limit // _ROLLBACKS_PART)),
        "alerts": _remove(tx, alerts, alerts.c.id, _old_alert(horizon), limit),
        "windows": _remove(tx, windows, windows.c.id, _old_window(horizon), limit),
        "outbox": _remove(tx, outbox, outbox.c.id, outbox.c.delivered_at < horizon.old, limit),
        "deployments": _remove_deployments(tx, horizon, limit),
        "changes": _remove_by_key(tx, changes, changes.c.at < horizon.old, limit),
        "contents": _remove_by_key(tx, contents, _old_contents(horizon), limit),
        "flow_divisions": _remove_by_key(tx, flow_divisions, _old_division(horizon), limit),
        "idempotency_keys": _remove_by_key(tx, idempotency_keys, idempotency_keys.c.at < horizon.keys, limit),
        "tokens": _remove(
            tx, tokens, tokens.c.id, sa.func.coalesce(tokens.c.revoked_at, tokens.c.expires_at) < horizon.old, limit
        ),
    }
    return {table: count for table, count in gone.items() if count}


def _old_window(horizon: Horizon) -> sa.ColumnElement[bool]:
    """What a feed is not to open again must be remembered for as long as it may ask for it."""
    over_at = sa.func.coalesce(windows.c.closed_at, windows.c.ends_at)
    return sa.and_(over_at < horizon.old, sa.or_(windows.c.feed.is_(None), windows.c.ends_at < horizon.feeds))


def _old_decision(horizon: Horizon) -> sa.ColumnElement[bool]:
    newer = decisions.alias()
    return sa.and_(
        decisions.c.at < horizon.old,
        sa.or_(
            sa.exists().where(alerts.c.id == decisions.c.alert_id, sa.not_(alerts.c.is_open)),
            sa.exists().where(newer.c.alert_id == decisions.c.alert_id, newer.c.id > decisions.c.id),
        ),
    )


def _old_alert(horizon: Horizon) -> sa.ColumnElement[bool]:
    return sa.and_(
        sa.not_(alerts.c.is_open),
        alerts.c.closed_at < horizon.old,
        alerts.c.refreshed_at < horizon.old,  # one that is still delivered would be opened anew
        alerts.c.verdict.in_(END_RECORDED),
        sa.not_(sa.exists().where(decisions.c.alert_id == alerts.c.id)),
        sa.not_(sa.exists().where(rollbacks.c.alert_id == alerts.c.id)),
    )


def _old_rollback(horizon: Horizon) -> sa.ColumnElement[bool]:
    """No guard asks for it: neither for this try nor for another one of the same version, whose number it shares."""
    one = rollbacks.alias()
    same_version = (
        one.c[name] == rollbacks.c[name] for name in ("org", "object_type", "object_id", "accused_version", "shadow")
    )
    trusted_again = sa.exists().where(quarantines.c.rollback_id == one.c.id, quarantines.c.lifted_at < horizon.attempts)
    recent = sa.or_(one.c.ended_at.is_(None), one.c.ended_at >= horizon.attempts)
    is_rollback = one.c.kind == Kind.ROLLBACK.value
    in_quarantine = sa.and_(one.c.wrote, is_rollback, sa.not_(one.c.shadow), sa.not_(trusted_again))
    listed = sa.exists().where(listings.c.org == rollbacks.c.org, listings.c.listed_at >= horizon.listed)
    live = sa.exists().where(
        flows.c.org == rollbacks.c.org,
        flows.c.id == rollbacks.c.object_id,
        sa.or_(flows.c.live_version == rollbacks.c.accused_version, flows.c.live_version == rollbacks.c.target_version),
    )
    return sa.and_(
        rollbacks.c.ended_at < horizon.attempts,
        sa.not_(sa.exists().where(*same_version, sa.or_(recent, in_quarantine))),
        listed,
        sa.not_(live),
    )


def _remove_rollbacks(tx: Transaction, horizon: Horizon, limit: int) -> int:
    """With everything that belongs to them."""
    ids = _doomed(tx, rollbacks, rollbacks.c.id, _old_rollback(horizon), limit)
    for table in (steps, permits, quarantines):
        tx.execute(sa.delete(table).where(table.c.rollback_id.in_(ids)))
    return tx.execute(sa.delete(rollbacks).where(rollbacks.c.id.in_(ids))).rowcount


def _remove_deployments(tx: Transaction, horizon: Horizon, limit: int) -> int:
    """With their members; what makes a version known bad stays as long as it does."""
    member = deployment_members
    live = sa.exists().where(
        flows.c.org == member.c.org, flows.c.id == member.c.object_id, flows.c.live_version == member.c.version
    )
    needed = sa.exists().where(
        member.c.deployment_id == deployments.c.id,
        sa.or_(live, _in_quarantine(member, quarantines.c.version == member.c.version)),
    )
    condition = sa.and_(deployments.c.registered_at < horizon.old, sa.not_(needed))
    ids = _doomed(tx, deployments, deployments.c.id, condition, limit)
    tx.execute(sa.delete(member).where(member.c.deployment_id.in_(ids)))
    return tx.execute(sa.delete(deployments).where(deployments.c.id.in_(ids))).rowcount


def _old_contents(horizon: Horizon) -> sa.ColumnElement[bool]:
    return sa.and_(contents.c.read_at < horizon.old, sa.not_(_in_quarantine(contents)))


def _old_division(horizon: Horizon) -> sa.ColumnElement[bool]:
    """Without it whoever is limited to divisions would not see what is kept about the flow."""
    about = [(table, table.c.object_id) for table in (rollbacks, deployment_members, decisions, alerts)]
    kept = (
        sa.exists().where(table.c.org == flow_divisions.c.org, flow_id == flow_divisions.c.flow_id)
        for table, flow_id in (*about, (holds, holds.c.flow_id))
    )
    return sa.and_(flow_divisions.c.listed_at < horizon.old, *(sa.not_(one) for one in kept))


def _remove_by_key(tx: Transaction, table: sa.Table, condition: sa.ColumnElement[bool], limit: int) -> int:
    """Of a table whose rows have no number."""
    key = list(table.primary_key)
    query = sa.select(*key).where(condition).order_by(*key).limit(limit)
    found = tx.execute(query.with_for_update(skip_locked=True)).all()
    return tx.execute(sa.delete(table).where(sa.tuple_(*key).in_([tuple(row) for row in found]))).rowcount


def _in_quarantine(table: sa.Table, *conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """A version of the object in a row of the table is in quarantine now."""
    same_object = (quarantines.c[name] == table.c[name] for name in ("org", "object_type", "object_id"))
    return sa.exists().where(*same_object, quarantines.c.lifted_at.is_(None), *conditions)


def _remove(
    tx: Transaction, table: sa.Table, key: sa.Column[object], condition: sa.ColumnElement[bool], limit: int
) -> int:
    return tx.execute(sa.delete(table).where(key.in_(_doomed(tx, table, key, condition, limit)))).rowcount


def _doomed(
    tx: Transaction, table: sa.Table, key: sa.Column[object], condition: sa.ColumnElement[bool], limit: int
) -> list[object]:
    """Locked, so that they are what they were found to be until they are gone."""
    query = sa.select(key).where(condition).order_by(key).limit(limit)
    return list(tx.scalars(query.with_for_update(skip_locked=True, of=table)))
