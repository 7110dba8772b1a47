"""The loop on both databases: what the store promises, seen from the rollback that rests on it."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from receiver.store.rollbacks import State
from tests.integration.receiver_world import Scene, alert_of, scene


@pytest.fixture
def here(tmp_path: Path, database_url: str) -> Iterator[Scene]:
    with scene(tmp_path, database_url=database_url) as made:
        yield made


def at_once(*work: Callable[[], object]) -> None:
    """Run everything at the same time; an exception in any of them is raised here."""
    barrier = Barrier(len(work))

    def one(do: Callable[[], object]) -> None:
        barrier.wait(timeout=10)
        do()

    with ThreadPoolExecutor(len(work)) as threads:
        for done in [threads.submit(one, do) for do in work]:
            done.result()


def test_a_failing_version_is_rolled_back_once_told_and_verified(here: Scene) -> None:
    here.deliver()
    rollback = here.run_to_the_end()

    assert rollback.state is State.SUCCEEDED
    assert here.published() == ["13.0"]
    assert here.told_types() == ["AUTO_ROLLBACK_TRIGGERED", "ROLLBACK_SUCCEEDED"]
    assert [step.event for step in here.steps()][-1] == "succeeded"


def test_three_receivers_that_tick_at_the_same_time_publish_once(here: Scene) -> None:
    receivers = [here.receiver, here.another_receiver("receiver-2"), here.another_receiver("receiver-3")]
    here.deliver()
    for _ in range(20):
        at_once(*(receiver.tick for receiver in receivers))
        here.time.pass_(2)

    assert here.published() == ["13.0"]
    assert len(here.rollbacks()) == 1


def test_deliveries_that_arrive_while_it_is_rolled_back_are_the_same_rollback(here: Scene) -> None:
    here.deliver()
    for _ in range(20):
        at_once(here.receiver.tick, here.deliver, lambda: here.deliver(alert_of()))
        here.time.pass_(2)

    assert here.published() == ["13.0"]
    assert len(here.rollbacks()) == 1
