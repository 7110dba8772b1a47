"""Configuration objects other than flows: when each was read, and the contents that it had. Times are Unix seconds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from receiver.store.database import Transaction
from receiver.store.schema import object_stints, objects, snapshots

MOST_STINTS = 50  # of one object


class Key(NamedTuple):
    """Which object."""

    org: str
    object_type: str
    object_id: str


@dataclass(frozen=True, slots=True)
class ObjectState:
    """How the readings of one object went; `problem` is of the newest, `read_at` of the newest that counts."""

    org: str
    object_type: str
    object_id: str
    name: str
    due_at: float
    asked_at: float
    wanted_at: float | None
    read_at: float | None
    own_version: int | None
    flow_id: str | None
    problem: str

    @property
    def key(self) -> Key:
        return Key(self.org, self.object_type, self.object_id)


@dataclass(frozen=True, slots=True)
class Stint:
    """A stretch in which every reading, from `since` to `seen_until`, showed the same content."""

    version: str
    since: float
    seen_until: float


def claim(tx: Transaction, key: Key, *, now: float, next_at: float) -> bool:
    """True for the one receiver that is to read the object now.

    Nobody else is before `next_at`, unless somebody wants it read since the newest reading was begun.
    """
    new = {"name": "", "due_at": next_at, "asked_at": now, "problem": ""}
    claimed = (
        _insert(tx, objects)
        .values(**key._asdict(), **new)
        .on_conflict_do_update(
            index_elements=list(objects.primary_key),
            set_={"due_at": next_at, "asked_at": now},
            where=sa.or_(objects.c.due_at <= now, objects.c.wanted_at > objects.c.asked_at),
        )
    )
    return tx.execute(claimed.returning(objects.c.org)).first() is not None


def want(tx: Transaction, org: str, *, now: float, object_ids: Iterable[str] | None = None) -> None:
    """Have the organization's objects, or these of them, read as soon as can be."""
    statement = sa.update(objects).where(objects.c.org == org)
    if object_ids is not None:
        statement = statement.where(objects.c.object_id.in_(sorted(object_ids)))
    tx.execute(statement.values(wanted_at=now))


def listed(
    tx: Transaction, key: Key, found: Mapping[str, str], *, keep: Iterable[str], asked_at: float
) -> list[tuple[str, str]]:
    """A filter, kept as `key`, matches these objects: each is known from now on by its id and its name.

    Of the type what is neither found nor to `keep` is not known any more; its snapshots are, for if it comes back.
    The answer are the ids and names of those.
    """
    for object_id, name in found.items():
        new = key._replace(object_id=object_id)._asdict() | {"name": name, "due_at": asked_at, "problem": ""}
        statement = _insert(tx, objects).values(**new, asked_at=0.0)
        tx.execute(statement.on_conflict_do_update(index_elements=list(objects.primary_key), set_={"name": name}))
    of_type = (objects.c.org == key.org, objects.c.object_type == key.object_type)
    others = objects.c.object_id.not_in([*found, *keep])
    gone = tx.execute(sa.delete(objects).where(*of_type, others).returning(objects.c.object_id, objects.c.name))
    forgotten = sorted((row.object_id, row.name) for row in gone)
    tx.execute(sa.update(objects).where(*_of(objects, key)).values(name="", read_at=asked_at, problem=""))
    return forgotten


def failed(tx: Transaction, key: Key, problem: str, *, retry_at: float) -> None:
    """The object could not be read."""
    tx.execute(sa.update(objects).where(*_of(objects, key)).values(problem=problem, due_at=retry_at))


def note(
    tx: Transaction,
    key: Key,
    *,
    name: str,
    version: str,
    content: Mapping[str, Any],
    own_version: int | None,
    flow_id: str | None,
    asked_at: float,
) -> bool:
    """Keep what a reading showed that was asked for at `asked_at`; False for an older view, which counts for nothing.

    Older is what was asked for before the newest reading that counts, or what Genesys Cloud itself numbers lower, and
    shows something else. Until the transaction ends, every other reading of the object waits here.
    """
    new = {"name": name, "due_at": asked_at, "asked_at": asked_at, "problem": ""}
    tx.execute(_insert(tx, objects).values(**key._asdict(), **new).on_conflict_do_nothing())
    before = tx.execute(sa.select(objects).where(*_of(objects, key)).with_for_update()).mappings().one()
    read_at, numbered = before["read_at"], before["own_version"]
    known = stints(tx, key)
    shows_the_same = bool(known) and known[-1].version == version
    asked_before = read_at is not None and asked_at <= read_at
    numbered_lower = None not in (own_version, numbered) and own_version < numbered
    if (asked_before or numbered_lower) and not shows_the_same:
        return False
    if not asked_before and not numbered_lower:
        read = {"name": name, "read_at": asked_at, "own_version": own_version, "flow_id": flow_id, "problem": ""}
        tx.execute(sa.update(objects).where(*_of(objects, key)).values(read))
    if shows_the_same:
        seen_until = max(asked_at, known[-1].seen_until)
        newest = (*_of(object_stints, key), object_stints.c.since == known[-1].since)
        tx.execute(sa.update(object_stints).where(*newest).values(seen_until=seen_until))
        return True
    of = key._asdict() | {"version": version}
    tx.execute(
        _insert(tx, snapshots)
        .values(**of, content=dict(content), kept_at=asked_at)
        .on_conflict_do_nothing(index_elements=list(snapshots.primary_key))
    )
    tx.execute(sa.insert(object_stints).values(**of, since=asked_at, seen_until=asked_at))
    _forget_oldest(tx, key, known)
    return True


def states(tx: Transaction, org: str | None = None) -> list[ObjectState]:
    """Every object that was ever asked for, by organization, type and id."""
    query = sa.select(objects).order_by(objects.c.org, objects.c.object_type, objects.c.object_id)
    if org is not None:
        query = query.where(objects.c.org == org)
    return [ObjectState(**row) for row in tx.execute(query).mappings()]


def state(tx: Transaction, key: Key) -> ObjectState | None:
    row = tx.execute(sa.select(objects).where(*_of(objects, key))).mappings().first()
    return None if row is None else ObjectState(**row)


def stints(tx: Transaction, key: Key) -> list[Stint]:
    """What the object was like when, the newest last: that is as it is now."""
    query = sa.select(object_stints).where(*_of(object_stints, key)).order_by(object_stints.c.since)
    return [Stint(row.version, row.since, row.seen_until) for row in tx.execute(query)]


def content(tx: Transaction, key: Key, version: str) -> Mapping[str, Any] | None:
    """What a version of the object contains, without secrets; None if it is not kept."""
    found: Mapping[str, Any] | None = tx.scalar(
        sa.select(snapshots.c.content).where(*_of(snapshots, key), snapshots.c.version == version)
    )
    return found


def _forget_oldest(tx: Transaction, key: Key, known: list[Stint]) -> None:
    """What is more than MOST_STINTS, with the one that was just begun, and the contents that none had since."""
    if len(known) < MOST_STINTS:
        return
    first = known[-MOST_STINTS + 1].since
    tx.execute(sa.delete(object_stints).where(*_of(object_stints, key), object_stints.c.since < first))
    still = sa.select(object_stints.c.version).where(*_of(object_stints, key))
    tx.execute(sa.delete(snapshots).where(*_of(snapshots, key), snapshots.c.version.not_in(still)))


def _of(table: sa.Table, key: Key) -> tuple[sa.ColumnElement[bool], ...]:
    return tuple(table.c[name] == value for name, value in key._asdict().items())


def _insert(tx: Transaction, table: sa.Table) -> postgresql.Insert | sqlite.Insert:
    return postgresql.insert(table) if tx.dialect.name == "postgresql" else sqlite.insert(table)
