"""ALERT_PATH_SILENT: told when the watchdog does not arrive, once for each silence."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from receiver.store import watchdog
from tests.integration.receiver_world import Scene, scene

SILENT_S = 600.0


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path, orgs=("retail", "bank")) as made:
        made.watchdog_arrives = False
        yield made


def arrive(here: Scene) -> None:
    with here.store.begin() as tx:
        watchdog.arrived(tx, now=here.time.now)


def test_while_the_watchdog_arrives_nobody_hears_of_it(here: Scene) -> None:
    for _ in range(10):
        arrive(here)
        here.run(SILENT_S - 60, step_s=30)
    assert here.told() == []


def test_a_watchdog_that_never_comes_is_told_once(here: Scene) -> None:
    here.run(SILENT_S - 10, step_s=10)
    assert here.told() == []
    here.run(5 * SILENT_S, step_s=10)
    (told,) = here.told()
    assert (told["incident_type"], told["action_taken"]) == ("ALERT_PATH_SILENT", "NONE")
    assert told["reason"].startswith("GenesysWatchdog last arrived: never;")


def test_each_silence_is_told_once_also_by_several_receivers(here: Scene) -> None:
    first, second = here.receiver, here.another_receiver("receiver-2")
    for _ in range(2):
        arrive(here)
        for receiver in (first, second) * 3:
            here.receiver = receiver
            here.run(SILENT_S, step_s=30)
    assert here.told_types() == ["ALERT_PATH_SILENT", "ALERT_PATH_SILENT"]


def test_a_receiver_that_was_down_waits_before_it_says_so(here: Scene) -> None:
    arrive(here)
    here.time.pass_(10 * SILENT_S)
    here.receiver = here.another_receiver("receiver-2")
    here.run(SILENT_S - 30, step_s=30)
    assert here.told() == []
    here.run(120, step_s=30)
    assert here.told_types() == ["ALERT_PATH_SILENT"]
