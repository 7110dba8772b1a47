"""A webhook need not wait for the next round of the loop; but a flood does not make it go on without a rest."""

import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from receiver.metrics import ReceiverMetrics
from receiver.process import Process
from receiver.store import decisions
from receiver.store.database import Store
from receiver.web import create_app
from receiver.worker import Worker
from tests.integration.receiver_world import Scene, Time, scene
from tests.integration.test_receiver_process import Cloud
from tests.integration.test_receiver_web import alert, payload
from tests.receiver_world import ORGS, TOKENS, opened, organizations_of, settings_of

LONG_S = 30.0


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path, timing={"tick_s": LONG_S}) as made:
        yield made


class Stop(threading.Event):
    """Ends the loop when it rests for the time between two rounds; before each round something new comes."""

    def __init__(self, worker: Worker) -> None:
        super().__init__()
        self.rounds = 0
        self.rests: list[float | None] = []
        self._worker = worker

    def is_set(self) -> bool:
        self.rounds += not super().is_set()
        self._worker.hurry()
        return super().is_set()

    def wait(self, timeout: float | None = None) -> bool:
        self.rests.append(timeout)
        self.set()
        return True


def test_who_is_hurried_begins_the_next_round_at_once_and_then_rests(here: Scene) -> None:
    worker = here.receiver.workers["retail"]
    stop = Stop(worker)
    worker.run(stop)
    assert (stop.rounds, stop.rests) == (2, [LONG_S])


def deliver(app: Any, *alerts: dict[str, Any]) -> None:
    headers = {"Authorization": f"Bearer {TOKENS['alertmanager']}"}
    answer = app.test_client().post("/api/v1/alerts", json=payload(*alerts), headers=headers)
    assert answer.status_code == 202, answer.text


def test_only_what_is_new_hurries_and_only_its_organization(tmp_path: Path) -> None:
    hurried: list[set[str]] = []

    def hurry(orgs: Iterable[str]) -> None:
        hurried.append({*orgs})

    settings = settings_of(tmp_path)
    with opened(settings) as store:
        app = create_app(store, settings, ORGS, ReceiverMetrics(store, settings, ORGS), list, hurry=hurry)
        deliver(app, alert(), alert("f2", org="bank"))
        assert hurried == [{"retail", "bank"}]
        deliver(app, alert())
        deliver(app, alert("w", genesys_action="watchdog", alertname="GenesysWatchdog"))
        assert hurried == [{"retail", "bank"}], "known already; and the watchdog opens nothing"


def test_an_alert_is_decided_long_before_the_next_round_is_due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receiver.process.open_organization", lambda _: Cloud(Time(time.time())))
    settings = settings_of(tmp_path, timing={"tick_s": LONG_S})
    with opened(settings) as store:
        process = Process(settings, organizations_of(tmp_path, ["retail"]))
        process.start()
        try:
            wait_for(lambda: not process.problems(), "the first round has ended")
            began = time.monotonic()
            deliver(process.app, alert(), alert("f2", org="nobody's"))
            wait_for(lambda: decided(store) >= {"retail", "nobody's"}, "both are decided")
            assert time.monotonic() - began < LONG_S / 2
        finally:
            began = time.monotonic()
            process.stop(10.0)
        assert time.monotonic() - began < LONG_S / 2, "nor does the end wait for a round"


def decided(store: Store) -> set[str]:
    with store.begin() as tx:
        return {one.org for one in decisions.newest(tx, org=None, flow_id=None, verdict=None, limit=10)}


def wait_for(holds: Any, what: str) -> None:
    end = time.monotonic() + LONG_S / 2
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.02)
