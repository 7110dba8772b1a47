"""What a transaction promises on both databases, tried once or several times."""

import pytest
import sqlalchemy as sa

from receiver.notify.events import Telling
from receiver.store import outbox, watchdog
from receiver.store.database import Store, StoreUnavailable, Transaction, after_commit
from receiver.watchdog import Watchdog
from tests.receiver_world import put_alert

NOW = 1_795_349_000.0


class Stopped(Exception):
    """The work's own reason to keep nothing."""


def count(tx: Transaction) -> int:
    return int(tx.scalar(sa.text("SELECT count(*) FROM alerts")) or 0)


def put(tx: Transaction, told: list[str], *, stop: bool = False) -> int:
    after_commit(tx, lambda: told.append("durable"))
    put_alert(tx, now=NOW)
    if stop:
        raise Stopped
    return count(tx)


def test_it_gives_what_the_work_gives_and_tells_once_it_is_durable(store: Store) -> None:
    told: list[str] = []
    assert store.transact(put, told) == 1
    assert told == ["durable"]
    assert store.transact(count) == 1


def test_what_the_work_raises_is_raised_and_nothing_is_kept_or_told(store: Store) -> None:
    told: list[str] = []
    with pytest.raises(Stopped):
        store.transact(put, told, stop=True)
    assert store.transact(count) == 0
    assert told == []


def test_a_fault_of_a_statement_is_not_repeated(store: Store) -> None:
    calls = []

    def work(tx: Transaction) -> None:
        calls.append(1)
        tx.execute(sa.text("SELECT 1 FROM nowhere"))

    with pytest.raises(StoreUnavailable, match="nowhere"):
        store.transact(work)
    assert len(calls) == 1


def test_people_hear_of_a_silent_path_although_the_first_transaction_that_says_so_is_lost(store: Store) -> None:
    watch = Watchdog(Telling(["pager"], None), silent_s=60)

    def look(tx: Transaction, *, now: float, lose: bool = False) -> None:
        watch.check(tx, now=now)
        if lose:
            raise Stopped

    store.transact(watchdog.arrived, now=NOW)
    store.transact(look, now=NOW)
    with pytest.raises(Stopped):
        store.transact(look, now=NOW + 61, lose=True)
    store.transact(look, now=NOW + 63)
    assert store.transact(outbox.backlog)["pager"].pending == 1
