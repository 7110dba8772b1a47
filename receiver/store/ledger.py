"""The ledger: when each version was live and what it did there, for longer than Genesys Cloud tells.

Every write may be repeated, and come in any order: of a period the fuller reading
stays, of a stint the longer one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from genesys.evidence import Signal, Tally
from genesys.stints import Stint
from receiver.payload import FLOW
from receiver.service import Period, Record, Service, together, whole
from receiver.store.database import Transaction
from receiver.store.schema import ledger_periods, ledger_readings, ledger_stints

_FULLNESS = ("entries", "exits", "errors", "served_s", "since")  # between two readings that cover as much


@dataclass(frozen=True, slots=True)
class Reading:
    """When an organization's history was last put into the ledger, and is to be again. Times are Unix seconds."""

    org: str
    due_at: float
    read_at: float | None
    problem: str


def claim(tx: Transaction, org: str, *, now: float, next_at: float) -> bool:
    """True for the one receiver that is to read the organization's history now; nobody else is before `next_at`."""
    claimed = (
        _insert(tx, ledger_readings)
        .values(org=org, due_at=next_at, read_at=None, problem="")
        .on_conflict_do_update(
            index_elements=[ledger_readings.c.org],
            set_={"due_at": next_at},
            where=ledger_readings.c.due_at <= now,
        )
    )
    return tx.execute(claimed.returning(ledger_readings.c.org)).first() is not None


def done(tx: Transaction, org: str, *, now: float) -> None:
    """The history of a claimed organization is in the ledger."""
    _update_reading(tx, org, read_at=now, problem="")


def failed(tx: Transaction, org: str, problem: str, *, retry_at: float) -> None:
    """The history of a claimed organization could not be read; the ledger stays as it is."""
    _update_reading(tx, org, due_at=retry_at, problem=problem)


def reading(tx: Transaction, org: str) -> Reading | None:
    """When the history was last read; None if nobody has begun to."""
    row = tx.execute(sa.select(ledger_readings).where(ledger_readings.c.org == org)).mappings().one_or_none()
    return None if row is None else Reading(**row)


def put_periods(tx: Transaction, org: str, periods: Iterable[Period]) -> None:
    """Keep each period, unless a fuller reading of it is kept."""
    rows = [_row(org, period) for period in periods]
    if not rows:
        return
    statement = _insert(tx, ledger_periods)
    new, old = statement.excluded, ledger_periods.c
    fuller = sa.tuple_(new.until - new.since, *(new[name] for name in _FULLNESS)) > sa.tuple_(
        old.until - old.since, *(old[name] for name in _FULLNESS)
    )
    replaced = {name: new[name] for name in ("until", *_FULLNESS)}
    key = list(ledger_periods.primary_key)
    tx.execute(statement.on_conflict_do_update(index_elements=key, set_=replaced, where=fuller), rows)


def put_stints(tx: Transaction, org: str, stints: Mapping[str, Sequence[Stint]]) -> None:
    """Keep the stints of each flow; one that is kept already gets its later end."""
    rows = [
        {
            **_object(org, flow_id),
            "version": stint.version,
            "started_at": stint.start,
            "ended_at": stint.end,
        }
        for flow_id, some in stints.items()
        for stint in some
    ]
    if not rows:
        return
    statement = _insert(tx, ledger_stints)
    later = statement.excluded.ended_at
    key = list(ledger_stints.primary_key)
    kept = statement.on_conflict_do_update(
        index_elements=key, set_={"ended_at": later}, where=later > ledger_stints.c.ended_at
    )
    tx.execute(kept, rows)


def stints(tx: Transaction, org: str, flow_id: str | None = None) -> dict[str, list[Stint]]:
    """The stints that are known of each flow of the organization, or of one."""
    query = sa.select(ledger_stints).where(*_of(ledger_stints, org, flow_id)).order_by(ledger_stints.c.started_at)
    found: dict[str, list[Stint]] = {}
    for row in tx.execute(query):
        found.setdefault(row.object_id, []).append(Stint(row.version, row.started_at, row.ended_at))
    return found


def records(tx: Transaction, org: str, flow_id: str, signal: Signal) -> dict[str, Record]:
    """What is known of each version of a flow, by one signal."""
    known = stints(tx, org, flow_id).get(flow_id, [])
    query = sa.select(ledger_periods).where(*_of(ledger_periods, org, flow_id), ledger_periods.c.signal == signal.value)
    services: dict[str, list[tuple[float, float, Service]]] = {}
    for row in tx.execute(query):
        service = Service(Tally(row.errors, row.entries, row.exits), row.served_s)
        services.setdefault(row.version, []).append((row.since, row.until, service))
    return {
        version: Record(
            whole(stint for stint in known if stint.version == version), together(services.get(version, []))
        )
        for version in {stint.version for stint in known} | services.keys()
    }


def forget(tx: Transaction, org: str, *, before: float) -> None:
    """Drop what ended before a time (Unix seconds)."""
    tx.execute(sa.delete(ledger_periods).where(ledger_periods.c.org == org, ledger_periods.c.until < before))
    tx.execute(sa.delete(ledger_stints).where(ledger_stints.c.org == org, ledger_stints.c.ended_at < before))


def _insert(tx: Transaction, table: sa.Table) -> postgresql.Insert | sqlite.Insert:
    return postgresql.insert(table) if tx.dialect.name == "postgresql" else sqlite.insert(table)


def _update_reading(tx: Transaction, org: str, **values: Any) -> None:
    tx.execute(sa.update(ledger_readings).where(ledger_readings.c.org == org).values(**values))


def _object(org: str, flow_id: str) -> dict[str, str]:
    return {"org": org, "object_type": FLOW, "object_id": flow_id}


def _of(table: sa.Table, org: str, flow_id: str | None) -> list[sa.ColumnElement[bool]]:
    conditions = [table.c.org == org, table.c.object_type == FLOW]
    return conditions if flow_id is None else [*conditions, table.c.object_id == flow_id]


def _row(org: str, period: Period) -> dict[str, Any]:
    done = period.service.tally
    return {
        **_object(org, period.flow_id),
        "version": period.version,
        "signal": period.signal.value,
        "start": period.start,
        "since": period.since,
        "until": period.until,
        "entries": done.entries,
        "exits": done.exits,
        "errors": done.errors,
        "served_s": period.service.served_s,
    }
