"""Two people roll the same flow back at the same moment, at two receivers: one of them does."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from receiver.desk import Desk, Order
from receiver.orders import NotPossible
from receiver.store.rollbacks import Rollback
from tests.integration.receiver_world import FLOW_ID, Scene, scene


@pytest.fixture
def here(tmp_path: Path, database_url: str) -> Iterator[Scene]:
    with scene(tmp_path, database_url=database_url) as made:
        yield made


def test_of_two_who_order_the_same_at_once_one_has_it(here: Scene) -> None:
    done: list[Rollback | NotPossible] = []
    ready = threading.Barrier(2)

    def order(name: str) -> None:
        desk = Desk(here.another_receiver(name).tools["retail"], threading.Lock())
        ready.wait(30)
        try:
            done.append(desk.roll_back("retail", FLOW_ID, Order("x"), lambda tx, plan: plan(tx), by=name))
        except NotPossible as problem:
            done.append(problem)

    threads = [threading.Thread(target=order, args=(name,)) for name in ("ann", "bob")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(type(one).__name__ for one in done) == ["NotPossible", "Rollback"]
    assert len(here.rollbacks()) == 1
    assert len(here.alerts()) == 1
