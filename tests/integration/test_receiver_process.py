"""The whole receiver in one process: its threads work, and all of it ends when it is told to."""

import threading
import time
from pathlib import Path

import pytest

from receiver.process import Process
from receiver.store import flows
from receiver.store.database import Store
from tests.integration.receiver_world import GenesysInMemory, Time
from tests.receiver_world import opened, organizations_of, settings_of


class Cloud(GenesysInMemory):
    """Remembers whether it was closed."""

    closed = False

    def close(self) -> None:
        self.closed = True


def test_it_lists_the_flows_becomes_ready_and_closes_everything_at_the_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clouds = {name: Cloud(Time(time.time())) for name in ("retail", "bank")}
    monkeypatch.setattr("receiver.process.open_organization", lambda organization: clouds[organization.name])
    settings = settings_of(tmp_path, timing={"tick_s": 0.02})
    with opened(settings) as store:
        process = Process(settings, organizations_of(tmp_path, list(clouds)))
        assert len(process.problems()) == 2
        before = threading.active_count()
        process.start()
        end = time.monotonic() + 20
        while time.monotonic() < end and (process.problems() or not _listed(store)):
            time.sleep(0.02)
        assert process.problems() == []
        assert _listed(store)

        process.stop(10.0)
        assert threading.active_count() == before
        assert all(cloud.closed for cloud in clouds.values())


def _listed(store: Store) -> bool:
    with store.begin() as tx:
        return all(flows.of(tx, org) for org in ("retail", "bank"))
