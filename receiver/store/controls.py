"""What people and pipelines set: pauses, holds and maintenance windows. Every change goes into the audit."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from itertools import islice
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from receiver.store import audit
from receiver.store.audit import Kind
from receiver.store.database import Transaction
from receiver.store.schema import holds, pauses, windows

EVERY_ORG = "*"
EVERY_FLOW = "*"
BRIDGE = "bridge"  # owner of the holds that the bridge itself places


@dataclass(frozen=True, slots=True)
class Pause:
    """The bridge writes nothing for `org` (`*`: for any organization) until somebody resumes it."""

    org: str
    paused_by: str
    reason: str
    paused_at: float


@dataclass(frozen=True, slots=True)
class Hold:
    """Hands off one flow of `org` (`*`: every flow) until somebody releases it; each owner has its own."""

    org: str
    flow_id: str
    owner: str
    reason: str
    held_by: str
    held_at: float

    def covers(self, flow_id: str) -> bool:
        return self.flow_id in (EVERY_FLOW, flow_id)


class WindowKind(StrEnum):
    """Why a window is open; both hold the bridge back."""

    MAINTENANCE = "maintenance"
    INCIDENT = "incident"


@dataclass(frozen=True, slots=True)
class Window:
    """A maintenance window or known incident; no `flow_ids` means every flow. Times are Unix seconds.

    One that a feed has announced has the feed's name, what it is called there, and where people find it there.
    """

    id: str
    org: str
    flow_ids: tuple[str, ...]
    kind: str
    starts_at: float
    ends_at: float
    reason: str
    owner: str
    created_by: str
    created_at: float
    closed_at: float | None
    closed_by: str | None = None  # unknown of those that older releases have closed
    feed: str | None = None
    feed_uid: str | None = None
    url: str | None = None

    def is_over(self, now: float) -> bool:
        return self.closed_at is not None or self.ends_at <= now

    def covers(self, flow_id: str) -> bool:
        return not self.flow_ids or flow_id in self.flow_ids


def pause(tx: Transaction, org: str, *, by: str, reason: str, now: float) -> Pause:
    """Pause one organization or all; a pause that exists is replaced."""
    made = Pause(org, by, reason, now)
    _replace(tx, pauses, asdict(made))
    audit.record(tx, Kind.PAUSE, {"org": org, "reason": reason}, at=now, actor=by)
    return made


def resume(tx: Transaction, org: str, *, by: str, now: float) -> bool:
    """End a pause; False if there was none."""
    ended = tx.execute(sa.delete(pauses).where(pauses.c.org == org)).rowcount > 0
    if ended:
        audit.record(tx, Kind.RESUME, {"org": org}, at=now, actor=by)
    return ended


def list_pauses(tx: Transaction, org: str | None = None) -> list[Pause]:
    """The pauses in force, or those that hold for one organization."""
    query = sa.select(pauses).order_by(pauses.c.org)
    if org is not None:
        query = query.where(pauses.c.org.in_((org, EVERY_ORG)))
    return [Pause(**row) for row in tx.execute(query).mappings()]


def hold(
    tx: Transaction, org: str, flow_ids: Sequence[str], *, owner: str, reason: str, by: str, now: float
) -> list[Hold]:
    """Hold flows of one organization, `*` for every flow; what the same owner held before is replaced."""
    made = [Hold(org, flow_id, owner, reason, by, now) for flow_id in dict.fromkeys(flow_ids)]
    for one in made:
        _replace(tx, holds, asdict(one))
        facts = {"org": org, "flow_id": one.flow_id, "owner": owner, "reason": reason}
        audit.record(tx, Kind.HOLD, facts, at=now, actor=by)
    return made


def release(tx: Transaction, org: str, flow_id: str, *, owner: str | None = None, by: str, now: float) -> int:
    """Release what one owner, or everybody, holds under this flow id; gives how many holds that were."""
    statement = sa.delete(holds).where(*_of_owner(org, flow_id, owner)).returning(holds.c.owner)
    owners = sorted(tx.scalars(statement))
    for one in owners:
        audit.record(tx, Kind.RELEASE, {"org": org, "flow_id": flow_id, "owner": one}, at=now, actor=by)
    return len(owners)


def list_holds(tx: Transaction, org: str | None = None) -> list[Hold]:
    """The holds in force, those for every flow first."""
    query = sa.select(holds).order_by(holds.c.org, holds.c.flow_id != EVERY_FLOW, holds.c.flow_id, holds.c.owner)
    if org is not None:
        query = query.where(holds.c.org == org)
    return [Hold(**row) for row in tx.execute(query).mappings()]


def _replace(tx: Transaction, table: sa.Table, values: dict[str, Any]) -> None:
    """Insert a row, or give the one with its key these values: two people who order the same at once both succeed."""
    dialect = postgresql if tx.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).values(values)
    tx.execute(statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=values))


def _of_owner(org: str, flow_id: str, owner: str | None) -> list[sa.ColumnElement[bool]]:
    conditions = [holds.c.org == org, holds.c.flow_id == flow_id]
    return conditions if owner is None else [*conditions, holds.c.owner == owner]


def open_window(
    tx: Transaction,
    *,
    org: str,
    flow_ids: Sequence[str],
    kind: str,
    starts_at: float,
    ends_at: float,
    reason: str,
    owner: str,
    created_by: str,
    now: float,
    feed: str | None = None,
    feed_uid: str | None = None,
    url: str | None = None,
) -> Window:
    """Record a window; it is in force from `starts_at` up to, but not including, `ends_at`."""
    made = Window(
        id=str(uuid4()),
        org=org,
        flow_ids=tuple(flow_ids),
        kind=kind,
        starts_at=starts_at,
        ends_at=ends_at,
        reason=reason,
        owner=owner,
        created_by=created_by,
        created_at=now,
        closed_at=None,
        feed=feed,
        feed_uid=feed_uid,
        url=url,
    )
    tx.execute(sa.insert(windows).values(_values(made)))
    _record(tx, Kind.WINDOW_OPENED, made, by=created_by, now=now)
    return made


def change_window(tx: Transaction, changed: Window, *, by: str, now: float) -> bool:
    """Let an open window be as `changed` has it; False if it is over already, and stays as it was.

    The audit has what is different only: a window may have a thousand flows, and change often.
    """
    still_open = (windows.c.id == changed.id, windows.c.closed_at.is_(None), windows.c.ends_at > now)
    row = tx.execute(sa.select(windows).where(*still_open).with_for_update()).mappings().first()
    if row is None:
        return False
    values = _values(changed)
    different = {name: value for name, value in values.items() if value != row[name]}
    tx.execute(sa.update(windows).where(windows.c.id == changed.id).values(values))
    named = {"id": changed.id, "org": changed.org}
    if changed.feed is not None:
        named["feed_uid"] = changed.feed_uid or ""
    audit.record(tx, Kind.WINDOW_CHANGED, named | different, at=now, actor=by)
    return True


def close_window(tx: Transaction, window_id: str, *, by: str, now: float) -> bool:
    """End a window now; False if it does not exist or has ended already."""
    still_open = (windows.c.id == window_id, windows.c.closed_at.is_(None), windows.c.ends_at > now)
    statement = sa.update(windows).where(*still_open).values(closed_at=now, closed_by=by).returning(windows.c.org)
    org = tx.scalar(statement)
    if org is not None:
        audit.record(tx, Kind.WINDOW_CLOSED, {"id": window_id, "org": org}, at=now, actor=by)
    return org is not None


def list_windows(tx: Transaction, *, now: float, org: str | None = None, ended: bool = False) -> list[Window]:
    """Windows that are in force or to come; with `ended` also the past ones. Earliest first."""
    query = sa.select(windows).order_by(windows.c.starts_at, windows.c.id)
    if not ended:
        query = query.where(windows.c.closed_at.is_(None), windows.c.ends_at > now)
    if org is not None:
        query = query.where(windows.c.org == org)
    return [_window(row) for row in tx.execute(query).mappings()]


def ended_windows(
    tx: Transaction, *, now: float, orgs: Collection[str] | None, limit: int, shown: Callable[[Window], bool]
) -> list[Window]:
    """The last windows of these organizations (None: of any) that are over and `shown`, those that ended last first."""
    over = sa.or_(windows.c.closed_at.is_not(None), windows.c.ends_at <= now)
    newest_first = (sa.func.coalesce(windows.c.closed_at, windows.c.ends_at).desc(), windows.c.id)
    query = sa.select(windows).where(over).order_by(*newest_first)
    if orgs is not None:
        query = query.where(windows.c.org.in_(orgs))
    with tx.execute(query.execution_options(yield_per=limit)) as found:
        return list(islice((one for one in map(_window, found.mappings()) if shown(one)), limit))


def windows_of_feed(tx: Transaction, feed: str, *, since: float) -> list[Window]:
    """Those that a feed has announced and that end after `since`, over or not, in the order in which they were made."""
    query = sa.select(windows).where(windows.c.feed == feed, windows.c.ends_at > since)
    return [_window(row) for row in tx.execute(query.order_by(windows.c.created_at, windows.c.id)).mappings()]


def active_windows(tx: Transaction, *, now: float, org: str | None = None) -> list[Window]:
    """Windows that are in force at `now`."""
    query = sa.select(windows).order_by(windows.c.starts_at, windows.c.id)
    query = query.where(windows.c.closed_at.is_(None), windows.c.starts_at <= now, windows.c.ends_at > now)
    if org is not None:
        query = query.where(windows.c.org == org)
    return [_window(row) for row in tx.execute(query).mappings()]


def _window(row: sa.RowMapping) -> Window:
    values: dict[str, Any] = dict(row)
    values["flow_ids"] = tuple(values["flow_ids"])
    return Window(**values)


def _values(window: Window) -> dict[str, Any]:
    return asdict(window) | {"flow_ids": list(window.flow_ids)}


def _record(tx: Transaction, kind: Kind, window: Window, *, by: str, now: float) -> None:
    named = ("id", "org", "flow_ids", "kind", "starts_at", "ends_at", "reason", "owner")
    values = _values(window)
    more = {} if window.feed is None else {"feed_uid": window.feed_uid}
    audit.record(tx, kind, {name: values[name] for name in named} | more, at=now, actor=by)
