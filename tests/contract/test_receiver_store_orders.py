"""Two people, or a person and the loop, decide about the same rollback at the same moment: one of them has it.

The same on both databases, and with both transactions open at once.
"""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from receiver import orders
from receiver.config import ReceiverSettings
from receiver.metrics import ReceiverMetrics
from receiver.orders import NotPossible
from receiver.store import audit, rollbacks
from receiver.store.database import Store, Transaction
from receiver.store.rollbacks import Conflict, Rollback, State
from tests.receiver_world import put_alert, put_rollback, settings_of

NOW = 1_795_349_000.0
ROUNDS = 10

Change = Callable[[Transaction, Rollback], Rollback]


@pytest.fixture
def settings(tmp_path: Path) -> ReceiverSettings:
    return settings_of(tmp_path)


def changes(store: Store, settings: ReceiverSettings) -> dict[str, Change]:
    metrics = ReceiverMetrics(store, settings, ["retail"])
    return {
        "approve": lambda tx, one: orders.approve(tx, one, settings, by="ann", reason="", now=NOW),
        "deny": lambda tx, one: orders.deny(tx, one, metrics, by="bob", reason="", now=NOW),
        "expire": lambda tx, one: rollbacks.change(tx, one, state=State.FAILED.value, reason="approval_expired"),
    }


def race(store: Store, name: str, *work: Change) -> list[BaseException | Rollback]:
    """Each in a thread of its own; nobody writes before everybody has read."""
    ready = threading.Barrier(len(work))
    done: list[BaseException | Rollback] = []

    with store.begin() as tx:
        found = rollbacks.get(tx, name)
    assert found is not None

    def one(change: Change) -> None:
        ready.wait(30)
        try:
            done.append(store.transact(change, found))
        except (NotPossible, Conflict) as problem:
            done.append(problem)

    threads = [threading.Thread(target=one, args=(change,)) for change in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return done


@pytest.mark.parametrize(
    "names", [("approve", "approve"), ("approve", "deny"), ("approve", "expire"), ("deny", "expire")], ids=" ".join
)
def test_of_two_who_decide_at_once_one_has_it(store: Store, settings: ReceiverSettings, names: tuple[str, str]) -> None:
    known = changes(store, settings)
    with store.begin() as tx:
        alert = put_alert(tx, now=NOW)
        for number in range(1, ROUNDS + 1):
            waits = {"state": State.AWAITING_APPROVAL, "started_at": None, "wrote": False, "try_number": number}
            put_rollback(tx, alert, f"r{number}", now=NOW, **waits)
    for number in range(1, ROUNDS + 1):
        done = race(store, f"r{number}", *(known[name] for name in names))
        (winner,) = [one for one in done if isinstance(one, Rollback)]
        assert len(done) == 2
        with store.begin() as tx:
            assert rollbacks.get(tx, f"r{number}") == winner
    with store.begin() as tx:
        orders_kept = [
            row.kind for row in audit.newest(tx, before=None, limit=1000) if row.kind in ("approved", "denied")
        ]
    assert len(orders_kept) <= ROUNDS


def test_of_two_who_undo_at_once_one_has_it(store: Store, settings: ReceiverSettings) -> None:
    def undo(tx: Transaction, one: Rollback) -> Rollback:
        return orders.undo(tx, one, settings, by="ann", reason="x", now=NOW)

    with store.begin() as tx:
        alert = put_alert(tx, now=NOW)
        put_rollback(tx, alert, "r1", now=NOW, state=State.VERIFYING, confirmed_at=NOW, wrote=True)
    done = race(store, "r1", undo, undo)
    assert sum(isinstance(one, Rollback) for one in done) == 1
    with store.begin() as tx:
        assert len(rollbacks.undos_of(tx, "r1")) == 1


def test_an_undo_is_none_of_the_rollbacks_that_count(store: Store, settings: ReceiverSettings) -> None:
    with store.begin() as tx:
        alert = put_alert(tx, now=NOW)
        first = put_rollback(tx, alert, "r1", now=NOW, state=State.SUCCEEDED, confirmed_at=NOW, ended_at=NOW)
        undo = orders.undo(tx, first, settings, by="ann", reason="x", now=NOW)
        rollbacks.change(tx, undo, started_at=NOW + 60, wrote=True)

        assert rollbacks.last_start(tx, "retail", None, shadow=False) == NOW
        assert [one.id for one in rollbacks.started_since(tx, "retail", None, since=0, shadow=False)] == ["r1"]
