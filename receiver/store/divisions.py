"""In which division each flow was when it was last listed, also one that is listed no more: who may see what by it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from genesys.flows import Flow
from receiver.callers import Caller, Grant, Reach
from receiver.store.database import Transaction
from receiver.store.schema import flow_divisions


def remember(tx: Transaction, org: str, listed: Sequence[Flow], *, now: float) -> None:
    """Keep the division of each listed flow in place of the one before; one without a division is in none now."""
    if not listed:
        return
    dialect = postgresql if tx.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(flow_divisions)
    changed = {name: statement.excluded[name] for name in ("division_id", "division_name", "listed_at")}
    remembered = statement.on_conflict_do_update(index_elements=list(flow_divisions.primary_key), set_=changed)
    by_id = {flow.id: flow for flow in listed}
    tx.execute(remembered, [_row(org, by_id[flow_id], now) for flow_id in sorted(by_id)])


def is_within(reach: Reach, org: sa.ColumnElement[Any], flow_id: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """Whether a row about this flow is reached, as its columns have it."""
    if reach.is_everything:
        return sa.true()
    return sa.or_(sa.false(), *(_is_granted(grant, org, flow_id) for grant in reach.grants))


def looked_up(tx: Transaction, caller: Caller) -> Caller:
    """The caller with the flows of their divisions."""
    grants = (
        grant if grant.divisions is None else replace(grant, flows=_flows(tx, Reach((grant,))))
        for grant in caller.grants
    )
    return replace(caller, grants=tuple(grants))


def _flows(tx: Transaction, reach: Reach) -> frozenset[tuple[str, str]]:
    known = flow_divisions.c
    query = sa.select(known.org, known.flow_id).where(is_within(reach, known.org, known.flow_id))
    return frozenset((row.org, row.flow_id) for row in tx.execute(query))


def _is_granted(grant: Grant, org: sa.ColumnElement[Any], flow_id: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    conditions: list[sa.ColumnElement[bool]] = [] if grant.orgs is None else [org.in_(sorted(grant.orgs))]
    if grant.divisions is not None:
        known, named = flow_divisions.alias(), sorted(grant.divisions)
        conditions.append(
            sa.exists().where(
                known.c.org == org,
                known.c.flow_id == flow_id,
                sa.or_(known.c.division_id.in_(named), known.c.division_name.in_(named)),
            )
        )
    return sa.and_(sa.true(), *conditions)


def _row(org: str, flow: Flow, now: float) -> dict[str, Any]:
    return {
        "org": org,
        "flow_id": flow.id,
        "division_id": flow.division_id,
        "division_name": flow.division_name,
        "listed_at": now,
    }
