"""What the store promises about rollbacks and their permits, the same on both databases."""

from collections.abc import Iterator
from typing import Any

import pytest

from receiver.store import rollbacks
from receiver.store.alerts import StoredAlert
from receiver.store.database import Store, Transaction
from receiver.store.rollbacks import ENDS, LEASED, UNDER_WAY, AlreadyTried, Answer, Conflict, Permit, State
from tests.receiver_world import put_alert, put_rollback

NOW = 1_795_349_000.0


@pytest.fixture
def tx(store: Store) -> Iterator[Transaction]:
    with store.begin() as opened:
        yield opened


@pytest.fixture
def alert(tx: Transaction) -> StoredAlert:
    return put_alert(tx, now=NOW)


def test_a_rollback_is_kept_as_it_was_given(tx: Transaction, alert: StoredAlert) -> None:
    made = put_rollback(tx, alert, "r1", now=NOW, facts={"flow_name": "Hauptmenü", "errors": 7})

    assert rollbacks.get(tx, "r1") == made
    assert rollbacks.get(tx, "r2") is None


def test_the_same_try_exists_once_and_the_transaction_goes_on(tx: Transaction, alert: StoredAlert) -> None:
    put_rollback(tx, alert, "r1", now=NOW)
    with pytest.raises(AlreadyTried):
        put_rollback(tx, alert, "r2", now=NOW)

    assert [one.id for one in rollbacks.newest(tx, org=None, flow_id=None, limit=9)] == ["r1"]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"try_number": 2}, id="the next try"),
        pytest.param({"accused_version": "15.0"}, id="another version"),
        pytest.param({"live_since": NOW - 1}, id="the version was made live again"),
        pytest.param({"shadow": True}, id="an observed one"),
    ],
)
def test_what_differs_from_a_try_is_another_one(tx: Transaction, alert: StoredAlert, changes: dict[str, Any]) -> None:
    put_rollback(tx, alert, "r1", now=NOW)
    put_rollback(tx, alert, "r2", now=NOW, **changes)


def test_a_change_gives_the_new_form(tx: Transaction, alert: StoredAlert) -> None:
    made = put_rollback(tx, alert, "r1", now=NOW)
    changed = rollbacks.change(tx, made, state=State.FAILED.value, reason="no_effect")

    assert (changed.state, changed.reason, changed.revision) == (State.FAILED, "no_effect", 2)
    assert rollbacks.get(tx, "r1") == changed


def test_a_change_from_an_older_form_is_a_conflict_and_writes_nothing(tx: Transaction, alert: StoredAlert) -> None:
    made = put_rollback(tx, alert, "r1", now=NOW)
    newer = rollbacks.change(tx, made, state=State.CONFIRMING.value)
    with pytest.raises(Conflict):
        rollbacks.change(tx, made, state=State.FAILED.value)

    assert rollbacks.get(tx, "r1") == newer


def test_permits_are_numbered_and_keep_their_answers(tx: Transaction, alert: StoredAlert) -> None:
    made = put_rollback(tx, alert, "r1", now=NOW)
    first = rollbacks.issue_permit(tx, made, now=NOW, permit_s=5, strategy="republish")
    second = rollbacks.issue_permit(tx, made, now=NOW + 200, permit_s=5, strategy="republish")
    rollbacks.answer_permit(tx, second, Answer.ACCEPTED, "op-1")

    assert first == Permit("r1", 1, "republish", "13.0", NOW, NOW + 5, None, None)
    assert rollbacks.permits_of(tx, "r1") == [
        first,
        Permit("r1", 2, "republish", "13.0", NOW + 200, NOW + 205, Answer.ACCEPTED, "op-1"),
    ]


def test_steps_are_told_in_their_order(tx: Transaction, alert: StoredAlert) -> None:
    made = put_rollback(tx, alert, "r1", now=NOW)
    for number in range(3):
        rollbacks.add_step(tx, made, f"event-{number}", at=NOW, detail={"number": number})

    assert [(step.event, step.state, step.detail["number"]) for step in rollbacks.steps_of(tx, "r1")] == [
        ("event-0", "publishing", 0),
        ("event-1", "publishing", 1),
        ("event-2", "publishing", 2),
    ]


def test_every_state_is_either_under_way_or_an_end(tx: Transaction, alert: StoredAlert) -> None:
    assert set(State) == UNDER_WAY | ENDS
    assert not UNDER_WAY & ENDS
    for number, state in enumerate(State, 1):
        put_rollback(tx, alert, state.value, now=NOW + number, try_number=number, state=state)

    assert {one.state for one in rollbacks.under_way(tx)} == UNDER_WAY
    assert {one.state for one in rollbacks.under_way(tx, "retail", LEASED)} == LEASED
    assert rollbacks.under_way(tx, "bank") == []


def test_a_lockout_counts_from_the_newest_start_of_its_scope(tx: Transaction, alert: StoredAlert) -> None:
    other_flow = put_alert(tx, flow_id="flow-2", now=NOW)
    other_org = put_alert(tx, org="bank", now=NOW)
    put_rollback(tx, alert, "r1", now=NOW, started_at=NOW)
    put_rollback(tx, other_flow, "r2", now=NOW, started_at=NOW + 10)
    put_rollback(tx, other_org, "r3", now=NOW, started_at=NOW + 20)
    put_rollback(tx, alert, "r4", now=NOW, started_at=NOW + 30, shadow=True)
    put_rollback(tx, alert, "r5", now=NOW, started_at=None, try_number=2)

    assert rollbacks.last_start(tx, "retail", "flow-1", shadow=False) == NOW
    assert rollbacks.last_start(tx, "retail", None, shadow=False) == NOW + 10
    assert rollbacks.last_start(tx, None, None, shadow=False) == NOW + 20
    assert rollbacks.last_start(tx, "retail", None, shadow=True) == NOW + 30
    assert rollbacks.last_start(tx, "nobody", None, shadow=False) is None


def test_observed_rollbacks_and_real_ones_are_listed_apart(tx: Transaction, alert: StoredAlert) -> None:
    put_rollback(tx, alert, "real", now=NOW)
    put_rollback(tx, alert, "observed", now=NOW, shadow=True)

    assert [one.id for one in rollbacks.of_flow(tx, "retail", "flow-1", shadow=False)] == ["real"]
    assert [one.id for one in rollbacks.of_flow(tx, "retail", "flow-1", shadow=True)] == ["observed"]
    assert [one.id for one in rollbacks.newest_of_each_flow(tx)] == ["real"]
