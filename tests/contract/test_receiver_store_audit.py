"""What the audit promises, the same on both databases."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
import pytest
import sqlalchemy as sa

from receiver.chain import Fault, Row, verify
from receiver.notify.events import Telling, put_end, put_path_silent
from receiver.policy import Verdict
from receiver.store import audit, controls, database, decisions, leases, quarantines, rollbacks
from receiver.store.audit import Kind
from receiver.store.database import Store, StoreUnavailable, Transaction
from receiver.store.migration import SchemaMismatch
from receiver.store.rollbacks import State
from receiver.store.schema import outbox
from tests.receiver_world import put_alert, put_decision, put_rollback

NOW = 1_795_349_000.0


def rows_of(store: Store) -> list[Row]:
    with store.begin() as tx:
        return list(audit.rows(tx))


def added(store: Store) -> list[tuple[str, str, dict[str, Any]]]:
    """Kind, actor and facts of each row after the first."""
    return [(row.kind, row.actor, json.loads(row.facts)) for row in rows_of(store)[1:]]


def fault(store: Store, sought: str | None = None) -> Fault | None:
    with store.begin() as tx:
        broken = verify(audit.rows(tx), audit.head(tx), sought=sought).broken
    return None if broken is None else broken.fault


def pause(tx: Transaction, reason: str = "storm") -> None:
    controls.pause(tx, "retail", by="ann", reason=reason, now=NOW)


# What goes in


def test_a_decision_goes_in_with_each_of_its_guards(store: Store) -> None:
    with store.begin() as tx:
        put_decision(tx, put_alert(tx, now=NOW), Verdict.PAUSED, now=NOW, rollback_id="r1")
        (kept,) = decisions.newest(tx, org=None, flow_id=None, verdict=None, limit=9)

    ((kind, actor, facts),) = added(store)
    assert (kind, actor) == ("decision", "r1")
    assert (facts["verdict"], facts["org"], facts["object_id"], facts["version"]) == (
        "paused",
        "retail",
        "flow-1",
        "14.0",
    )
    assert (facts["guards"], facts["facts"], facts["rollback_id"]) == (kept.guards, kept.facts, "r1")


def test_a_step_goes_in_with_what_it_is_about_and_who_did_it(database_url: str, store: Store) -> None:
    one = Store(database_url, actor="receiver-7")
    with one.begin() as tx:
        rollback = put_rollback(tx, put_alert(tx, now=NOW), "r1", now=NOW)
        rollbacks.add_step(tx, rollback, "permit", at=NOW, detail={"number": 1})
    one.close()

    ((kind, actor, facts),) = added(store)
    assert (kind, actor) == ("step", "receiver-7")
    assert facts == {
        "rollback_id": "r1",
        "org": "retail",
        "object_type": "flow",
        "object_id": "flow-1",
        "version": "14.0",
        "target_version": "13.0",
        "state": "publishing",
        "event": "permit",
        "detail": {"number": 1},
    }


def open_window(tx: Transaction) -> str:
    return controls.open_window(
        tx,
        org="retail",
        flow_ids=["flow-1"],
        kind="maintenance",
        starts_at=NOW,
        ends_at=NOW + 60,
        reason="tests",
        owner="team",
        created_by="ann",
        now=NOW,
    ).id


def lift(tx: Transaction, *, by: str = "bob") -> None:
    rollback = put_rollback(tx, put_alert(tx, now=NOW), "r1", now=NOW)
    quarantines.put(tx, rollback, now=NOW)
    (made,) = quarantines.newest(tx, org=None, limit=9)
    assert quarantines.lift(tx, made.id, by=by, now=NOW)


def hold(tx: Transaction) -> None:
    controls.hold(tx, "retail", ["flow-1"], owner="team", reason="debugging", by="ann", now=NOW)


@pytest.mark.parametrize(
    ("act", "told"),
    [
        pytest.param(pause, [("pause", "ann", {"org": "retail", "reason": "storm"})], id="pause"),
        pytest.param(
            lambda tx: (pause(tx), controls.resume(tx, "retail", by="bob", now=NOW)),
            [("pause", "ann", {"org": "retail", "reason": "storm"}), ("resume", "bob", {"org": "retail"})],
            id="resume",
        ),
        pytest.param(
            hold,
            [("hold", "ann", {"org": "retail", "flow_id": "flow-1", "owner": "team", "reason": "debugging"})],
            id="hold",
        ),
        pytest.param(
            lambda tx: (hold(tx), controls.release(tx, "retail", "flow-1", by="bob", now=NOW)),
            [
                ("hold", "ann", {"org": "retail", "flow_id": "flow-1", "owner": "team", "reason": "debugging"}),
                ("release", "bob", {"org": "retail", "flow_id": "flow-1", "owner": "team"}),
            ],
            id="release",
        ),
    ],
)
def test_what_people_order_goes_in_with_who_it_was(
    store: Store, act: Callable[[Transaction], object], told: list[tuple[str, str, dict[str, Any]]]
) -> None:
    with store.begin() as tx:
        act(tx)
    assert added(store) == told


def test_a_window_goes_in_when_it_is_opened_and_when_it_is_closed(store: Store) -> None:
    with store.begin() as tx:
        window_id = open_window(tx)
        assert controls.close_window(tx, window_id, by="bob", now=NOW + 1)

    opened, closed = added(store)
    assert opened[:2] == ("window_opened", "ann")
    assert (opened[2]["flow_ids"], opened[2]["ends_at"], opened[2]["reason"]) == (["flow-1"], NOW + 60, "tests")
    assert closed == ("window_closed", "bob", {"id": window_id, "org": "retail"})


def test_a_lifted_quarantine_goes_in(store: Store) -> None:
    with store.begin() as tx:
        lift(tx)
    ((kind, actor, facts),) = added(store)
    assert (kind, actor) == ("quarantine_lifted", "bob")
    assert (facts["rollback_id"], facts["version"]) == ("r1", "14.0")


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(lambda tx: controls.resume(tx, "retail", by="ann", now=NOW), id="no pause"),
        pytest.param(lambda tx: controls.release(tx, "retail", "flow-1", by="ann", now=NOW), id="no hold"),
        pytest.param(lambda tx: controls.close_window(tx, "unknown", by="ann", now=NOW), id="no window"),
        pytest.param(lambda tx: quarantines.lift(tx, "unknown", by="ann", now=NOW), id="no quarantine"),
    ],
)
def test_an_order_that_changes_nothing_leaves_no_row(store: Store, act: Callable[[Transaction], object]) -> None:
    with store.begin() as tx:
        assert not act(tx)
    assert added(store) == []


def test_what_was_rolled_back_left_no_row(store: Store) -> None:
    def fail() -> None:
        with store.begin() as tx:
            pause(tx)
            tx.execute(sa.text("no statement"))

    with pytest.raises(StoreUnavailable):
        fail()
    assert added(store) == []
    assert fault(store) is None


# The chain


def test_the_chain_holds_over_everything_that_is_recorded(store: Store) -> None:
    for act in (pause, hold, open_window, lift):
        with store.begin() as tx:
            act(tx)
    rows = rows_of(store)
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))
    assert fault(store) is None


def test_it_begins_with_a_row_that_says_so(store: Store) -> None:
    (first,) = rows_of(store)
    assert (first.number, first.kind, first.actor) == (1, "genesis", "migration")
    assert json.loads(first.facts) == {"not_in_this_chain": {"decisions": 0, "steps": 0}, "revision": "0004"}
    assert fault(store) is None


def test_the_first_row_of_an_old_database_says_how_much_was_recorded_before(database_url: str) -> None:
    store = Store(database_url)
    with store.begin() as tx:
        migrate(tx, "0003")
        tx.execute(
            sa.text(
                "INSERT INTO alerts (id, fingerprint, starts_at, org, object_type, object_id, version, signal, "
                "is_open, labels, annotations, received_at, refreshed_at) VALUES (1, 'f', 1, 'retail', 'flow', "
                "'flow-1', '14.0', 'error_exit', true, '{}', '{}', 1, 1)"
            )
        )
        for _ in range(2):
            tx.execute(
                sa.text(
                    "INSERT INTO decisions (alert_id, org, object_type, object_id, version, at, verdict, guards, "
                    "facts, receiver) VALUES (1, 'retail', 'flow', 'flow-1', '14.0', 1, 'paused', '[]', '{}', 'r1')"
                )
            )
    store.migrate()
    (first,) = rows_of(store)
    assert json.loads(first.facts)["not_in_this_chain"] == {"decisions": 2, "steps": 0}
    with store.begin() as tx:
        pause(tx)
    assert fault(store) is None
    store.close()


def migrate(tx: Transaction, revision: str) -> None:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    config.attributes["connection"] = tx
    alembic.command.upgrade(config, revision)


def test_it_stays_one_chain_under_several_receivers_that_hold_leases_and_change_the_same_rows(
    database_url: str, store: Store
) -> None:
    """Each thread locks in another order, and all of them the audit's head: nobody waits for ever."""
    names = [f"org:{number}" for number in range(3)]

    def work(number: int) -> None:
        mine = Store(database_url, actor=f"receiver-{number}")
        for turn in range(20):
            with mine.begin() as tx:
                leases.lock(tx, names[(number + turn) % 3])
                pause(tx, f"{number}/{turn}")
            with mine.begin() as tx:
                controls.hold(tx, "retail", [f"flow-{number % 2}"], owner="bridge", reason="x", by="x", now=NOW)
                leases.lock(tx, names[number % 3])
            with mine.begin() as tx:
                controls.release(tx, "retail", f"flow-{number % 2}", by="ann", now=NOW)
        mine.close()

    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(work, number) for number in range(6)]:
            done.result(timeout=60)

    rows = rows_of(store)
    assert fault(store) is None
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))
    assert sum(row.kind == Kind.PAUSE for row in rows) == 120


def test_the_head_is_locked_only_when_everything_else_is_done(database_url: str, store: Store) -> None:
    """A transaction that has recorded something and is still at work keeps nobody waiting."""
    if store_is_sqlite(store):
        pytest.skip("SQLite has one writer anyway")
    other = Store(database_url)
    with store.begin() as slow:
        pause(slow, "slow")
        with other.begin() as tx:
            tx.execute(sa.text("SET LOCAL lock_timeout = '2s'"))
            hold(tx)
    other.close()
    assert [kind for kind, _, _ in added(store)] == ["hold", "pause"]
    assert fault(store) is None


def store_is_sqlite(store: Store) -> bool:
    with store.begin() as tx:
        return bool(tx.dialect.name == "sqlite")


# The head goes out


def told(store: Store) -> list[dict[str, Any]]:
    with store.begin() as tx:
        return list(tx.scalars(outbox.select().with_only_columns(outbox.c.payload).order_by(outbox.c.id)))


def test_a_notification_bears_the_head_with_what_it_tells_of(store: Store) -> None:
    with store.begin() as tx:
        rollback = put_rollback(tx, put_alert(tx, now=NOW), "r1", now=NOW)
        ended = rollbacks.change(tx, rollback, state=State.FAILED.value, ended_at=NOW)
        put_end(tx, Telling(["pager", "chat"], None), ended, now=NOW)
        rollbacks.add_step(tx, ended, "failed", at=NOW, detail={})
    with store.begin() as tx:
        pause(tx)

    heads = {payload["audit_head"] for payload in told(store)}
    step = rows_of(store)[1]
    assert (step.kind, heads) == ("step", {step.hash})
    assert len(told(store)) == 2


def test_a_notification_of_something_that_is_not_in_the_audit_bears_the_head_too(store: Store) -> None:
    with store.begin() as tx:
        put_path_silent(tx, Telling(["pager"], None), None, now=NOW)
    assert [payload["audit_head"] for payload in told(store)] == [rows_of(store)[-1].hash]


def test_a_notification_that_people_have_had_already_keeps_its_head(store: Store) -> None:
    for _ in range(2):
        with store.begin() as tx:
            put_path_silent(tx, Telling(["pager"], None), None, now=NOW)
            pause(tx)
    assert [payload["audit_head"] for payload in told(store)] == [rows_of(store)[1].hash]


# Nobody changes it


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET actor = 'nobody'",
        "UPDATE audit SET facts = '{}' WHERE number = 2",
        "DELETE FROM audit",
        "DELETE FROM audit WHERE number = 2",
        "DELETE FROM audit_heads",
    ],
)
def test_the_database_itself_refuses_to_change_it(store: Store, statement: str) -> None:
    with store.begin() as tx:
        pause(tx)
    before = rows_of(store)
    with pytest.raises(StoreUnavailable, match="the audit is append-only"), store.begin() as tx:
        tx.execute(sa.text(statement))
    assert rows_of(store) == before
    assert fault(store) is None


@pytest.mark.parametrize("table", ["audit", "audit_heads"])
def test_postgresql_refuses_to_truncate_it(store: Store, table: str) -> None:
    if store_is_sqlite(store):
        pytest.skip("SQLite knows no TRUNCATE")
    with pytest.raises(StoreUnavailable, match="the audit is append-only"), store.begin() as tx:
        tx.execute(sa.text(f"TRUNCATE {table}"))


@pytest.fixture
def touchable(store: Store) -> Store:
    """Six rows, and the triggers taken off: somebody who may do everything."""
    for number in range(5):
        with store.begin() as tx:
            pause(tx, f"reason {number}")
    with store.begin() as tx:
        if tx.dialect.name == "sqlite":
            for name in ("audit_no_update", "audit_no_delete"):
                tx.execute(sa.text(f"DROP TRIGGER {name}"))
        else:
            tx.execute(sa.text("DROP TRIGGER audit_append_only ON audit"))
    return store


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        pytest.param(["UPDATE audit SET actor = 'eve' WHERE number = 3"], Fault.CHANGED, id="another actor"),
        pytest.param(["UPDATE audit SET at = at + 0.000001 WHERE number = 3"], Fault.CHANGED, id="a microsecond"),
        pytest.param(["UPDATE audit SET facts = facts || ' ' WHERE number = 6"], Fault.CHANGED, id="a space"),
        pytest.param(["DELETE FROM audit WHERE number = 4"], Fault.MISSING, id="one gone"),
        pytest.param(["DELETE FROM audit WHERE number > 4"], Fault.MISSING, id="the newest gone"),
        pytest.param(["DELETE FROM audit"], Fault.MISSING, id="all gone"),
        pytest.param(
            [
                "UPDATE audit SET number = 99 WHERE number = 3",
                "UPDATE audit SET number = 3 WHERE number = 5",
                "UPDATE audit SET number = 5 WHERE number = 99",
            ],
            Fault.REORDERED,
            id="two swapped",
        ),
        pytest.param(
            ["INSERT INTO audit SELECT 7, at, actor, kind, facts, hash FROM audit WHERE number = 6"],
            Fault.INSERTED,
            id="one put behind the head",
        ),
    ],
)
def test_what_somebody_does_all_the_same_is_found(touchable: Store, statements: list[str], expected: Fault) -> None:
    assert fault(touchable) is None
    with touchable.begin() as tx:
        for statement in statements:
            tx.execute(sa.text(statement))
    assert fault(touchable) is expected


# Reading


def test_it_is_listed_newest_first_in_pages(touchable: Store) -> None:
    with touchable.begin() as tx:
        page = audit.newest(tx, before=None, limit=4)
        rest = audit.newest(tx, before=page[-1].number, limit=4)
    assert [row.number for row in page + rest] == [6, 5, 4, 3, 2, 1]


def about(tx: Transaction, *orgs: str | None) -> None:
    """A row about each; None: about no organization."""
    for org in orgs:
        audit.record(tx, Kind.STEP, {"detail": {"org": "deep"}} | ({} if org is None else {"org": org}), at=NOW)


def numbers(tx: Transaction, *orgs: str, limit: int = 9, before: int | None = None) -> list[int]:
    return [row.number for row in audit.newest(tx, before=before, limit=limit, orgs=orgs)]


def test_of_some_organizations_it_is_listed_newest_first_in_pages(store: Store) -> None:
    with store.begin() as tx:
        about(tx, "retail", "bank", None, "other", "retail", "bank")
    with store.begin() as tx:
        assert numbers(tx, "retail") == [6, 2]
        assert numbers(tx, "bank", "retail") == [7, 6, 3, 2]
        assert numbers(tx, "bank", "retail", limit=3) == [7, 6, 3]
        assert numbers(tx, "bank", "retail", limit=3, before=7) == [6, 3, 2]
        assert numbers(tx, "deep") == numbers(tx) == []


def test_what_is_about_an_organization_is_found_by_its_index(store: Store) -> None:
    """And nothing else is read, however long the audit is."""
    with store.begin() as tx:
        for _ in range(40):
            about(tx, *["retail"] * 50)
        about(tx, "bank")
    with store.begin() as tx:
        if tx.dialect.name == "postgresql":
            tx.execute(sa.text("ANALYZE audit"))
        explain = "EXPLAIN" if tx.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
        asked: list[str] = []

        def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            asked.append(statement)
            given.append(parameters)

        given: list[Any] = []
        sa.event.listen(tx, "before_cursor_execute", note)
        assert numbers(tx, "bank", before=2000) == []
        sa.event.remove(tx, "before_cursor_execute", note)
        (statement,) = asked
        plan = "\n".join(str(tuple(row)) for row in tx.exec_driver_sql(f"{explain} {statement}", given[0]))
    assert "ix_audit_org" in plan, plan
    assert "Sort" not in plan, plan
    assert "TEMP B-TREE" not in plan, plan


@pytest.mark.parametrize(
    "text", ["a NUL \x00", "half a pair \ud83d", "no letter of ours \u20ac", 'a "quote" and a \\u0000'], ids=ascii
)
def test_whatever_the_facts_say_the_row_is_written_and_found(store: Store, text: str) -> None:
    with store.begin() as tx:
        audit.record(tx, Kind.STEP, {"org": "retail", "flow_name": text}, at=NOW)
    with store.begin() as tx:
        (row,) = audit.newest(tx, before=None, limit=9, orgs=["retail"])
    assert json.loads(row.facts)["flow_name"] == text
    assert fault(store) is None


def test_rows_of_older_releases_are_found_too_whether_before_the_migration_or_after(database_url: str) -> None:
    """Those run on beside a newer one, and know nothing of the column."""
    store = Store(database_url)
    with store.begin() as tx:
        migrate(tx, "0011")
        pause(tx)
    store.migrate()
    with store.begin() as tx:
        pause(tx)
    with store.begin() as tx:
        assert numbers(tx, "retail") == [3, 2]
    assert fault(store) is None
    store.close()


def test_nobody_can_say_that_a_row_is_about_another_organization(touchable: Store) -> None:
    with pytest.raises(StoreUnavailable, match=r"generated column|updated to DEFAULT"), touchable.begin() as tx:
        tx.execute(sa.text("UPDATE audit SET org = 'bank' WHERE number = 3"))


def test_it_is_given_out_from_a_moment_on_without_a_gap(store: Store) -> None:
    """A row whose clock went back is between its neighbours all the same."""
    for at in (10.0, 20.0, 5.0, 30.0):
        with store.begin() as tx:
            audit.record(tx, Kind.PAUSE, {"at": at}, at=NOW * 2 + at, actor="ann")
    with store.begin() as tx:
        found = [(row.at - NOW * 2, previous) for row, previous in audit.rows_since(tx, NOW * 2 + 15)]
        none = list(audit.rows_since(tx, NOW * 3))
    rows = rows_of(store)
    assert found == [(20.0, rows[1].hash), (5.0, rows[2].hash), (30.0, rows[3].hash)]
    assert none == []


def test_a_store_that_is_read_only_sees_one_moment_and_keeps_no_writer_waiting(database_url: str, store: Store) -> None:
    reader = Store(database_url, read_only=True)
    with reader.begin() as tx:
        assert len(list(audit.rows(tx))) == 1
        with store.begin() as writing:
            pause(writing)
        assert len(list(audit.rows(tx))) == 1
    with reader.begin() as tx:
        assert len(list(audit.rows(tx))) == 2
    reader.close()


@pytest.mark.parametrize("statement", ["DELETE FROM pauses", "CREATE TABLE x (y integer)"])
def test_a_store_that_is_read_only_writes_nothing(database_url: str, store: Store, statement: str) -> None:
    reader = Store(database_url, read_only=True)
    with pytest.raises(StoreUnavailable, match=r"read-?only"), reader.begin() as tx:
        tx.execute(sa.text(statement))
    reader.close()


def test_a_database_of_an_older_release_is_told_apart_from_a_broken_audit(database_url: str) -> None:
    store = Store(database_url)
    with store.begin() as tx:
        migrate(tx, "0003")
    with pytest.raises(SchemaMismatch, match=r"at revision 0003, .*: run `rollback-receiver db migrate`"):
        store.check_schema()
    store.migrate()
    store.check_schema()
    store.close()
