"""Tokens in the database: one name, at most two at once, none that can be read back."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from receiver import bearer
from receiver.bearer import NewToken
from receiver.config import Role
from receiver.store import audit, retention, tokens
from receiver.store.database import Store
from receiver.store.retention import Horizon
from receiver.store.schema import metadata
from receiver.store.tokens import NotPossible, StoredToken

NOW = 1_800_000_000.0
DAY_S = 86_400.0


def create(store: Store, made: NewToken, name: str = "pipeline", **changes: Any) -> StoredToken:
    values = {"roles": [Role.CI], "orgs": ["retail"], "expires_at": None, "by": "shell:ann", "now": NOW} | changes
    return store.transact(tokens.create, made, name, **values)


def rotate(store: Store, made: NewToken, *, now: float = NOW + 60) -> StoredToken:
    return store.transact(tokens.rotate, made, "pipeline", overlap_s=3600, by="shell:bob", now=now)


def valid(store: Store, now: float) -> Sequence[str]:
    with store.begin() as tx:
        return sorted(one.id for one in tokens.listed(tx) if one.is_valid(now))


def test_a_token_is_found_by_its_id_with_its_digest_and_says_what_it_is_for(store: Store) -> None:
    made = bearer.make()
    kept = create(store, made)
    with store.begin() as tx:
        assert tokens.find(tx, made.id) == (bearer.digest_of(made.text), kept)
        assert tokens.find(tx, "0" * 12) is None
    assert bearer.id_of(made.text) == made.id
    assert kept.caller.roles_in("retail") == {Role.CI}
    assert kept.caller.roles_in("bank") == frozenset()
    assert made.text not in repr(made)


def test_a_name_has_one_token_and_during_a_rotation_two(store: Store) -> None:
    old, new = bearer.make(), bearer.make()
    create(store, old)
    with pytest.raises(NotPossible, match="rotate or revoke it"):
        create(store, bearer.make())
    assert rotate(store, new).roles == (Role.CI,)
    assert valid(store, NOW + 60) == sorted([old.id, new.id])
    with pytest.raises(NotPossible, match="is being rotated"):
        rotate(store, bearer.make())
    assert valid(store, NOW + 60 + 3600) == [new.id]  # by itself
    rotate(store, bearer.make(), now=NOW + DAY_S)


def test_a_rotation_gives_nothing_a_longer_life(store: Store) -> None:
    old = bearer.make()
    create(store, old, expires_at=NOW + 600)
    new = rotate(store, bearer.make(), now=NOW + 300)
    assert new.expires_at == NOW + 900  # as long after its making as the old one
    with store.begin() as tx:
        found = tokens.find(tx, old.id)
    assert found is not None
    assert found[1].expires_at == NOW + 600


def test_an_expired_one_is_valid_no_longer_and_its_name_is_free(store: Store) -> None:
    create(store, bearer.make(), expires_at=NOW + 600)
    assert len(valid(store, NOW + 599)) == 1
    assert valid(store, NOW + 600) == []
    with pytest.raises(NotPossible, match="has no valid token"):
        rotate(store, bearer.make(), now=NOW + 600)
    create(store, bearer.make(), now=NOW + 600)


def test_one_or_all_of_a_name_are_revoked(store: Store) -> None:
    old, new = bearer.make(), bearer.make()
    create(store, old)
    rotate(store, new)
    store.transact(tokens.revoke, "pipeline", token_id=old.id, by="shell:ann", now=NOW + 90)
    assert valid(store, NOW + 90) == [new.id]
    store.transact(tokens.revoke, "pipeline", by="shell:ann", now=NOW + 91)
    assert valid(store, NOW + 91) == []
    with pytest.raises(NotPossible, match="no valid token of pipeline"):
        store.transact(tokens.revoke, "pipeline", by="shell:ann", now=NOW + 92)


def test_every_change_is_audited_by_name_and_no_row_has_the_token(store: Store) -> None:
    old, new = bearer.make(), bearer.make()
    create(store, old)
    rotate(store, new)
    store.transact(tokens.revoke, "pipeline", by="shell:eve", now=NOW + 90)
    with store.begin() as tx:
        rows = [row for row in audit.newest(tx, before=None, limit=9) if row.kind.startswith("token_")]
        everything = "".join(str(row) for table in metadata.sorted_tables for row in tx.execute(sa.select(table)))
    assert sorted((row.actor, row.kind) for row in rows) == [
        ("shell:ann", "token_created"),
        ("shell:bob", "token_rotated"),
        ("shell:eve", "token_revoked"),
        ("shell:eve", "token_revoked"),
    ]
    assert {json.loads(row.facts)["name"] for row in rows} == {"pipeline"}
    assert not any(text in everything for text in (old.text, new.text, old.text[17:], new.text[17:]))
    assert not any(old.digest in row.facts or new.digest in row.facts for row in rows)


def test_those_that_are_long_over_are_removed(store: Store) -> None:
    create(store, bearer.make(), "expired", expires_at=NOW + 1)
    create(store, bearer.make(), "revoked")
    store.transact(tokens.revoke, "revoked", by="ann", now=NOW + 1)
    create(store, bearer.make(), "valid")
    with store.begin() as tx:
        horizon = Horizon(old=NOW + DAY_S, attempts=NOW, listed=NOW, keys=NOW, feeds=NOW)
        assert retention.sweep(tx, horizon, limit=9) == {"tokens": 2}
        assert [one.name for one in tokens.listed(tx)] == ["valid"]
