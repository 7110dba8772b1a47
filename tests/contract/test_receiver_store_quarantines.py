"""What the store promises about quarantines and the budget, the same on both databases."""

from collections.abc import Iterator
from typing import Any

import alembic.command
import alembic.config
import pytest
import sqlalchemy as sa

from receiver.store import database, quarantines, rollbacks
from receiver.store.alerts import StoredAlert
from receiver.store.database import Store, Transaction
from receiver.store.rollbacks import State
from tests.receiver_world import put_alert, put_rollback

NOW = 1_795_349_000.0


@pytest.fixture
def tx(store: Store) -> Iterator[Transaction]:
    with store.begin() as opened:
        yield opened


@pytest.fixture
def alert(tx: Transaction) -> StoredAlert:
    return put_alert(tx, now=NOW)


def test_a_rollback_has_one_quarantine_of_its_accused_version(tx: Transaction, alert: StoredAlert) -> None:
    rollback = put_rollback(tx, alert, "r1", now=NOW)
    quarantines.put(tx, rollback, now=NOW)
    quarantines.put(tx, rollback, now=NOW + 1)

    (made,) = quarantines.newest(tx, org="retail", limit=9)
    assert (made.rollback_id, made.object_id, made.version, made.quarantined_at) == ("r1", "flow-1", "14.0", NOW)
    assert (made.lifted_at, made.lifted_by) == (None, None)


def test_a_quarantine_is_lifted_once_and_stays_lifted(tx: Transaction, alert: StoredAlert) -> None:
    rollback = put_rollback(tx, alert, "r1", now=NOW)
    quarantines.put(tx, rollback, now=NOW)
    (made,) = quarantines.newest(tx, org=None, limit=9)
    assert quarantines.lifted(tx, "retail", "flow-1") == frozenset()

    assert quarantines.lift(tx, made.id, by="ann", now=NOW + 5)
    assert not quarantines.lift(tx, made.id, by="bob", now=NOW + 6)
    assert not quarantines.lift(tx, "unknown", by="ann", now=NOW + 6)
    quarantines.put(tx, rollback, now=NOW + 7)

    assert quarantines.lifted(tx, "retail", "flow-1") == {"r1"}
    assert quarantines.lifted(tx, "retail", "flow-2") == quarantines.lifted(tx, "bank", "flow-1") == frozenset()
    assert quarantines.newest(tx, org=None, limit=9) == []
    (kept,) = quarantines.newest(tx, org=None, also_lifted=True, limit=9)
    assert (kept.lifted_at, kept.lifted_by) == (NOW + 5, "ann")


def test_quarantines_are_listed_newest_first(tx: Transaction, alert: StoredAlert) -> None:
    for number in range(3):
        rollback = put_rollback(tx, alert, f"r{number}", now=NOW, accused_version=f"{number}.0")
        quarantines.put(tx, rollback, now=NOW + number)

    def ids(**asked: Any) -> list[str]:
        return [one.rollback_id for one in quarantines.newest(tx, **({"org": None, "limit": 9} | asked))]

    assert ids() == ["r2", "r1", "r0"]
    assert ids(limit=1) == ["r2"]
    assert ids(org="bank") == ids(flow_id="flow-2") == []
    assert ids(org="retail", flow_id="flow-1") == ["r2", "r1", "r0"]


def test_what_was_rolled_back_before_there_were_quarantines_can_be_lifted_too(database_url: str) -> None:
    store = Store(database_url)
    with store.begin() as tx:
        migrate(tx, "0002")
        alert_id = tx.scalar(
            sa.text(
                "INSERT INTO alerts (fingerprint, starts_at, org, object_type, object_id, version, signal, is_open, "
                "labels, annotations, received_at, refreshed_at) VALUES ('f', 1, 'retail', 'flow', 'flow-1', '14.0', "
                "'error_exit', true, '{}', '{}', 1, 1) RETURNING id"
            )
        )
        for name, wrote, shadow, ended_at in (
            ("wrote", True, False, 7.0),
            ("refused", False, False, 7.0),
            ("observed", True, True, 7.0),
            ("under-way", True, False, None),
        ):
            tx.execute(
                sa.text(
                    "INSERT INTO rollbacks (id, alert_id, org, object_type, object_id, accused_version, live_since, "
                    "try_number, shadow, target_version, state, reason, revision, created_at, deadline, not_before, "
                    "wrote, threshold_ratio, ended_at, facts) VALUES (:id, :alert, 'retail', 'flow', 'flow-1', '14.0', "
                    "1, :number, :shadow, '13.0', 'succeeded', '', 1, 1, 2, 1, :wrote, 0.05, :ended_at, '{}')"
                ),
                {
                    "id": name,
                    "alert": alert_id,
                    "number": len(name),
                    "shadow": shadow,
                    "wrote": wrote,
                    "ended_at": ended_at,
                },
            )
    store.migrate()
    with store.begin() as tx:
        (made,) = quarantines.newest(tx, org=None, limit=9)
    store.close()
    assert (made.id, made.rollback_id, made.version, made.quarantined_at) == ("wrote", "wrote", "14.0", 7.0)


def migrate(tx: Transaction, revision: str) -> None:
    """Bring an empty database to an older release's schema."""
    config = alembic.config.Config()
    config.set_main_option("script_location", f"{database.__file__.rsplit('/', 1)[0]}/migrations")
    config.attributes["connection"] = tx
    alembic.command.upgrade(config, revision)


# The budget


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        pytest.param({}, True, id="under way"),
        pytest.param({"state": State.SUCCEEDED}, True, id="whatever its end"),
        pytest.param({"started_at": NOW - 600}, False, id="exactly as old as the budget"),
        pytest.param({"started_at": None, "wrote": False}, False, id="not started yet"),
        pytest.param({"wrote": False, "state": State.FAILED}, False, id="provably refused"),
        pytest.param({"shadow": True}, False, id="an observed one"),
        pytest.param({"org": "bank"}, False, id="another organization"),
    ],
)
def test_the_budget_counts_what_started_and_was_not_provably_refused(
    tx: Transaction, alert: StoredAlert, changes: dict[str, Any], counts: bool
) -> None:
    put_rollback(tx, alert, "r1", now=NOW, **changes)
    for flow_id in ("flow-1", None):
        found = rollbacks.started_since(tx, "retail", flow_id, since=NOW - 600, shadow=False)
        assert [one.id for one in found] == (["r1"] if counts else [])
    assert rollbacks.started_since(tx, "retail", "flow-2", since=NOW - 600, shadow=False) == []
