"""Bearer tokens of the API by their digests. Every change goes into the audit, and works with the next request."""

from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa

from receiver.bearer import NewToken
from receiver.callers import Caller, Grant
from receiver.config import Role
from receiver.store import audit, leases
from receiver.store.database import Transaction
from receiver.store.schema import tokens

_LOCK = "tokens"  # among the leases: of two who give one name at once, one is the second
_AT_ONCE = 2  # valid ones of a name: the one in use and its successor


class NotPossible(Exception):
    """The tokens stay as they are; the text says why."""


@dataclass(frozen=True, slots=True)
class StoredToken:
    """A token without what proves it. No `orgs`: every one. Times are Unix seconds."""

    id: str
    name: str
    roles: tuple[Role, ...]
    orgs: tuple[str, ...] | None
    created_at: float
    created_by: str
    expires_at: float | None
    revoked_at: float | None
    revoked_by: str | None

    def is_valid(self, now: float) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    @property
    def caller(self) -> Caller:
        return Caller(self.name, (Grant(frozenset(self.roles), None if self.orgs is None else frozenset(self.orgs)),))


def create(
    tx: Transaction,
    made: NewToken,
    name: str,
    *,
    roles: Collection[Role],
    orgs: Collection[str] | None,
    expires_at: float | None,
    by: str,
    now: float,
) -> StoredToken:
    """Keep a new token under a name that no valid one has. Raises NotPossible."""
    leases.lock(tx, _LOCK)
    if _valid(tx, name, now):
        raise NotPossible(f"{name} has a valid token: rotate or revoke it, or take another name")
    kept = StoredToken(
        made.id,
        name,
        tuple(sorted(set(roles))),
        None if orgs is None else tuple(sorted(set(orgs))),
        now,
        by,
        expires_at,
        revoked_at=None,
        revoked_by=None,
    )
    _insert(tx, kept, made, audit.Kind.TOKEN_CREATED)
    return kept


def rotate(tx: Transaction, made: NewToken, name: str, *, overlap_s: float, by: str, now: float) -> StoredToken:
    """Keep a successor with the same roles and organizations; the one before ends `overlap_s` later, or sooner.

    The successor expires as late after its making as the one before. Raises NotPossible.
    """
    leases.lock(tx, _LOCK)
    found = _valid(tx, name, now)
    if not found:
        raise NotPossible(f"{name} has no valid token; create one")
    if len(found) >= _AT_ONCE:
        raise NotPossible(f"{name} has {len(found)} valid tokens: it is being rotated; revoke the old one by its --id")
    (old,) = found
    expires_at = None if old.expires_at is None else now + (old.expires_at - old.created_at)
    ends_at = now + overlap_s if old.expires_at is None else min(old.expires_at, now + overlap_s)
    tx.execute(sa.update(tokens).where(tokens.c.id == old.id).values(expires_at=ends_at))
    kept = StoredToken(made.id, name, old.roles, old.orgs, now, by, expires_at, revoked_at=None, revoked_by=None)
    _insert(tx, kept, made, audit.Kind.TOKEN_ROTATED, replaces=old.id, old_expires_at=ends_at)
    return kept


def revoke(tx: Transaction, name: str, *, token_id: str | None = None, by: str, now: float) -> list[StoredToken]:
    """End the valid tokens of a name at once, or the one with the id; gives those that were. Raises NotPossible."""
    leases.lock(tx, _LOCK)
    found = [one for one in _valid(tx, name, now) if token_id in (None, one.id)]
    if not found:
        raise NotPossible(f"there is no valid token of {name}" + (f" with the id {token_id}" if token_id else ""))
    for one in found:
        tx.execute(sa.update(tokens).where(tokens.c.id == one.id).values(revoked_at=now, revoked_by=by))
        audit.record(tx, audit.Kind.TOKEN_REVOKED, {"id": one.id, "name": name}, at=now, actor=by)
    return found


def listed(tx: Transaction) -> list[StoredToken]:
    """Every token that is kept, by name, the newest of each first."""
    rows = tx.execute(sa.select(tokens).order_by(tokens.c.name, tokens.c.created_at.desc(), tokens.c.id)).mappings()
    return [_token(row) for row in rows]


def find(tx: Transaction, token_id: str) -> tuple[str, StoredToken] | None:
    """The digest of the token with the id, and what it is for; valid or not."""
    row = tx.execute(sa.select(tokens).where(tokens.c.id == token_id)).mappings().one_or_none()
    return None if row is None else (str(row["digest"]), _token(row))


def _valid(tx: Transaction, name: str, now: float) -> list[StoredToken]:
    rows = tx.execute(sa.select(tokens).where(tokens.c.name == name).order_by(tokens.c.created_at)).mappings()
    return [one for one in map(_token, rows) if one.is_valid(now)]


def _insert(tx: Transaction, kept: StoredToken, made: NewToken, kind: audit.Kind, **facts: object) -> None:
    what = {
        "id": kept.id,
        "name": kept.name,
        "roles": [role.value for role in kept.roles],
        "orgs": None if kept.orgs is None else list(kept.orgs),
        "expires_at": kept.expires_at,
    }
    when = {"created_at": kept.created_at, "created_by": kept.created_by}
    tx.execute(sa.insert(tokens).values(what | when | {"digest": made.digest}))
    audit.record(tx, kind, what | facts, at=kept.created_at, actor=kept.created_by)


def _token(row: sa.RowMapping) -> StoredToken:
    values = {name: value for name, value in row.items() if name != "digest"}
    values["roles"] = tuple(Role(role) for role in row["roles"])
    values["orgs"] = None if row["orgs"] is None else tuple(row["orgs"])
    return StoredToken(**values)
