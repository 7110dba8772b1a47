"""Orders with a key, on both databases: one effect and one answer, also of many that come at once."""

import threading
import time

import pytest
import sqlalchemy as sa

from receiver.store import controls, idempotency, retention
from receiver.store.database import Store, Transaction
from receiver.store.idempotency import Answer, KeyReused, Order
from receiver.store.retention import Horizon

NOW = 1_795_348_800.0
ORDER = Order("ann", "key-1", "digest-1")


def pause(tx: Transaction) -> Answer:
    """An effect that shows how often it was had, in the answer too."""
    controls.pause(tx, f"org-{len(controls.list_pauses(tx))}", by="ann", reason="x", now=NOW)
    return Answer(201, f'{{"pauses": {len(controls.list_pauses(tx))}}}')


def done(store: Store, order: Order = ORDER) -> Answer:
    return store.transact(idempotency.once, order, pause, now=NOW)


def effects(store: Store) -> int:
    with store.begin() as tx:
        return len(controls.list_pauses(tx))


def test_the_same_order_has_one_effect_and_the_first_answer(store: Store) -> None:
    first = done(store)
    assert first == Answer(201, '{"pauses": 1}')
    assert done(store) == Answer(201, '{"pauses": 1}', again=True)
    assert store.transact(idempotency.find, ORDER) == Answer(201, '{"pauses": 1}', again=True)
    assert effects(store) == 1


@pytest.mark.parametrize(
    "other",
    [Order("bob", "key-1", "digest-1"), Order("ann", "key-2", "digest-1")],
    ids=["another caller", "another key"],
)
def test_another_order_has_its_own(store: Store, other: Order) -> None:
    done(store)
    assert store.transact(idempotency.find, other) is None
    assert not done(store, other).again
    assert effects(store) == 2


def test_a_key_for_another_request_is_refused_and_has_no_effect(store: Store) -> None:
    done(store)
    other = Order("ann", "key-1", "digest-2")
    with pytest.raises(KeyReused):
        done(store, other)
    with pytest.raises(KeyReused):
        store.transact(idempotency.find, other)
    assert effects(store) == 1


def test_what_fails_is_not_kept(store: Store) -> None:
    def fail(tx: Transaction) -> Answer:
        pause(tx)
        raise ValueError("refused")

    with pytest.raises(ValueError, match="refused"):
        store.transact(idempotency.once, ORDER, fail, now=NOW)
    assert store.transact(idempotency.find, ORDER) is None
    assert effects(store) == 0
    assert not done(store).again
    assert effects(store) == 1


def test_of_orders_that_come_at_once_one_has_the_effect_and_all_get_its_answer(store: Store) -> None:
    ready = threading.Barrier(6)
    answers: list[Answer] = []

    def slowly(tx: Transaction) -> Answer:
        answer = pause(tx)
        time.sleep(0.05)  # so that the others come to wait
        return answer

    def one() -> None:
        ready.wait(30)
        answers.append(store.transact(idempotency.once, ORDER, slowly, now=NOW))

    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [one.content for one in answers] == ['{"pauses": 1}'] * 6
    assert sum(not one.again for one in answers) == 1
    assert effects(store) == 1


def test_a_key_is_removed_after_its_time(store: Store) -> None:
    done(store)
    with store.begin() as tx:
        assert retention.sweep(tx, Horizon(0.0, 0.0, 0.0, keys=NOW, feeds=0.0), limit=10) == {}
    with store.begin() as tx:
        assert retention.sweep(tx, Horizon(0.0, 0.0, 0.0, keys=NOW + 1, feeds=0.0), limit=10) == {"idempotency_keys": 1}
        assert tx.scalar(sa.text("SELECT count(*) FROM idempotency_keys")) == 0
    assert not done(store).again
